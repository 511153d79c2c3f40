"""Layers that take turns make the same integers as layers one behind the other, and every cycle is accounted for."""

from __future__ import annotations

import dataclasses
import random
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.spec import Machine
from accel.arch.timing import ArrayTiming
from accel.flow.lower import lower
from accel.graph.ir import Graph
from accel.mapping.emit import emit
from accel.mapping.fusion import window_of
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector
from accel.mapping.residency import nothing_stays
from accel.mapping.search import Chooser
from accel.sim.engine import Timeline, run
from accel.sim.occupancy import stays
from accel.sim.simulate import Simulator
from accel.witnessing import reference_of
from tests.differential.test_sanity import ANY
from tests.fused import chain, fused_program, one_row_less
from tests.machines import machine
from tests.networks import Builder


def any_program(arch: Machine, seed: int, batch: int, several: bool) -> tuple[Machine, Builder, Graph, Program]:
    net = chain(seed, batch)
    graph = net.graph(net.last)
    if several:
        dataflows = ("output_stationary", "weight_stationary")
        arch = arch.model_copy(update={"array": arch.array.model_copy(update={"dataflow": dataflows})})
    return arch, net, graph, fused_program(lower(graph), arch, random.Random(seed))


@settings(max_examples=60)
@given(arch=ANY, seed=st.integers(0, 1000), batch=st.integers(1, 2), fed=st.booleans(), several=st.booleans())
def test_any_pairs_on_any_machine(arch, seed, batch, fed, several) -> None:
    arch, net, graph, program = any_program(arch, seed, batch, several)
    data = {"x": net.data()}
    expected = reference_of(graph, program, arch, data).tensors
    simulator = Simulator(program, arch)
    seen: dict[str, np.ndarray] = {}
    ran = simulator.run(
        data,
        keep=list(expected),
        on_tensor=lambda name, values: seen.update({name: values.copy()}),
        fed=expected if fed else None,
    )
    made = {layer.op.write.tensor for layer in program.layers if not layer.op.is_view}
    assert made <= seen.keys()
    for name, values in seen.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    for name, values in ran.tensors.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)

    clock, windows = simulator.clock, program.residency.windows
    total = max(clock.timeline.done)
    assert sum(cycles.total for cycles in clock.cycles) == total
    assert sum(sum(dataclasses.astuple(path)) for path in clock.critical) == total
    for spent, busy in zip(clock.cycles, clock.busy, strict=True):
        assert max(dataclasses.astuple(busy)) <= spent.total
    for name, buffer in arch.buffers.by_name.items():
        assert max(taken for _, taken in clock.occupancy[name]) <= buffer.capacity_bytes
    moved = {i.tensor for i in program.instructions if isinstance(i, Load | Store)}
    assert moved.isdisjoint(window.tensor for window in windows)


def end(instruction: Instruction, timeline: Timeline) -> int:
    """When it is done with what it reads."""
    of_what = timeline.consumed if isinstance(instruction, Compute) else timeline.done
    return of_what[instruction.index]


@settings(max_examples=60)
@given(arch=ANY, seed=st.integers(0, 1000), batch=st.integers(1, 2), several=st.booleans())
def test_every_row_is_there_while_it_is_read(arch, seed, batch, several) -> None:
    """By the clock alone: written before the reader begins, and not overwritten before it is done."""
    arch, _, _, program = any_program(arch, seed, batch, several)
    timeline = run(program, arch)
    for window in program.residency.windows:
        op = program.layers[window.last].op
        (part,) = [part for part, read in enumerate(op.reads) if read.tensor == window.tensor]
        height = op.reads[part].shape[2]
        written: dict[int, list[Vector]] = {}
        for vector in (i for i in program.instructions if isinstance(i, Vector) and i.layer == window.first):
            (image, _), _, rows, _ = vector.box
            for row in range(*rows):
                written.setdefault(image * height + row, []).append(vector)
        for reader in (i for i in program.instructions if i.layer == window.last and isinstance(i, Compute | Vector)):
            if isinstance(reader, Vector) and not reader.operands:
                continue
            (image, _), _, rows, _ = reader.image if isinstance(reader, Compute) else reader.operands[part]
            for row in (image * height + row for row in range(*rows)):
                assert all(timeline.done[vector.index] <= timeline.begin[reader.index] for vector in written[row])
                later = written.get(row + window.rows, [])
                assert all(end(reader, timeline) <= timeline.begin[vector.index] for vector in later)


