"""Choose a mapping for each loop nest: every tiling of a small space, the cheapest by a closed-form price.

Among mappings that the price cannot tell apart, the one with the fewest tiles wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TypeVar

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Flow, FlowOp
from accel.graph.ir import Tensor
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.price import ArrayPrices, Footprint, Price, Room, VectorPrices
from accel.mapping.residency import Residency

M = TypeVar("M", ArrayMapping, VectorMapping)

_RESOLUTION = 0.02
"""Prices closer than this are equal."""


def choose(
    flow: Flow, machine: Machine, residency: Residency | None = None
) -> tuple[ArrayMapping | VectorMapping | None, ...]:
    """A mapping for every nest of ``flow``, None for views; equal nests are searched once.

    Parameters
    ----------
    residency
        What stays on chip between layers; nothing unless given.

    Raises
    ------
    AccelError
        A nest whose smallest tile does not fit a buffer: which buffer, and by how many bytes.
    """
    known: dict[object, ArrayMapping | VectorMapping] = {}
    chosen: list[ArrayMapping | VectorMapping | None] = []
    for position, op in enumerate(flow.ops):
        if op.is_view:
            chosen.append(None)
            continue
        room = Room.whole(op, machine) if residency is None else residency.room(position, op)
        key = _signature(op, flow.tensors), room
        if key not in known:
            search = _search_array if op.on_array else _search_vector
            known[key] = search(op, flow, machine, room)
        chosen.append(known[key])
    return tuple(chosen)


def _signature(op: FlowOp, tensors: dict[str, Tensor]) -> object:
    """What the choice depends on."""
    reads = tuple((read.shape, read.index, tensors[read.tensor].bits) for read in op.reads)
    weight_bits = op.weight_bits if op.on_array else 0
    return op.kind, weight_bits, op.dims, reads, tensors[op.write.tensor].bits, len(op.epilogue)


def _search_array(op: FlowOp, flow: Flow, machine: Machine, room: Room) -> ArrayMapping:
    prices = ArrayPrices(op, flow, machine, room)
    priced: list[tuple[Price, ArrayMapping]] = []
    smallest: Footprint | None = None
    for tile in _array_tiles(op, machine, prices.step.products):
        footprint = prices.footprint(*tile)
        if smallest is None or footprint.total < smallest.total:
            smallest = footprint
        if not footprint.excess(machine, room):
            priced.extend(prices.mappings(tile, footprint))
    return _fewest_tiles(priced, smallest, op, flow, machine, room)


def _search_vector(op: FlowOp, flow: Flow, machine: Machine, room: Room) -> VectorMapping:
    prices = VectorPrices(op, flow, machine, room)
    priced: list[tuple[Price, VectorMapping]] = []
    smallest: Footprint | None = None
    for tile in _vector_tiles(op.sizes):
        footprint = prices.footprint(*tile)
        if smallest is None or footprint.total < smallest.total:
            smallest = footprint
        if not footprint.excess(machine, room):
            priced.append(prices.mapping(tile, footprint))
    return _fewest_tiles(priced, smallest, op, flow, machine, room)


def _fewest_tiles(
    priced: list[tuple[Price, M]], smallest: Footprint | None, op: FlowOp, flow: Flow, machine: Machine, room: Room
) -> M:
    """The cheapest mapping, or one that the price cannot tell from it with fewer tiles."""
    if not priced:
        assert smallest is not None
        raise _does_not_fit(op, smallest, flow, machine, room)
    limit = min(price.cycles for price, _ in priced) * (1 + _RESOLUTION)
    as_cheap = (entry for entry in priced if entry[0].cycles <= limit)
    return min(as_cheap, key=lambda entry: (entry[0].tiles, entry[0].cycles))[1]


def _array_tiles(op: FlowOp, machine: Machine, products: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Tile sizes (g, b, oh, ow, n, k): whole sizes and their fractions, several images or groups only as wholes."""
    size = op.sizes
    depth = size["c"] * size["kh"] * size["kw"]
    span = max(machine.array.rows, machine.array.columns)
    pixel_tiles = list(_pixel_tiles(size["b"], size["oh"], size["ow"], span))
    for k in _steps(depth, machine.array.rows * products):
        for n in _steps(size["n"], machine.array.columns):
            whole_group = k == depth and n == size["n"]
            for g in _doublings(size["g"]) if whole_group else [1]:
                for b, oh, ow in pixel_tiles:
                    yield g, b, oh, ow, n, k


def _pixel_tiles(b: int, oh: int, ow: int, span: int) -> Iterator[tuple[int, int, int]]:
    for images in _doublings(b):
        yield images, oh, ow
    for rows in _fractions(oh):
        yield 1, rows, ow
    for columns in _steps(ow, min(span, ow)):
        yield 1, 1, columns
    yield 1, 1, 1


def _vector_tiles(size: dict[str, int]) -> Iterator[tuple[int, int, int, int]]:
    for b in _doublings(size["b"]):
        yield b, size["c"], size["h"], size["w"]
    for c in _fractions(size["c"]):
        for h in _fractions(size["h"]):
            yield 1, c, h, size["w"]
    for w in _fractions(size["w"]):
        yield 1, 1, 1, w


def _doublings(size: int) -> list[int]:
    return sorted({min(1 << power, size) for power in range(size.bit_length() + 1)})


def _fractions(size: int) -> list[int]:
    """ceil(size / parts) for 1, 2, 3, 4, 6, 8, 12, ... parts, down to 1."""
    parts = {count << shift for shift in range(size.bit_length()) for count in (1, 3)}
    return sorted({1, *(ceil(size / count) for count in parts)})


def _steps(size: int, unit: int) -> list[int]:
    """``size`` whole, or a fraction of it that is a multiple of ``unit``."""
    return sorted({min(part * unit, size) for part in _fractions(ceil(size / unit))})


def _does_not_fit(op: FlowOp, smallest: Footprint, flow: Flow, machine: Machine, room: Room) -> AccelError:
    parts = []
    for name, (need, there) in smallest.excess(machine, room).items():
        part = "a half of it" if getattr(machine.buffers, name).double_buffered else "it"
        parts.append(f"{need} bytes in the {name} buffer, and {part} holds {there} ({need - there} too few)")
    return AccelError(
        f"the smallest tile needs {', '.join(parts)} on machine {machine.name}",
        f"{flow.path}:{op.node.name}",
        "enlarge the buffer, or turn its double buffering off",
    )
