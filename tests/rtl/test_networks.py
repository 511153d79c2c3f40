"""Whole networks on the RTL: programs with waits, narrow ports and every kind of tile, and the gallery's digits."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from accel.compile import compile_graph, fit_to_machine
from accel.errors import AccelError
from accel.flow.lower import lower
from accel.mapping.select import array_layers, select_array_layers
from accel.rtl.witness import compile_hardware, witness
from accel.sim.simulate import Simulator
from tests.conftest import Ran
from tests.fused import fused_program
from tests.machines import machine
from tests.networks import Builder
from tests.rtl.tools import needs_verilator

ARRAYS: dict[str, dict[str, Any]] = {
    "weights stay": {},
    "weights stay, no overlap": {"overlap": "none"},
    "results go down": {"dataflow": "output_stationary", "requantizer": "mantissa16_half_away"},
    "results go right, with latencies": {
        "dataflow": "output_stationary",
        "array": {"shift_out": "right", "multiplier_latency_cycles": 1, "accumulate_latency_cycles": 2},
    },
    "results stay, preloaded, no overlap": {
        "dataflow": "output_stationary",
        "overlap": "none",
        "array": {"shift_out": "none", "accumulator_preload": True},
    },
    "activations stay, slow hops": {
        "dataflow": "input_stationary",
        "requantizer": "shift_rne",
        "array": {
            "short_folds": "serialized",
            "horizontal_hop_latency_cycles": 2,
            "vertical_hop_latency_cycles": 2,
        },
    },
    "narrow sums that saturate": {
        "accumulator_bits": 17,
        "overflow": "saturate",
        "pe": {"partial_sum_bits": 16},
        "requantizer": "q31_double_rounding",
    },
    "narrow sums that wrap, preloaded": {
        "dataflow": "output_stationary",
        "array": {"accumulator_preload": True, "short_folds": "serialized", "output_latency_cycles": 2},
        "accumulator_bits": 18,
        "pe": {"partial_sum_bits": 17},
        "requantizer": "shared_exponent8",
    },
    "narrow at their end, where sums saturate once": {
        "accumulator_bits": 24,
        "pe": {"final_sum_bits": 15},
        "requantizer": "shared_exponent8",
    },
    "narrow sums of groups side by side": {"rows": 28, "columns": 4, "accumulator_bits": 17, "overflow": "saturate"},
    "one column": {"rows": 3, "columns": 1, "array": {"short_folds": "serialized"}},
}
SYSTEMS = 4
"""Buffers, ports and DRAM drawn for each array."""


def quiet(*_: object) -> None:
    pass


def small_network(rng: random.Random) -> Builder:
    builder = Builder(rng.randrange(1 << 30))
    source = builder.input(1, rng.choice([2, 4, 6]), rng.randint(4, 8), rng.randint(4, 8))
    first = builder.conv(source, 6, strides=rng.choice([(1, 1), (2, 2)]))
    grouped = builder.conv(first, 6, groups=rng.choice([1, 2, 6]))
    builder.conv(grouped, rng.choice([3, 9]), kernel=(1, 1), pads=(0, 0, 0, 0))
    return builder


@needs_verilator
@pytest.mark.parametrize("name", ARRAYS)
def test_programs_agree(name: str) -> None:
    """The array's waits come from the simulated system; when it begins and ends, and what it makes, is the RTL's."""
    rng = random.Random(name)
    overflows = beside = 0
    for _ in range(SYSTEMS):
        arch = machine(
            **ARRAYS[name],
            buffers=rng.choice([(512, 1024, 1024), (2048, 4096, 4096), (300, 700, 600)]),
            double_buffered=rng.random() < 0.6,
            bandwidth=rng.choice(["8 B/cycle", "2 B/cycle", "64 B/cycle"]),
            latency=rng.choice(["0 cycles", "20 cycles", "150 cycles"]),
            width=rng.choice(["64 B/cycle", "4 B/cycle", "2 B/cycle"]),
        )
        graph = fit_to_machine(small_network(rng).graph(), arch)
        program = compile_graph(graph, arch)
        layers = array_layers(program)
        hardware = compile_hardware(program, arch, layers, quiet)
        shape = graph.tensors[graph.inputs[0]].shape
        image = np.random.default_rng(rng.randrange(1 << 30)).choice([-128, -100, 0, 127], shape).astype(np.int8)
        checks = witness(program, Simulator(program, arch), hardware, {graph.inputs[0]: image}, layers, quiet)
        assert [check.position for check in checks] == layers
        for check in checks:
            assert check.passed, check
            assert check.sums.elements > 0
            assert check.integers is not None
            assert check.stamps.elements == 3 * check.folds
            overflows += check.rtl_overflows
        beside += sum(layer.mapping.groups_at_once > 1 for layer in program.layers if layer.op.on_array)
    assert (overflows > 0) == name.startswith("narrow")
    assert (beside > 0) == name.endswith("side by side")


@needs_verilator
@pytest.mark.parametrize(
    "name", ["weights stay", "weights stay, no overlap", "results go down", "activations stay, slow hops"]
)
def test_layers_that_take_turns(name: str) -> None:
    """Each layer's tiles by themselves; between them the array has worked for the other layer."""
    rng = random.Random(name)
    interleaved = 0
    for seed in range(SYSTEMS):
        arch = machine(**ARRAYS[name], buffers=(4096,) * 3, bandwidth=rng.choice(["2 B/cycle", "64 B/cycle"]))
        net = Builder(seed)
        x = net.conv(net.input(1, 3, 9, 9), 4)
        x = net.conv(x, 4, strides=rng.choice([(1, 1), (2, 2)]))
        net.conv(net.conv(x, 4, groups=rng.choice([1, 4])), 4, (1, 1), pads=(0, 0, 0, 0))
        graph = fit_to_machine(net.graph(), arch)
        program = fused_program(lower(graph), arch, rng, whole=False)
        layers = array_layers(program)
        hardware = compile_hardware(program, arch, layers, quiet)
        checks = witness(program, Simulator(program, arch), hardware, {"x": net.data()}, layers, quiet)
        assert [check.position for check in sorted(checks, key=lambda check: check.position)] == layers
        assert all(check.passed for check in checks), checks
        interleaved += sum({window.first, window.last} <= set(layers) for window in program.residency.windows)
    assert interleaved >= SYSTEMS


