"""Programs of a few tiles, cycle by cycle by hand; and machines that are bound by one thing.

All by hand: a 4x4 array, 8 B/cycle DRAM with 20 cycles latency and bursts of 16 B, 4 lanes. Transfers are written
``bus 0..6, there at 26``: on the bus from cycle 0 to 6, and in the buffer 20 cycles later. A tile of weights is its
16 B and, with the last of a reduction, 8 B of parameters for each of its 4 channels: 48 B, 6 cycles.
"""

from __future__ import annotations

import dataclasses

import pytest

from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.program import Compute
from accel.result import Cycles
from accel.sim.engine import Timeline, run
from accel.sim.ledger import charge
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder


def linear(inputs: int, features: int, rows: int = 1) -> Builder:
    net = Builder()
    net.linear(net.input(rows, inputs), features)
    return net


def mapped(
    net: Builder, arch: Machine, mapping: ArrayMapping | VectorMapping
) -> tuple[list[Compute], Timeline, Cycles]:
    """A network of one layer, cut as ``mapping`` says."""
    program = emit(lower(net.graph()), arch, [mapping])
    timeline = run(program, arch)
    ((cycles,), _) = charge(program, timeline)
    assert cycles.total == max(timeline.done)
    return [i for i in program.instructions if isinstance(i, Compute)], timeline, cycles


def test_two_tiles_of_channels() -> None:
    """4 -> 8 features, one row, 4 features a tile: each tile waits for its own weights.

    W0 bus 0..6, there at 26; A 6..8, 28; W1 8..14, 34. Tile 0: ready at 28; its weights began to travel in at 26 and
    are in at 30; the next may begin 4 later; last result 30 + 1 + 6 = 37. Tile 1 is ready at 34, and nothing is in
    the way of its weights since 30: in at 38, free at 42, out at 45. Vector 45..46; store 46..48, there at 68.
    """
    computes, timeline, cycles = mapped(
        linear(4, 8), machine(4, 4), ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")
    )
    assert [timeline.begin[compute.index] for compute in computes] == [30, 38]
    assert cycles == Cycles(compute=2, fill_drain=4 + 3 + 4 + 3 + 3, stall_weights=26, stall_outputs=22, vector=1)
    assert cycles.total == 68


def test_three_tiles_of_depth() -> None:
    """12 -> 4 features, one row, cut along the reduction: one result, in three tiles; parameters with the last.

    W0 16 B, bus 0..2, there at 22; A 2..4, 24; W1 4..6, 26; W2 (48 B) 6..12, there at 32. Tile 0: ready 24, its
    weights in at 26, free at 30. Tile 1: its weights are there at 26, the shadow registers are free at 26: in at 30;
    free at 34. Tile 2: there at 32, in at 36, free at 40, out at 36 + 7 = 43. Vector 43..44; store 44..46, there at 66.
    """
    computes, timeline, cycles = mapped(
        linear(12, 4), machine(4, 4), ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")
    )
    assert [timeline.begin[compute.index] for compute in computes] == [26, 30, 36]
    assert cycles == Cycles(
        compute=3,
        fill_drain=4 + 3 + 3 + 2 + 3 + 3,
        stall_weights=22,
        stall_outputs=22,
        vector=1,
    )
    assert cycles.total == 66


def test_three_tiles_of_pixels_behind_one_accumulator() -> None:
    """3 rows, one a tile, on a machine without a second slot: each tile waits until the one before is stored.

    W 0..6, there at 26; A0 6..8, there at 28. Tile 0 begins at 30, free at 34, out at 37; vector 38; store 38..40,
    there at 60. A1 may come when tile 0 has consumed its row: 34..36, there at 56, which is soon enough. The array
    waits 3 cycles for its own wave, 1 for the vector unit, and 22 for the Store: tile 1 begins at 60, its weights in
    its registers since 34; free at 64, out at 67; vector 68; store 68..70, there at 90.
    Tile 2 the same: 90, 97, 98, 120.
    """
    computes, timeline, cycles = mapped(
        linear(4, 4, rows=3),
        machine(4, 4, double_buffered=False),
        ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels"),
    )
    assert [timeline.begin[compute.index] for compute in computes] == [30, 60, 90]
    assert cycles == Cycles(
        compute=3,
        fill_drain=4 + 3 * 3 + 3 * 3,
        stall_weights=26,
        stall_outputs=3 * 22,
        vector=3,
    )
    assert cycles.total == 120


