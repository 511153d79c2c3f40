"""What stays on chip: by hand, and what must hold of any plan."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.graph.execute import execute
from accel.mapping.emit import emit
from accel.mapping.residency import nothing_stays, plan_residency
from accel.mapping.ring import Ring
from accel.mapping.search import choose
from accel.sim.engine import run
from accel.sim.simulate import Simulator
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network


def two_convolutions(features: int = 4) -> Builder:
    net = Builder()
    net.conv(net.conv(net.input(1, 4, 6, 6), features), 4)
    return net


def test_a_tensor_between_two_layers_stays_if_it_fits() -> None:
    """4 channels of 6 x 6 pixels, 144 B; the first layer reads 144 B of its own, in halves: 288 B besides."""
    for capacity, stays in ((144 + 288, True), (144 + 287, False)):
        flow = lower(two_convolutions().graph())
        plan = plan_residency(flow, machine(buffers=(1024, capacity, 1024)))
        assert bool(plan.kept) == stays
        if stays:
            (kept,) = plan.kept.values()
            assert (kept.offset, kept.size_bytes, kept.first, kept.last) == (288, 144, 0, 1)
            assert plan.free_bytes == (288, 288)


def test_a_tensor_that_stays_costs_no_traffic() -> None:
    """Read and written through DRAM it would be 144 B each way; weights, input and output remain."""
    flow = lower(two_convolutions().graph())
    arch = machine(buffers=(1024, 1024, 1024))
    plan = plan_residency(flow, arch)
    with_plan = emit(flow, arch, choose(flow, arch, plan), plan)
    without = emit(flow, arch, choose(flow, arch), nothing_stays(flow, arch))
    first, second = (layer.actions for layer in with_plan.layers)
    assert first.dram_write_bytes == 0
    assert second.dram_write_bytes >= 144
    assert second.dram_read_bytes == with_plan.places["conv1.weight"].size_bytes
    assert max(run(with_plan, arch).done) < max(run(without, arch).done)


def test_inputs_and_outputs_of_the_network_are_in_dram() -> None:
    net = two_convolutions()
    plan = plan_residency(lower(net.graph()), machine(buffers=(1 << 16,) * 3))
    assert set(plan.kept) == {"conv0_out"}


def test_a_residual_that_stays_is_not_read_again() -> None:
    net = Builder()
    x = net.conv(net.input(1, 4, 6, 6), 4)
    net.relu(net.add(net.conv(net.conv(x, 4), 4), x))
    flow = lower(net.graph())
    arch = machine(buffers=(1 << 12,) * 3)
    program = compile_graph(net.graph(), arch)
    add = next(layer for layer in program.layers if layer.op.kind == "add")
    assert add.actions.dram_read_bytes == 0
    spilled = emit(flow, arch, choose(flow, arch))
    add = next(layer for layer in spilled.layers if layer.op.kind == "add")
    assert add.actions.dram_read_bytes == 2 * 144


def branches(seed: int) -> Builder:
    """Layers that read any tensor before them; tensors of many sizes last for one layer or for many."""
    net, rng = Builder(seed), random.Random(seed)
    found = [net.input(1, 2, 3, 5)]
    for _ in range(9):
        source, other = rng.choice(found), rng.choice(found[-2:])
        match rng.randrange(3):
            case 0:
                found.append(net.concat(source, other))
            case 1:
                found.append(net.max_pool(other, (1, 1), (1, 1)))
            case _:
                found.append(net.conv(other, rng.randint(1, 9), (1, 1), pads=(0, 0, 0, 0)))
    net.last = found[-1]  # type: ignore[attr-defined]
    return net


@settings(max_examples=200)
@given(
    net=st.builds(residual_network, st.integers(0, 60), st.integers(1, 2)) | st.builds(branches, st.integers(0, 1000)),
    capacity=st.integers(300, 4000),
    double=st.booleans(),
)
def test_places_are_free_for_as_long_as_they_are_taken(net, capacity, double) -> None:
    flow = lower(net.graph(net.last))
    plan = plan_residency(flow, machine(buffers=(1024, capacity, 1024), double_buffered=double))
    places = {kept.tensor: kept for kept in plan.kept.values()}.values()
    for kept in places:
        assert kept.offset >= 0
        assert kept.offset + kept.size_bytes <= capacity
        assert all(plan.free_bytes[layer] <= kept.offset for layer in range(kept.first, kept.last + 1))
    for one, other in combinations(places, 2):
        at_once = one.first <= other.last and other.first <= one.last
        apart = one.offset + one.size_bytes <= other.offset or other.offset + other.size_bytes <= one.offset
        assert apart or not at_once


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 60),
    batch=st.integers(1, 2),
    capacity=st.sampled_from([700, 1024, 2048, 1 << 14]),
    dataflow=st.sampled_from(DATAFLOWS),
    double=st.booleans(),
)
def test_integers_are_the_same_wherever_tensors_lie(seed, batch, capacity, dataflow, double) -> None:
    net = residual_network(seed, batch=batch)
    graph = net.graph(net.last)
    arch = machine(dataflow=dataflow, buffers=(1024, capacity, 1024), double_buffered=double)
    program = compile_graph(graph, arch)
    (name,) = graph.inputs
    tensor = graph.tensors[name]
    values = np.random.default_rng(seed).integers(-128, 128, tensor.shape).astype(np.int8)
    made = Simulator(program, arch).run({name: values}).tensors[net.last]
    assert np.array_equal(made, execute(graph, {name: values}).tensors[net.last])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 40)), max_size=40), st.integers(40, 100), st.booleans())
def test_a_ring_hands_out_places_that_nobody_else_has(claims, capacity, double) -> None:
    """Against a map of the bytes: whose tile lay there last, whole or in part, and so who may still be reading it."""
    ring = Ring(capacity, double)
    owner: list[int | None] = [None] * capacity
    for number, (_, size) in enumerate(claims):
        tile, waits = ring.claim(number, size)
        lost = {owner[byte] for byte in range(tile.offset, tile.end)} if double else set(owner)
        assert waits == tuple(sorted(reader for reader in lost if reader is not None))
        if not double:
            owner = [None] * capacity
        owner[tile.offset : tile.end] = [number] * size
        tile.readers.append(number)
        for other in range(number + 1):
            assert (ring.find(other) is not None) == (owner.count(other) == claims[other][1])


def test_a_ring_keeps_what_is_read_again_and_again_in_one_stretch() -> None:
    """100 B: 50 are taken; three tiles of 30 B fit if they begin at the front, and not behind those 50."""
    ring = Ring(100, double_buffered=True)
    ring.claim("before", 50)
    ring.room_for(90)
    assert [ring.claim(number, 30)[0].offset for number in range(3)] == [0, 30, 60]
    assert all(ring.find(number) is not None for number in range(3))
