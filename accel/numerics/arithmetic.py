"""By whose rules a vector unit makes integers."""

from __future__ import annotations

from dataclasses import dataclass

from accel.numerics.adders import ADDERS, FLOAT32, Adder
from accel.numerics.requantize import REQUANTIZERS, Float32, Requantizer


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The names of a vector unit's requantizer and adder; onnxruntime's are float32.

    A unit whose adder is in integers has no float32 numbers for elementwise work: means and changes of scale then go
    through its requantizer, as sums of products do. One whose requantizer is float32 keeps onnxruntime's formulas for
    them.
    """

    requantizer: str = "float32_rne"
    adder: str = FLOAT32

    @property
    def unit(self) -> Requantizer:
        """What makes activations of sums of products."""
        return REQUANTIZERS[self.requantizer]

    @property
    def integer_adder(self) -> Adder | None:
        """What adds activations; None: onnxruntime's float32 formulas."""
        return None if self.adder == FLOAT32 else ADDERS[self.adder]

    @property
    def rescaler(self) -> Requantizer | None:
        """What changes the scale of activations and of sums of them; None: onnxruntime's float32 formulas."""
        return None if self.adder == FLOAT32 or isinstance(self.unit, Float32) else self.unit


ONNXRUNTIME = Arithmetic()
"""Float32 throughout."""
