"""The decision: how one loop nest is cut into tiles, and in which order the tiles run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from accel.arch.multiplier import Step
from accel.arch.spec import ArraySpec, Dataflow, Machine
from accel.flow.ir import FlowOp, Range
from accel.graph.ir import Conv, Linear, Tensor


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

    def __str__(self) -> str:
        short = "".join(word[0] for word in self.dataflow.split("_"))
        tile = " ".join(f"{name}{getattr(self, name)}" for name in ("g", "b", "oh", "ow", "n", "k"))
        return f"{short} {tile} {self.outer} outer"


@dataclass(frozen=True, slots=True)
class VectorMapping:
    """A nest of elementwise or window work on the vector unit, cut along its output."""

    b: int
    c: int
    h: int
    w: int

    def __str__(self) -> str:
        return f"vector b{self.b} c{self.c} h{self.h} w{self.w}"


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


def fold_shape(dataflow: str, tile: ArrayTile, array: ArraySpec, step: Step) -> tuple[int, int]:
    """(number of folds, cycles for which each streams operands) of one tile.

    Weight stationary holds k x n and streams pixels; input stationary holds k x pixels and streams channels; output
    stationary holds pixels x n and streams k. A PE takes ``step.products`` neighbours along k at a time.
    """
    along_k = ceil(tile.depth / step.products)
    down, across, stream = {
        "weight_stationary": (along_k, tile.channels, tile.pixels),
        "input_stationary": (along_k, tile.pixels, tile.channels),
        "output_stationary": (tile.pixels, tile.channels, along_k),
    }[dataflow]
    folds = step.turns * tile.groups * ceil(down / array.rows) * ceil(across / array.columns)
    return folds, stream * step.cycles
