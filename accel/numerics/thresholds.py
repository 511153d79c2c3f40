"""Thresholds: sums become integers by counting which of a channel's thresholds they have reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import IntArray
from accel.numerics.mac import Int64Array
from accel.numerics.qtype import QType

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """``lowest + stride * count``, where ``count`` is how many of a channel's thresholds a sum has reached.

    FINN's MultiThreshold on integers (Umuroglu et al., FPGA 2017), with channels that fall as well: there, a sum has
    reached those thresholds that it does not exceed.

    Examples
    --------
    >>> steps = Thresholds(np.array([[-5, 0, 7]]), np.array([False]), lowest=0)
    >>> steps.apply(np.array([[-6], [0], [100]]), QType(2, signed=False)).ravel().tolist()
    [0, 2, 3]
    """

    values: Int64Array
    """(channels, levels), ascending along the levels."""
    falling: BoolArray
    """(channels,)."""
    lowest: int
    """What a sum becomes that has reached none."""
    stride: int = 1
    """What each one adds: 2 from -1 to +1."""

    @property
    def levels(self) -> int:
        """Comparisons for a sum."""
        return int(self.values.shape[1])

    def part(self, channels: slice) -> Thresholds:
        """Those of some channels."""
        return Thresholds(self.values[channels], self.falling[channels], self.lowest, self.stride)

    def apply(self, sums: IntArray, qtype: QType) -> IntArray:
        """Integers of ``qtype``; ``sums`` has the channels along its last axis."""
        flat = sums.reshape(-1, len(self.values))
        out = np.empty(flat.shape, qtype.dtype)
        for channel, (steps, falls) in enumerate(zip(self.values, self.falling, strict=True)):
            if falls:
                count = self.levels - np.searchsorted(steps, flat[:, channel], side="left")
            else:
                count = np.searchsorted(steps, flat[:, channel], side="right")
            out[:, channel] = self.lowest + self.stride * count
        return out.reshape(sums.shape)

    def same_as(self, other: Thresholds) -> bool:
        """Whether both have the same thresholds and integers.

        Others may do the same with every sum that there is: by thresholds that none reaches.
        """
        return (
            (self.lowest, self.stride) == (other.lowest, other.stride)
            and np.array_equal(self.values, other.values)
            and np.array_equal(self.falling, other.falling)
        )


def find_thresholds(
    reached: Callable[[Int64Array], BoolArray], falling: BoolArray, bounds: Int64Array, levels: int
) -> Int64Array:
    """Where a monotone function of sums reaches each of its levels, by bisection.

    Parameters
    ----------
    reached
        (channels, levels) sums -> whether that sum of that channel has reached that level (0 is the lowest one).
    falling
        (channels,): where the function falls.
    bounds
        (channels,): no sum of the channel has a larger magnitude. A level that is never reached within gets a
        threshold just beyond, one that always is gets the bound itself.

    Returns
    -------
    (channels, levels)
        Ascending: the least sum that has reached the level or, where the function falls, the greatest.
    """
    sign = np.where(falling, -1, 1)[:, None]
    low = np.repeat(-bounds[:, None], levels, axis=1)
    high = np.repeat(bounds[:, None] + 1, levels, axis=1)
    while np.any(low < high):
        middle = (low + high) // 2
        hit = reached(sign * middle)
        searching = low < high
        high = np.where(searching & hit, middle, high)
        low = np.where(searching & ~hit, middle + 1, low)
    return np.sort(sign * low, axis=1)
