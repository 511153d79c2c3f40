"""Thresholds as the RTL's comparators take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.numerics.qtype import QType
from accel.numerics.thresholds import Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """What each comparator of a lane is given for each channel; see ``sa_requantize_thresholds``."""

    words: npt.NDArray[np.int64]
    """(channels, comparators), of as many bits as a total; rising, a threshold, and falling, the number above it."""
    beyond: npt.NDArray[np.bool_]
    """(channels, comparators): above every total, whatever the word says."""
    falling: npt.NDArray[np.bool_]
    """(channels,)."""
    lowest: int
    """What a total becomes that has reached no threshold, as a bit pattern's number: -1 is 0 where +1 is 1."""


def comparisons_of(thresholds: Thresholds, qtype: QType, total_bits: int, comparators: int) -> Comparisons:
    """The words for results of ``qtype``; comparators beyond the thresholds count nothing.

    Examples
    --------
    >>> steps = Thresholds(np.array([[-5, 200], [3, 9]]), np.array([False, True]), lowest=0)
    >>> given = comparisons_of(steps, QType(2, signed=False), total_bits=8, comparators=3)
    >>> given.words.tolist(), given.beyond.tolist()
    ([[-5, 127, 127], [4, 10, -128]], [[False, True, True], [False, False, False]])
    """
    if thresholds.stride != (2 if qtype.bipolar else 1):
        raise ValueError(f"thresholds that add {thresholds.stride} each, to results of {qtype}")
    least, greatest = -(1 << (total_bits - 1)), (1 << (total_bits - 1)) - 1
    levels = thresholds.levels
    falling = thresholds.falling[:, None]
    words = np.where(falling, np.int64(least), np.int64(greatest)).repeat(comparators, axis=1)
    beyond = (~falling).repeat(comparators, axis=1)
    values = thresholds.values
    beyond[:, :levels] = np.where(falling, values >= greatest, values > greatest)
    above = np.minimum(values, greatest - 1) + 1
    words[:, :levels] = np.clip(np.where(falling, above, values), least, greatest)
    words[beyond] = greatest
    lowest = (thresholds.lowest + 1) // 2 if qtype.bipolar else thresholds.lowest
    return Comparisons(words, beyond, thresholds.falling, lowest)


def signs(clamp: tuple[int, int] | None) -> Thresholds:
    """What makes -1 and +1 of totals where no layer says otherwise: +1 from 0 on; one channel stands for all."""
    low, high = (-1, 1) if clamp is None else clamp
    # Where only one of them is left, the threshold is out of reach of every total.
    edge = 0 if low < high else np.iinfo(np.int64).min if low > 0 else np.iinfo(np.int64).max
    return Thresholds(np.array([[edge]], np.int64), np.array([False]), lowest=-1, stride=2)
