"""The chosen mapping against random ones, each timed by the engine; and tiles at the edge of what fits."""

from __future__ import annotations

from math import ceil
from statistics import mean

import numpy as np
import pytest

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Flow, FlowOp
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping, array_tiles, vector_tiles
from accel.mapping.search import choose
from accel.mapping.space import Room, balanced, coarse, footprint, loop_sizes
from accel.numerics.qtype import QType
from accel.sim.engine import run
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder

MACHINES = {
    "slow memory": {"bandwidth": "1 B/cycle"},
    "single slots": {"double_buffered": False},
    "one lane": {"lanes": 1},
}


def layers() -> dict[str, Flow]:
    convolution, linear, depthwise, pointwise, pool = (Builder() for _ in range(5))
    convolution.conv(convolution.input(1, 8, 12, 12), 16)
    linear.linear(linear.input(3, 120), 70)
    depthwise.conv(depthwise.input(2, 8, 9, 9), 8, groups=8)
    pointwise.conv(pointwise.input(1, 24, 6, 6), 32, (1, 1), pads=(0, 0, 0, 0))
    pool.max_pool(pool.input(1, 32, 18, 18), (3, 3), (2, 2))
    nets = {"conv": convolution, "linear": linear, "depthwise": depthwise, "pointwise": pointwise, "pool": pool}
    return {name: lower(net.graph()) for name, net in nets.items()}


def any_array_mapping(op: FlowOp, dataflow: str, rng: np.random.Generator) -> ArrayMapping:
    size = op.sizes
    depth = size["c"] * size["kh"] * size["kw"]
    k, n = int(rng.choice([depth, rng.integers(1, depth + 1)])), int(rng.integers(1, size["n"] + 1))
    g = int(rng.integers(1, size["g"] + 1)) if (k, n) == (depth, size["n"]) else 1
    b = int(rng.integers(1, size["b"] + 1))
    oh = size["oh"] if b > 1 else int(rng.integers(1, size["oh"] + 1))
    ow = size["ow"] if oh > 1 else int(rng.integers(1, size["ow"] + 1))
    return ArrayMapping(dataflow, g, b, oh, ow, n, k, str(rng.choice(["pixels", "channels"])))


@pytest.mark.parametrize("fields", MACHINES.values(), ids=MACHINES)
def test_no_random_mapping_is_much_better(fields) -> None:
    """On average within 5 % of the best of eight random ones of few tiles, and never a quarter away."""
    rng = np.random.default_rng(0)
    ratios = []
    for flow in layers().values():
        (op,) = flow.ops
        for dataflow in DATAFLOWS if op.on_array else DATAFLOWS[:1]:
            arch = machine(dataflow=dataflow, **fields)
            room = Room.whole(op, arch)
            others: list[ArrayMapping | VectorMapping] = []
            while len(others) < 8:
                if op.on_array:
                    mapping = any_array_mapping(op, dataflow, rng)
                    tile = (mapping.g, mapping.b, mapping.oh, mapping.ow, mapping.n, mapping.k)
                    fits = not footprint(op, flow, arch, room, tile).excess(arch, room)
                    count = len(list(array_tiles(op, mapping)))
                else:
                    steps = tuple(int(rng.integers(1, op.sizes[name] + 1)) for name in "bchw")
                    mapping = VectorMapping(*steps)
                    fits = not footprint(op, flow, arch, room, steps).excess(arch, room)
                    count = len(list(vector_tiles(op, mapping)))
                if fits and count < 150:
                    others.append(mapping)
            mine, *theirs = (
                max(run(emit(flow, arch, [mapping]), arch).done) for mapping in (*choose(flow, arch), *others)
            )
            ratios.append(mine / min(theirs))
    assert max(ratios) < 1.25
    assert mean(ratios) < 1.05


