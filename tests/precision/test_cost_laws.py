"""Laws beside a machine: counts by hand, cycles from the same estimate as any network's, widths a machine lacks."""

from __future__ import annotations

import json

import pytest

from accel import api
from accel.precision.cost_laws import study
from accel.precision.what_if import Widths, with_widths
from accel.studies.cost_laws import Costs, total
from tests.machines import machine
from tests.networks import Builder, residual_network

ARCH = machine(8, 8, buffers=(4096, 8192, 8192))


@pytest.fixture(scope="module")
def two_layers():
    """A 3x3 convolution of 2 images (4 -> 6 channels, 5 x 5) and a classifier on 150 features."""
    net = Builder()
    x = net.conv(net.input(2, 4, 5, 5), 6)
    return net.graph(net.linear(net.flatten(x), 10))


def test_laws_by_hand(two_layers) -> None:
    found = study("net", two_layers, None, Widths(weights=4, activations=2))
    conv, fc = found.layers
    assert (conv.macs, conv.weights) == (2 * 25 * 4 * 6 * 9, 4 * 6 * 9)
    assert (fc.macs, fc.weights) == (2 * 150 * 10, 1500)
    for layer in found.layers:
        assert layer.costs == Costs(8 * layer.macs, 4 * layer.macs, 4 * layer.weights, None, None)
        assert layer.at_8_bits == Costs(64 * layer.macs, 8 * layer.macs, 8 * layer.weights, None, None)
    shares = found.costs.relative_to(found.at_8_bits)
    assert shares == {"bops": 1 / 8, "aqt_linear": 0.5, "memory_bits": 0.5, "cycles": None, "energy_pj": None}
    assert (found.machine, found.what_if, found.batch) == ("", "weights 4 bits, activations 2 bits", 2)


def test_the_machine_is_the_estimate_of_the_network(two_layers) -> None:
    found = study("net", two_layers, ARCH)
    result = api.estimate(api.Network("net", two_layers), ARCH)
    assert found.costs.cycles == result.latency_cycles
    assert found.costs.energy_pj == pytest.approx(result.energy_pj)
    assert [layer.costs.cycles for layer in found.layers] == [
        layer.cycles.total for layer in result.layers if layer.unit == "array"
    ]
    # The file has 8 bits: whatever the law, it is its own reference.
    assert all(share == 1 for share in found.costs.relative_to(found.at_8_bits).values())
    assert found.notes == ()


def test_narrow_operands_take_less_memory_traffic_and_never_more_cycles_in_all() -> None:
    net = residual_network(2, size=17)
    graph = net.graph(net.last)
    found = study("net", graph, ARCH, Widths(4, 4, 8))
    narrow = api.estimate(api.Network("net", with_widths(graph, Widths(4, 4, 8))), ARCH)
    assert found.costs.cycles == narrow.latency_cycles
    shares = found.costs.relative_to(found.at_8_bits)
    assert shares["energy_pj"] < 1
    assert shares["cycles"] <= 1
    assert found.others.cycles + sum(layer.costs.cycles for layer in found.layers) == found.costs.cycles


def test_a_machine_without_these_widths(two_layers) -> None:
    found = study("net", two_layers, ARCH, Widths(16, 12))
    assert found.costs.cycles is None
    assert found.at_8_bits.cycles is not None
    assert found.notes == (
        "no cycles on test-8x8: conv0 and linear2 have int16 weights, and the processing elements take int8; "
        "conv0 and linear2 have int12 activations, and the processing elements take int8",
    )
    four = machine(8, 8, weight="int4", activation="int4", buffers=(4096, 8192, 8192))
    found = study("net", two_layers, four, Widths(4, 4))
    assert found.costs.cycles is not None
    assert found.at_8_bits.cycles is None
    assert found.costs.relative_to(found.at_8_bits)["cycles"] is None
    assert found.notes == (
        "at 8 bits: no cycles on test-8x8: conv0 and linear2 have int8 weights, and the processing elements take int4; "
        "conv0 and linear2 have int8 activations, and the processing elements take int4",
    )


def test_json_has_totals_and_shares(two_layers) -> None:
    found = study("net", two_layers, ARCH, Widths(weights=2))
    record = json.loads(found.to_json())
    assert record["totals"]["bops"] == sum(layer["costs"]["bops"] for layer in record["layers"])
    assert record["totals"]["relative_to_8_bits"]["memory_bits"] == 0.25
    assert record["layers"][0]["relative_to_8_bits"]["bops"] == 0.25
    assert record["totals"]["cycles"] == found.costs.cycles


def test_costs_add_up_and_the_unknown_stays_unknown() -> None:
    known, unknown = Costs(1, 2, 3, 4, 5.0), Costs(10, 20, 30, None, None)
    assert total([known, known]) == Costs(2, 4, 6, 8, 10.0)
    assert total([known, unknown]) == Costs(11, 22, 33, None, None)
    assert total([]).relative_to(known)["bops"] == 0
    assert known.relative_to(Costs())["bops"] is None
