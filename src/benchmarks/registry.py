"""Benchmarks by name; each is one module of this package that registers its settings class."""

from collections.abc import Callable
from typing import Any

from src.benchmarks.base import Benchmark

BENCHMARKS: dict[str, tuple[type[Any], Callable[[Any], Benchmark]]] = {}
"""Kind -> (settings dataclass, function from settings to benchmark)."""


def benchmark(
    kind: str, settings: type[Any]
) -> Callable[[Callable[[Any], Benchmark]], Callable[[Any], Benchmark]]:
    """Register a benchmark under `kind` with its settings dataclass.

    The settings class becomes the schema of `conf/benchmark/<kind>.yaml`.

    Raises:
        ValueError: Another benchmark has this name already.
    """
    if kind in BENCHMARKS:
        raise ValueError(f"two benchmarks are called {kind!r}")

    def register(build: Callable[[Any], Benchmark]) -> Callable[[Any], Benchmark]:
        BENCHMARKS[kind] = (settings, build)
        return build

    return register