@pytest.mark.parametrize("double_buffered", [True, False])
def test_the_smallest_tile_fits_to_the_byte(double_buffered) -> None:
    """16 channels in, 3 x 3, out 7: on 4 x 5 the smallest tile has k = 4 and 5 channels for one pixel.

    20 weights; 16 x 3 x 3 = 144 activations; 5 sums of 24 bits, 15 B. (A machine whose other two buffers do not hold
    one tile of its array is refused as such.)
    """
    net = Builder()
    net.conv(net.input(1, 16, 4, 4), 7)
    flow = lower(net.graph())
    slots = 2 if double_buffered else 1

    def arch(activation: int) -> Machine:
        buffers = (slots * 20, slots * activation, slots * 15)
        return machine(buffers=buffers, double_buffered=double_buffered, accumulator_bits=24)

    (mapping,) = choose(flow, arch(144))
    assert isinstance(mapping, ArrayMapping)
    assert (mapping.n, mapping.k, mapping.oh, mapping.ow) == (5, 4, 1, 1)
    with pytest.raises(AccelError, match=r"needs 144 bytes in the activation buffer, and .* holds 143 \(1 too few\)"):
        choose(flow, arch(143))


def test_slots_hold_sums_and_results() -> None:
    """Sums of 12 bits make float outputs of 32: a slot of 16 B holds 4 of them."""
    net = Builder()
    y = net.linear(net.input(1, 4), 64)
    net.tensors[y] = net.tensors[y].__class__(y, (1, 64), None)
    arch = machine(4, 4, weight="int2", activation="int8", accumulator_bits=12, buffers=(512, 512, 32))
    (mapping,) = choose(lower(net.graph()), arch)
    assert mapping.n == 4


def test_footprints_by_hand() -> None:
    """3 groups of 4 channels, 3 x 5 outputs of 2 images; 3 x 3 windows with strides 2 and 1; 5-bit weights, k = 7.

    The windows touch (2 * 2 + 3) x (4 + 3) pixels, of which the image has 7 x 6, of 3 groups of 2 channels.
    """
    net = Builder(weight_qtype=QType(5, signed=True))
    net.conv(net.input(2, 16, 13, 6), 32, strides=(2, 1), groups=8)
    flow = lower(net.graph())
    arch = machine(accumulator_bits=20)
    found = footprint(flow.ops[0], flow, arch, Room.whole(flow.ops[0], arch), (3, 2, 3, 5, 4, 7))
    assert found.weight == ceil(3 * 4 * 7 * 5 / 8)
    assert found.activation == 2 * 3 * 2 * 7 * 6
    assert found.accumulator == ceil(3 * 2 * 3 * 5 * 4 * 20 / 8)
    pool = Builder()
    pool.max_pool(pool.input(2, 16, 13, 9), (3, 2), (2, 2))
    flow = lower(pool.graph())
    of_pool = footprint(flow.ops[0], flow, arch, Room.whole(flow.ops[0], arch), (2, 5, 3, 4))
    assert (of_pool.weight, of_pool.activation, of_pool.accumulator) == (0, 2 * 5 * 7 * 8, 2 * 5 * 3 * 4)


def test_only_whole_groups_share_a_tile() -> None:
    """Their channels would not lie side by side otherwise."""
    net = Builder()
    net.conv(net.input(1, 16, 6, 6), 48, groups=4)
    (op,) = lower(net.graph()).ops
    for tilings in (coarse(op, machine(4, 5), 1), balanced(op, machine(4, 5), 1, 10**6, np.random.default_rng(0))):
        assert set(tilings[0]) >= {1, 2, 4}
        assert all(n == 12 and k == 36 for g, *_, n, k in tilings.T.tolist() if g > 1)


def test_of_too_many_tilings_so_many_are_drawn() -> None:
    net = Builder()
    net.conv(net.input(1, 16, 12, 12), 24)
    (op,) = lower(net.graph()).ops
    drawn = [balanced(op, machine(), 1, 50, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0].shape == (6, 50)
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    assert (drawn[0] <= np.array(list(loop_sizes(op).values()))[:, None]).all()


def test_where_no_whole_fold_fits_smaller_tiles_do() -> None:
    """Outputs of 32 bits are wider than the sums of 12: five columns' need 20 B, and a slot holds 8."""
    net = Builder()
    y = net.linear(net.input(1, 4), 64)
    net.tensors[y] = net.tensors[y].__class__(y, (1, 64), None)
    arch = machine(4, 5, weight="int2", activation="int8", accumulator_bits=12, buffers=(512, 512, 16))
    (mapping,) = choose(lower(net.graph()), arch)
    assert mapping.n == 2
