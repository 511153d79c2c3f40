"""The record of a mapping search: what each layer's mapping was and has become, and what that brings."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, cast

from accel.plain import build, finite


@dataclass(frozen=True, slots=True)
class MappingFigures:
    """What a layer (or a network) costs."""

    cycles: int
    energy_pj: float
    dram_bytes: int


@dataclass(frozen=True, slots=True)
class MappedLayer:
    """One layer; views have none."""

    name: str
    op: str
    mapping_before: str
    """As without a search."""
    mapping_after: str
    before: MappingFigures
    """In the network, as ``accel estimate`` has it."""
    after: MappingFigures
    same_as: str
    """The layer of the same loops and types that was searched in its place; empty where that is itself."""
    candidates: int
    """Legal mappings in the space that was searched."""
    timed: int
    """Of these, how many were timed; the others are bound to be no better."""
    optimal: bool
    """Nothing in the space is better for this layer alone."""


@dataclass(frozen=True, slots=True)
class MappingSearch:
    """A search for all of a network's layers."""

    network: str
    machine: str
    objective: str
    effort: str
    seed: int
    layers: tuple[MappedLayer, ...]
    mapping_yaml: str
    """The mappings found, as a file that ``--mapping`` takes."""
    accel_version: str = ""

    @property
    def before(self) -> MappingFigures:
        """The network without a search."""
        return _total([layer.before for layer in self.layers])

    @property
    def after(self) -> MappingFigures:
        """The network with what was found."""
        return _total([layer.after for layer in self.layers])

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON; ``from_json`` reads it back."""
        totals = {"before": dataclasses.asdict(self.before), "after": dataclasses.asdict(self.after)}
        data: dict[str, Any] = dataclasses.asdict(self) | {"totals": totals}
        return json.dumps(finite(data), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> MappingSearch:
        """Read what ``to_json`` wrote; the totals are derived again."""
        data = json.loads(text)
        data.pop("totals", None)
        return cast(MappingSearch, build(cls, data))


def _total(figures: list[MappingFigures]) -> MappingFigures:
    return MappingFigures(
        sum(one.cycles for one in figures),
        sum(one.energy_pj for one in figures),
        sum(one.dram_bytes for one in figures),
    )
