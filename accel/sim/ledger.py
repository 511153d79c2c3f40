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
    vector unit) waits for several things, the time until the first of them comes is charged to that one, the time
    from there to the next to the next: as they come over one bus, that is what the bus was busy with.
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
            cursor = _charge_compute(program, compute, timeline, cursor, account)
        if computes:
            cursor = _charge_until(timeline.done[computes[-1].index], "fill_drain", cursor, account)
        for vector in (i for i in instructions if isinstance(i, Vector)):
            for time, cause in _vector_waits(program, vector, timeline) if not computes else ():
                cursor = _charge_until(time, cause, cursor, account)
            cursor = _charge_until(timeline.done[vector.index], "vector", cursor, account)
        for store in (i for i in instructions if isinstance(i, Store)):
            cursor = _charge_until(timeline.done[store.index], "stall_outputs", cursor, account)
        cycles.append(Cycles(**account))
    return tuple(cycles)


def _charge_until(time: int, cause: str, cursor: int, account: Counter[str]) -> int:
    if time > cursor:
        account[cause] += time - cursor
    return max(time, cursor)


def _charge_compute(program: Program, compute: Compute, timeline: Timeline, cursor: int, account: Counter[str]) -> int:
    for time, cause in _compute_waits(program, compute, timeline):
        cursor = _charge_until(time, cause, cursor, account)
    cursor = _charge_until(timeline.begin[compute.index], "fill_drain", cursor, account)
    busy = timeline.consumed[compute.index] - cursor
    streaming = compute.folds * compute.stream
    stretch = timeline.stretch[compute.index]
    account["compute"] += streaming
    account["fill_drain"] += busy - streaming - stretch
    account[_PORT_CAUSE[compute.port]] += stretch
    return timeline.consumed[compute.index]


def _compute_waits(program: Program, compute: Compute, timeline: Timeline) -> list[tuple[int, str]]:
    """What the array waited for, in the order in which it came: until when, and for what.

    Room in the accumulators takes three steps: the wave before leaves the array, the vector unit works on it, and its
    results are stored.
    """
    done = timeline.done
    waits = [(done[compute.weight_load], "stall_weights"), (done[compute.activation_load], "stall_activations")]
    if compute.room is not None:
        (vector,) = program.instructions[compute.room].waits
        drained = max(done[index] for index in program.instructions[vector].waits)
        waits += [(drained, "fill_drain"), (done[vector], "vector"), (done[compute.room], "stall_outputs")]
    return sorted(waits)


def _vector_waits(program: Program, vector: Vector, timeline: Timeline) -> list[tuple[int, str]]:
    """The same for the vector unit in a layer of its own: operands, and Stores that free its room."""
    instructions = program.instructions
    return sorted(
        (timeline.done[index], "stall_outputs" if isinstance(instructions[index], Store) else "stall_activations")
        for index in vector.waits
    )
