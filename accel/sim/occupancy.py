"""What lay in which part of each buffer, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from accel.arch.spec import Machine
from accel.flow.ir import elements
from accel.mapping.program import Compute, Load, Program, Vector
from accel.sim.engine import Timeline
from accel.sim.ledger import Stretch


@dataclass(frozen=True, slots=True)
class Stay:
    """Bytes of a buffer that are taken for a while."""

    buffer: str
    """``weight``, ``activation`` or ``accumulator``."""
    layer: int
    """That brought it there."""
    what: str
    offset: int
    size_bytes: int
    begin: int
    """The cycle in which the first of them begins to arrive."""
    end: int
    """The cycle in which the last user is done with them."""


def stays(program: Program, machine: Machine, timeline: Timeline) -> list[Stay]:
    """Every tile and every tensor that stays on chip, in no order."""
    return [
        *_tiles(program, timeline),
        *_kept(program, timeline),
        *_sums(program, machine, timeline),
    ]


def occupancy(found: Iterable[Stay], buffer: str) -> list[tuple[int, int]]:
    """(cycle, bytes taken from then on) of one buffer, cycles rising."""
    changes = Counter[int]()
    for stay in found:
        if stay.buffer == buffer:
            changes[stay.begin] += stay.size_bytes
            changes[stay.end] -= stay.size_bytes
    cycles = sorted(changes)
    return list(zip(cycles, accumulate(changes[cycle] for cycle in cycles), strict=True))


def peaks(steps: Sequence[tuple[int, int]], stretches: Sequence[Stretch], layers: int) -> list[int]:
    """The most that was taken in the stretches of each of so many layers."""
    most, taken, position = [0] * layers, 0, 0
    for stretch in stretches:
        most[stretch.layer] = max(most[stretch.layer], taken)
        while position < len(steps) and steps[position][0] < stretch.end_cycle:
            taken = steps[position][1]
            most[stretch.layer] = max(most[stretch.layer], taken)
            position += 1
    return most


def _tiles(program: Program, timeline: Timeline) -> Iterator[Stay]:
    """A tile is taken from its first Load's begin until its last reader has consumed it."""
    first_load: dict[int, Load] = {}
    released: dict[int, int] = {}
    bringing: dict[tuple[str, int], tuple[Load, set[int]]] = {}
    for instruction in program.instructions:
        match instruction:
            case Load():
                place = instruction.buffer, instruction.offset
                first, parts = bringing.get(place, (instruction, set()))
                if first.layer != instruction.layer or instruction.part in parts:
                    first, parts = instruction, set()
                bringing[place] = first, parts | {instruction.part}
                first_load[instruction.index] = first
            case Compute() | Vector():
                end = timeline.consumed if isinstance(instruction, Compute) else timeline.done
                for index in instruction.waits:
                    if index in first_load:
                        first = first_load[index]
                        released[first.index] = max(released.get(first.index, 0), end[instruction.index])
    for index, end_cycle in released.items():
        load = program.instructions[index]
        assert isinstance(load, Load)
        yield Stay(
            load.buffer,
            load.layer,
            load.tensor,
            load.offset,
            load.held_bytes,
            timeline.begin[index],
            end_cycle,
        )


def _kept(program: Program, timeline: Timeline) -> Iterator[Stay]:
    """A tensor that stays is taken from the first Vector that makes some of it to the end of its last reader, or of the
    last Vector, where that makes rows that nobody reads.
    """
    begins: dict[int, int] = {}
    made: dict[int, int] = {}
    ends: dict[int, int] = {}
    for instruction in program.instructions:
        layer, index = instruction.layer, instruction.index
        if isinstance(instruction, Vector) and instruction.stays:
            begins[layer] = min(begins.get(layer, timeline.begin[index]), timeline.begin[index])
            made[layer] = max(made.get(layer, 0), timeline.done[index])
        if isinstance(instruction, Compute | Vector):
            end = timeline.consumed[index] if isinstance(instruction, Compute) else timeline.done[index]
            if isinstance(instruction, Compute) or instruction.operands:
                ends[layer] = max(ends.get(layer, 0), end)
    for name, kept in program.residency.kept.items():
        if name == kept.tensor:
            end = max(made[kept.first], ends[kept.last])
            yield Stay("activation", kept.first, name, kept.offset, kept.size_bytes, begins[kept.first], end)


def _sums(program: Program, machine: Machine, timeline: Timeline) -> Iterator[Stay]:
    """An accumulator slot is taken from its first Compute (or Vector) until its result has left."""
    buffer = machine.buffers.accumulator
    slot_bytes = [program.slot_bytes(layer, buffer) for layer in range(len(program.layers))]
    begins: dict[int, tuple[int, int]] = {}
    for instruction in program.instructions:
        match instruction:
            case Compute():
                tile = instruction.tile
                sums = tile.groups * tile.pixels * tile.channels
                if instruction.first:
                    size = ceil(sums * machine.pe.accumulator_bits / 8)
                    begins[instruction.accumulator_slot] = timeline.begin[instruction.index], size
            case Vector():
                begin, size = begins.pop(instruction.accumulator_slot, (timeline.begin[instruction.index], 0))
                op = program.layers[instruction.layer].op
                bits = program.flow.tensors[op.write.tensor].bits
                made = 0 if instruction.stays else ceil(elements(instruction.box) * bits / 8)
                end = timeline.done[instruction.index]
                if not instruction.stays:
                    end = timeline.done[instruction.index + 1]
                offset = instruction.accumulator_slot * slot_bytes[instruction.layer]
                if max(size, made):
                    yield Stay("accumulator", instruction.layer, op.write.tensor, offset, max(size, made), begin, end)
            case _:
                pass
