"""What a record says of a program: names, shapes, totals, hashes, and what was observed where."""

from __future__ import annotations

import dataclasses
import hashlib
from math import prod

import numpy as np
import pytest

from accel import records
from accel.arch.technology import LeakageFigures, Sourced, load_technology
from accel.compile import compile_graph
from accel.cost.area import area_of
from accel.cost.energy import activity_energy, energy_of, leakage_mw
from accel.records import Observations, result_of
from accel.result import AccumulatorUse, Accuracy, Activity, Cycles, NumericError
from accel.sim.simulate import run_clock
from accel.version import __version__
from tests.machines import machine
from tests.networks import residual_network

ARCH = machine(4, 5)


@pytest.fixture(scope="module")
def program():
    net = residual_network(batch=2)
    return compile_graph(net.graph(net.last), ARCH)


@pytest.fixture(scope="module")
def clock(program):
    return run_clock(program, ARCH)


def test_an_estimate(program, clock) -> None:
    result = result_of("net", 2, ARCH, program, clock, None)
    technology = load_technology(ARCH.technology)
    assert (result.network, result.machine, result.kind, result.batch) == ("net", "test-4x5", "estimate", 2)
    assert (result.clock_hz, result.pe_count, result.macs_per_cycle) == (1e9, 20, 20.0)
    assert result.dram_bytes_per_cycle == 8.0
    assert result.area == area_of(ARCH, technology)
    assert (result.accuracy, result.output_sha256, result.accel_version) == (None, {}, __version__)
    assert len(result.layers) == len(program.layers)
    assert [(layer.critical, layer.busy, layer.peak) for layer in result.layers] == list(
        zip(clock.critical, clock.busy, clock.peak, strict=True)
    )
    for layer, made, spent in zip(result.layers, program.layers, clock.cycles, strict=True):
        assert (layer.name, layer.op, layer.macs) == (made.op.name, made.op.kind, made.op.macs)
        assert (layer.cycles, layer.actions) == (spent, made.actions)
        assert layer.energy == energy_of(made.actions, spent.total, ARCH, technology)
        assert layer.utilization == (made.op.macs / (20 * spent.total) if spent.total else 0)
        assert (layer.accumulator, layer.activity, layer.error) == (None, None, None)


def test_what_few_requests_in_flight_sustain(program) -> None:
    """One burst of 16 B at a time, 20 cycles under way and 2 on the bus."""
    slow = ARCH.model_copy(update={"dram": ARCH.dram.model_copy(update={"outstanding": 1})})
    result = result_of("net", 2, slow, program, run_clock(program, slow), None)
    assert (result.dram_bytes_per_cycle, result.dram_sustained_bytes_per_cycle) == (8.0, 16 / 22)


def test_units_shapes_and_mappings(program, clock) -> None:
    layers = {layer.name: layer for layer in result_of("net", 2, ARCH, program, clock, None).layers}
    assert (layers["conv0"].unit, layers["maxpool1"].unit, layers["flatten12"].unit) == ("array", "vector", "view")
    assert layers["conv0"].shape == "2x6x9x8"
    assert layers["conv0"].mapping.startswith("ws g1 ")
    assert layers["maxpool1"].mapping.startswith("vector b")
    view = layers["flatten12"]
    assert (view.mapping, view.cycles, view.shape) == ("", Cycles(), "2x12")
    # The parts of a Concat are layers of their own, and each says what it writes: 8 of 12 channels, then 4.
    first, second = layers["concat9[0]"], layers["concat9[1]"]
    assert [shape.split("x")[1] for shape in (first.shape, second.shape)] == ["8", "4"]
    assert first.shape.split("x")[2:] == second.shape.split("x")[2:]


def test_what_was_observed_goes_to_its_layer(program, clock) -> None:
    use = AccumulatorUse(12, 20, 3)
    activity = Activity(10, 20, 30, 100, 200, 300)
    error = NumericError(30.0, 0.99, 2.0, 0.5)
    host = next(position for position, layer in enumerate(program.layers) if layer.op.epilogue)
    seen = Observations(
        accumulators={0: use},
        activity={2: activity},
        errors={program.layers[host].op.write.tensor: error},
        accuracy=Accuracy(2, None, 0.5, None),
    )
    result = result_of("net", 2, ARCH, program, clock, seen)
    assert result.kind == "simulation"
    assert result.accuracy == Accuracy(2, None, 0.5, None)
    assert {i: layer.accumulator for i, layer in enumerate(result.layers) if layer.accumulator} == {0: use}
    assert [i for i, layer in enumerate(result.layers) if layer.error] == [host]
    ((position, found),) = [(i, layer.activity) for i, layer in enumerate(result.layers) if layer.activity]
    assert position == 2
    assert dataclasses.replace(found, energy=None) == activity
    technology = load_technology(ARCH.technology)
    actions, spent = program.layers[2].actions, clock.cycles[2].total
    assert found.energy == activity_energy(activity, actions, ARCH, technology, spent)


@pytest.mark.parametrize("dtype", ["int8", "<i4", ">i4", "<f4", ">f4"])
def test_hashes_are_of_little_endian_integers_in_c_order(program, clock, dtype) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    bytes_of_one = {"int8": 1}.get(dtype, 4)
    little = b"".join(
        (np.array(value, "<f4").tobytes() if "f" in dtype else value.to_bytes(bytes_of_one, "little"))
        for value in range(6)
    )
    for form in (values, np.asfortranarray(values)):
        seen = Observations(outputs={"y": form})
        digest = result_of("net", 2, ARCH, program, clock, seen).output_sha256
        assert digest == {"y": hashlib.sha256(little).hexdigest()}


def test_totals_are_sums_of_the_layers(program, clock) -> None:
    result = result_of("net", 2, ARCH, program, clock, None)
    assert result.latency_cycles == sum(spent.total for spent in clock.cycles)
    assert result.macs == sum(
        prod(layer.op.write.shape) * prod(dim.size for dim in layer.op.dims if dim.reduction)
        for layer in program.layers
        if layer.op.on_array
    )


def test_leakage_lasts_as_long_as_the_layer(program, clock, monkeypatch) -> None:
    """In the energy of the actions, and in that of the toggled bits."""
    published = load_technology(ARCH.technology)
    figures = LeakageFigures(
        logic_mw_per_mm2=Sourced(value=10.0, source="a test"), sram_mw_per_mm2=Sourced(value=20.0, source="a test")
    )
    leaky = published.model_copy(update={"leakage": figures})
    monkeypatch.setattr(records, "load_technology", lambda name: leaky)
    seen = Observations(activity={0: Activity(1, 1, 1, 2, 2, 2)})
    layers = result_of("net", 2, ARCH, program, clock, seen).layers
    for layer in layers:
        assert layer.energy.leakage_pj == pytest.approx(leakage_mw(ARCH, leaky) * layer.cycles.total)
    assert layers[0].activity.energy.leakage_pj == layers[0].energy.leakage_pj > 0