@needs_verilator
@pytest.mark.parametrize("arch", ["edge-32x32", "edge-32x32-is", "axis-systolic-8x8", "gemmini-mesh-16x16"])
def test_digits_whole(arch: str, accel: Callable[..., Ran]) -> None:
    ran = accel("verify", "digits-resnet8", "--arch", arch, "--rtl", "--json")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["passed"]
    assert record["rtl_witness"].startswith("Verilator")
    # 1 stem, 3 blocks of 2 convolutions, 2 shortcuts, 1 classifier; each of the convolutions' outputs is requantized.
    assert len(record["rtl"]) == 10
    outputs = [check["integers"]["elements"] for check in record["rtl"]]
    assert outputs == [16 * 16 * 16] * 3 + [8 * 8 * 32] * 3 + [4 * 4 * 64] * 3 + [10]


@needs_verilator
def test_some_layers(accel: Callable[..., Ran]) -> None:
    ran = accel("verify", "digits-resnet8", "--arch", "axis-systolic-8x8", "--rtl", "--layers", "3,fc_quant", "--json")
    assert [check["layer"] for check in json.loads(ran.out)["rtl"]] == ["stage1.conv1_quant", "fc_quant"]


class TestLayersByNumberAndName:
    def program(self) -> Any:
        builder = small_network(random.Random(1))
        arch = machine()
        return compile_graph(fit_to_machine(builder.graph(), arch), arch)

    def test_numbers_are_those_of_the_tables(self) -> None:
        program = self.program()
        first = array_layers(program)[0]
        assert select_array_layers(program, f" {first + 1} ") == [first]
        assert select_array_layers(program, program.layers[first].op.name) == [first]

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            ("99", "there is no layer 99; they are numbered from 1 to"),
            ("0", "there is no layer 0"),
            ("3,", 'there is no layer ""'),
            ("-1", 'there is no layer "-1"'),
            pytest.param("9" * 5000, "there is no layer", id="more digits than Python takes for a number"),
            ("fold", 'there is no layer "fold"'),
        ],
    )
    def test_what_is_not_there(self, wanted: str, message: str) -> None:
        with pytest.raises(AccelError, match=message):
            select_array_layers(self.program(), wanted)


def test_layers_need_the_rtl(accel: Callable[..., Ran]) -> None:
    ran = accel("verify", "digits-resnet8", "--arch", "edge-32x32", "--layers", "3")
    assert ran.code == 2
    assert "add --rtl" in ran.err


def test_a_layer_that_is_not_on_the_array(accel: Callable[..., Ran]) -> None:
    ran = accel("verify", "digits-resnet8", "--arch", "edge-32x32", "--rtl", "--layers", "1")
    assert ran.code == 2
    assert "layer 1, input_QuantizeLinear, does not run on the array; these do: 2, 3," in ran.err
