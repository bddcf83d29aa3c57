"""Any result object as plain JSON values, so that files and hashes do not depend on types."""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date
from pathlib import PurePath
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Turn `value` into dicts, lists, strings, numbers, booleans and None.

    Handles dataclasses, mappings (also OmegaConf's), sequences, sets (sorted), numpy scalars and
    arrays, paths, enums and dates. A float that is not finite becomes None: JSON has no NaN.

    Raises:
        TypeError: `value` holds something else; the message names where and its type.
    """
    return _plain(value, "")


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value, where)
    if isinstance(value, np.generic):
        return _plain(value.item(), where)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if type(value).__name__ == "NAType":  # pandas' missing value; pandas need not be there
        return None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    return _container(value, where)


def _container(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: _plain(item, f"{where}.{name}") for name, item in named.items()}
    if isinstance(value, Mapping):
        keys = [str(key) for key in value]
        if len(set(keys)) < len(keys):
            raise TypeError(f"{where or 'the object'} has keys that are the same when written")
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), where)
    if isinstance(value, Set):
        return sorted((_plain(item, where) for item in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{where.lstrip('.') or 'the object'} is a {type(value)}, no plain data")
