"""Machines that are bound by one thing: it is named, and more of it helps most."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import pytest

from accel.bottlenecks import study
from accel.errors import AccelError
from accel.explore import workers
from accel.studies.bottleneck import BOUNDS, Bottleneck, bound, intensity, roof
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network


def linear(inputs: int, features: int, rows: int = 1) -> Builder:
    net = Builder()
    net.linear(net.input(rows, inputs), features)
    return net


FAST = {"bandwidth": "1024 B/cycle", "latency": "1 cycles", "width": "1024 B/cycle", "lanes": 64}
LARGE = (1 << 16,) * 3
CASES: dict[str, tuple[Builder, dict[str, Any], str]] = {
    # 16 KiB of weights for one row of activations: each byte comes once, 1 B a cycle.
    "DRAM bandwidth": (
        linear(128, 128),
        FAST | {"bandwidth": "1 B/cycle", "buffers": LARGE},
        "DRAM bandwidth",
    ),
    # 64 bytes there and back, 5,000 cycles each way, little besides.
    "DRAM latency": (linear(4, 4), FAST | {"latency": "5000 cycles"}, "DRAM latency"),
    # 1,024 rows of 4 x 4 products stream 1 cycle each; one lane needs 4 cycles for what each of them makes.
    "vector unit": (linear(4, 4, rows=1024), FAST | {"lanes": 1, "buffers": LARGE}, "vector lanes"),
    # 64 x 64 weights for 1,024 rows on 4 x 5 PEs: 16 x 13 folds of 1,024 cycles, and everything else is quick.
    "compute": (linear(64, 64, rows=1024), FAST | {"buffers": (1 << 18,) * 3}, "array rows"),
    # The same work, with 4 activations a cycle to read through a port of one byte.
    "buffer width": (
        linear(64, 64, rows=1024),
        FAST | {"buffers": (1 << 18,) * 3, "activation_width": "1 B/cycle"},
        "activation buffer width",
    ),
}


def studied(net: Builder, activation_width: str | None = None, **fields: Any) -> Bottleneck:
    arch = machine(4, 5, **fields)
    if activation_width is not None:
        keys = arch.to_file()
        keys["buffers"]["activation"]["width"] = activation_width
        arch = type(arch).model_validate(keys)
    return study("net", net.graph(), arch)


@pytest.mark.parametrize("name", CASES)
def test_what_binds_is_named_and_more_of_it_helps_most(name) -> None:
    net, fields, resource = CASES[name]
    found = studied(net, **fields)
    (layer,) = found.result.layers
    assert bound(layer) == name
    share = max(dataclasses.astuple(layer.critical)) / layer.cycles.total
    assert share > 0.7
    speedups = {more.resource: found.speedup(more) or 0.0 for more in found.more}
    assert max(speedups, key=lambda resource: speedups[resource]) == resource
    # Half of the share is gone, at least nearly; and no more than half can go where the mapping stays.
    assert 0.95 / (1 - share / 2) < speedups[resource] < 2.1


@pytest.mark.parametrize("seed", range(8))
def test_more_of_what_only_makes_room_or_hurries_never_costs_cycles(seed) -> None:
    """A mapping stays legal with more of anything but a second buffer; rows and columns make waves longer."""
    rng = random.Random(seed)
    arch = machine(
        rng.choice([4, 8]),
        rng.choice([4, 8]),
        rng.choice(DATAFLOWS),
        bandwidth=rng.choice(["1 B/cycle", "8 B/cycle", "32 B/cycle"]),
        latency=rng.choice(["10 cycles", "200 cycles"]),
        width=rng.choice(["4 B/cycle", "64 B/cycle"]),
        buffers=rng.choice([(512, 1024, 1024), (2048, 2048, 2048)]),
        double_buffered=rng.random() < 0.7,
        lanes=rng.choice([1, 8]),
    )
    net = residual_network(seed)
    found = study("net", net.graph(net.last), arch)
    free = [more for more in found.more if more.resource not in ("array rows", "array columns")]
    assert len(free) >= 8
    for more in free:
        if "double buffered" not in more.resource:
            assert more.cycles is not None
            assert more.cycles <= found.result.latency_cycles, more


def test_fill_and_drain_bind_a_large_array_with_little_to_do() -> None:
    """One row through 64 x 64 PEs that load their weights row by row: 64 cycles in, 127 out; more of nothing helps."""
    arch = machine(64, 64, overlap="none", buffers=(1 << 16,) * 3, **FAST)
    found = study("net", linear(64, 64).graph(), arch)
    (layer,) = found.result.layers
    assert bound(layer) == "fill and drain"
    assert max(found.speedup(more) or 0.0 for more in found.more) < 1.25


def test_the_roof_is_the_arrays_or_what_the_dram_sustains() -> None:
    """4 x 5 PEs make 20 MACs a cycle, 40 operations; a DRAM of 1 B/cycle allows as many as there are to each byte."""
    found = studied(linear(128, 128), bandwidth="1 B/cycle", buffers=LARGE)
    (layer,) = found.result.layers
    moved_bytes = layer.actions.dram_read_bytes + layer.actions.dram_write_bytes
    assert intensity(layer) == 2 * 128 * 128 / moved_bytes
    assert roof(found.result, layer) == 2 * 128 * 128 / moved_bytes * 1
    found = studied(linear(64, 64, rows=1024), **(FAST | {"buffers": (1 << 18,) * 3}))
    assert roof(found.result, found.result.layers[0]) == 2 * 20


def test_the_record() -> None:
    net = residual_network()
    arch = machine(buffers=(2048, 4096, 2048))
    said: list[tuple[str, int, int]] = []
    found = study("net", net.graph(net.last), arch, 1, lambda *words: said.append(words))  # type: ignore[attr-defined]
    data = json.loads(found.to_json(), parse_constant=lambda word: 1 / 0)
    assert [name for name, _, _ in said][:3] == ["as it is", "more of each resource", "more DRAM bandwidth"]
    assert [done for _, done, _ in said] == list(range(len(found.more) + 2))
    assert {total for _, _, total in said} == {len(found.more) + 1}
    assert sum(layer["latency_cycles"] for layer in data["layers"]) == data["latency_cycles"]
    for layer in data["layers"]:
        assert sum(layer["critical"].values()) == sum(layer["cycles"].values()) == layer["latency_cycles"]
        assert layer["bound"] in BOUNDS.values()
        busy = found.result.layers[layer["number"] - 1].busy
        assert layer["busy"] == {
            unit: getattr(busy, unit) / layer["latency_cycles"] for unit in ("array", "vector", "dma")
        }
    for more, entry in zip(found.more, data["more"], strict=True):
        assert entry["speedup"] == found.speedup(more)
        assert entry["resource"] == more.resource
    by_name = {more.resource: more for more in found.more}
    assert found.result.area is not None
    assert by_name["DRAM bandwidth"].area_mm2 == found.result.area.total_mm2
    assert by_name["array rows"].area_mm2 > found.result.area.total_mm2  # type: ignore[operator]


def test_what_cannot_be_says_why() -> None:
    """No second half of 20 bytes of weights: the machine is legal only without; and 1,024 rows are none."""
    found = studied(linear(4, 4), buffers=(20, 1024, 1024), double_buffered=False)
    problems = {more.resource: more.problem for more in found.more}
    assert problems["weight buffer double buffered"].startswith(
        "buffers.weight.capacity is 20 B, and half of it does not hold one tile of the array"
    )
    impossible = next(more for more in found.more if more.problem)
    assert (impossible.cycles, impossible.energy_pj, impossible.area_mm2) == (None, None, None)
    assert found.speedup(impossible) is None


def test_a_network_that_does_not_run_with_more_says_why() -> None:
    """One output pixel reads 3 x 3 x 64 activations, 576 bytes: they fit 1 KiB, and not a half of it."""
    net = Builder()
    net.conv(net.input(1, 64, 8, 8), 4)
    found = {more.resource: more for more in studied(net, double_buffered=False).more}
    halved = found["activation buffer double buffered"]
    assert (halved.cycles, halved.problem) == (
        None,
        "the smallest tile needs 576 bytes in the activation buffer, and a half of it holds 512 (64 too few) "
        "on machine test-4x5",
    )


def test_a_network_that_does_not_run_on_the_machine_is_refused() -> None:
    """One output pixel reads 3 x 3 x 64 activations; half of 1 KiB holds 512 of these 576 bytes."""
    net = Builder()
    net.conv(net.input(1, 64, 8, 8), 4)
    with pytest.raises(AccelError, match="the smallest tile needs 576 bytes in the activation buffer"):
        studied(net)


def test_the_record_does_not_depend_on_the_number_of_processes(monkeypatch) -> None:
    monkeypatch.setattr(workers, "WORTH_SECONDS", 0.0)
    told: list[tuple[str, int, int]] = []
    net, arch = linear(64, 64), machine(4, 5)
    together = study("net", net.graph(), arch, 2, lambda *what: told.append(what))
    assert together == study("net", net.graph(), arch)
    assert [done for _, done, _ in told] == list(range(len(together.more) + 2))
    assert {in_all for *_, in_all in told} == {len(together.more) + 1}
