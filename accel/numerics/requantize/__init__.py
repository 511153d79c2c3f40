"""Requantizers: how an accumulator becomes an output integer. Each is a named formula."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accel.numerics.requantize.fixed_point import FixedPoint
from accel.numerics.requantize.float32 import Float32, float32_rne
from accel.numerics.requantize.rounding import Rounding
from accel.numerics.requantize.unit import Requantizer, Words
from accel.numerics.requantize.units import REQUANTIZERS

__all__ = ["REQUANTIZERS", "FixedPoint", "Float32", "Requantizer", "Rounding", "Words", "float32_rne", "multiplier"]


def multiplier(input_scale: float, weight_scale: npt.ArrayLike, output_scale: float) -> npt.NDArray[np.float32]:
    """``(input scale * weight scale) / output scale``, each step rounded to float32.

    The order is onnxruntime's; ``input * (weight / output)`` differs in the last bit now and then.
    """
    product = np.float32(input_scale) * np.asarray(weight_scale, np.float32)
    return np.asarray(product / np.float32(output_scale), np.float32)
