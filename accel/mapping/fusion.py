"""Which pairs of layers could take turns, so that the tensor between them never leaves the chip.

The second layer reads rows soon after the first one has made them, and a window of a few rows holds what is under way.
That saves storing and loading the tensor. It costs room in the activation buffer, and leaves the tiles of both layers
only a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil, prod

from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.mapping.residency import Kept, Residency, room_for_rows
from accel.mapping.window import reads_of, row_loop, rows_needed

_MOST_ROWS = 16
"""Of the second layer's outputs in one tile."""

Pair = tuple[Kept, dict[int, int]]
"""A window, and the rows of each layer's tiles."""


def pairs(flow: Flow, machine: Machine, residency: Residency) -> Iterator[Pair]:
    """Every pair that could take turns, with the largest tiles that leave room for one another."""
    for first, last in links(flow, residency):
        for reader_rows in (1 << shift for shift in range(_MOST_ROWS.bit_length() - 1, -1, -1)):
            pair = _pair(flow, machine, residency, first, last, reader_rows)
            if pair is not None:
                yield pair
                break


def links(flow: Flow, residency: Residency) -> Iterator[tuple[int, int]]:
    """Layers that follow each other, the second the only one that reads what the first makes, in rows."""
    positions = [position for position, op in enumerate(flow.ops) if not op.is_view]
    for first, last in pairwise(positions):
        name = flow.ops[first].write.tensor
        readers = [op for op in flow.ops for read in op.reads if read.tensor == name]
        makers = [op for op in flow.ops if op.write.tensor == name]
        alone = len(readers) == len(makers) == 1 and readers[0] is flow.ops[last]
        passes = alone and name not in residency.kept and name not in flow.outputs
        if passes and _by_rows(flow.ops[first], flow.ops[last]) and _apart(residency, first, last):
            yield first, last


def _apart(residency: Residency, first: int, last: int) -> bool:
    """Whether what stays on chip until the first layer, and what does so from the second one on, share no place."""
    there = {kept.tensor: kept for kept in residency.kept.values() if kept.first <= last and first <= kept.last}
    places = sorted((kept.offset, kept.offset + kept.size_bytes) for kept in there.values())
    return all(end <= begin for (_, end), (begin, _) in pairwise(places))


def _by_rows(maker: FlowOp, reader: FlowOp) -> bool:
    """Whether both see the tensor as the same image, and make more than one row."""
    source = reads_of(reader, maker.write.tensor)
    steps = dict(source.index[2].terms)
    return (
        source.shape == maker.write.shape
        and row_loop(reader) in steps
        and min(op.sizes[row_loop(op)] for op in (maker, reader)) > 1
    )


def _pair(flow: Flow, machine: Machine, residency: Residency, first: int, last: int, reader_rows: int) -> Pair | None:
    """With so many output rows of the second layer in a tile; None where buffers have no room for that."""
    maker, reader = flow.ops[first], flow.ops[last]
    source = reads_of(reader, maker.write.tensor)
    height = source.shape[2]
    step = dict(source.index[2].terms)[row_loop(reader)]
    maker_rows = step * reader_rows
    if reader_rows > reader.sizes[row_loop(reader)] or maker_rows > height or not _weights_fit(maker, reader, machine):
        return None
    # One tile more, so that the first layer makes rows while the second one reads others.
    rows = rows_needed(maker, reader, maker_rows, reader_rows) + maker_rows
    window = window_of(flow, residency, first, last, rows)
    on_chip = {*residency.kept, source.tensor}
    room = max(
        room_for_rows(op, op_rows, flow, machine, on_chip)
        for op, op_rows in ((maker, maker_rows), (reader, reader_rows))
    )
    if rows >= height or window.offset < room:
        return None
    return window, {first: maker_rows, last: reader_rows}


def window_of(flow: Flow, residency: Residency, first: int, last: int, rows: int) -> Kept:
    """Where a window would lie: below all that stays in the activation buffer meanwhile; below 0 without room."""
    access = flow.ops[first].write
    _, channels, _, width = access.shape
    size_bytes = ceil(rows * channels * width * flow.tensors[access.tensor].bits / 8)
    offset = min(residency.free_bytes[first : last + 1]) - size_bytes
    return Kept(access.tensor, offset, size_bytes, first, last, rows)


def _weights_fit(maker: FlowOp, reader: FlowOp, machine: Machine) -> bool:
    """Whether both layers' weights stay on chip, tile by tile of rows; with one layer on the array they need not."""
    if maker.weight is None or reader.weight is None:
        return True
    size_bytes = sum(
        ceil(prod(weight.shape) * op.weight_bits / 8) for weight, op in ((maker.weight, maker), (reader.weight, reader))
    )
    buffer = machine.buffers.weight
    return buffer.double_buffered and size_bytes <= buffer.capacity_bytes
