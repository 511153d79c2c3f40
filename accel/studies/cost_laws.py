"""The record of a comparison of cost laws: published laws of bits next to a machine's cycles and energy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce


@dataclass(frozen=True, slots=True)
class Costs:
    """What the same work costs by each law, and on a machine."""

    bops: int = 0
    """Bit operations, MACs * weight bits * activation bits; AQT's quadratic cost is the same number."""
    aqt_linear: int = 0
    """MACs * the wider operand's bits, rounded up to 4, 8 or 16."""
    memory_bits: int = 0
    """Bits of the weights."""
    cycles: int | None = 0
    """On the machine; None without one, or on one that has not these widths."""
    energy_pj: float | None = 0.0

    def __add__(self, other: Costs) -> Costs:
        """Both together; unknown if one is."""
        return Costs(
            self.bops + other.bops,
            self.aqt_linear + other.aqt_linear,
            self.memory_bits + other.memory_bits,
            None if self.cycles is None or other.cycles is None else self.cycles + other.cycles,
            None if self.energy_pj is None or other.energy_pj is None else self.energy_pj + other.energy_pj,
        )

    def relative_to(self, other: Costs) -> dict[str, float | None]:
        """Each cost as a share of the other's; None where either is unknown, or the other's is zero."""
        return {
            field.name: _share(getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
        }


def total(costs: Iterable[Costs]) -> Costs:
    """All together."""
    return reduce(Costs.__add__, costs, Costs())


def _share(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else value / whole


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """One convolution or linear layer."""

    name: str
    op: str
    weight_bits: int
    activation_bits: int
    macs: int
    weights: int
    costs: Costs
    at_8_bits: Costs
    """The same layer with weights and activations of 8 bits."""


@dataclass(frozen=True, slots=True)
class CostLaws:
    """A network by every law, at its widths and at 8 bits."""

    network: str
    machine: str
    """Empty: laws alone."""
    batch: int
    what_if: str
    """Widths that were asked for instead of the file's; empty: the file's."""
    notes: tuple[str, ...]
    """Why the machine has no cycles, say."""
    layers: tuple[LayerCosts, ...]
    others: Costs
    """Layers without products, which the laws do not count."""
    others_at_8_bits: Costs

    @property
    def costs(self) -> Costs:
        """Of the whole network."""
        return total([*(layer.costs for layer in self.layers), self.others])

    @property
    def at_8_bits(self) -> Costs:
        """Of the whole network at 8 bits."""
        return total([*(layer.at_8_bits for layer in self.layers), self.others_at_8_bits])

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON, with totals and shares of the costs at 8 bits."""
        data = dataclasses.asdict(self)
        for entry, layer in zip(data["layers"], self.layers, strict=True):
            entry["relative_to_8_bits"] = layer.costs.relative_to(layer.at_8_bits)
        data["totals"] = {
            "macs": sum(layer.macs for layer in self.layers),
            "weights": sum(layer.weights for layer in self.layers),
            **dataclasses.asdict(self.costs),
            "at_8_bits": dataclasses.asdict(self.at_8_bits),
            "relative_to_8_bits": self.costs.relative_to(self.at_8_bits),
        }
        return json.dumps(data, indent=indent)
