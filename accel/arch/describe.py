"""Every field of a machine with its value, unit, default and meaning; and the JSON Schema of machine files."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from accel.arch.spec import Machine
from accel.arch.units import Quantity

_UNIT_OF_KEY = {"array.rows": "PEs", "array.columns": "PEs", "vector.lanes": "elements/cycle"}
_UNIT_OF_ENDING = {"_cycles": "cycles", "_bits": "bits", "_pj": "pJ", "_mw": "mW"}


class FieldRow(NamedTuple):
    """One field as ``accel show`` prints it."""

    section: str
    """``array``, ``buffers.weight``, ...; empty for the machine's own fields."""
    field: str
    """The key in the file."""
    value: str
    unit: str
    default: str | None
    """None: the file must say it."""
    meaning: str


def describe_machine(machine: Machine) -> list[FieldRow]:
    """All fields, in the order in which a file would say them."""
    return list(_rows(machine, ""))


def machine_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a machine file, with a description, a range and examples for editors."""
    schema = Machine.model_json_schema(by_alias=True, schema_generator=_WithoutTitles)
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": "accel machine", **schema}


def machine_schema_text() -> str:
    """The schema as ``accel schema`` prints it."""
    return json.dumps(machine_schema(), indent=2, ensure_ascii=False) + "\n"


class _WithoutTitles(GenerateJsonSchema):
    """A title that repeats the key says nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        json_schema = super().model_schema(schema)
        json_schema.pop("title", None)
        return json_schema


def _rows(spec: BaseModel, section: str) -> Iterator[FieldRow]:
    written = spec.model_dump(mode="json", by_alias=True)
    parts: list[tuple[str, BaseModel]] = []
    for name, field in type(spec).model_fields.items():
        key = field.alias or name
        value = getattr(spec, name)
        if isinstance(value, BaseModel):
            parts.append((key, value))
            continue
        text, unit = _with_unit(f"{section}.{name}", field, written[key])
        yield FieldRow(section, key, text, unit, _default(field, spec), field.description or "")
    for key, part in parts:
        yield from _rows(part, f"{section}.{key}".removeprefix("."))


def _with_unit(name: str, field: FieldInfo, written: Any) -> tuple[str, str]:
    if any(isinstance(rule, Quantity) for rule in field.metadata):
        number, unit = str(written).split(" ")
        return number, unit
    unit = _UNIT_OF_KEY.get(name) or next((u for end, u in _UNIT_OF_ENDING.items() if name.endswith(end)), "")
    return _text(written), unit


def _default(field: FieldInfo, spec: BaseModel) -> str | None:
    if field.is_required():
        return None
    default = field.get_default(call_default_factory=True, validated_data=dict(spec))
    return None if default is None and not _takes_nothing(field) else _text(default)


def _takes_nothing(field: FieldInfo) -> bool:
    """Whether the file may leave the field empty; a default of None else means that it follows from other fields."""
    return type(None) in typing.get_args(field.annotation)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
