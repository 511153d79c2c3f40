"""The critical path: from the last store back to the first load, always to what was waited for longest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accel.mapping.program import Compute, Program, Vector
from accel.result import CriticalPath
from accel.sim.busy import cut
from accel.sim.engine import Timeline
from accel.sim.ledger import Stretch

Span = tuple[int, int]

RESOURCES = ("compute", "fill_drain", "vector", "bandwidth", "latency", "width")
"""The fields of ``CriticalPath``."""


def critical_path(program: Program, timeline: Timeline, stretches: Sequence[Stretch]) -> tuple[CriticalPath, ...]:
    """By layer: the cycles of the path by what they were spent on; they are all the cycles.

    Unlike the account in ``ledger.py``, which follows the array, this tells what would have to be quicker for the end
    to come sooner: an array that works half of the time, while DMA works all the time, is not on the path.
    """
    spans: dict[str, list[Span]] = {name: [] for name in RESOURCES}
    for name, span in _path(program, timeline):
        spans[name].append(span)
    by_resource = [cut(reversed(spans[name]), stretches, len(program.layers)) for name in RESOURCES]
    return tuple(CriticalPath(*cycles) for cycles in zip(*by_resource, strict=True))


def _path(program: Program, timeline: Timeline) -> Iterator[tuple[str, Span]]:
    """Backwards in time, without gaps."""
    time = max(timeline.done, default=0)
    index: int | None = timeline.done.index(time) if time else None
    while index is not None:
        parts = list(_parts(program, timeline, index))
        for name, (begin, end) in reversed(parts):
            if begin < time:
                yield name, (begin, min(end, time))
        time, index = timeline.released[index], timeline.cause[index]


def _parts(program: Program, timeline: Timeline, index: int) -> Iterator[tuple[str, Span]]:
    """An instruction's time from when all that it waits for was there, cut by what it was spent on."""
    released, begin, consumed = timeline.released[index], timeline.begin[index], timeline.consumed[index]
    match program.instructions[index]:
        case Compute() as compute:
            streamed = begin + compute.folds * compute.stream
            stretched = streamed + timeline.stretch[index]
            yield "fill_drain", (released, begin)
            yield "compute", (begin, streamed)
            yield "width", (streamed, stretched)
            yield "fill_drain", (stretched, timeline.done[index])
        case Vector() as vector:
            yield "vector", (begin, begin + vector.lanes_cycles)
            yield "width", (begin + vector.lanes_cycles, consumed)
        case _:
            yield timeline.limit[index], (begin, consumed)
            yield "latency", (consumed, timeline.done[index])