@settings(max_examples=60)
@given(arch=ANY, seed=st.integers(0, 1000), batch=st.integers(1, 2), several=st.booleans())
def test_the_array_and_the_buffers_are_handed_over(arch, seed, batch, several) -> None:
    """From tile to tile by the array's laws, and from pair to pair when all of it is done; nothing lies on top."""
    arch, _, _, program = any_program(arch, seed, batch, several)
    timeline, stages = run(program, arch), program.stages
    computes = [i for i in program.instructions if isinstance(i, Compute)]
    for one, other in pairwise(computes):
        dataflows = {program.layers[compute.layer].mapping.dataflow for compute in (one, other)}
        if len(dataflows) > 1 or stages[one.layer] != stages[other.layer]:
            assert timeline.begin[other.index] >= timeline.done[one.index]
        else:
            timing = ArrayTiming.of(arch.array, dataflows.pop())
            least = timing.issue_cycles(one.folds, one.stream, other.stream)
            assert timeline.begin[other.index] >= timeline.begin[one.index] + least
    done = 0
    for stage in sorted(set(stages)):
        mine = [i for i in program.instructions if stages[i.layer] == stage]
        ahead = [i for i in mine if isinstance(i, Load) and i.buffer == "weight"]
        assert all(timeline.begin[i.index] >= done for i in mine if i not in ahead)
        done = max((timeline.done[i.index] for i in mine), default=done)
    found = stays(program, arch, timeline)
    for one, other in combinations(found, 2):
        at_once = one.begin < other.end and other.begin < one.end
        apart = one.offset + one.size_bytes <= other.offset or other.offset + other.size_bytes <= one.offset
        assert one.buffer != other.buffer or apart or not at_once


