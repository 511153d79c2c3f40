"""Choose a mapping for each loop nest: every legal tiling of a small space, the cheapest by a closed-form estimate.

The estimate is only used to compare mappings; reported cycles come from the engine. Among mappings that it cannot
tell apart, the one with the fewest tiles wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod
from typing import TypeVar

from accel.arch.spec import Machine
from accel.arch.timing import ArrayTiming
from accel.errors import AccelError
from accel.flow.ir import Access, Flow, FlowOp
from accel.graph.ir import Tensor
from accel.mapping.mapping import ArrayMapping, ArrayTile, VectorMapping, cut, fold_shape
from accel.mapping.vector_work import vector_work

M = TypeVar("M", ArrayMapping, VectorMapping)

_RESOLUTION = 0.02
"""Costs closer than this are equal to the estimate."""


def choose(flow: Flow, machine: Machine) -> tuple[ArrayMapping | VectorMapping | None, ...]:
    """A mapping for every nest of ``flow``, None for views; equal nests are searched once.

    Raises
    ------
    AccelError
        A nest whose smallest tile does not fit a buffer: which buffer, and by how many bytes.
    """
    known: dict[object, ArrayMapping | VectorMapping] = {}
    chosen: list[ArrayMapping | VectorMapping | None] = []
    for op in flow.ops:
        if op.is_view:
            chosen.append(None)
            continue
        key = _signature(op, flow.tensors)
        if key not in known:
            search = _search_array if op.on_array else _search_vector
            known[key] = search(op, flow, machine)
        chosen.append(known[key])
    return tuple(chosen)


def _signature(op: FlowOp, tensors: dict[str, Tensor]) -> object:
    reads = tuple((read.shape, read.index, tensors[read.tensor].bits) for read in op.reads)
    weight_bits = op.weight_bits if op.on_array else 0
    return op.kind, weight_bits, op.dims, reads, tensors[op.write.tensor].bits, len(op.epilogue)


@dataclass(frozen=True, slots=True)
class _Footprint:
    """Bytes that one tile needs in each buffer."""

    weight: int
    activation: int
    accumulator: int

    def excess(self, machine: Machine) -> dict[str, tuple[int, int]]:
        """Buffer name -> (needed, available) where it does not fit."""
        buffers = machine.buffers
        need = {
            "weight": (self.weight, buffers.weight.tile_bytes),
            "activation": (self.activation, buffers.activation.tile_bytes),
            "accumulator": (self.accumulator, buffers.accumulator.tile_bytes),
        }
        return {name: pair for name, pair in need.items() if pair[0] > pair[1]}


def _search_array(op: FlowOp, flow: Flow, machine: Machine) -> ArrayMapping:
    timings = {dataflow: ArrayTiming.of(machine.array, dataflow) for dataflow in machine.array.dataflow}
    priced: list[tuple[float, int, ArrayMapping]] = []
    smallest: _Footprint | None = None
    for tile in _array_tiles(op, machine):
        footprint = _array_footprint(op, tile, flow, machine)
        if smallest is None or _total(footprint) < _total(smallest):
            smallest = footprint
        if footprint.excess(machine):
            continue
        for dataflow, timing in timings.items():
            for outer in ("pixels", "channels"):
                mapping = ArrayMapping(dataflow, *tile, outer)
                priced.append((*_array_cost(op, mapping, timing, footprint, flow, machine), mapping))
    if not priced:
        assert smallest is not None
        raise _does_not_fit(op, smallest, flow, machine)
    return _fewest_tiles(priced)


def _fewest_tiles(priced: list[tuple[float, int, M]]) -> M:
    """Of (cost, tiles, mapping): the cheapest, or one that the estimate cannot tell from it with fewer tiles."""
    limit = min(cost for cost, _, _ in priced) * (1 + _RESOLUTION)
    return min((entry for entry in priced if entry[0] <= limit), key=lambda entry: (entry[1], entry[0]))[2]


def _array_tiles(op: FlowOp, machine: Machine) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Tile sizes (g, b, oh, ow, n, k): whole sizes and their fractions, several images or groups only as wholes."""
    size = op.sizes
    depth = size["c"] * size["kh"] * size["kw"]
    span = max(machine.array.rows, machine.array.columns)
    for k in _steps(depth, machine.array.rows):
        for n in _steps(size["n"], machine.array.columns):
            whole_group = k == depth and n == size["n"]
            for g in _doublings(size["g"]) if whole_group else [1]:
                for b, oh, ow in _pixel_tiles(size["b"], size["oh"], size["ow"], span):
                    yield g, b, oh, ow, n, k


