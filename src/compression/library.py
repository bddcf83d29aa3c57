"""Methods of third-party libraries: the library is loaded when such a method is chosen."""

import contextlib
import importlib
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from src.compression.linears import Build, find_linears, replace_linears
from src.compression.registry import Outcome
from src.compression.stack import libraries_of, methods_of
from src.errors import InputError, Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

MODULES = ("blocks", "with_head")


def library_versions(settings: Any) -> dict[str, str]:
    """Give the version of each library that a compression needs beside those of all cells.

    Args:
        settings: A method's settings, or a stack. A settings class names its libraries in
            `libraries`; each has an extra of this project of the same name. In `may_use` it names
            those of which only the checkpoint tells whether they are needed. What one needs in
            another environment it tells by a method `versions()`.

    Raises:
        Unsupported: One is not installed; says how to install it.
        InputError: An interpreter that the settings name does not have what it is to have.
    """
    found = {}
    for name in libraries_of(settings):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise Unsupported(
                f"this compression needs {name}, which is not installed: "
                f".venv/bin/pip install -c requirements.lock -e '.[{name}]'."
            ) from None
    for name in {name for one in methods_of(settings) for name in getattr(one, "may_use", ())}:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    for method in methods_of(settings):
        if hasattr(method, "versions"):
            found |= method.versions()
    return found


def library(module: str) -> Any:
    """Import a library that only some methods need.

    Args:
        module: What is imported, "torchao.quantization".

    Raises:
        InputError: It cannot be imported.
    """
    with warnings.catch_warnings():
        # What these libraries import of torch is deprecated there; nothing a user can act on.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                f"this compression needs {module}, which cannot be imported ({error}); "
                "`pip install -c requirements.lock` the extra of its name."
            ) from error


def replace_by_library(
    subject: "Subject",
    modules: str,
    build: Build,
    unfit: Callable[["torch.Size"], str] = lambda _: "",
) -> Outcome:
    """Put a library's layers into the place of linear ones, GPT-2's Conv1D included.

    Args:
        subject: The loaded subject; its model is changed.
        modules: One of `MODULES`.
        build: As for `replace_linears`.
        unfit: Why a weight of this shape (out, in) cannot be taken; empty where it can.

    Returns:
        What was changed, bits as the layers really store them.
    """
    linears, skipped = find_linears(subject, conv1d=True, outside=modules != "blocks")
    for name, module in list(linears.items()):
        shape = module.get_parameter("weight").shape
        # Conv1D's weight is transposed.
        why = unfit(shape if hasattr(module, "in_features") else shape[::-1])
        if why:
            skipped[name] = why
            del linears[name]
    return Outcome(replace_linears(subject, linears, build), skipped)


def dense_layer(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Linear":
    """Make an nn.Linear of a weight (out, in) and a bias, for a library to work on."""
    import torch
    from torch import nn

    with torch.device("meta"):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer.eval()