def test_a_short_fold_waits_for_the_results_of_a_long_one() -> None:
    """8 rows and columns of outputs, k = 20 and then 2: the second fold's results may not meet the first one's.

    The first fold's last operand enters 20 cycles after its begin, and its results shift out for 8; the second one's
    results are done 2 cycles after its begin: it may begin 20 + 8 - 2 = 26 later. A longer fold before a shorter one
    has nothing to wait for.
    """
    net = linear(22, 8, rows=8)
    arch = machine(8, 8, "output_stationary", buffers=(4096, 4096, 4096), bandwidth="64 B/cycle")
    computes, timeline, _ = mapped(net, arch, ArrayMapping("output_stationary", 1, 8, 1, 1, 8, 20, "pixels"))
    first, second = (timeline.begin[compute.index] for compute in computes)
    assert second - first == 26
    assert timeline.done[computes[1].index] == second + 2 + (8 + 8 - 2) + 8
    computes, timeline, _ = mapped(net, arch, ArrayMapping("output_stationary", 1, 8, 1, 1, 8, 11, "pixels"))
    first, second = (timeline.begin[compute.index] for compute in computes)
    assert second - first == 11


def test_a_short_fold_before_a_long_one_is_done_when_its_results_are_out() -> None:
    """Two tiles of 8 channels, k = 20 and 2 each: the third fold may follow the second at once, which then still works.

    The second fold lasts 2 cycles (a third one of 20 shifts out long after it), and its results need 14 + 8 more.
    """
    fast = {"bandwidth": "64 B/cycle", "latency": "1 cycles", "width": "1024 B/cycle"}
    arch = machine(8, 8, "output_stationary", buffers=(4096,) * 3, **fast)
    mapping = ArrayMapping("output_stationary", 1, 8, 1, 1, 8, 20, "pixels")
    computes, timeline, _ = mapped(linear(22, 16, rows=8), arch, mapping)
    second = computes[1].index
    assert timeline.consumed[second] == timeline.begin[second] + 2
    assert timeline.done[second] == timeline.begin[second] + 2 + 14 + 8


def test_layers_do_not_look_ahead_to_each_others_folds() -> None:
    """A fold of 20 before a layer whose folds have 2: its operands are consumed after 20 cycles, not 20 + 8 - 2."""
    net = Builder()
    net.linear(net.linear(net.input(8, 20), 2), 8)
    arch = machine(8, 8, "output_stationary", buffers=(4096,) * 3)
    mappings = [ArrayMapping("output_stationary", 1, 8, 1, 1, n, k, "pixels") for n, k in ((2, 20), (8, 2))]
    program = emit(lower(net.graph()), arch, mappings)
    timeline = run(program, arch)
    first = next(i.index for i in program.instructions if isinstance(i, Compute))
    assert timeline.consumed[first] == timeline.begin[first] + 20


def test_activations_that_stay_travel_in_first() -> None:
    """4 -> 4 features, input stationary: W there at 26, A at 28, in the array at 32; 4 channels stream.

    The next may begin at 36; out at 32 + 4 + 6 = 42; vector 43; store 43..45, there at 65.
    """
    computes, timeline, cycles = mapped(
        linear(4, 4), machine(4, 4, "input_stationary"), ArrayMapping("input_stationary", 1, 1, 1, 1, 4, 4, "pixels")
    )
    assert timeline.begin[computes[0].index] == 32
    assert cycles == Cycles(
        compute=4, fill_drain=4 + 6, stall_weights=6, stall_activations=22, stall_outputs=22, vector=1
    )
    assert cycles.total == 65


def test_preloaded_sums_travel_in_when_their_room_is_free() -> None:
    """Output stationary, initial sums shifted in, one slot: tile 0 has had its 4 cycles when its row is there, at 28.

    Out at 28 + 4 + 6 + 4 = 42; vector 43; store 43..45, there at 65. Only then may tile 1's sums travel in: 69.
    """
    arch = machine(4, 4, "output_stationary", double_buffered=False, array={"accumulator_preload": True})
    mapping = ArrayMapping("output_stationary", 1, 1, 1, 1, 4, 4, "pixels")
    computes, timeline, _ = mapped(linear(4, 4, rows=2), arch, mapping)
    assert [timeline.begin[compute.index] for compute in computes] == [28, 69]


def test_weights_travel_in_behind_the_last_fold_of_the_tile_before() -> None:
    """Everything is there when tile 0 (two folds of 9 rows) begins; tile 1 follows without a gap: 2 x 9 later.

    Its weights travel in behind the last fold, from begin + 9 to begin + 13. On a wider bus and with one row a tile,
    a fold lasts as long as its weights travel.
    """
    arch = machine(4, 4, buffers=(4096, 4096, 4096), bandwidth="64 B/cycle", latency="0 cycles")
    for rows, step in ((9, 2 * 9), (1, 2 * 4)):
        mapping = ArrayMapping("weight_stationary", 1, rows, 1, 1, 8, 4, "pixels")
        computes, timeline, _ = mapped(linear(8, 8, rows), arch, mapping)
        first, second = (timeline.begin[compute.index] for compute in computes)
        assert second - first == step


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_slow_port_delays_what_travels_in_next(dataflow) -> None:
    """A 4 B/cycle port of the buffer that all folds read: two tiles one after another cost their bytes each."""
    arch = machine(4, 4, dataflow, width="4 B/cycle", bandwidth="64 B/cycle", buffers=(4096, 4096, 4096))
    # Every tile: 8 x 8 operands of each kind are read twice (two folds across), 128 B, or its 4-byte sums are
    # written: 2 folds along k x 64 x 4 B = 512 B (where outputs stay, 256 B).
    net = linear(16, 8, rows=8)
    computes, timeline, cycles = mapped(net, arch, ArrayMapping(dataflow, 1, 8, 1, 1, 8, 8, "pixels"))
    busy = 64 if dataflow == "output_stationary" else 128
    for compute in computes:
        assert timeline.consumed[compute.index] - timeline.begin[compute.index] == busy
    assert cycles.stall_outputs >= sum(timeline.stretch[compute.index] for compute in computes) > 0


