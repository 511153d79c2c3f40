"""Buffers over time: nothing lies on top of anything else, and nothing beyond a buffer's end."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.fusion import window_of
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Vector
from accel.mapping.residency import nothing_stays
from accel.mapping.search import Chooser
from accel.sim.engine import run
from accel.sim.occupancy import occupancy, stays
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 50),
    batch=st.integers(1, 2),
    dataflow=st.sampled_from(DATAFLOWS),
    double_buffered=st.booleans(),
    activation_bytes=st.sampled_from([512, 1024, 2048, 8192]),
    weight_bytes=st.sampled_from([256, 512, 4096]),
)
def test_nothing_lies_on_top_of_anything_else(
    seed, batch, dataflow, double_buffered, activation_bytes, weight_bytes
) -> None:
    net = residual_network(seed, batch=batch)
    arch = machine(dataflow=dataflow, buffers=(weight_bytes, activation_bytes, 1024), double_buffered=double_buffered)
    program = compile_graph(net.graph(net.last), arch)
    found = stays(program, arch, run(program, arch))
    for buffer in ("weight", "activation", "accumulator"):
        mine = [stay for stay in found if stay.buffer == buffer]
        capacity = getattr(arch.buffers, buffer).capacity_bytes
        assert mine
        assert all(stay.offset >= 0 and stay.offset + stay.size_bytes <= capacity for stay in mine)
        for one, other in combinations(mine, 2):
            apart = one.offset + one.size_bytes <= other.offset or other.offset + other.size_bytes <= one.offset
            assert apart or one.end <= other.begin or other.end <= one.begin
        steps = occupancy(mine, buffer)
        assert steps[-1][1] == 0
        assert max(taken for _, taken in steps) <= capacity


def test_two_tiles_of_channels_by_hand() -> None:
    """4 -> 8 features, one row, 4 features a tile, on 4 x 4; the times of the same case in the ledger's tests.

    W0, 16 B, from 0 until tile 0 is consumed at 34; W1 from 8 to 42. A, 4 B, from 6 to 42. Sums of tile 0, 4 x 4 B,
    from its begin at 30 until it is stored: out at 37, vector 38, store 38..40, there at 60; tile 1's from 38 to 68.
    """
    net = Builder()
    net.linear(net.input(1, 4), 8)
    arch = machine(4, 4)
    program = emit(lower(net.graph()), arch, [ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")])
    found = stays(program, arch, run(program, arch))
    assert occupancy(found, "weight") == [(0, 16), (8, 32), (34, 16), (42, 0)]
    assert occupancy(found, "activation") == [(6, 4), (42, 0)]
    assert occupancy(found, "accumulator") == [(30, 16), (38, 32), (60, 16), (68, 0)]


def test_rows_that_nobody_reads_have_a_place_too() -> None:
    """Every second of 8 rows, one by one: row 7 is made when row 6 has been read."""
    net = Builder()
    net.conv(net.conv(net.input(1, 2, 8, 4), 2), 2, (1, 1), (2, 2), (0, 0, 0, 0))
    flow, arch = lower(net.graph()), machine()
    alone = nothing_stays(flow, arch)
    residency = alone.with_window(window_of(flow, alone, 0, 1, 1), {0: 1, 1: 1})
    program = emit(flow, arch, Chooser(flow, arch).all(residency), residency)
    timeline = run(program, arch)
    found = [stay for stay in stays(program, arch, timeline) if stay.buffer == "activation"]
    (window,) = [stay for stay in found if stay.what == "conv0_out"]
    made = [i.index for i in program.instructions if isinstance(i, Vector) and i.layer == 0]
    assert len(made) == 8
    assert window.end == max(timeline.done[index] for index in made)