def two_in_turns(sizes: tuple[int, int], dataflows: tuple[str, str]) -> tuple[Machine, list[Compute], Timeline]:
    """Convolutions of 4 channels with square windows of these sizes, under these dataflows; nothing else takes long."""
    net = Builder()
    x = net.conv(net.input(1, 4, 8, 8), 4, (sizes[0],) * 2, pads=(sizes[0] // 2,) * 4)
    net.conv(x, 4, (sizes[1],) * 2, pads=(sizes[1] // 2,) * 4)
    flow = lower(net.graph())
    arch = machine(
        16, 4, bandwidth="1 KiB/cycle", latency="0 cycles", lanes=64, width="1 KiB/cycle", buffers=(1 << 14,) * 3
    )
    arch = arch.model_copy(
        update={"array": arch.array.model_copy(update={"dataflow": tuple(dict.fromkeys(dataflows))})}
    )
    stays = nothing_stays(flow, arch)
    residency = stays.with_window(window_of(flow, stays, 0, 1, 8), {0: 2, 1: 2})
    mappings = [
        ArrayMapping(dataflow, 1, 1, 2, 8, 4, 4 * size**2, "pixels")
        for size, dataflow in zip(sizes, dataflows, strict=True)
    ]
    program = emit(flow, arch, mappings, residency)
    return arch, [i for i in program.instructions if isinstance(i, Compute)], run(program, arch)


@pytest.mark.parametrize("sizes", [(3, 1), (1, 3)])
def test_a_tile_of_the_other_layer_waits_for_results_that_shift_out(sizes) -> None:
    """16 rows shift out in 16 cycles: behind 3 x 3 x 4 products a pixel, 1 x 1 x 4 of them would be through in 4."""
    arch, computes, timeline = two_in_turns(sizes, ("output_stationary", "output_stationary"))
    timing = ArrayTiming.of(arch.array, "output_stationary")
    handed_over = 0
    for one, other in pairwise(computes):
        least = timing.issue_cycles(one.folds, one.stream, other.stream)
        gap = timeline.begin[other.index] - timeline.begin[one.index]
        assert gap >= least
        handed_over += one.layer != other.layer and gap == least
    assert handed_over


@pytest.mark.parametrize(
    "dataflows", [("output_stationary", "weight_stationary"), ("input_stationary", "weight_stationary")]
)
def test_a_tile_under_another_dataflow_waits_until_the_array_is_empty(dataflows) -> None:
    _, computes, timeline = two_in_turns((3, 3), dataflows)
    handed_over = 0
    for one, other in pairwise(computes):
        if one.layer != other.layer:
            assert timeline.begin[other.index] >= timeline.done[one.index]
            handed_over += timeline.begin[other.index] == timeline.done[one.index]
    assert handed_over


def test_rows_that_nobody_reads_are_waited_for_too() -> None:
    """Of 8 rows a stride of 2 reads the first 7; the last one is made when the reader is through."""
    net = Builder()
    x = net.conv(net.conv(net.input(1, 4, 8, 8), 4), 4, (1, 1), strides=(2, 2), pads=(0, 0, 0, 0))
    net.conv(x, 4)
    flow, arch = lower(net.graph()), machine(buffers=(1 << 12,) * 3)
    stays = nothing_stays(flow, arch)
    residency = stays.with_window(window_of(flow, stays, 0, 1, 1), {0: 1, 1: 1})
    program = emit(flow, arch, Chooser(flow, arch).all(residency), residency)
    (last_made,) = [
        i.index for i in program.instructions if isinstance(i, Vector) and i.layer == 0 and i.box[2] == (7, 8)
    ]
    assert last_made > max(i.index for i in program.instructions if i.layer == 1)
    behind = [i for i in program.instructions if isinstance(i, Load) and i.layer == 2 and i.buffer == "activation"]
    assert behind
    assert all(last_made in load.waits for load in behind)


def test_many_pairs_are_drawn() -> None:
    """That the test above tests something: in most networks layers take turns, and some windows hold few rows."""
    nets = [chain(seed) for seed in range(20)]
    programs = [fused_program(lower(net.graph(net.last)), machine(), random.Random(net.seed)) for net in nets]
    found = [window for program in programs for window in program.residency.windows]
    assert len(found) >= 15
    assert min(window.rows for window in found) <= 4


def test_a_window_that_is_too_small_gives_wrong_integers() -> None:
    """Rows really are overwritten: what the emitter keeps apart would otherwise prove nothing."""
    wrong = 0
    for seed in range(12):
        net = chain(seed)
        graph, arch = net.graph(net.last), machine()
        program = fused_program(lower(graph), arch, random.Random(seed))
        data = {"x": net.data()}
        expected = reference_of(graph, program, arch, data).tensors
        for window in (window for window in program.residency.windows if window.rows > 1):
            reader = program.layers[window.last].op.write.tensor
            ran = Simulator(one_row_less(program, window.tensor), arch).run(data, keep=[reader])
            wrong += bool((ran.tensors[reader] != expected[reader]).any())
    assert wrong >= 3


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary", "input_stationary"])
def test_a_slower_dram_gains_most(dataflow) -> None:
    """What passes through the window needs no bandwidth: against layers apart, the share of cycles saved grows."""
    net = chain(3)
    flow = lower(net.graph(net.last))
    shares = []
    for bandwidth in ("64 B/cycle", "1 B/cycle"):
        arch = machine(dataflow=dataflow, bandwidth=bandwidth, buffers=(1024, 2048, 2048))
        program = fused_program(flow, arch, random.Random(4))
        apart = emit(flow, arch, Chooser(flow, arch).all(nothing_stays(flow, arch)))
        turns, alone = (max(Simulator(some, arch).timeline.done) for some in (program, apart))
        assert program.residency.windows
        shares.append(1 - turns / alone)
    assert shares[1] > shares[0]
