"""Quantities as people write them: a number and a unit, ``1 GHz``, ``128 KiB``, ``16 B/cycle``.

A ``Quantity`` in a pydantic field's annotation reads such a text into a plain number in the field's base unit,
writes it back, and describes itself in the JSON Schema. The arithmetic is exact (fractions), so that ``80 ns`` at
1 GHz is 80 cycles and not 81.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pint
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

_DEFINITIONS = """
    nano- = 1e-9 = n-
    micro- = 1e-6 = u- = µ-
    milli- = 1e-3 = m-
    kilo- = 1e3 = k-
    mega- = 1e6 = M-
    giga- = 1e9 = G-
    tera- = 1e12 = T-
    kibi- = 2**10 = Ki-
    mebi- = 2**20 = Mi-
    gibi- = 2**30 = Gi-
    tebi- = 2**40 = Ti-
    bit = [information]
    byte = 8 * bit = B
    second = [time] = s
    hertz = 1 / second = Hz
    cycle = [cycle]
"""
_UNITS: pint.UnitRegistry[Any] = pint.UnitRegistry(None, non_int_type=Fraction)
for _definition in _DEFINITIONS.strip().splitlines():
    _UNITS.define(_definition.strip())

# Bounded digits and a plain unit: pint would evaluate any expression, however large its result.
_NUMBER = r"[+-]?\d{1,15}(?:\.\d{0,25})?(?:[eE][+-]?\d{1,2})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*([A-Za-zµ]+(?:/[A-Za-zµ]+)?)?")
# What editors let through; the reader knows more precisely.
_SCHEMA_UNITS = {
    "byte": "[A-Za-z]*(B|bytes?|bits?)",
    "hertz": "[A-Za-z]*(Hz|hertz)",
    "second": "[a-zµ]*(s|seconds?)",
    "cycle": "cycles?",
    "byte/cycle": "[A-Za-z]*(B|bytes?|bits?)/cycles?",
    "byte/second": "[A-Za-z]*(B|bytes?|bits?)/[a-zµ]*(s|seconds?)",
}
_NAMES = {
    "byte": "a size",
    "hertz": "a frequency",
    "second": "a time",
    "cycle": "a number of cycles",
    "byte/cycle": "a width in bytes per cycle",
    "byte/second": "a bandwidth",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a field may hold, for use as ``Annotated[float, Quantity(...)]``.

    Parameters
    ----------
    base
        The unit of the number that the program sees, as pint writes it.
    low, high
        Bounds, both legal, as a person would write them.
    units
        The units to write a value in, the largest first.
    examples
        Texts that are legal; errors and editors show them.
    timed_base
        The unit of a second way to say it, in seconds; the machine's clock turns it into ``base``.
    whole
        Only whole numbers of ``base`` are legal; a time is rounded up to whole cycles.
    own_clock
        Cycles are those of ``clock_hz`` in the field's own section, not the machine's.
    """

    base: str
    low: str
    high: str
    units: tuple[str, ...]
    examples: tuple[str, ...]
    timed_base: str | None = None
    whole: bool = False
    own_clock: bool = False

    @property
    def legal(self) -> str:
        """The legal range and how to write it."""
        return f"{self.low} to {self.high}, for example {' or '.join(self.examples)}"

    @property
    def _bases(self) -> tuple[str, ...]:
        return (self.base,) if self.timed_base is None else (self.base, self.timed_base)

    def read(self, text: str, clock_hz: float | None = None) -> Fraction:
        """The number of base units that ``text`` says.

        Raises
        ------
        PydanticCustomError
            ``text`` is no quantity, or of another dimension, or out of range.
        """
        match = _QUANTITY.fullmatch(text.strip())
        if match is None:
            raise self._refusal(f"is '{text}', which is not a number with a unit")
        if match[2] is None:
            raise self._refusal(f"is {text.strip()}, without a unit")
        value = self._to_base(Fraction(match[1]), match[2], text, clock_hz)
        self._check(value, f"'{text}'")
        return value

    def write(self, value: float) -> str:
        """The shortest text that ``read`` turns into ``value`` again.

        >>> Quantity("byte", "1 B", "1 TiB", ("KiB", "B"), ("1 KiB",), whole=True).write(131072)
        '128 KiB'
        """
        exact = Fraction(value)
        for unit in self.units:
            size = _convert(Fraction(1), unit, self.base)
            number = f"{float(exact / size):.15g}"
            again = Fraction(number) * size
            if exact >= size and "e" not in number and (again == exact if self.whole else float(again) == value):
                return f"{number} {unit}"
        return f"{value!r} {self.units[-1]}"

    def _to_base(self, number: Fraction, unit: str, text: str, clock_hz: float | None) -> Fraction:
        try:
            dimension = _UNITS.parse_units(unit).dimensionality
        except (pint.UndefinedUnitError, AssertionError):
            close = difflib.get_close_matches(unit, self.units, 1, cutoff=0.3)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise self._refusal(f"is '{text}', and there is no unit '{unit}'{hint}") from None
        if dimension == _dimension(self.base):
            return _convert(number, unit, self.base)
        if self.timed_base is not None and dimension == _dimension(self.timed_base):
            return self._by_clock(_convert(number, unit, self.timed_base), text, clock_hz)
        found = next((name for base, name in _NAMES.items() if dimension == _dimension(base)), "something else")
        wanted = " or ".join(_NAMES[base] for base in self._bases)
        raise self._refusal(f"is '{text}', which is {found} and not {wanted}")

    def _by_clock(self, timed: Fraction, text: str, clock_hz: float | None) -> Fraction:
        if clock_hz is None:
            raise self._refusal(f"is '{text}', and there is no clock to turn it into cycles")
        if self.timed_base == "second":
            cycles = timed * Fraction(clock_hz)
            return Fraction(math.ceil(cycles)) if cycles >= 0 else cycles
        return timed / Fraction(clock_hz)

    def _check(self, value: Fraction, shown: str) -> None:
        if self.whole and value.denominator != 1:
            raise self._refusal(f"is {shown}, which is not a whole number of {self.units[-1]}")
        low, high = (self._to_base(*_split(bound), bound, None) for bound in (self.low, self.high))
        if not low <= value <= high:
            raise self._refusal(f"is {shown}")

    def _refusal(self, what: str) -> PydanticCustomError:
        return PydanticCustomError("quantity", "{what}; legal is {legal}", {"what": what, "legal": self.legal})

    def _validate(self, value: Any, info: ValidationInfo) -> float:
        """Texts from files, plain numbers in the base unit from Python (where there is no reading context)."""
        if isinstance(value, str):
            number = self.read(value, self._clock_hz(info))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._refusal(f"is {shown(value)}, which is not a number with a unit")
        elif info.context is not None:
            raise self._refusal(f"is {value}, without a unit")
        else:
            number = Fraction(value)
            self._check(number, f"{value} {self.units[-1]}")
        return int(number) if self.whole else float(number)

    def _clock_hz(self, info: ValidationInfo) -> float | None:
        return ((info.data if self.own_clock else info.context) or {}).get("clock_hz")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_before_validator_function(
            self._validate,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json"),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        units = "|".join(_SCHEMA_UNITS[base] for base in self._bases)
        return {"type": "string", "pattern": f"^{_NUMBER}\\s*({units})$", "examples": list(self.examples)}


def shown(value: Any) -> str:
    """A value as an error names it, short whatever its size."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"'{text}'" if isinstance(value, str) else text


def _split(text: str) -> tuple[Fraction, str]:
    number, unit = text.split(" ")
    return Fraction(number), unit


def _dimension(unit: str) -> Any:
    return _UNITS.parse_units(unit).dimensionality


def _convert(number: Fraction, unit: str, base: str) -> Fraction:
    return Fraction(_UNITS.Quantity(number, _UNITS.parse_units(unit)).to(base).magnitude)


CLOCK = Quantity("hertz", "1 kHz", "100 GHz", ("GHz", "MHz", "kHz", "Hz"), ("1 GHz", "700 MHz"))
CAPACITY = Quantity("byte", "1 B", "1 TiB", ("MiB", "KiB", "B"), ("128 KiB", "4 MiB"), whole=True)
WIDTH = Quantity("byte/cycle", "0.125 B/cycle", "65536 B/cycle", ("B/cycle",), ("32 B/cycle", "128 B/cycle"))
BANDWIDTH = Quantity(
    "byte/cycle",
    "0.001 B/cycle",
    "65536 B/cycle",
    ("B/cycle",),
    ("16 B/cycle", "12.8 GB/s"),
    timed_base="byte/second",
)
LATENCY = Quantity(
    "cycle",
    "0 cycles",
    "1000000 cycles",
    ("cycles",),
    ("100 cycles", "80 ns"),
    timed_base="second",
    whole=True,
)
BURST = Quantity("byte", "1 B", "65536 B", ("B",), ("64 B", "32 B"), whole=True)
TICKS = Quantity(
    "cycle",
    "0 cycles",
    "10000000 cycles",
    ("cycles",),
    ("17 cycles", "14.16 ns"),
    timed_base="second",
    whole=True,
    own_clock=True,
)
