"""A machine with more of each thing: what is tried, and only one thing at a time."""

from __future__ import annotations

import pytest

from accel import gallery
from accel.arch.load import load_arch, parse_machine
from accel.arch.more import variants
from accel.arch.spec import Machine
from tests.machines import machine


def by_resource(base: Machine) -> dict[str, tuple[str, str]]:
    return {variant.resource: (variant.change, variant.problem) for variant in variants(base)}


def leaves(keys: dict, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    found = {}
    for key, value in keys.items():
        found |= leaves(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
    return found


def test_what_is_tried() -> None:
    assert by_resource(load_arch("edge-32x32")) == {
        "DRAM bandwidth": ("16 B/cycle -> 32 B/cycle", ""),
        "DRAM latency": ("100 cycles -> 50 cycles", ""),
        "DRAM requests in flight": ("64 -> 128", ""),
        "weight buffer capacity": ("128 KiB -> 256 KiB", ""),
        "weight buffer width": ("32 B/cycle -> 64 B/cycle", ""),
        "activation buffer capacity": ("256 KiB -> 512 KiB", ""),
        "activation buffer width": ("32 B/cycle -> 64 B/cycle", ""),
        "accumulator buffer capacity": ("256 KiB -> 512 KiB", ""),
        "accumulator buffer width": ("128 B/cycle -> 256 B/cycle", ""),
        "array rows": ("32 -> 64", ""),
        "array columns": ("32 -> 64", ""),
        "vector lanes": ("32 -> 64", ""),
    }


def test_ports_banks_and_second_buffers_where_there_are_none() -> None:
    base = machine(overlap="none", double_buffered=False, latency="0 cycles")
    buffers = base.buffers.model_copy(
        update={"weight": base.buffers.weight.model_copy(update={"ports": 1, "banks": 8})}
    )
    tried = by_resource(base.model_copy(update={"buffers": buffers}))
    assert tried["weight buffer ports"] == ("1 -> 2", "")
    assert tried["weight buffer banks"] == ("8 -> 16", "")
    assert "activation buffer ports" not in tried
    assert tried["accumulator buffer double buffered"] == ("no -> yes", "")
    assert tried["array overlap"] == ("none -> double buffered", "")
    assert "DRAM latency" not in tried  # half of nothing


@pytest.mark.parametrize("name", [path.stem for path in gallery.machines()])
def test_one_thing_changes_at_a_time(name) -> None:
    base = load_arch(name)
    before = leaves(base.to_file())
    for variant in variants(base):
        assert (variant.machine is None) == bool(variant.problem)
        if variant.machine is not None:
            after = leaves(variant.machine.to_file())
            assert len({key for key in before | after if before.get(key) != after.get(key)}) == 1


def test_a_device_has_channels_and_its_bandwidth_follows() -> None:
    base = parse_machine(
        """
name: with-device
clock: 1 GHz
array: {rows: 4, columns: 4, dataflow: weight_stationary, overlap: double_buffered}
pe: {weight: int8, activation: int8, accumulator_bits: 32}
buffers:
  weight: {capacity: 1 KiB, width: 8 B/cycle}
  activation: {capacity: 1 KiB, width: 8 B/cycle}
  accumulator: {capacity: 1 KiB, width: 8 B/cycle}
dram: {device: {preset: lpddr4-3200}}
vector: {lanes: 4}
""",
        "machine.yaml",
    )
    found = {variant.resource: variant for variant in variants(base)}
    assert "DRAM bandwidth" not in found
    assert "DRAM latency" not in found
    wider = found["DRAM channels"].machine
    assert wider is not None
    assert wider.dram.bandwidth_bytes_per_cycle == 2 * base.dram.bandwidth_bytes_per_cycle
    assert wider.dram.latency_cycles == base.dram.latency_cycles


@pytest.mark.parametrize(
    ("fields", "resource", "problem"),
    [
        (
            {"rows": 512, "buffers": (1 << 20,) * 3},
            "array rows",
            "array.rows is 1024; legal is a whole number from 1 to 512",
        ),
        (
            {"buffers": (40, 1024, 1024)},
            "array columns",
            "buffers.weight.capacity is 40 B, and half of it does not hold one tile of the array "
            "(4 x 10 of 8 bits, 40 B): 20 B too few; legal is at least 80 B",
        ),
        ({"lanes": 4096}, "vector lanes", "vector.lanes is 8192; legal is a whole number from 1 to 4096"),
        (
            {"width": "65536 B/cycle"},
            "weight buffer width",
            "buffers.weight.width is '131072 B/cycle'; legal is 0.125 B/cycle to 65536 B/cycle, for example "
            "32 B/cycle or 128 B/cycle",
        ),
    ],
)
def test_what_is_illegal_says_why(fields, resource, problem) -> None:
    assert by_resource(machine(**fields))[resource][1] == problem
