"""The record of a quantization: by layer, the widths chosen and what rounding the weights cost."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """A layer of the float network, quantized."""

    name: str
    op: str
    """The ONNX operator."""
    weights: int
    """How many; 0 where it has none."""
    weight_bits: int | None
    """None where it has none."""
    activation_bits: int
    """Of what it reads."""
    activation_type: str
    """As ``uint4``; of the first tensor where it reads several."""
    weight_sqnr_db: float | None
    """Weights before and after: 10 log10(signal / noise); None without weights, or where nothing was lost."""
    saturated_biases: int
    """Biases that do not fit their width."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """A quantized network, and how it came about."""

    network: str
    path: str
    """The file written."""
    images: int
    """Calibration images."""
    file_format: str
    """``qdq`` or ``qonnx``."""
    opset: int
    layers: tuple[QuantizedLayer, ...]
    notes: tuple[str, ...]

    @property
    def weight_bits(self) -> int:
        """Of all weights together, packed."""
        return sum(layer.weights * (layer.weight_bits or 0) for layer in self.layers)

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON."""
        return json.dumps(dataclasses.asdict(self) | {"weight_bits": self.weight_bits}, indent=indent)
