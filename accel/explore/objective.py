"""What a search wants less of: cycles, energy, their product, or bytes between DRAM and the chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from accel.errors import AccelError
from accel.result import Actions

Objective = Literal["cycles", "energy", "edp", "dram-bytes"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True, slots=True)
class Prices:
    """Energy is linear in what a layer does and how long it takes: so many picojoules for each."""

    action_pj: Mapping[str, float]
    """By the field names of ``accel.result.Actions``."""
    cycle_pj: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a mapping of one nest costs; the attributes are arrays where many mappings are meant."""

    cycles: Any
    energy_pj: Any
    dram_bytes: Any

    @classmethod
    def of(cls, cycles: Any, actions: Mapping[str, Any], prices: Prices) -> Figures:
        """Of so many cycles and actions."""
        energy_pj = prices.cycle_pj * cycles + sum(prices.action_pj[name] * count for name, count in actions.items())
        return cls(cycles, energy_pj, actions.get("dram_read_bytes", 0) + actions.get("dram_write_bytes", 0))

    def rank(self, objective: Objective) -> tuple[Any, Any]:
        """What is wanted less of, and what decides among equals. Neither falls where no figure does."""
        match objective:
            case "cycles":
                return self.cycles, self.energy_pj
            case "energy":
                return self.energy_pj, self.cycles
            case "edp":
                return self.energy_pj * self.cycles, self.cycles
            case "dram-bytes":
                return self.dram_bytes, self.cycles


def gain(before: Figures, after: Figures, whole: Figures, objective: Objective) -> float:
    """How much less of what is wanted less of, where the change is a small part of ``whole``."""
    cycles, energy_pj = before.cycles - after.cycles, before.energy_pj - after.energy_pj
    match objective:
        case "cycles":
            return float(cycles)
        case "energy":
            return float(energy_pj)
        case "edp":
            return float(energy_pj * whole.cycles + whole.energy_pj * cycles)
        case "dram-bytes":
            return float(before.dram_bytes - after.dram_bytes)


def check_objective(name: str) -> Objective:
    """One of the objectives by its name.

    Raises
    ------
    AccelError
        There is none of that name.
    """
    for objective in OBJECTIVES:
        if name == objective:
            return objective
    raise AccelError(f'"{name}" is no objective of a mapping search', hint=f"these are: {', '.join(OBJECTIVES)}")


def counts(actions: Actions) -> dict[str, int]:
    """Actions by name."""
    return {field.name: getattr(actions, field.name) for field in fields(actions)}
