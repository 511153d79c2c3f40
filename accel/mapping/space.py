"""The legal tilings of a loop nest: which sizes a tile may have, and what of them fits the buffers.

Tilings come as arrays with one row a loop and one column a tiling, as a nest has thousands. An array nest's rows are
(g, b, oh, ow, n, k), k counting positions of the flattened reduction; a vector nest's are (b, c, h, w).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Access, Flow, FlowOp
from accel.mapping.mapping import smaller

IntArray = npt.NDArray[np.int64]

ARRAY_LOOPS = ("g", "b", "oh", "ow", "n", "k")
VECTOR_LOOPS = ("b", "c", "h", "w")


_SHARES = {1: "", 2: "a half of ", 4: "a quarter of "}


def loop_sizes(op: FlowOp) -> dict[str, int]:
    """How often each loop that a mapping cuts runs, in the order of a tiling's rows."""
    size = op.sizes
    if not op.on_array:
        return {name: size[name] for name in VECTOR_LOOPS}
    return {name: size[name] for name in ARRAY_LOOPS[:-1]} | {"k": size["c"] * size["kh"] * size["kw"]}


@dataclass(frozen=True, slots=True)
class Room:
    """What a layer's tiles have of the activation buffer."""

    activation_bytes: int
    """For operands that are loaded, all that are there at a time."""
    reads_on_chip: tuple[bool, ...]
    """By operand: it stays on chip, and is read where it lies."""
    write_on_chip: bool
    """The output stays on chip."""
    rows: int | None = None
    """Of a layer that takes turns with another one: output rows of a tile, fewer where they divide that."""

    @classmethod
    def whole(cls, op: FlowOp, machine: Machine) -> Room:
        """For a layer whose tensors go through DRAM."""
        return cls(machine.buffers.activation.capacity_bytes, (False,) * len(op.reads), False)

    def of_tile(self, machine: Machine) -> dict[str, int]:
        """Bytes that each buffer has for one tile."""
        buffers = machine.buffers
        return {
            "weight": buffers.weight.tile_bytes,
            "activation": self.activation_bytes // buffers.activation.slots,
            "accumulator": buffers.accumulator.tile_bytes // (1 if self.rows is None else 2),
        }


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that one tile needs in each buffer; arrays for many tilings."""

    weight: Any
    activation: Any
    accumulator: Any

    def excess(self, machine: Machine, room: Room) -> dict[str, tuple[int, int]]:
        """Buffer name -> (needed, available) where it does not fit."""
        there = room.of_tile(machine)
        return {name: (int(need), there[name]) for name, need in self._needs().items() if need > there[name]}

    def fits(self, machine: Machine, room: Room) -> npt.NDArray[np.bool_]:
        """Which of many tilings fit."""
        there = room.of_tile(machine)
        fits = [np.asarray(need <= there[name]) for name, need in self._needs().items()]
        return np.asarray(fits[0] & fits[1] & fits[2])

    def _needs(self) -> dict[str, Any]:
        return {"weight": self.weight, "activation": self.activation, "accumulator": self.accumulator}


def footprint(op: FlowOp, flow: Flow, machine: Machine, room: Room, tiling: Iterable[Any]) -> Footprint:
    """What the largest tile of a tiling needs.

    Parameters
    ----------
    tiling
        A tile's size along each loop, or an array of them.
    """
    tensors = flow.tensors
    names = ARRAY_LOOPS if op.on_array else VECTOR_LOOPS
    tile = dict(zip(names, tiling, strict=True))
    loaded = [read for read, on_chip in zip(op.reads, room.reads_on_chip, strict=True) if not on_chip]
    # The reduction is whole in what a tile reads.
    sides = op.sizes | {name: size for name, size in tile.items() if name != "k"}
    activations = sum(_bytes(prod(touched(read, sides)), tensors[read.tensor].bits) for read in loaded)
    out_bits = tensors[op.write.tensor].bits
    if not op.on_array:
        return Footprint(0, activations, _bytes(prod(tile.values()), out_bits))
    outputs = prod(size for name, size in tile.items() if name != "k")
    return Footprint(
        weight=_bytes(tile["g"] * tile["n"] * tile["k"], op.weight_bits),
        activation=activations,
        accumulator=_bytes(outputs, max(machine.pe.accumulator_bits, out_bits)),
    )


def row_by_row(op: FlowOp, room: Room, tiling: Iterable[Any]) -> Any:
    """Whether tiles pass through one image row by row, all channels of a row at a time, if the layer takes turns."""
    tile = dict(zip(loop_sizes(op), tiling, strict=True))
    if room.rows is None:
        return tile["b"] > 0
    rows, channels = ("oh", "g") if op.on_array else ("h", "c")
    return (tile["b"] == 1) & (room.rows % tile[rows] == 0) & (tile[channels] == op.sizes[channels])


def touched(access: Access, sizes: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Elements along each axis that the largest tile of these sizes can touch."""
    spans = []
    for expression, limit in zip(access.index, access.shape, strict=True):
        span: Any = 1
        for name, step in expression.terms:
            span = span + step * (sizes[name] - 1)
        spans.append(smaller(limit, span))
    return spans[0], spans[1], spans[2], spans[3]


def check_smallest(op: FlowOp, flow: Flow, machine: Machine, room: Room) -> None:
    """Refuse a nest of which not even the smallest tile fits.

    Every loop makes every buffer's share larger, so the tile of one iteration of each is the smallest in all buffers at
    once: what does not hold it holds no tile, whatever one searches for.
    """
    excess = footprint(op, flow, machine, room, (1,) * len(loop_sizes(op))).excess(machine, room)
    if not excess:
        return
    raise AccelError(
        f"the smallest tile needs {shortage(excess, machine, room)} on machine {machine.name}",
        f"{flow.path}:{op.node.name}",
        "enlarge the buffer, or turn its double buffering off",
    )


