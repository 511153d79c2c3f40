"""QType: an integer type by its width and sign."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_NAME = re.compile(r"^(u?)int([1-9][0-9]?)$")


@dataclass(frozen=True, slots=True)
class QType:
    """A two's-complement (signed) or plain binary (unsigned) integer of ``bits`` bits.

    Examples
    --------
    >>> QType(4, signed=True).min, QType(4, signed=True).max
    (-8, 7)
    >>> str(QType.parse("uint8"))
    'uint8'
    """

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ValueError(f"QType has {self.bits} bits; legal are 1 to 64")

    @property
    def min(self) -> int:
        """The least value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The greatest value."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The narrowest numpy integer that holds every value."""
        storage_bits = next(width for width in (8, 16, 32, 64) if self.bits <= width)
        return np.dtype(f"{'int' if self.signed else 'uint'}{storage_bits}")

    @classmethod
    def parse(cls, name: str) -> QType:
        """``"int8"`` -> QType(8, signed=True); ValueError on anything else."""
        match = _NAME.match(name)
        if match is None:
            raise ValueError(f"{name!r} is not an integer type; write int8, uint4, ...")
        return cls(int(match[2]), signed=not match[1])

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'uint'}{self.bits}"
