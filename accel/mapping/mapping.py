"""The decision: how one loop nest is cut into tiles, and in which order the tiles run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Any, Protocol

import numpy as np

from accel.arch.multiplier import Step
from accel.arch.spec import ArraySpec, Dataflow, Machine
from accel.flow.ir import FlowOp, Range
from accel.graph.ir import Conv, Linear, Tensor

Size = Any
"""A whole number, or an array of them: formulas for one tile serve for many at once."""


@dataclass(frozen=True, slots=True)
class ArrayMapping:
    """A multiply-accumulate nest on the array.

    ``k`` counts positions of the flattened reduction (kh, kw, c), channels innermost. Every output tile runs all
    its k tiles before it is requantized, so partial sums never leave the chip.
    """

    dataflow: Dataflow
    g: int
    b: int
    oh: int
    ow: int
    n: int
    k: int
    outer: str
    """``pixels``: for each pixel tile all channel tiles; ``channels``: for each channel tile all pixel tiles."""
    groups_at_once: int = 1
    """Where weights stay: convolution groups that lie side by side in one fold, each in rows and columns of its own.

    The PEs where a group's rows meet another one's columns hold zeros.
    """

    def __str__(self) -> str:
        short = "".join(word[0] for word in self.dataflow.split("_"))
        tile = " ".join(f"{name}{getattr(self, name)}" for name in ("g", "b", "oh", "ow", "n", "k"))
        beside = f" {self.groups_at_once} groups at once" if self.groups_at_once > 1 else ""
        return f"{short} {tile} {self.outer} outer{beside}"


@dataclass(frozen=True, slots=True)
class VectorMapping:
    """A nest of elementwise or window work on the vector unit, cut along its output."""

    b: int
    c: int
    h: int
    w: int

    def __str__(self) -> str:
        return f"vector b{self.b} c{self.c} h{self.h} w{self.w}"


NestMapping = ArrayMapping | VectorMapping
Mappings = tuple[NestMapping | None, ...]
"""One a nest of a flow; None for a view."""


class TileSizes(Protocol):
    """What a tile is to the array: a matrix product for each of its groups."""

    @property
    def groups(self) -> Size: ...  # noqa: D102
    @property
    def pixels(self) -> Size: ...  # noqa: D102
    @property
    def channels(self) -> Size: ...  # noqa: D102
    @property
    def depth(self) -> Size: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Block:
    """Groups of a tile side by side, as one matrix product; ``groups`` of such blocks."""

    groups: Size
    pixels: Size
    channels: Size
    depth: Size


def blocks(tile: TileSizes, groups_at_once: int) -> tuple[TileSizes, ...]:
    """What the array sees of a tile: matrix products that are block diagonal, and a narrower one for groups left over.

    Examples
    --------
    >>> blocks(Block(groups=32, pixels=49, channels=1, depth=9), groups_at_once=3)
    (Block(groups=10, pixels=49, channels=3, depth=27), Block(groups=1, pixels=49, channels=2, depth=18))
    """
    if groups_at_once == 1:
        return (tile,)
    rest = tile.groups % groups_at_once
    wide, narrow = (
        Block(groups, tile.pixels, beside * tile.channels, beside * tile.depth)
        for groups, beside in ((tile.groups // groups_at_once, groups_at_once), ((rest > 0) * 1, rest))
    )
    return wide, narrow


def in_the_array(tile: TileSizes, groups_at_once: int) -> Block:
    """A tile as equal matrix products, groups that are not there included."""
    return Block(
        parts(tile.groups, groups_at_once), tile.pixels, groups_at_once * tile.channels, groups_at_once * tile.depth
    )


def most_groups_at_once(op: FlowOp, machine: Machine, step: Step) -> int:
    """How many groups of a nest fit side by side where weights stay; 1 where weights of -1 and +1 have no zero."""
    assert isinstance(op.body, Conv | Linear)
    if op.body.weight.qtype.bipolar:
        return 1
    size = op.sizes
    rows = machine.array.rows * step.products // (size["c"] * size["kh"] * size["kw"])
    return max(1, min(size["g"], rows, machine.array.columns // size["n"]))


@dataclass(frozen=True, slots=True)
class ArrayTile:
    """One Compute's share of the iteration space, as half-open ranges."""

    g: Range
    b: Range
    oh: Range
    ow: Range
    n: Range
    k: Range

    @property
    def groups(self) -> int:
        """Convolution groups in the tile."""
        return self.g[1] - self.g[0]

    @property
    def pixels(self) -> int:
        """Rows of the matrix product: output pixels of all images in the tile."""
        return prod(high - low for low, high in (self.b, self.oh, self.ow))

    @property
    def channels(self) -> int:
        """Columns of the matrix product."""
        return self.n[1] - self.n[0]

    @property
    def depth(self) -> int:
        """Reduction length of the matrix product."""
        return self.k[1] - self.k[0]

    def __str__(self) -> str:
        return " ".join(f"{name}[{low}:{high}]" for name, (low, high) in zip(_RANGES, self.ranges, strict=True))

    @property
    def ranges(self) -> tuple[Range, ...]:
        """All six ranges, in field order."""
        return (self.g, self.b, self.oh, self.ow, self.n, self.k)