def _pixel_tiles(b: int, oh: int, ow: int, span: int) -> Iterator[tuple[int, int, int]]:
    for images in _doublings(b):
        yield images, oh, ow
    for rows in _fractions(oh):
        yield 1, rows, ow
    for columns in _steps(ow, min(span, ow)):
        yield 1, 1, columns
    yield 1, 1, 1


def _doublings(size: int) -> list[int]:
    return sorted({min(1 << power, size) for power in range(size.bit_length() + 1)})


def _fractions(size: int) -> list[int]:
    """ceil(size / parts) for 1, 2, 3, 4, 6, 8, 12, ... parts, down to 1."""
    parts = {count << shift for shift in range(size.bit_length()) for count in (1, 3)}
    return sorted({1, *(ceil(size / count) for count in parts)})


def _steps(size: int, unit: int) -> list[int]:
    """``size`` whole, or a fraction of it that is a multiple of ``unit``."""
    units = ceil(size / unit)
    return sorted({min(part * unit, size) for part in _fractions(units)})


def _touched(access: Access, sizes: dict[str, int]) -> int:
    """Elements that the largest tile of these sizes can touch."""
    count = 1
    for expression, limit in zip(access.index, access.shape, strict=True):
        count *= min(limit, 1 + sum(step * (sizes[name] - 1) for name, step in expression.terms))
    return count


def _array_footprint(op: FlowOp, tile: tuple[int, int, int, int, int, int], flow: Flow, machine: Machine) -> _Footprint:
    g, b, oh, ow, n, k = tile
    sizes = op.sizes | {"g": g, "b": b, "oh": oh, "ow": ow, "n": n}
    read = op.reads[0]
    outputs = g * b * oh * ow * n
    out_bits = max(machine.pe.accumulator_bits, flow.tensors[op.write.tensor].bits)
    return _Footprint(
        weight=ceil(g * n * k * op.weight_bits / 8),
        activation=ceil(_touched(read, sizes) * flow.tensors[read.tensor].bits / 8),
        accumulator=ceil(outputs * out_bits / 8),
    )


def _array_cost(
    op: FlowOp,
    mapping: ArrayMapping,
    timing: ArrayTiming,
    footprint: _Footprint,
    flow: Flow,
    machine: Machine,
) -> tuple[float, int]:
    """(cycles, tiles), smaller is better: the busiest unit, plus what nothing can hide."""
    size = op.sizes
    depth = size["c"] * size["kh"] * size["kw"]
    groups = ceil(size["g"] / mapping.g)
    pixel_tiles = ceil(size["b"] / mapping.b) * ceil(size["oh"] / mapping.oh) * ceil(size["ow"] / mapping.ow)
    channel_tiles, k_tiles = ceil(size["n"] / mapping.n), ceil(depth / mapping.k)
    buffers = machine.buffers
    weight_slots, activation_slots, accumulator_slots = (
        2 if buffer.double_buffered else 1 for buffer in (buffers.weight, buffers.activation, buffers.accumulator)
    )
    if mapping.outer == "pixels":
        weights_stay, activations_stay = channel_tiles * k_tiles <= weight_slots, True
    else:
        weights_stay, activations_stay = k_tiles <= weight_slots, pixel_tiles <= activation_slots
    weight_loads = groups * channel_tiles * k_tiles * (1 if weights_stay else pixel_tiles)
    activation_loads = groups * pixel_tiles * (1 if activations_stay else channel_tiles)
    weight_bytes = prod((size["g"], size["n"], depth)) * op.weight_bits / 8 * (1 if weights_stay else pixel_tiles)
    activation_bytes = footprint.activation * activation_loads
    out_bytes = prod(op.write.shape) * flow.tensors[op.write.tensor].bits / 8
    dram_bytes = weight_bytes + activation_bytes + out_bytes
    bandwidth, latency = machine.dram.bandwidth_bytes_per_cycle, machine.dram.latency_cycles
    compute = _compute_cycles(op, mapping, timing, machine)
    vector = prod(op.write.shape) / machine.vector.lanes * (1 + len(op.epilogue))
    # A slot is filled, used, and filled again: with few slots the latency of each fill shows.
    refill_weights = (weight_loads * latency + weight_bytes / bandwidth + compute) / weight_slots
    refill_activations = (activation_loads * latency + activation_bytes / bandwidth + compute) / activation_slots
    outputs = groups * pixel_tiles * channel_tiles
    refill_outputs = (outputs * latency + out_bytes / bandwidth + vector + compute) / accumulator_slots
    exposed = (footprint.weight + footprint.activation + out_bytes / outputs) / bandwidth + vector / outputs
    busiest = max(compute, dram_bytes / bandwidth, vector, refill_weights, refill_activations, refill_outputs)
    return busiest + exposed, outputs * k_tiles


