"""The cost model as prices: energy is linear in counted actions and in cycles."""

from __future__ import annotations

from dataclasses import fields

from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.cost.energy import energy_of
from accel.explore.objective import Prices
from accel.result import Actions


def prices_of(machine: Machine) -> Prices:
    """What one of each action, and one cycle, takes on a machine in its technology."""
    technology = load_technology(machine.technology)
    return Prices(
        {
            field.name: energy_of(Actions(**{field.name: 1}), 0, machine, technology).total_pj
            for field in fields(Actions)
        },
        energy_of(Actions(), 1, machine, technology).total_pj,
    )