_RANGES = ("g", "b", "oh", "ow", "n", "k")


def layer_step(op: FlowOp, tensors: Mapping[str, Tensor], machine: Machine) -> Step:
    """What one place of a stream takes for a nest's operands on a machine's PEs."""
    activation = tensors[op.reads[0].tensor].qtype
    assert isinstance(op.body, Conv | Linear)
    assert activation is not None
    return machine.pe.step(op.body.weight.qtype, activation)


def cut(size: int, step: int) -> list[Range]:
    """``cut(10, 4)`` -> [(0, 4), (4, 8), (8, 10)]."""
    return [(low, min(low + step, size)) for low in range(0, size, step)]


def array_tiles(op: FlowOp, mapping: ArrayMapping) -> Iterator[tuple[ArrayTile, bool, bool]]:
    """The tiles in execution order, each with "first k tile?" and "last k tile?"."""
    size = op.sizes
    depth = size["c"] * size["kh"] * size["kw"]
    pixels = list(product(cut(size["b"], mapping.b), cut(size["oh"], mapping.oh), cut(size["ow"], mapping.ow)))
    channels, ks = cut(size["n"], mapping.n), cut(depth, mapping.k)
    for g in cut(size["g"], mapping.g):
        pairs = list(product(pixels, channels))
        if mapping.outer == "channels":
            pairs = [(pixel, n) for n, pixel in product(channels, pixels)]
        for (b, oh, ow), n in pairs:
            for k in ks:
                yield ArrayTile(g, b, oh, ow, n, k), k[0] == 0, k[1] == depth


def parts(size: Size, step: Size) -> Size:
    """Into how many parts ``cut`` cuts."""
    return -(-size // step)


def cycles_at(rate: float, size_bytes: Size) -> Size:
    """Whole cycles that so many bytes take."""
    quotient = size_bytes / rate
    return np.ceil(quotient).astype(np.int64) if isinstance(quotient, np.ndarray) else ceil(quotient)


def smaller(a: Size, b: Size) -> Size:
    """``min``, element by element."""
    return a + (b - a) * (b < a)


def larger(a: Size, b: Size) -> Size:
    """``max``, element by element."""
    return a + (b - a) * (b > a)


def k_tiles(op: FlowOp, mapping: ArrayMapping, rows: int) -> list[list[Range]]:
    """The stretches of the reduction that one fold adds up, tile by tile, in the order in which they are added.

    Parameters
    ----------
    rows
        Positions that the array's rows take: as many, times the products that a PE makes at a time.
    """
    size = op.sizes
    tiles = cut(size["c"] * size["kh"] * size["kw"], mapping.k)
    if mapping.dataflow == "output_stationary":
        return [[tile] for tile in tiles]
    return [[(k0 + low, k0 + high) for low, high in cut(k1 - k0, rows)] for k0, k1 in tiles]


def k_folds(op: FlowOp, mapping: ArrayMapping, rows: int) -> list[Range]:
    """All stretches of ``k_tiles``, one after another."""
    return [fold for tile in k_tiles(op, mapping, rows) for fold in tile]


def vector_tiles(op: FlowOp, mapping: VectorMapping) -> Iterator[dict[str, Range]]:
    """The output tiles in execution order; window loops are whole in each."""
    size = op.sizes
    window = {name: (0, size[name]) for name in ("kh", "kw") if name in size}
    steps = (mapping.b, mapping.c, mapping.h, mapping.w)
    for ranges in product(*(cut(size[name], step) for name, step in zip("bchw", steps, strict=True))):
        yield dict(zip("bchw", ranges, strict=True)) | window


def fold_shape(
    dataflow: str, tile: TileSizes, array: ArraySpec, step: Step, groups_at_once: int = 1
) -> tuple[Size, Size]:
    """(number of folds, cycles for which each streams operands) of one tile.

    Weight stationary holds k x n and streams pixels; input stationary holds k x pixels and streams channels; output
    stationary holds pixels x n and streams k. A PE takes ``step.products`` neighbours along k at a time.
    """
    product = in_the_array(tile, groups_at_once)
    along_k = parts(product.depth, step.products)
    down, across, stream = {
        "weight_stationary": (along_k, product.channels, product.pixels),
        "input_stationary": (along_k, product.pixels, product.channels),
        "output_stationary": (product.pixels, product.channels, along_k),
    }[dataflow]
    folds = step.turns * product.groups * parts(down, array.rows) * parts(across, array.columns)
    return folds, stream * step.cycles
