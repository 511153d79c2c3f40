"""What calibration keeps of a tensor: extremes, means, and a histogram whose bins double as values grow.

Bins are as wide as a power of two, so that a wider histogram's bins are unions of a narrower one's: the order in
which images come changes nothing, and one pass is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import frexp, ldexp

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import FloatArray

Float64Array = npt.NDArray[np.float64]
_LOG2_BINS = 12
"""Bins on each side of zero: at 8 bits a step is 32 of them."""
_SIDE = 1 << _LOG2_BINS


@dataclass
class Statistics:
    """Of one float tensor, over any number of images.

    Examples
    --------
    >>> seen = Statistics()
    >>> seen.add(np.array([[-1.0, 3.0]], np.float32))
    >>> seen.low, seen.high
    (-1.0, 3.0)
    """

    count: int = 0
    """Elements, zeros included."""
    images: int = 0
    low: float = 0.0
    """The least value, or 0 where that is less."""
    high: float = 0.0
    sum_of_lows: float = 0.0
    """Of each image's least value."""
    sum_of_highs: float = 0.0
    channel_sums: Float64Array = field(default_factory=lambda: np.zeros(0))
    """By channel (axis 1)."""
    _exponent: int | None = None
    """Bins reach from -2^exponent to 2^exponent; None until there is a value that is not zero."""
    _bins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * _SIDE, np.int64))

    def add(self, values: FloatArray) -> None:
        """Take in one image's tensor, channels on axis 1."""
        flat = values.ravel()
        low, high = float(flat.min()), float(flat.max())
        self.count += flat.size
        self.images += 1
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.sum_of_lows += low
        self.sum_of_highs += high
        channels = values.reshape(len(values), values.shape[1] if values.ndim > 1 else 1, -1)
        sums = channels.sum(axis=(0, 2), dtype=np.float64)
        self.channel_sums = sums if not self.channel_sums.size else self.channel_sums + sums
        largest = max(-low, high)
        if largest > 0:
            self._widen(frexp(largest)[1])
            self._count(flat)

    @property
    def channel_means(self) -> Float64Array:
        """The mean value of each channel."""
        return self.channel_sums / (self.count / len(self.channel_sums))

    @property
    def bin_width(self) -> float:
        """Width of a bin; 0 where all values are zero."""
        return 0.0 if self._exponent is None else ldexp(1.0, self._exponent - _LOG2_BINS)

    def histogram(self) -> tuple[Float64Array, Float64Array]:
        """The values that are not zero: centres of the bins that hold any, ascending, and how many each holds."""
        places = np.flatnonzero(self._bins)
        centres = (places.astype(np.float64) - _SIDE + 0.5) * self.bin_width
        return centres, self._bins[places].astype(np.float64)

    def _widen(self, exponent: int) -> None:
        if self._exponent is None:
            self._exponent = exponent
        steps = exponent - self._exponent
        if steps <= 0:
            return
        self._exponent = exponent
        together = 1 << min(steps, _LOG2_BINS)
        sums = self._bins.reshape(-1, together).sum(axis=1)
        half = len(sums) // 2
        self._bins = np.zeros(2 * _SIDE, np.int64)
        self._bins[_SIDE - half : _SIDE + half] = sums

    def _count(self, flat: FloatArray) -> None:
        """Zeros are left out: every encoding holds them exactly, and behind a Relu there are many."""
        assert self._exponent is not None
        values = flat[flat != 0]
        # Multiplying by a power of two is exact, so a value is in the same bin whatever the images before it were.
        places = np.floor(np.ldexp(values, _LOG2_BINS - self._exponent)).astype(np.int64)
        places -= (places == 0) & np.signbit(values)  # Negative, and too small for float32 beside the largest.
        places += _SIDE
        self._bins += np.bincount(places, minlength=2 * _SIDE)
