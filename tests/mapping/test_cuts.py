"""Cuts of many tilings at once against the tiles of each, listed one by one."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.mapping import cuts
from accel.mapping.cuts import Cut, kinds
from accel.mapping.mapping import cut


@st.composite
def tilings(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """Sizes of some loops, and the sizes of some tilings' tiles along each."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    count = draw(st.integers(1, 4))
    tiles = [draw(st.lists(st.integers(1, size), min_size=count, max_size=count)) for size in sizes]
    return sizes, tiles


@pytest.mark.parametrize("at_once", [1, 1 << 15])
@given(case=tilings())
def test_kinds_are_those_of_all_tiles(at_once, case) -> None:
    sizes, tiles = case
    found = [Cut.of(size, np.array(row)) for size, row in zip(sizes, tiles, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "_AT_ONCE", at_once)
        batches = list(kinds({str(number): each for number, each in enumerate(found)}))
    for column, steps in enumerate(zip(*tiles, strict=True)):
        ranges = [cut(size, step) for size, step in zip(sizes, steps, strict=True)]
        wanted = Counter(tuple(high - low for low, high in tile) for tile in product(*ranges))
        got: Counter[tuple[int, ...]] = Counter()
        for lengths, count in batches:
            for kind in range(len(count)):
                got[tuple(int(length[kind, column]) for length in lengths.values())] += int(count[kind, column])
        assert +got == wanted
        for each, pieces in zip(found, ranges, strict=True):
            first, *_, last = [high - low for low, high in pieces] * 2
            assert (each.tiles[column], each.first[column], each.last[column]) == (len(pieces), first, last)


def test_kinds_that_no_tiling_has_are_left_out() -> None:
    """7 in fours beside 5 whole, and 7 whole beside 5 in threes: no tile is a rest along both."""
    ((lengths, count),) = kinds({"h": Cut.of(7, np.array([4, 7])), "w": Cut.of(5, np.array([5, 3]))})
    assert lengths["h"].tolist() == [[4, 7], [4, 7], [3, 0]]
    assert lengths["w"].tolist() == [[5, 3], [0, 2], [5, 3]]
    assert count.tolist() == [[1, 1], [0, 1], [1, 0]]
