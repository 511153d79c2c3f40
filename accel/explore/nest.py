"""The search for one nest's mapping: bounds say where to look, the clock says what is there.

The candidates are timed in the order of their bounds, each as a program of its own. A bound is never above the truth,
so when the next bound is no better than the best that was timed, no later candidate can be better either: that is the
optimum of the space (branch and bound). A budget may end the search before that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from accel.arch.spec import Machine
from accel.explore.objective import Figures, Objective, Prices, counts
from accel.flow.ir import Flow, FlowOp
from accel.mapping import space
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.residency import Residency
from accel.mapping.search import candidates, products_of
from accel.mapping.space import IntArray, loop_sizes
from accel.sim.engine import run

Effort = Literal["quick", "full"]

SMALL = 30_000
"""Spaces of so many tilings are searched whole, every size of every loop."""
LARGE = 300_000
"""Of larger spaces of equal parts, so many tilings are drawn."""
MOST_TILES = 1_000
"""Mappings of more tiles are left out."""
BUDGET: dict[Effort, int] = {"quick": 10_000, "full": 30_000}
"""Instructions to time for one nest, whatever it takes to tell that there is nothing better."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the search for one nest has found."""

    mapping: ArrayMapping | VectorMapping
    figures: Figures
    """Of the nest alone, on an idle machine."""
    candidates: int
    """Legal mappings in the space that was searched."""
    timed: int
    """Of these, how many the clock had to time."""
    optimal: bool
    """Nothing in the space is better."""


def search(
    op: FlowOp,
    flow: Flow,
    machine: Machine,
    residency: Residency,
    prices: Prices,
    objective: Objective,
    effort: Effort,
    seed: int,
    start: ArrayMapping | VectorMapping,
) -> Found:
    """Find a nest's best mapping, beginning with ``start``.

    Parameters
    ----------
    residency
        Of a program of this nest alone.

    Raises
    ------
    AccelError
        No mapping is legal: which buffer is too small, and by how much.
    """
    found = candidates(
        op, flow, machine, residency.room(0, op), _of_few_tiles(op, tilings(op, flow, machine, effort, seed))
    )
    bounds = Figures.of(found.cycles, found.actions, prices).rank(objective)
    best, figures = start, time(op, flow, machine, residency, prices, start)[0]
    spent = timed = 0
    for index in np.lexsort(bounds[::-1]).tolist():
        if (bounds[0][index], bounds[1][index]) >= figures.rank(objective):
            return Found(best, figures, len(found), timed, True)
        if spent > BUDGET[effort]:
            break
        mapping = found.mapping(index)
        seen, instructions = time(op, flow, machine, residency, prices, mapping)
        spent, timed = spent + instructions, timed + 1
        if seen.rank(objective) < figures.rank(objective):
            best, figures = mapping, seen
    return Found(best, figures, len(found), timed, timed == len(found))


def time(
    op: FlowOp,
    flow: Flow,
    machine: Machine,
    residency: Residency,
    prices: Prices,
    mapping: ArrayMapping | VectorMapping,
) -> tuple[Figures, int]:
    """What the clock makes of a nest alone, and how many instructions that took."""
    program = emit(replace(flow, ops=(op,)), machine, [mapping], residency)
    timeline = run(program, machine)
    actions = Counter(counts(program.layers[0].actions))
    actions.update(timeline.dram.get(0, {}))
    return Figures.of(max(timeline.done), actions, prices), len(program.instructions)


def _of_few_tiles(op: FlowOp, some: IntArray) -> IntArray:
    """Without those that would take the clock longest, unless there are no others."""
    sizes = np.array(list(loop_sizes(op).values()))[:, None]
    few = some[:, np.prod(-(-sizes // some), axis=0) <= MOST_TILES]
    return few if few.size else some


def tilings(op: FlowOp, flow: Flow, machine: Machine, effort: Effort, seed: int) -> IntArray:
    """The space: all sizes where these are few, else equal parts, and of too many of these a draw by ``seed``."""
    products = products_of(op, flow, machine)
    few = space.coarse(op, machine, products)
    if effort == "quick":
        return few
    if np.prod(list(loop_sizes(op).values()), dtype=float) <= SMALL:
        return space.every(op)
    return space.merged(few, space.balanced(op, machine, products, LARGE, np.random.default_rng(seed)))
