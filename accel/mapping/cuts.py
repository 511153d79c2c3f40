"""How many tilings at once cut a nest's loops, and the kinds of tiles that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from accel.mapping.space import IntArray

_AT_ONCE = 1 << 15
"""Elements of arrays that stay in a core's cache, a handful of them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A loop that each of many tilings cuts.

    Rows are for its whole tiles and, where any tiling leaves one, for the rest; columns are tilings.
    """

    lengths: IntArray
    counts: IntArray
    """How many tiles of that length."""
    tiles: IntArray
    """How many there are; by tiling, like all that follows."""
    first: IntArray
    """The size of the first tile."""
    last: IntArray
    """The size of the last tile."""

    @classmethod
    def of(cls, size: int, tile: IntArray) -> Cut:
        """A loop that runs ``size`` times, by the size of each tiling's tile."""
        whole, rest = size // tile, size % tile
        if not rest.any():
            return cls(tile[None], whole[None], whole, tile, tile)
        rests = (rest > 0).astype(np.int64)
        return cls(np.stack([tile, rest]), np.stack([whole, rests]), whole + rests, tile, np.where(rest, rest, tile))


def kinds(cuts: Mapping[str, Cut]) -> Iterator[tuple[dict[str, IntArray], IntArray]]:
    """Tiles that differ in size: how long they are along each loop, and how many there are.

    Arrays of (kinds, tilings), for as many kinds at a time as are worked on fast.
    """
    rows = np.array(list(product(*(range(len(cut.counts)) for cut in cuts.values()))))
    tilings = next(iter(cuts.values())).counts.shape[1]
    at_once = max(1, _AT_ONCE // max(1, tilings))
    for start in range(0, len(rows), at_once):
        picked = rows[start : start + at_once]
        count = prod(cut.counts[row] for cut, row in zip(cuts.values(), picked.T, strict=True))
        found = count.any(axis=1)
        if found.any():
            lengths = {name: cut.lengths[row] for (name, cut), row in zip(cuts.items(), picked[found].T, strict=True)}
            yield lengths, count[found]
