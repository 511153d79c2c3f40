"""Where each layer's cycles went: the timeline of a run, cut at the layers' ends and charged to one cause each."""

from __future__ import annotations

from collections import Counter

from accel.mapping.program import Compute, Instruction, Program, Store, Vector
from accel.result import Cycles
from accel.sim.engine import Timeline

_PORT_CAUSE = {"weight": "stall_weights", "activation": "stall_activations", "accumulator": "stall_outputs"}


def charge(program: Program, timeline: Timeline) -> tuple[Cycles, ...]:
    """Cycles by layer and cause; a layer lasts from the end of the one before to its own last store.

    The array's time is charged first: streaming, then what surrounds it. While the array (or, in a vector layer, the
    vector unit) waits, the wait is charged to the instruction that ended it.
    """
    by_layer: list[list[Instruction]] = [[] for _ in program.layers]
    for instruction in program.instructions:
        by_layer[instruction.layer].append(instruction)
    cursor = 0
    cycles = []
    for instructions in by_layer:
        account: Counter[str] = Counter()
        computes = [i for i in instructions if isinstance(i, Compute)]
        for compute in computes:
            cursor = _charge_compute(compute, timeline, cursor, account)
        if computes:
            cursor = _charge_until(timeline.done[computes[-1].index], "fill_drain", cursor, account)
        for vector in (i for i in instructions if isinstance(i, Vector)):
            if not computes:
                cause = _vector_wait(program, vector, timeline)
                cursor = _charge_until(timeline.begin[vector.index], cause, cursor, account)
            cursor = _charge_until(timeline.done[vector.index], "vector", cursor, account)
        for store in (i for i in instructions if isinstance(i, Store)):
            cursor = _charge_until(timeline.done[store.index], "stall_outputs", cursor, account)
        cycles.append(Cycles(**account))
    return tuple(cycles)


def _charge_until(time: int, cause: str, cursor: int, account: Counter[str]) -> int:
    if time > cursor:
        account[cause] += time - cursor
    return max(time, cursor)


def _charge_compute(compute: Compute, timeline: Timeline, cursor: int, account: Counter[str]) -> int:
    cursor = _charge_until(timeline.ready[compute.index], _compute_wait(compute, timeline), cursor, account)
    cursor = _charge_until(timeline.begin[compute.index], "fill_drain", cursor, account)
    busy = timeline.consumed[compute.index] - cursor
    streaming = compute.folds * compute.stream
    stretch = timeline.stretch[compute.index]
    account["compute"] += streaming
    account["fill_drain"] += busy - streaming - stretch
    account[_PORT_CAUSE[compute.port]] += stretch
    return timeline.consumed[compute.index]


def _compute_wait(compute: Compute, timeline: Timeline) -> str:
    """What the array waited for last."""
    waits = [
        (timeline.done[compute.weight_load], "stall_weights"),
        (timeline.done[compute.activation_load], "stall_activations"),
    ]
    if compute.room is not None:
        waits.append((timeline.done[compute.room], "stall_outputs"))
    return max(waits)[1]


def _vector_wait(program: Program, vector: Vector, timeline: Timeline) -> str:
    """What the vector unit waited for last: a Store that frees its room, or its operands."""
    last = max(vector.waits, key=lambda index: timeline.done[index], default=None)
    if last is not None and isinstance(program.instructions[last], Store):
        return "stall_outputs"
    return "stall_activations"
