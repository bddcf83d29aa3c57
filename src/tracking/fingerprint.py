"""One hash for everything that can change a cell's numbers."""

import ast
import functools
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from src.tracking.plain import plain

METHODS = ("benchmarks", "scoring", "compression")
"""Folders of `src/` in which a module may be one method's alone."""
NUMBER_MAKING = (
    *METHODS,
    *("models", "data/readers.py", "data/locate.py", "evaluate.py", "cell.py", "device.py"),
    *("prepare.py", "processes.py", "questions.py"),
)
"""Parts of `src/` whose code decides a cell's numbers."""
REGISTER = ("benchmark", "scorer", "compression")
"""Functions whose call makes a module a method's, named by the call's first argument."""


@dataclass(frozen=True, slots=True)
class Module:
    """What the digest needs of a Python module.

    Attributes:
        path: Relative to the root, with forward slashes.
        sha256: Of its code, without docstrings, comments and layout.
        kinds: Names of the methods that it registers; empty for code that methods share.
        imports: Every part of the names it imports.
    """

    path: str
    sha256: str
    kinds: frozenset[str]
    imports: frozenset[str]


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Hash `parts` (settings, data checksums, model commit, code) to 64 hexadecimal digits.

    The order of keys does not matter, and tuples equal lists; 1 and 1.0 are different.

    Raises:
        TypeError: A part is no plain data, so its text need not be the same in another process.
    """
    text = json.dumps(plain(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(kinds: Collection[str] = (), root: Path | None = None) -> str:
    """Hash the code that decides a cell's numbers, without its docstrings and comments.

    Args:
        kinds: Registered names of the benchmarks, scorer and compression in use. Modules of other
            methods are left out, unless what counts imports them. Without names, or with one that
            no module registers, everything counts.
        root: Where the code is; by default this project's `src/`, as it was at the first call.

    Raises:
        FileNotFoundError: Something of `NUMBER_MAKING` is not there.
    """
    modules = _own_modules() if root is None else _modules(root)
    if kinds and set(kinds) <= {kind for module in modules for kind in module.kinds}:
        modules = _needed(modules, kinds)
    text = "\n".join(f"{module.path} {module.sha256}" for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def sources_digest(places: tuple[str, ...]) -> str:
    """Hash the code of some parts of `src/`, without docstrings and comments, as it is first seen.

    Args:
        places: Folders or files below `src/`.

    Raises:
        FileNotFoundError: One is not there.
    """
    root = Path(__file__).parents[1]
    files = sorted({path for place in places for path in _sources(root / place)})
    found = (_module(path, path.relative_to(root).as_posix()) for path in files)
    text = "\n".join(f"{module.path} {module.sha256}" for module in found)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the settings in which two sets of fingerprint parts differ.

    Returns:
        Sorted dotted keys ("compression.bits"); a list counts as one setting.
    """
    # As text, because 1 == 1.0 == True in Python and the hash tells them apart.
    before, after = (
        {key: json.dumps(value, sort_keys=True) for key, value in flatten(plain(parts)).items()}
        for parts in (old, new)
    )
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys; an empty mapping stays a value."""
    return dict(_leaves(tree, ""))


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@functools.cache
def _own_modules() -> list[Module]:
    # Read once: a file edited during a sweep does not change the code that is running.
    return _modules(Path(__file__).parents[1])


def _modules(root: Path) -> list[Module]:
    found = sorted({path for name in NUMBER_MAKING for path in _sources(root / name)})
    return [_module(path, path.relative_to(root).as_posix()) for path in found]


def _sources(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}, named as code that makes numbers, is not there")
    return [file for file in path.rglob("*.py") if not file.name.startswith(".")]


def _needed(modules: list[Module], kinds: Collection[str]) -> list[Module]:
    """Leave out other methods' modules, but not one whose name a module that counts imports."""
    kept = [module for module in modules if not module.kinds or module.kinds & set(kinds)]
    imported = {part for module in kept for part in module.imports}
    more = {kind for m in modules if PurePosixPath(m.path).stem in imported for kind in m.kinds}
    return kept if more <= set(kinds) else _needed(modules, more | set(kinds))


def _module(path: Path, name: str) -> Module:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    nodes = list(ast.walk(tree))
    kinds = {_kind(node) for node in nodes} - {None}
    # A method whose name only running its module would tell counts as shared: always.
    own = name.startswith(tuple(f"{folder}/" for folder in METHODS)) and "" not in kinds
    return Module(
        path=name,
        sha256=hashlib.sha256(_code(tree).encode()).hexdigest(),
        kinds=frozenset(kind for kind in kinds if kind and own),
        imports=frozenset(part for node in nodes for part in _imported(node)),
    )


def _kind(node: ast.AST) -> str | None:
    """Give the name that a call registers; "" where it is no plain string, None for the rest."""
    match node:
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in REGISTER:
            match node.args:
                case [ast.Constant(value=str(kind)), *_]:
                    return kind
            return ""
    return None


def _imported(node: ast.AST) -> list[str]:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return []
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        names.append(node.module)
    return [part for name in names for part in name.split(".")]


def _code(value: Any) -> str:
    """Write a syntax tree as text.

    Unlike `ast.dump` it leaves out strings that stand alone (docstrings), and fields that are
    empty, which not every version of Python has.
    """
    match value:
        case ast.AST():
            fields = [pair for pair in ast.iter_fields(value) if pair[1] not in (None, [])]
            inside = ",".join(f"{name}={_code(part)}" for name, part in fields)
            return f"{type(value).__name__}({inside})"
        case list():
            return f"[{','.join(_code(part) for part in value if not _is_docstring(part))}]"
    return repr(value)


def _is_docstring(node: object) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
