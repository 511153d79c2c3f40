"""The closed-form bounds against the clock: never above it, and close to it where one thing sets the pace."""

from __future__ import annotations

import random
from dataclasses import replace
from math import ceil, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import gallery
from accel.arch.dram import DramDevice
from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.flow.lower import lower
from accel.mapping.bound import OUTER, ArrayBounds, Way
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping, layer_step, most_groups_at_once
from accel.mapping.program import Program
from accel.mapping.residency import Kept, Residency
from accel.mapping.space import footprint, loop_sizes, whole_groups
from accel.mapping.vector_bound import VectorBounds
from accel.sim.engine import run
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder
from tests.sim.dram_devices import devices, easy

FIELDS: list[dict[str, Any]] = [
    {},
    {"double_buffered": False},
    {"overlap": "none"},
    {"bandwidth": "1 B/cycle"},
    {"bandwidth": "64 B/cycle", "latency": "0 cycles"},
    {"width": "2 B/cycle"},
    {"lanes": 1},
    {"array": {"short_folds": "serialized", "vertical_hop_latency_cycles": 2}},
    {"array": {"shift_out": "right", "accumulator_preload": True, "multiplier_latency_cycles": 2}},
    {"pe": {"products": 2}},
    {"weight": "int4", "pe": {"split_operands": True}},
]


def any_layer(rng: random.Random) -> Flow:
    net = Builder(rng.randrange(1 << 30))
    match rng.randrange(5):
        case 0:
            kernel, groups = rng.choice([(1, 1), (3, 3), (2, 3)]), rng.choice([1, 1, 2, 4])
            source = net.input(rng.randint(1, 3), 4 * rng.randint(1, 3), rng.randint(3, 9), rng.randint(3, 9))
            strides = rng.choice([(1, 1), (2, 2)])
            net.conv(source, 4 * rng.randint(1, 4), kernel, strides, (1, 0, 1, 0), groups=groups)
        case 1:
            channels = rng.randint(2, 9)
            net.relu(net.conv(net.input(1, channels, rng.randint(3, 9), 7), channels, groups=channels))
        case 2:
            net.linear(net.input(rng.randint(1, 4), rng.randint(1, 90)), rng.randint(1, 50))
        case 3:
            net.max_pool(net.input(2, rng.randint(1, 9), 9, rng.randint(5, 9)), (3, 3), (2, 1), (1, 1, 1, 1))
        case _:
            x = net.input(1, rng.randint(1, 9), 5, 7)
            y = net.add(x, x)
            net.relu(y)
    return lower(net.graph())


Case = tuple[FlowOp, Flow, Machine, Residency, np.ndarray]


def any_case(rng: random.Random) -> Case:
    """A layer, a machine, what stays on chip, and some tilings that fit."""
    while True:
        flow = any_layer(rng)
        op = flow.ops[-1]
        flow = replace(flow, ops=(op,))
        fields = rng.choice(FIELDS)
        rows, columns = rng.choice([(4, 5), (20, 6), (1, 1), (9, 2)])
        buffers = rng.choice([(512, 1024, 1024), (4096, 4096, 4096)])
        arch = machine(rows, columns, rng.choice(DATAFLOWS), buffers=buffers, **fields)
        if rng.random() < 0.3:
            single = {name: buffer.model_copy(update={"ports": 1}) for name, buffer in arch.buffers}
            arch = arch.model_copy(update={"buffers": arch.buffers.model_copy(update=single)})
        size = list(loop_sizes(op).values())
        drawn = [[rng.choice([one, rng.randint(1, one)]) for one in size] for _ in range(12)]
        tilings = np.array(drawn, np.int64).T
        tilings = tilings[:, whole_groups(op, tilings)]
        kept = residency(op, flow, arch, rng)
        room = kept.room(0, op)
        tilings = tilings[:, footprint(op, flow, arch, room, tilings).fits(arch, room)]
        if tilings.size:
            return op, flow, arch, kept, tilings