def _compute_cycles(op: FlowOp, mapping: ArrayMapping, timing: ArrayTiming, machine: Machine) -> int:
    """Array cycles of all tiles; tiles of equal size are counted together."""
    size = op.sizes
    depth = size["c"] * size["kh"] * size["kw"]
    total = 0
    for pixels, pixel_count in _pixel_sizes(mapping, size):
        for n, n_count in _sizes(size["n"], mapping.n):
            for k, k_count in _sizes(depth, mapping.k):
                tile = ArrayTile((0, size["g"]), (0, 1), (0, 1), (0, pixels), (0, n), (0, k))
                folds, stream = fold_shape(mapping.dataflow, tile, machine.array.rows, machine.array.columns)
                total += pixel_count * n_count * k_count * timing.issue_cycles(folds, stream)
    return total


def _sizes(size: int, step: int) -> list[tuple[int, int]]:
    """(tile size, how many of it)."""
    whole, rest = divmod(size, step)
    return ([(step, whole)] if whole else []) + ([(rest, 1)] if rest else [])


def _pixel_sizes(mapping: ArrayMapping, size: dict[str, int]) -> list[tuple[int, int]]:
    return [
        (b * oh * ow, b_count * oh_count * ow_count)
        for b, b_count in _sizes(size["b"], mapping.b)
        for oh, oh_count in _sizes(size["oh"], mapping.oh)
        for ow, ow_count in _sizes(size["ow"], mapping.ow)
    ]


def _search_vector(op: FlowOp, flow: Flow, machine: Machine) -> VectorMapping:
    """The tile that lets loads, work and stores overlap best: the largest parts wait for their first load."""
    size = op.sizes
    priced: list[tuple[float, int, VectorMapping]] = []
    smallest: _Footprint | None = None
    bandwidth = machine.dram.bandwidth_bytes_per_cycle
    slots = 2 if machine.buffers.activation.double_buffered else 1
    for b, c, h, w in _vector_tiles(size):
        tile = size | {"b": b, "c": c, "h": h, "w": w}
        inputs = sum(ceil(_touched(read, tile) * flow.tensors[read.tensor].bits / 8) for read in op.reads)
        outputs = ceil(b * c * h * w * flow.tensors[op.write.tensor].bits / 8)
        footprint = _Footprint(0, inputs, outputs)
        if smallest is None or _total(footprint) < _total(smallest):
            smallest = footprint
        if footprint.excess(machine):
            continue
        count = prod(len(cut(size[name], step)) for name, step in zip("bchw", (b, c, h, w), strict=True))
        exposed = (inputs + outputs) / bandwidth
        cycles = vector_work(op, ((0, b), (0, c), (0, h), (0, w)), flow.tensors, machine).cycles
        transfer = (inputs + outputs) / bandwidth
        refill = (machine.dram.latency_cycles + cycles + transfer) / slots
        priced.append((count * max(transfer, cycles, refill) + exposed, count, VectorMapping(b, c, h, w)))
    if not priced:
        assert smallest is not None
        raise _does_not_fit(op, smallest, flow, machine)
    return _fewest_tiles(priced)


def _vector_tiles(size: dict[str, int]) -> Iterator[tuple[int, int, int, int]]:
    for b in _doublings(size["b"]):
        yield b, size["c"], size["h"], size["w"]
    for c in _fractions(size["c"]):
        yield 1, c, size["h"], size["w"]
        for h in _fractions(size["h"]):
            yield 1, c, h, size["w"]
    for w in _fractions(size["w"]):
        yield 1, 1, 1, w


def _total(footprint: _Footprint) -> int:
    return footprint.weight + footprint.activation + footprint.accumulator


def _does_not_fit(op: FlowOp, smallest: _Footprint, flow: Flow, machine: Machine) -> AccelError:
    parts = []
    for name, (need, room) in smallest.excess(machine).items():
        part = "a half of it" if getattr(machine.buffers, name).double_buffered else "it"
        parts.append(f"{need} bytes in the {name} buffer, and {part} holds {room} ({need - room} too few)")
    return AccelError(
        f"the smallest tile needs {', '.join(parts)} on machine {machine.name}",
        f"{flow.path}:{op.node.name}",
        "enlarge the buffer, or turn its double buffering off",
    )
