"""Where tensors lie in DRAM, and which bursts a tile of one touches.

Activations lie with channels innermost (b, h, w, c), as many bits an element as its type has, each tensor at a whole
burst. Weights lie tile by tile in the order in which they are first loaded, each tile followed by its channels'
parameters; a tile is one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.flow.ir import Flow, Region, Shape4


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of DRAM."""

    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Runs:
    """Equal pieces of DRAM at regular distances, three loops deep: ``first_bit + i * step``, innermost loop last."""

    first_bit: int
    run_bits: int
    loops: tuple[tuple[int, int], ...] = ()
    """(count, step in bits) of each loop."""

    @property
    def count(self) -> int:
        """How many pieces."""
        return prod(count for count, _ in self.loops)

    def pieces(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First byte of each piece, and one past its last, in the order in which they are moved."""
        starts: npt.NDArray[Any] = np.array([self.first_bit], np.int64)
        for count, step in self.loops:
            starts = (starts[:, None] + np.arange(count, dtype=np.int64) * step).ravel()
        return starts // 8, (starts + (self.run_bits + 7)) // 8

    def whole_bursts(self, burst_bytes: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First byte and size of the bursts of each piece, without one that the piece before has moved already."""
        starts, ends = self.pieces()
        first, end = starts // burst_bytes, -(-ends // burst_bytes)
        first[1:] += first[1:] == end[:-1] - 1
        return first * burst_bytes, (end - first) * burst_bytes

    def bursts(self, burst_bytes: int) -> int:
        """How many bursts they touch; one that holds the end of a piece and the start of the next is moved once."""
        if not self.run_bits or not self.count:
            return 0
        # Whole bursts before the first piece change nothing.
        return _bursts(self.first_bit % (8 * burst_bytes), self.run_bits, self.loops, burst_bytes)


@lru_cache(maxsize=1 << 14)
def _bursts(first_bit: int, run_bits: int, loops: tuple[tuple[int, int], ...], burst_bytes: int) -> int:
    if not loops:
        return -(-(first_bit + run_bits) // (8 * burst_bytes))
    starts, ends = Runs(first_bit, run_bits, loops).pieces()
    first, last = starts // burst_bytes, (ends - 1) // burst_bytes
    return int((last - first + 1).sum() - np.count_nonzero(first[1:] == last[:-1]))


def runs_of(place: Place, shape: Shape4, bits: int, box: Region) -> Runs:
    """The pieces of a box (b, c, h, w) of a tensor.

    >>> runs_of(Place(64, 4096), (1, 16, 8, 8), 8, ((0, 1), (0, 16), (2, 4), (0, 8)))  # two whole rows
    Runs(first_bit=2560, run_bits=2048, loops=())
    >>> runs_of(Place(64, 4096), (1, 16, 8, 8), 8, ((0, 1), (0, 4), (0, 1), (0, 8)))  # a quarter of the channels
    Runs(first_bit=512, run_bits=32, loops=((8, 128),))
    """
    _, channels, height, width = shape
    b, c, h, w = box
    first, run, loops = 0, bits, []
    step = bits
    # From the innermost axis outwards: an axis whose inside is whole lengthens the run, another one is a loop.
    for (low, high), size in ((c, channels), (w, width), (h, height), (b, shape[0])):
        first += low * step
        if run == step:
            run *= high - low
        elif high - low != 1:
            loops.append((high - low, step))
        step *= size
    return Runs(8 * place.address + first, run, tuple(reversed(loops)))


def moved_bytes(shape: Shape4, bits: int, sizes: Shape4, burst_bytes: int) -> int:
    """Whole bursts of a box of these sizes at a tensor's first element; others may straddle one burst more a piece."""
    box = ((0, sizes[0]), (0, sizes[1]), (0, sizes[2]), (0, sizes[3]))
    return runs_of(Place(0, 0), shape, bits, box).bursts(burst_bytes) * burst_bytes


class Layout:
    """Addresses, given out in order: first to activations, then to weights as they come."""

    def __init__(self, flow: Flow, burst_bytes: int, on_chip: Mapping[str, object]) -> None:
        self.burst_bytes = burst_bytes
        self.end = 0
        self.places: dict[str, Place] = {}
        views = {op.write.tensor for op in flow.ops if op.is_view}
        accessed = [access for op in flow.ops for access in (*op.reads, op.write)]
        for name in dict.fromkeys([*flow.inputs, *(access.tensor for access in accessed)]):
            if name not in views and name not in on_chip:
                tensor = flow.tensors[name]
                self.add(name, ceil(prod(tensor.shape) * tensor.bits / 8))
        for op in flow.ops:
            source = op.reads[0].tensor
            if op.is_view and source in self.places:
                self.places[op.write.tensor] = self.places[source]

    def add(self, name: str, size_bytes: int) -> Place:
        """The next free stretch, for ``name`` or, if it has one already, for more of it."""
        place = Place(self.end, size_bytes)
        self.end += -(-size_bytes // self.burst_bytes) * self.burst_bytes
        first = self.places.get(name, place)
        self.places[name] = Place(first.address, self.end - first.address if first is not place else size_bytes)
        return place
