"""Loads of many tilings at once against the boxes of each, one by one."""

from __future__ import annotations

import random
from itertools import product
from math import prod

import numpy as np
import pytest

from accel.flow.ir import elements
from accel.mapping.bound_parts import Loads
from accel.mapping.mapping import cut
from tests.machines import machine
from tests.mapping.test_bound import any_layer


@pytest.mark.parametrize("seed", range(6))
def test_loads_are_of_all_boxes(seed) -> None:
    """Halos overlap, and what lies in the padding is not there; of elements of 8 bits."""
    rng = random.Random(seed)
    for _ in range(10):
        op = any_layer(rng).ops[-1]
        names = ("g", "b", "oh", "ow") if op.on_array else ("b", "c", "h", "w")
        tilings = {name: [rng.randint(1, op.sizes[name]) for _ in range(6)] for name in names}
        arrays = {name: np.array(tiles) for name, tiles in tilings.items()}
        read = op.reads[0]
        loads = Loads.of_boxes(read, op, arrays, 0, 8, machine())
        for column, steps in enumerate(zip(*tilings.values(), strict=True)):
            ranges = [cut(op.sizes[name], step) for name, step in zip(names, steps, strict=True)]
            boxes = [read.region(op.whole | dict(zip(names, tile, strict=True))) for tile in product(*ranges)]
            contents = [elements(box) for box in boxes]
            longest = [max(high - low for low, high in axis) for axis in zip(*boxes, strict=True)]
            at = [
                int(np.broadcast_to(amount, 6)[column])
                for amount in (loads.content_bytes, loads.least_bytes, loads.large_tiles, loads.large_bytes)
            ]
            large = sum([high - low for low, high in box] == longest for box in boxes)
            assert at == [sum(contents), min(contents), large, large * prod(longest)], (op, steps)
