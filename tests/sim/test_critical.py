"""The critical path by hand, and what holds of it always; how busy units are."""

from __future__ import annotations

import dataclasses
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from accel.arch.dram import DramDevice, DramSpec
from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.program import Compute, Load, Store
from accel.result import CriticalPath, UnitCycles
from accel.sim.busy import busy_units, cut
from accel.sim.critical import critical_path
from accel.sim.engine import run
from accel.sim.ledger import Stretch
from accel.sim.simulate import run_clock
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network


def of_one_layer(net: Builder, arch: Machine, mapping: ArrayMapping | VectorMapping) -> tuple[CriticalPath, UnitCycles]:
    program = emit(lower(net.graph()), arch, [mapping])
    timeline = run(program, arch)
    end = max(timeline.done)
    whole = [Stretch(end, 0)]
    (path,), (busy,) = critical_path(program, timeline, whole), busy_units(program, timeline, whole)
    assert sum(dataclasses.astuple(path)) == end
    return path, busy


def linear(inputs: int, features: int, rows: int = 1) -> Builder:
    net = Builder()
    net.linear(net.input(rows, inputs), features)
    return net


def test_two_tiles_of_channels() -> None:
    """4 -> 8 features, cut in two; when everything happens is in the same case of ``test_ledger.py``.

    Backwards: the store is under way 48..68, on the bus 46..48; vector 45..46; tile 1 drains 39..45, streams 38..39,
    its weights travel in 34..38; they were under way 14..34, and on the bus 8..14, behind the activations 6..8 and the
    first weights 0..6. Tile 0 is not on the path.

    DMA: 6 + 2 + 6 and two stores of 2; the array is taken 4 cycles by each tile (30..34 and 38..42).
    """
    path, busy = of_one_layer(
        linear(4, 8), machine(4, 4), ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")
    )
    assert path == CriticalPath(compute=1, fill_drain=6 + 4, vector=1, bandwidth=2 + 6 + 2 + 6, latency=20 + 20)
    assert busy == UnitCycles(array=8, vector=2, dma=18)


def test_what_dma_hides_is_not_on_the_path() -> None:
    """An Add of 64 + 64 values in tiles of 16, as in ``test_ledger.py``: the vector unit takes 8 cycles for each, of
    which those of one tile are hidden.

    Backwards: the store is under way 76..96, on the bus 74..76; vector 66..74; its operands are under way 46..66, on
    the bus 42..46, behind the store 40..42 of what the vector unit made 32..40, right behind 24..32. The operands of
    that were under way 4..24 and on the bus 0..4.
    """
    net = Builder()
    x = net.input(1, 64, 1, 1)
    net.add(x, x)
    path, busy = of_one_layer(net, machine(4, 4), VectorMapping(1, 16, 1, 1))
    assert path == CriticalPath(vector=8 + 16, bandwidth=2 + 4 + 2 + 4, latency=20 + 20 + 20)
    assert busy == UnitCycles(vector=32, dma=4 * 4 + 4 * 2)


def test_a_narrow_port_is_on_the_path() -> None:
    """48 B of weights through a port of 4 B/cycle take 12 cycles, not the 6 of the DRAM; one row of 4 sums of 4 B takes
    4 cycles into the accumulators, as long as the next weights' way in, and 4 out of them.

    W 0..12, there at 32; A, a burst of 16 B, 12..16, there at 36; the weights are in at 36. 36..37 compute, out at 43,
    vector 43..47, its 4 lanes 1 of that; store 47..51, there at 71.
    """
    path, _ = of_one_layer(
        linear(4, 4), machine(4, 4, width="4 B/cycle"), ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")
    )
    assert path == CriticalPath(compute=1, fill_drain=6, vector=1, width=3 + 4 + 4 + 12, latency=20 + 20)


