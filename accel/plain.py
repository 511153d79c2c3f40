"""Records as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any


def finite(value: Any) -> Any:
    """Numbers that JSON cannot say, as strings: ``"inf"``, ``"-inf"``, ``"nan"``."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def build(hint: Any, value: Any) -> Any:
    """Rebuild dataclasses, tuples and floats from plain JSON values, by type hint."""
    if hint is float and isinstance(value, str):
        return float(value)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return None if value is None else build(options[0], value)
    if origin is dict:
        return {key: build(typing.get_args(hint)[1], item) for key, item in value.items()}
    if origin is tuple:
        return tuple(build(typing.get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{key: build(hints[key], item) for key, item in value.items()})
    return value
