"""Encoding: how an integer stands for a real number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.numerics.qtype import QType

IntArray = npt.NDArray[Any]
"""Integers; which dtype is known only at run time."""
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Integers of ``qtype`` that mean ``scale * (integer - zero_point)``.

    Examples
    --------
    >>> Encoding(QType.parse("uint8"), scale=0.5, zero_point=10).bounds((0.0, 6.0))
    (10, 22)
    """

    qtype: QType
    scale: float
    """Exactly a float32."""
    zero_point: int
    file_offset: int = 0
    """What has been subtracted from the integers of the file (zero point included). Where rounding depends on the zero
    point, as it does in a residual add, the file's integers decide."""

    def bounds(self, clamp: tuple[float, float] | None) -> tuple[int, int]:
        """The integers that real bounds quantize to, half to even, within the type's range.

        Rounding is monotone, so clamping integers to these bounds equals clamping the reals before they are
        quantized.
        """
        if clamp is None:
            return self.qtype.min, self.qtype.max
        low, high = (self._integer(bound) for bound in clamp)
        return low, high

    def _integer(self, real: float) -> int:
        with np.errstate(over="ignore"):
            steps = np.float32(real) / np.float32(self.scale)
        if self.qtype.bipolar:
            return 1 if steps >= 0 else -1
        lowest, highest = self.qtype.min - self.zero_point, self.qtype.max - self.zero_point
        return int(np.rint(np.clip(steps, np.float32(lowest), np.float32(highest)))) + self.zero_point
