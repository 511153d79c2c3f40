"""The requantizers, by the names that machines call them, and whose rules they are."""

from __future__ import annotations

from accel.numerics.requantize.fixed_point import FixedPoint, ScaleRule
from accel.numerics.requantize.float32 import Float32
from accel.numerics.requantize.rounding import Rounding
from accel.numerics.requantize.unit import Requantizer

_UNITS: tuple[Requantizer, ...] = (
    # onnxruntime; LiteRT's XNNPACK convolutions and fully connected layers; Gemmini with a float32 scale.
    Float32(),
    # LiteRT's reference convolution: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT
    # (tensorflow/lite/kernels/internal/common.h). The first one's nudge and truncation are rounding half up.
    FixedPoint(
        "q31_double_rounding",
        "multiplies by 31 bits, shifts by 31 places rounding half up, then on rounding half away",
        factor_bits=31,
        rounding=Rounding.HALF_AWAY,
        twice=True,
    ),
    # LiteRT's optimized convolution and fully connected layer on x86 (ruy's kernels).
    FixedPoint(
        "q31_floor_nudge",
        "the same, but rounding half up both times",
        factor_bits=31,
        rounding=Rounding.HALF_UP,
        twice=True,
    ),
    # LiteRT's reference fully connected layer.
    FixedPoint(
        "q31_half_away",
        "multiplies by 31 bits and shifts once, rounding half away",
        factor_bits=31,
        rounding=Rounding.HALF_AWAY,
    ),
    # The rule of XNNPACK's addition.
    FixedPoint(
        "q31_half_up",
        "multiplies by 31 bits and shifts once, rounding half up",
        factor_bits=31,
        rounding=Rounding.HALF_UP,
    ),
    # The output converter of NVDLA's SDP: a signed factor of 16 bits, a shift of 6 bits
    # (vmod/nvdla/sdp/NV_NVDLA_SDP_HLS_c.v). There all channels share it; here each has its own.
    FixedPoint(
        "mantissa16_half_away",
        "multiplies by 16 signed bits and shifts, rounding half away",
        factor_bits=15,
        rounding=Rounding.HALF_AWAY,
    ),
    FixedPoint(
        "mantissa8_half_away",
        "multiplies by 8 signed bits and shifts, rounding half away",
        factor_bits=7,
        rounding=Rounding.HALF_AWAY,
    ),
    # Gemmini's shift of output-stationary results.
    FixedPoint(
        "shift_rne",
        "shifts by the nearest power of two, rounding half to even",
        factor_bits=0,
        rounding=Rounding.HALF_EVEN,
    ),
    # TVM's VTA: the ALU's arithmetic shift.
    FixedPoint(
        "shift_floor",
        "shifts by the nearest power of two, rounding down",
        factor_bits=0,
        rounding=Rounding.FLOOR,
    ),
    # LLSQ (Zhao et al., ICLR 2020; models/_modules/_quan_base.py): log_shift and round_cus.
    FixedPoint(
        "shift_half_up",
        "shifts by the power of two at or above the scale, rounding half up",
        factor_bits=0,
        rounding=Rounding.HALF_UP,
        rule=ScaleRule.ABOVE,
    ),
    # LLSQ's integer network: truncation of a layer's scales to 8 bits, and the same rounding.
    FixedPoint(
        "shared_exponent8",
        "multiplies by 8 signed bits and shifts by one number of places for a whole layer, rounding half up",
        factor_bits=7,
        rounding=Rounding.HALF_UP,
        rule=ScaleRule.SHARED,
    ),
)

REQUANTIZERS: dict[str, Requantizer] = {unit.name: unit for unit in _UNITS}
"""By the name that a machine's description uses."""
