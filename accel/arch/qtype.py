"""Integer types in a machine file: ``int8``, ``uint4``, ``bipolar``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from accel.arch.units import shown
from accel.numerics.qtype import QType

WIDEST_BITS = 16
LEGAL = f"int1 to int{WIDEST_BITS}, uint1 to uint{WIDEST_BITS} or bipolar"


class PeTypeRule:
    """Reads, writes and describes a multiplier's operand type, for use as ``Annotated[QType, PeTypeRule()]``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _read, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "string",
            "enum": [f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, WIDEST_BITS + 1)] + ["bipolar"],
        }


PeType = Annotated[QType, PeTypeRule()]


def _read(value: Any) -> QType:
    qtype = value if isinstance(value, QType) else _parse(value)
    if qtype is None or qtype.bits > WIDEST_BITS:
        raise PydanticCustomError("type", "is {found}; legal are {legal}", {"found": shown(value), "legal": LEGAL})
    return qtype


def _parse(value: Any) -> QType | None:
    try:
        return QType.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None
