"""Every field of a machine, with value, unit, default and meaning."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from accel.arch.describe import describe_machine
from accel.arch.load import load_arch
from accel.arch.spec import Machine
from tests.arch.strategies import machines


def flat(data: dict[str, Any], section: str = "") -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            found |= flat(value, f"{section}.{key}".removeprefix("."))
        else:
            found[section, key] = value
    return found


@settings(max_examples=20, deadline=None)
@given(machines())
def test_every_field_has_its_row(machine: Machine) -> None:
    rows = describe_machine(machine)
    assert {(row.section, row.field) for row in rows} == set(flat(machine.to_file()))
    assert len({(row.section, row.field) for row in rows}) == len(rows)
    assert all(row.meaning for row in rows)


def test_values_units_and_defaults() -> None:
    rows = {(row.section, row.field): row for row in describe_machine(load_arch("gemmini-16x16"))}

    def seen(section: str, field: str) -> tuple[str, str, str | None]:
        row = rows[section, field]
        return row.value, row.unit, row.default

    assert seen("", "clock") == ("1", "GHz", None)
    assert seen("", "technology") == ("45nm", "", "45nm")
    assert seen("array", "rows") == ("16", "PEs", None)
    assert seen("array", "dataflow") == ("weight_stationary, output_stationary", "", None)
    assert seen("array", "short_folds") == ("serialized", "", "overlapped")
    assert seen("array", "accumulator_preload") == ("true", "", "false")
    assert seen("array", "output_latency_cycles") == ("2", "cycles", "0")
    assert seen("pe", "weight") == ("int8", "", None)
    assert seen("pe", "partial_sum_bits") == ("20", "bits", "32")
    assert seen("buffers.weight", "capacity") == ("128", "KiB", None)
    assert seen("buffers.accumulator", "width") == ("64", "B/cycle", None)
    assert seen("dram", "latency") == ("100", "cycles", None)
    assert seen("vector", "lanes") == ("4", "elements/cycle", None)
