"""How far integers are from the float network, summed up over any number of batches."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.numerics.elementwise import dequantize
from accel.numerics.encoding import Encoding, FloatArray, IntArray
from accel.result import NumericError


@dataclass
class ErrorSums:
    """Sums from which SQNR, cosine and error in LSB follow; one LSB is one step of the integers' scale."""

    count: int = 0
    signal: float = 0.0
    noise: float = 0.0
    energy: float = 0.0
    product: float = 0.0
    absolute_lsb: float = 0.0
    max_lsb: float = 0.0

    def add(self, values: IntArray | FloatArray, encoding: Encoding | None, reference: npt.NDArray[Any]) -> None:
        """Take in one batch: integers with their encoding (or float32 without) and the float network's values."""
        reals = (values if encoding is None else dequantize(values, encoding)).astype(np.float64).ravel()
        truth = reference.astype(np.float64).ravel()
        difference = np.abs(reals - truth)
        self.count += truth.size
        self.signal += float(truth @ truth)
        self.noise += float(difference @ difference)
        self.energy += float(reals @ reals)
        self.product += float(reals @ truth)
        lsb = 1.0 if encoding is None else encoding.scale
        self.absolute_lsb += float(difference.sum()) / lsb
        self.max_lsb = max(self.max_lsb, float(difference.max(initial=0.0)) / lsb)

    def error(self) -> NumericError:
        """SQNR = 10 log10(signal / noise), infinite without noise; cosine 1 where both are zero."""
        norms = sqrt(self.signal) * sqrt(self.energy)
        return NumericError(
            sqnr_db=10 * log10(self.signal / self.noise)
            if self.noise and self.signal
            else inf
            if not self.noise
            else -inf,
            cosine=self.product / norms if norms else float(self.signal == self.energy),
            max_lsb=self.max_lsb,
            mean_lsb=self.absolute_lsb / self.count if self.count else 0.0,
        )