def test_too_few_requests_in_flight_are_latency() -> None:
    """One burst of 16 B at a time, 20 + 2 cycles each: 16 / 22 B a cycle. W 48 B 66 cycles, A 22; the DRAM could 6, 2.

    W 0..66, there at 86; A 66..88, there at 108; streams 108..109, out at 115, vector 116; store 116..138, at 158.
    """
    arch = machine(4, 4)
    arch = arch.model_copy(update={"dram": arch.dram.model_copy(update={"outstanding": 1})})
    path, _ = of_one_layer(linear(4, 4), arch, ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels"))
    assert path == CriticalPath(compute=1, fill_drain=6, vector=1, latency=158 - 8)


def test_a_device_is_waited_for_by_its_pins_or_by_its_rows() -> None:
    """Long streams keep the pins busy; with one request in flight they mostly wait; a port of 1 B/cycle is slower."""
    net = linear(512, 64)
    for outstanding, width, name in ((64, 64, "bandwidth"), (1, 64, "latency"), (64, 1, "width")):
        plain = machine(4, 4, buffers=(1 << 16, 4096, 4096), width=f"{width} B/cycle")
        dram = DramSpec(device=DramDevice.named("lpddr4-3200"), outstanding=outstanding).at_clock(plain.clock_hz)
        arch = plain.model_copy(update={"dram": dram})
        mapping = ArrayMapping("weight_stationary", 1, 1, 1, 1, 64, 512, "pixels")
        program = emit(lower(net.graph()), arch, [mapping])
        timeline = run(program, arch)
        weights = next(i for i in program.instructions if isinstance(i, Load) and i.buffer == "weight")
        assert timeline.limit[weights.index] == name


@given(
    seed=st.integers(0, 50),
    rows=st.integers(1, 8),
    columns=st.integers(1, 8),
    dataflow=st.sampled_from(DATAFLOWS),
    overlap=st.sampled_from(["none", "double_buffered"]),
    width=st.sampled_from(["2 B/cycle", "64 B/cycle"]),
    bandwidth=st.sampled_from(["1 B/cycle", "8 B/cycle", "64 B/cycle"]),
    double_buffered=st.booleans(),
    ports=st.integers(1, 2),
)
def test_every_cycle_is_on_the_path_and_no_unit_is_busier_than_all_the_time(
    seed, rows, columns, dataflow, overlap, width, bandwidth, double_buffered, ports
) -> None:
    net = residual_network(seed)
    arch = machine(rows, columns, dataflow, overlap, width=width, bandwidth=bandwidth, double_buffered=double_buffered)
    buffers = {name: buffer.model_copy(update={"ports": ports}) for name, buffer in arch.buffers}
    arch = arch.model_copy(update={"buffers": arch.buffers.model_copy(update=buffers)})
    program = compile_graph(net.graph(net.last), arch)
    clock = run_clock(program, arch)
    for spent, path, busy in zip(clock.cycles, clock.critical, clock.busy, strict=True):
        assert sum(dataclasses.astuple(path)) == spent.total
        assert min(dataclasses.astuple(path)) >= 0
        assert 0 <= min(dataclasses.astuple(busy)) <= max(dataclasses.astuple(busy)) <= spent.total
    timeline = clock.timeline
    for unit, kinds in (("array", Compute), ("dma", Load | Store)):
        mine = [i.index for i in program.instructions if isinstance(i, kinds)]
        worked = sum(timeline.consumed[index] - timeline.begin[index] for index in mine)
        assert sum(getattr(busy, unit) for busy in clock.busy) == worked
    # What is on the path was at work.
    assert sum(path.compute for path in clock.critical) <= sum(busy.array for busy in clock.busy)
    assert sum(path.vector for path in clock.critical) <= sum(busy.vector for busy in clock.busy)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=20),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), min_size=1, max_size=8),
)
def test_cut_counts_every_cycle_where_it_is(gaps, parts) -> None:
    spans, cycle = [], 0
    for gap, length in gaps:
        spans.append((cycle + gap, cycle + gap + length))
        cycle += gap + length
    ends = list(accumulate(length for length, _ in parts))
    ends[-1] = max(ends[-1], cycle)
    layers = [layer for _, layer in parts]
    taken = {at for begin, end in spans for at in range(begin, end)}
    expected = [0, 0, 0]
    for low, high, layer in zip([0, *ends], ends, layers, strict=False):
        expected[layer] += len(taken & set(range(low, high)))
    assert cut(spans, [Stretch(*at) for at in zip(ends, layers, strict=True)], 3) == expected
