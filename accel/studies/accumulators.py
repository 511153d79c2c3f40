"""The record of an accumulator study: widths that are used, widths that are safe, and what narrower ones cost."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from accel.plain import finite

OVERFLOWS = ("wrap", "saturate", "saturate_at_end")
"""What a sum does that does not fit: wrap around, saturate at each addition, or saturate once when all is added."""


@dataclass(frozen=True, slots=True)
class NarrowLayer:
    """One layer alone with a narrow accumulator, fed with the inputs that wide accumulators give it."""

    bits: int
    overflow: str
    """One of ``OVERFLOWS``."""
    changed: int
    """Final sums that are not the exact ones; a sum that wraps and comes back is exact."""
    sqnr_db: float
    """Of the layer's output integers, against those of a wide accumulator."""


@dataclass(frozen=True, slots=True)
class LayerAccumulator:
    """The accumulator of one convolution or linear layer."""

    name: str
    op: str
    products: int
    """K: how many products make a sum."""
    weight: str
    """Type of the weights, such as ``int8``."""
    activation: str
    """Type of the inputs."""
    sums: int
    """Final sums seen, over all images."""
    bits_used: int
    """Signed bits that hold every final sum seen, bias included."""
    bits_data_type: int
    """Signed bits that K products of these types, and the largest bias, can never overflow."""
    bits_a2q: int
    """The same by the absolute sums of the channels' weights (A2Q)."""
    bits_a2q_plus: int
    """The same if every channel's weights add up to zero (A2Q+); no guarantee unless ``zero_centred``."""
    zero_centred: bool
    """Every channel's weights add up to zero."""
    bits_tightest: int
    """The least that no input overflows, in whatever order products are added."""
    narrower: tuple[NarrowLayer, ...]


@dataclass(frozen=True, slots=True)
class NarrowNetwork:
    """The whole network with narrow accumulators in every layer."""

    bits: int
    overflow: str
    sqnr_db: float
    """Of the network's output, against that of wide accumulators."""
    agreement: float | None
    """How often it names the same class as with wide accumulators; None if the output is no row of classes."""
    top1: float | None
    """Accuracy; None without labels."""


@dataclass(frozen=True, slots=True)
class AccumulatorStudy:
    """A network's accumulators, layer by layer and end to end."""

    network: str
    machine: str
    """Whose folds give the order of additions; empty: one product after the other."""
    images: int
    notes: tuple[str, ...]
    """What was assumed: where the input came from, say."""
    widths: tuple[int, ...]
    """The narrow widths tried, in bits."""
    wide_top1: float | None
    """Accuracy with accumulators that hold everything; None without labels."""
    layers: tuple[LayerAccumulator, ...]
    end_to_end: tuple[NarrowNetwork, ...]

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON; an infinite SQNR (nothing changed) is the string ``inf``."""
        return json.dumps(finite(dataclasses.asdict(self)), indent=indent, allow_nan=False)
