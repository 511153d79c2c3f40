"""The record of a sensitivity study: what single layers lose and save at fewer bits."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from accel.plain import finite
from accel.studies.cost_laws import Costs

OPERANDS = ("weights", "activations")


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a network's output is."""

    sqnr_db: float
    """Against the float network's output."""
    agreement: float | None
    """How often it names the float network's class; None if the output is no row of classes."""
    top1: float | None
    """Accuracy; None without labels."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The network with one operand of one layer narrower, and all else as in the base."""

    layer: str
    operand: str
    """``weights`` or ``activations`` (what the layer reads)."""
    bits: int
    quality: Quality
    costs: Costs
    """Of the whole network."""


@dataclass(frozen=True, slots=True)
class SensitivityStudy:
    """A float network, layer by layer and width by width."""

    network: str
    machine: str
    """Empty: no cycles and no energy."""
    images: int
    requantizer: str
    """The machine's, or ``float32_rne`` without one; scales are those that it has."""
    notes: tuple[str, ...]
    base_bits: int
    """Of everything that is not named otherwise."""
    widths: tuple[int, ...]
    float_top1: float | None
    base: Quality
    base_costs: Costs
    layers: tuple[str, ...]
    rows: tuple[Sensitivity, ...]
    """Without those for which the requantizer has no scales; ``notes`` name them."""

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON."""
        return json.dumps(finite(dataclasses.asdict(self)), indent=indent, allow_nan=False)