def residency(op: FlowOp, flow: Flow, arch: Machine, rng: random.Random) -> Residency:
    """Some of the layer's tensors stay at the end of the activation buffer."""
    names = dict.fromkeys([*(read.tensor for read in op.reads), op.write.tensor])
    free = arch.buffers.activation.capacity_bytes
    kept = {}
    for name in names:
        size = ceil(prod(flow.tensors[name].shape) * flow.tensors[name].bits / 8)
        if rng.random() < 0.3 and size <= free:
            free -= size
            kept[name] = Kept(name, free, size, 0, 0)
    return Residency(kept, (free,))


def timed(flow: Flow, arch: Machine, kept: Residency, mapping: ArrayMapping | VectorMapping) -> tuple[Program, int]:
    program = emit(flow, arch, [mapping], kept)
    return program, max(run(program, arch).done)


def assert_bounds_hold(case: Case, rng: random.Random) -> list[float]:
    """For every tiling, one way; what is returned is how near the bounds on cycles are."""
    op, flow, arch, kept, tilings = case
    room = kept.room(0, op)
    bounds: ArrayBounds | VectorBounds
    mappings: list[tuple[int, ArrayMapping | VectorMapping]]
    if op.on_array:
        bounds = ArrayBounds(op, flow, arch, room, tilings)
        most = most_groups_at_once(op, arch, layer_step(op, flow.tensors, arch))
        (dataflow,) = arch.array.dataflow
        way = Way(dataflow, rng.choice(OUTER))
        if dataflow == "weight_stationary" and rng.random() < 0.5:
            way = Way(dataflow, way.outer, rng.randint(1, most))
        bound = bounds.of(way)
        whole = np.equal(tilings[-2:].T, list(loop_sizes(op).values())[-2:]).all(axis=1)
        legal = [index for index in range(tilings.shape[1]) if way.groups_at_once == 1 or whole[index]]
        mappings = [(index, bounds.mapping(way, index)) for index in legal]
    else:
        bounds = VectorBounds(op, flow, arch, room, tilings)
        bound = bounds.bounds()
        mappings = [(index, bounds.mapping(index)) for index in range(tilings.shape[1])]
    ratios = []
    for index, mapping in mappings:
        program, cycles = timed(flow, arch, kept, mapping)
        assert bound.cycles[index] <= cycles, (mapping, arch, kept)
        actions = program.layers[0].actions
        for name, amount in bound.actions.items():
            least = int(np.broadcast_to(amount, tilings.shape[1])[index])
            assert least <= getattr(actions, name), (name, mapping, arch, kept)
        ratios.append(bound.cycles[index] / cycles)
    return ratios


@pytest.mark.parametrize("seed", range(12))
def test_no_clock_is_faster_and_no_layer_does_less(seed) -> None:
    rng = random.Random(seed)
    ratios = [ratio for _ in range(12) for ratio in assert_bounds_hold(any_case(rng), rng)]
    assert np.mean(ratios) > 0.8


@st.composite
def devices_around(draw: st.DrawFn) -> dict[str, Any]:
    """Drawn devices of small rows, or ones of the gallery, and how many requests are in flight."""
    preset = draw(st.sampled_from([None, None, "easy", *(path.stem for path in gallery.drams())]))
    if preset == "easy":
        device = easy()
    elif preset is None:
        device = draw(devices())
    else:
        device = DramDevice.named(preset, channels=draw(st.sampled_from([1, 2])))
    shape = device.organization.model_copy(update={"rows": 1 << 12})
    return {
        "outstanding": draw(st.sampled_from([1, 2, 3, 8, 64])),
        "device": device.model_copy(update={"organization": shape}).model_dump(by_alias=True),
    }


@settings(max_examples=60, deadline=None)
@given(dram=devices_around(), seed=st.integers(0, 1 << 30), clock=st.sampled_from(["1 GHz", "233 MHz", "2 GHz"]))
def test_no_device_is_faster(dram, seed, clock) -> None:
    """Rows that are open answer at once, channels work side by side, and requests are asked for ahead."""
    rng = random.Random(seed)
    op, flow, arch, kept, tilings = any_case(rng)
    arch = Machine.model_validate(arch.to_file() | {"dram": dram, "clock": clock})
    assert_bounds_hold((op, flow, arch, kept, tilings[:, :4]), rng)