def shortage(excess: dict[str, tuple[int, int]], machine: Machine, room: Room) -> str:
    """``Footprint.excess`` in words that follow ``needs``."""
    found = []
    for name, (need, there) in excess.items():
        buffer = machine.buffers.by_name[name]
        shares = buffer.slots * (2 if name == "accumulator" and room.rows is not None else 1)
        stays = name == "activation" and room.activation_bytes < buffer.capacity_bytes
        whole = "what tensors that stay leave of it" if stays else "it"
        found.append(
            f"{need} bytes in the {name} buffer, and {_SHARES[shares]}{whole} holds {there} ({need - there} too few)"
        )
    return ", ".join(found)


def coarse(op: FlowOp, machine: Machine, products: int) -> IntArray:
    """Few hundred tilings that hold a good one: whole sizes and their halves and thirds, pixels in whole rows."""
    size = loop_sizes(op)
    if not op.on_array:
        images = [(b, size["c"], size["h"], size["w"]) for b in doublings(size["b"])]
        rows = [(1, c, h, size["w"]) for c in fractions(size["c"]) for h in fractions(size["h"])]
        return _columns([*images, *rows, *((1, 1, 1, w) for w in fractions(size["w"]))])
    span = max(machine.array.rows, machine.array.columns)
    pixels = [(b, size["oh"], size["ow"]) for b in doublings(size["b"])]
    pixels += [(1, oh, size["ow"]) for oh in fractions(size["oh"])]
    pixels += [(1, 1, ow) for ow in (*steps(fractions, size["ow"], min(span, size["ow"])), 1)]
    ks = steps(fractions, size["k"], machine.array.rows * products)
    ns = steps(fractions, size["n"], machine.array.columns)
    whole = size["n"], size["k"]
    others = [(g, n, k) for k in ks for n in ns for g in (doublings(size["g"]) if (n, k) == whole else [1])]
    b, oh, ow = np.tile(_columns(pixels), len(others))
    g, n, k = np.repeat(_columns(others), len(set(pixels)), axis=1)
    return np.stack([g, b, oh, ow, n, k])


def balanced(op: FlowOp, machine: Machine, products: int, most: int, rng: np.random.Generator) -> IntArray:
    """Every loop cut into any number of equal parts (the last one may be smaller), n and k in whole folds.

    Parameters
    ----------
    most
        Of more tilings than that, so many are drawn.
    """
    size = loop_sizes(op)
    sides = {name: shares(size[name]) for name in size}
    if op.on_array:
        sides["k"] = steps(shares, size["k"], machine.array.rows * products)
        sides["n"] = steps(shares, size["n"], machine.array.columns)
    if prod(map(len, sides.values())) <= most:
        return _product(sides, op)
    drawn = np.stack([rng.choice(np.array(side, np.int64), most) for side in sides.values()])
    return drawn[:, whole_groups(op, drawn)]


def merged(*some: IntArray) -> IntArray:
    """All tilings of several lots, each once."""
    return np.unique(np.concatenate(some, axis=1), axis=1)


def halved(op: FlowOp) -> IntArray:
    """Every loop whole and in powers of two, down to one iteration of each."""
    return _product({name: doublings(size) for name, size in loop_sizes(op).items()}, op)


def every(op: FlowOp) -> IntArray:
    """Every size of every loop."""
    return _product({name: list(range(1, size + 1)) for name, size in loop_sizes(op).items()}, op)


def doublings(size: int) -> list[int]:
    """1, 2, 4, ... and ``size`` itself."""
    return sorted({min(1 << power, size) for power in range(size.bit_length() + 1)})


def fractions(size: int) -> list[int]:
    """ceil(size / parts) for 1, 2, 3, 4, 6, 8, 12, ... parts, down to 1."""
    counts = {count << shift for shift in range(size.bit_length()) for count in (1, 3)}
    return sorted({1, *(ceil(size / count) for count in counts)})


def shares(size: int) -> list[int]:
    """ceil(size / parts) for any number of parts."""
    return sorted({ceil(size / count) for count in range(1, size + 1)})


def steps(cuts: Any, size: int, unit: int) -> list[int]:
    """``size`` whole, or one of its ``cuts`` into multiples of ``unit``."""
    return sorted({min(part * unit, size) for part in cuts(ceil(size / unit))})


def _product(sides: dict[str, list[int]], op: FlowOp) -> IntArray:
    grid = np.meshgrid(*(np.array(side, np.int64) for side in sides.values()), indexing="ij")
    tilings = np.stack([axis.ravel() for axis in grid])
    return tilings[:, whole_groups(op, tilings)]


def whole_groups(op: FlowOp, tilings: IntArray) -> npt.NDArray[np.bool_]:
    """Which tilings keep to this: several groups share a tile only whole, or their channels would not be neighbours."""
    if not op.on_array:
        return np.ones(tilings.shape[1], np.bool_)
    size = loop_sizes(op)
    g, *_, n, k = tilings
    alone: npt.NDArray[np.bool_] = (g == 1) | ((n == size["n"]) & (k == size["k"]))
    return alone


def _columns(tilings: Iterable[tuple[int, ...]]) -> IntArray:
    return np.array(list(dict.fromkeys(tilings)), np.int64).T


def _bytes(elements: Any, bits: int) -> Any:
    return -(-elements * bits // 8)
