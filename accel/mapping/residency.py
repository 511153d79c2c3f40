"""Which tensors stay in the activation buffer from the layer that makes them to the last one that reads them.

Such a tensor costs no DRAM traffic: the vector unit writes it there, and array and vector unit read it in place. Tiles
of other tensors pass through what is left of the buffer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, prod

from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.mapping.space import Room, touched
from accel.mapping.window import row_loop

_ROWS = 4
"""Rows of outputs whose operands the rest of the buffer must hold at a time, for layers that read other tensors."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A tensor's place in the activation buffer."""

    tensor: str
    offset: int
    size_bytes: int
    first: int
    """Position of the layer that makes it."""
    last: int
    """Position of the last one that reads it."""
    rows: int | None = None
    """It passes through a window of so many rows, from a layer to the next one, which run tile by tile in turns; None:
    all of it is there."""


@dataclass(frozen=True, slots=True)
class Residency:
    """What stays on chip, and what is left of the activation buffer in each layer."""

    kept: dict[str, Kept]
    """By tensor; views of one that stays are listed with it."""
    free_bytes: tuple[int, ...]
    """By layer of the flow."""
    rows: Mapping[int, int] = field(default_factory=dict)
    """By layer of a pair, how many output rows a tile of it has; fewer where they divide that."""

    @property
    def windows(self) -> tuple[Kept, ...]:
        """One for each pair of layers that take turns."""
        return tuple(kept for name, kept in self.kept.items() if name == kept.tensor and kept.rows is not None)

    @property
    def turns(self) -> dict[int, int]:
        """Layers that take turns with an earlier one -> that one."""
        return {window.last: window.first for window in self.windows}

    def partner(self, layer: int) -> int | None:
        """The layer that one takes turns with."""
        pairs = [(window.first, window.last) for window in self.windows]
        return next((last if layer == first else first for first, last in pairs if layer in (first, last)), None)

    def with_window(self, window: Kept, rows: Mapping[int, int]) -> Residency:
        """With one pair of layers more, which takes turns at tiles of so many rows."""
        free = list(self.free_bytes)
        for layer in range(window.first, window.last + 1):
            free[layer] = min(free[layer], window.offset)
        return Residency({**self.kept, window.tensor: window}, tuple(free), {**self.rows, **rows})

    def room(self, position: int, op: FlowOp) -> Room:
        """What a layer's tiles have."""
        reads = tuple(read.tensor in self.kept for read in op.reads)
        return Room(self.free_bytes[position], reads, op.write.tensor in self.kept, self.rows.get(position))

    def only(self, flow: Flow, positions: Sequence[int]) -> Residency:
        """For a program of these layers; one whose partner is not there takes turns with none."""
        ops = [flow.ops[position] for position in positions]
        names = {name for op in ops for name in (op.write.tensor, *(read.tensor for read in op.reads))}
        kept = {}
        for name in self.kept.keys() & names:
            place = self.kept[name]
            if place.first in positions and place.last in positions:
                place = replace(place, first=positions.index(place.first), last=positions.index(place.last))
            else:
                place = replace(place, rows=None)
            kept[name] = place
        rows = {number: self.rows[position] for number, position in enumerate(positions) if position in self.rows}
        return Residency(kept, tuple(self.free_bytes[position] for position in positions), rows)


def nothing_stays(flow: Flow, machine: Machine) -> Residency:
    """Every tensor goes through DRAM."""
    return Residency({}, (machine.buffers.activation.capacity_bytes,) * len(flow.ops))


def plan_residency(flow: Flow, machine: Machine) -> Residency:
    """Keep what fits, the tensors first that save most traffic for the bytes and layers that they take.

    The network's inputs and outputs are in DRAM by definition. A place is the highest one that is free in all layers
    from the first to the last; what lies below all places of a layer is left to its tiles.
    """
    capacity = machine.buffers.activation.capacity_bytes
    free = [capacity] * len(flow.ops)
    kept: list[Kept] = []
    stays: set[str] = set()
    for tensor in _candidates(flow, capacity):
        others = [other for other in kept if other.first <= tensor.last and tensor.first <= other.last]
        end = capacity
        for other in sorted(others, key=lambda other: -other.offset - other.size_bytes):
            if other.offset + other.size_bytes <= end - tensor.size_bytes:
                break
            end = min(end, other.offset)
        offset = end - tensor.size_bytes
        layers = range(tensor.first, tensor.last + 1)
        left = {layer: min(free[layer], offset) for layer in layers}
        names = {tensor.tensor, *_views(flow, tensor.tensor)}
        if offset < 0 or any(
            left[layer] < _least_room(flow.ops[layer], flow, machine, stays | names) for layer in layers
        ):
            continue
        kept.append(Kept(tensor.tensor, offset, tensor.size_bytes, tensor.first, tensor.last))
        stays |= names
        for layer in layers:
            free[layer] = left[layer]
    by_name = {name: place for place in kept for name in (place.tensor, *_views(flow, place.tensor))}
    return Residency(by_name, tuple(free))


def _candidates(flow: Flow, capacity_bytes: int) -> list[Kept]:
    """Tensors that a layer makes and others read; first those that save most transfers for each layer they stay."""
    found = []
    makers: dict[str, list[int]] = {}
    for position, op in enumerate(flow.ops):
        if not op.is_view:
            makers.setdefault(op.write.tensor, []).append(position)
    for name, made in makers.items():
        names = {name, *_views(flow, name)}
        readers = [
            position
            for position, op in enumerate(flow.ops)
            if not op.is_view and any(read.tensor in names for read in op.reads)
        ]
        tensor = flow.tensors[name]
        size = ceil(prod(tensor.shape) * tensor.bits / 8)
        if readers and size <= capacity_bytes and not names & set(flow.outputs):
            found.append((Kept(name, 0, size, made[0], readers[-1]), len(readers)))
    found.sort(key=lambda pair: (-(1 + pair[1]) / (pair[0].last - pair[0].first + 1), pair[0].first))
    return [tensor for tensor, _ in found]


def _views(flow: Flow, tensor: str) -> list[str]:
    """Views of a tensor, and views of these."""
    names = [tensor]
    for op in flow.ops:
        if op.is_view and op.reads[0].tensor in names:
            names.append(op.write.tensor)
    return names[1:]


def _least_room(op: FlowOp, flow: Flow, machine: Machine, on_chip: set[str]) -> int:
    """For the other operands of a few rows of outputs."""
    return 0 if op.is_view else room_for_rows(op, min(_ROWS, op.sizes[row_loop(op)]), flow, machine, on_chip)


def room_for_rows(op: FlowOp, rows: int, flow: Flow, machine: Machine, on_chip: Collection[str]) -> int:
    """Bytes for the operands of so many rows of outputs that are not on chip, twice where they are double buffered."""
    tile = op.sizes | {"b": 1, row_loop(op): rows}
    loaded = (read for read in op.reads if read.tensor not in on_chip)
    size: int = sum(ceil(prod(touched(read, tile)) * flow.tensors[read.tensor].bits / 8) for read in loaded)
    return size * machine.buffers.activation.slots
