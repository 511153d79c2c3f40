"""What a user may ask of the quantizer."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from accel.errors import AccelError
from accel.quantizer.scales import SCALES

Ranges = Literal["asymmetric", "symmetric", "unsigned"]
Bounds = Literal["max_abs", "percentile", "mse", "aqt"]
Rounding = Literal["half_even", "half_up", "floor"]
Granularity = Literal["channel", "tensor"]
FileFormat = Literal["auto", "qdq", "qonnx"]

WIDEST_BITS = 16
WIDEST_BIAS_BITS = 32
_CHOICES: dict[str, object] = {
    "ranges": Ranges,
    "bounds": Bounds,
    "weight_bounds": Bounds,
    "rounding": Rounding,
    "granularity": Granularity,
    "file_format": FileFormat,
}


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Widths of one layer's operands; None: the network's."""

    weights: int | None = None
    activations: int | None = None
    where: str = ""
    """Where that is written, for errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeOptions:
    """Widths, bounds, rounding and scales of a quantization.

    Raises
    ------
    AccelError
        A width, a percentile or a name that is not legal.

    Examples
    --------
    >>> QuantizeOptions(weights=4, activations=8, first_last=8).weights
    4
    """

    weights: int = 8
    """Bits of the weights, 1 to 16."""
    activations: int = 8
    """Bits of the tensors that a layer reads, 1 to 16."""
    first_last: int | None = None
    """Bits of both operands of the layers next to the network's input and output; None: as the others."""
    layers: Mapping[str, LayerBits] = field(default_factory=lambda: MappingProxyType({}))
    """Widths of single layers, by name; they go before all others."""
    ranges: Ranges = "asymmetric"
    """Of activations. ``asymmetric``: unsigned with a zero point; ``symmetric``: signed, zero point 0; ``unsigned``:
    zero point 0, unsigned where the tensor cannot be negative and signed elsewhere."""
    bounds: Bounds = "mse"
    """How an activation's largest value is chosen: all that calibration showed, a percentile of it, what makes the
    least squared error, or AQT's: the mean of the images' largest values, symmetric, unsigned behind a Relu."""
    weight_bounds: Bounds = "mse"
    """The same for weights, where ``aqt`` is ``max_abs``."""
    percentile: float = 99.99
    """Share of the values, in percent, that the bounds called ``percentile`` leave unclipped."""
    granularity: Granularity = "channel"
    """A weight scale for each output channel, or one for the tensor."""
    rounding: Rounding = "half_even"
    """Of weights; activations are rounded by the machine."""
    scales: str = "float32"
    """What the requantizer represents, to which scales are moved: ``float32``, ``q31``, ``mantissa16``, ``mantissa8``,
    ``mantissa8_shared`` (one exponent for a layer: LLSQ), ``power_of_two``, or the name of a machine's requantizer."""
    bias_bits: int = 32
    """Of biases, in units of input scale x weight scale; narrower ones saturate."""
    bias_correction: bool = True
    """Take the mean error that rounded weights of 3 bits and more make on the calibration images out of the bias."""
    file_format: FileFormat = "auto"
    """``qdq``: QuantizeLinear and DequantizeLinear; ``qonnx``: Quant nodes; ``auto``: the former where ONNX has all the
    types and onnxruntime runs them rightly."""

    def __post_init__(self) -> None:
        check_bits(self.weights, "weights")
        check_bits(self.activations, "activations")
        if self.first_last is not None:
            check_bits(self.first_last, "the first and last layers")
        for name, bits in self.layers.items():
            for operand, width in (("weights", bits.weights), ("activations", bits.activations)):
                if width is not None:
                    check_bits(width, f"{operand} of {name}")
        check_bits(self.bias_bits, "biases", low=2, high=WIDEST_BIAS_BITS)
        if not 50 <= self.percentile <= 100:
            raise AccelError(f"the percentile is {self.percentile:g}", hint="legal are 50 to 100, for example 99.99")
        for name, choice in _CHOICES.items():
            legal = typing.get_args(choice)
            if getattr(self, name) not in legal:
                raise AccelError(f"{name} is {getattr(self, name)!r}", hint=f"legal are {', '.join(legal)}")
        if self.scales not in SCALES:
            raise AccelError(f"scales is {self.scales!r}", hint=f"legal are {', '.join(SCALES)}")


def check_bits(bits: int, what: str, low: int = 1, high: int = WIDEST_BITS) -> None:
    """Raise AccelError unless ``bits`` is a whole number from ``low`` to ``high``; ``what`` has that many."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not low <= bits <= high:
        raise AccelError(f"{what}: {bits!r} bits", hint=f"legal is a whole number from {low} to {high}")
