"""The record of an allocation: bits by layer that meet a budget and lose the least."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass

from accel.plain import finite
from accel.studies.cost_laws import Costs
from accel.studies.sensitivity import Quality

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""What YAML takes for something else than text."""


@dataclass(frozen=True, slots=True)
class AllocatedLayer:
    """A layer and the bits that it got."""

    name: str
    weight_bits: int
    activation_bits: int
    """Of what it reads."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network with bits in every layer: how good, and at what cost."""

    name: str
    """``allocated``, or ``4 bits`` for the same bits everywhere."""
    quality: Quality
    costs: Costs


@dataclass(frozen=True, slots=True)
class Allocation:
    """Bits by layer, next to the same bits everywhere."""

    network: str
    machine: str
    images: int
    requantizer: str
    """The machine's, or ``float32_rne`` without one; scales are those that it has."""
    budget: str
    """As it was asked for: ``latency=0.7x``."""
    cost: str
    """The field of ``Costs`` that it limits."""
    limit: float
    """In that field's unit."""
    notes: tuple[str, ...]
    """Bits that were left out, say."""
    widths: tuple[int, ...]
    float_top1: float | None
    predicted_sqnr_db: float
    """If the layers' losses simply add up."""
    allocated: Candidate
    uniform: tuple[Candidate, ...]
    layers: tuple[AllocatedLayer, ...]

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON."""
        return json.dumps(finite(dataclasses.asdict(self)), indent=indent, allow_nan=False)

    def to_yaml(self) -> str:
        """A line for each layer, as ``accel quantize --bits`` takes them, below one that names the scales."""
        lines = [f"# for accel quantize --bits, with --scales {self.requantizer}"]
        lines += [
            f"{_key(layer.name)}: {{weights: {layer.weight_bits}, activations: {layer.activation_bits}}}"
            for layer in self.layers
        ]
        return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """A name as a YAML key: as it is where nothing else could be meant, else in quotes."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else json.dumps(name)