BOUND = {
    # One row past many weights.
    "stall_weights": (linear(64, 64), {"bandwidth": "1 B/cycle", "buffers": (2048, 1024, 1024)}),
    # Many long rows past one column of weights.
    "stall_activations": (linear(128, 1, rows=40), {"bandwidth": "0.25 B/cycle", "buffers": (512, 512, 1024)}),
    # Four inputs make 64 outputs.
    "stall_outputs": (linear(1, 64, rows=64), {"bandwidth": "1 B/cycle", "buffers": (1024, 1024, 1024)}),
    # One lane requantizes what 16 PEs make.
    "vector": (linear(4, 64, rows=64), {"bandwidth": "64 B/cycle", "latency": "1 cycles", "lanes": 1}),
    # Everything is there in time.
    "compute": (linear(64, 8, rows=64), {"bandwidth": "256 B/cycle", "latency": "1 cycles", "lanes": 16}),
}


@pytest.mark.parametrize("cause", BOUND)
def test_what_bounds_a_layer_gets_most_of_its_cycles(cause) -> None:
    net, fields = BOUND[cause]
    arch = machine(4, 4, **fields)
    program = compile_graph(net.graph(), arch)
    ((cycles,), _) = charge(program, run(program, arch))
    assert dataclasses.asdict(cycles)[cause] > 0.5 * cycles.total


def test_a_vector_layer_waits_for_its_operands_or_for_its_stores() -> None:
    """An Add of 64 + 64 values, 16 a tile; two tiles at once, 4 lanes, 2 steps: 8 cycles a tile.

    Each tile loads two operands of 16 B, 2 cycles each: bus 0..2 and 2..4, there at 24; the next at 28. Vector 24..32
    and 32..40; stores 32..34, there at 54, and 40..42, there at 62. Tile 2's operands may come when tile 0 is done:
    bus 34..38, behind the store of tile 0, there at 58, when its room has been free since 54: 58..66. Tile 3: bus
    42..46, there at 66; 66..74; stored 74..76, there at 96.
    """
    net = Builder()
    x = net.input(1, 64, 1, 1)
    net.add(x, x)
    _, _, cycles = mapped(net, machine(4, 4), VectorMapping(1, 16, 1, 1))
    assert cycles == Cycles(stall_activations=24 + (58 - 40), vector=4 * 8, stall_outputs=22)
    assert cycles.total == 96
    # 0.5 B/cycle into and out of the accumulator buffer: 32 cycles for the vector unit and for each store.
    slow = machine(4, 4, bandwidth="4096 B/cycle", latency="0 cycles", buffers=(512, 1024, 1024))
    ports = slow.buffers.model_copy(
        update={"accumulator": slow.buffers.accumulator.model_copy(update={"width_bytes_per_cycle": 0.5})}
    )
    _, _, cycles = mapped(net, slow.model_copy(update={"buffers": ports}), VectorMapping(1, 16, 1, 1))
    # Operands 0..1 and 1..2, tile 1's 2..3 and 3..4; vector 2..34 and 34..66; store 34..66. Tile 2's operands 66..67
    # and 67..68, vector 68..100; store 68..100. Tile 3's 100..101 and 101..102, vector 102..134; stores 102..134 and
    # 134..166.
    assert cycles == Cycles(vector=4 * 32, stall_activations=2 + 2 + 2, stall_outputs=32)
    assert cycles.total == 166


def test_a_layer_whose_result_stays_on_chip_lasts_until_it_is_there() -> None:
    """4 -> 4 -> 4 features: the first layer's 4 outputs stay; what drains of it is its own, not the next layer's.

    W0 0..6, there at 26; A 6..8, 28; W1 8..14, 34. First layer: in at 30, free at 34, out at 37, vector 37..38. The
    second one's weights travel in from 34 to 38, when its row is there: free at 42, out at 45, vector 46, store 46..48,
    there at 68.
    """
    net = Builder()
    net.linear(net.linear(net.input(1, 4), 4), 4)
    arch = machine(4, 4)
    program = compile_graph(net.graph(), arch)
    (first, second), _ = charge(program, run(program, arch))
    assert first == Cycles(compute=1, fill_drain=4 + 3 + 3, stall_weights=26, vector=1)
    assert second == Cycles(compute=1, fill_drain=3 + 3, vector=1, stall_outputs=22)
