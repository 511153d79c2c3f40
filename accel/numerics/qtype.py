"""QType: an integer type by its width and sign."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_NAME = re.compile(r"^(u?)int([1-9][0-9]?)$")


@dataclass(frozen=True, slots=True)
class QType:
    """A two's-complement (signed) or plain binary (unsigned) integer of ``bits`` bits, or -1 and +1 in one bit.

    Examples
    --------
    >>> QType(4, signed=True).min, QType(4, signed=True).max
    (-8, 7)
    >>> str(QType.parse("uint8"))
    'uint8'
    >>> BIPOLAR.min, BIPOLAR.max
    (-1, 1)
    """

    bits: int
    signed: bool
    bipolar: bool = False
    """-1 and +1, and nothing between: a bit that is 0 or 1. Stored as an int8 with that value."""

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ValueError(f"QType has {self.bits} bits; legal are 1 to 64")
        if self.bipolar and (self.bits, self.signed) != (1, True):
            raise ValueError("a bipolar QType has one bit and is signed")

    @property
    def min(self) -> int:
        """The least value."""
        if self.bipolar:
            return -1
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The greatest value."""
        if self.bipolar:
            return 1
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The narrowest numpy integer that holds every value."""
        storage_bits = next(width for width in (8, 16, 32, 64) if self.bits <= width)
        return np.dtype(f"{'int' if self.signed else 'uint'}{storage_bits}")

    def holds(self, other: QType) -> bool:
        """Whether every value of ``other`` is one of this type."""
        return self.min <= other.min and other.max <= self.max and (other.bipolar or not self.bipolar)

    @classmethod
    def parse(cls, name: str) -> QType:
        """``"int8"`` -> QType(8, signed=True), ``"bipolar"`` -> BIPOLAR; ValueError on anything else."""
        if name == "bipolar":
            return cls(1, signed=True, bipolar=True)
        match = _NAME.match(name)
        if match is None:
            raise ValueError(f"{name!r} is not an integer type; write int8, uint4, ...")
        return cls(int(match[2]), signed=not match[1])

    def __str__(self) -> str:
        if self.bipolar:
            return "bipolar"
        return f"{'int' if self.signed else 'uint'}{self.bits}"


BIPOLAR = QType(1, signed=True, bipolar=True)
"""-1 and +1."""
