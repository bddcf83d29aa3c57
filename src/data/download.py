"""Fetch every pinned benchmark file into the cache: `python -m src.data.download` (make data)."""

import argparse
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.data.sources import SOURCES
from src.errors import InputError
from src.piped import piped

BENCHMARKS = tuple(dict.fromkeys(layout.partition("/")[0] for layout in SOURCES))
WORKERS = 8  # SEAT is 50 small files: the time goes into waiting


def download(config: DataConfig, benchmarks: Sequence[str]) -> None:
    """Fetch the files of `benchmarks` and print a line for each.

    Args:
        config: Cache, mirror and patience; its `root` is not used.
        benchmarks: Some of `BENCHMARKS`.

    Raises:
        InputError: A file cannot be had; files already fetched stay in the cache.
    """
    files = DataFiles(config)
    wanted = [layout for layout in SOURCES if layout.partition("/")[0] in benchmarks]
    pool = ThreadPoolExecutor(WORKERS)
    try:
        for layout, path in zip(wanted, pool.map(files.locate, wanted), strict=True):
            record = files.used[layout]
            how = "was cached" if record["origin"] == "cache" else "fetched"
            size = path.stat().st_size
            print(f"{path}  {size} bytes  blob {record['git_blob'][:12]} ok  {how}", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m src.data.download", description=__doc__)
    defaults = DataConfig()
    parser.add_argument("--cache", metavar="DIR", help="where to put them (default: data.cache)")
    parser.add_argument("--mirror", metavar="ADDRESS", help="base address or folder to ask instead")
    parser.add_argument("--only", metavar="A,B", help=f"some of {','.join(BENCHMARKS)}")
    parser.add_argument("--timeout", type=float, default=defaults.timeout, metavar="SECONDS")
    parser.add_argument("--retries", type=int, default=defaults.retries, metavar="N")
    options = parser.parse_args(argv)
    benchmarks = BENCHMARKS if options.only is None else tuple(options.only.split(","))
    if unknown := [name for name in benchmarks if name not in BENCHMARKS]:
        parser.error(f"--only {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        config = DataConfig(
            cache=options.cache,
            mirror=options.mirror,
            timeout=options.timeout,
            retries=options.retries,
        )
        download(config, benchmarks)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    piped(main)
