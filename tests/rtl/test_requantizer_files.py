"""Emitted hardware of machines with a requantizer in integers: what tools take, and what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from accel.rtl.emit import emit
from accel.rtl.requantizer_top import LATENCY_CYCLES
from tests.machines import machine
from tests.rtl.requantizers import STAGES, shell
from tests.rtl.tools import needs_verilator


def emitted(folder: Path, requantizer: str) -> tuple[str, str]:
    """The requantizer's top, and the page."""
    given = machine(2, 3, requantizer=requantizer, accumulator_bits=24)
    emit(given, folder)
    return (folder / "rtl" / "test_2x3_requantizer.sv").read_text(), (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("requantizer", "parameters"),
    [
        ("float32_rne", ["int SCALE_BITS = 32,", "bit FLOAT32 = 1'b1,", "int ROUNDING = 3,", "bit TWICE = 1'b0,"]),
        (
            "q31_double_rounding",
            ["int SCALE_BITS = 37,", "bit FLOAT32 = 1'b0,", "int ROUNDING = 2,", "bit TWICE = 1'b1,"],
        ),
        ("q31_half_up", ["int SCALE_BITS = 37,", "bit FLOAT32 = 1'b0,", "int ROUNDING = 1,", "bit TWICE = 1'b0,"]),
        ("mantissa16_half_away", ["int SCALE_BITS = 21,", "bit FLOAT32 = 1'b0,", "int ROUNDING = 2,"]),
        ("shift_floor", ["int SCALE_BITS = 6,", "bit FLOAT32 = 1'b0,", "int ROUNDING = 0,"]),
    ],
)
def test_the_top_is_the_machines_unit(tmp_path: Path, requantizer: str, parameters: list[str]) -> None:
    top, _ = emitted(tmp_path / "out", requantizer)
    for parameter in parameters:
        assert f"parameter {parameter}" in top


def test_the_page_says_what_a_scale_is(tmp_path: Path) -> None:
    _, page = emitted(tmp_path / "float32", "float32_rne")
    assert "a scale is a float32 number" in " ".join(page.split())
    _, page = emitted(tmp_path / "factor", "mantissa16_half_away")
    assert "A scale is a shift of 6 bits above a factor of 15 unsigned bits." in " ".join(page.split())
    assert "| `scales` | input | 84 |" in page
    _, page = emitted(tmp_path / "shift", "shift_rne")
    assert "A scale is a shift of 6 bits, without a factor." in " ".join(page.split())


@needs_verilator
@pytest.mark.parametrize("requantizer", ["q31_floor_nudge", "shared_exponent8", "shift_half_up"])
def test_verilator_has_nothing_to_say(tmp_path: Path, requantizer: str) -> None:
    emitted(tmp_path / "out", requantizer)
    files = [tmp_path / "out" / line for line in (tmp_path / "out" / "files.f").read_text().split()]
    assert shell("verilator", "--lint-only", "-Wall", "--top-module", "test_2x3_requantizer", *files) == ""


@needs_verilator
def test_a_machine_that_compares(tmp_path: Path) -> None:
    given = machine(2, 3, accumulator_bits=24, threshold_steps=15, pe={"final_sum_bits": 20})
    emit(given, tmp_path / "out")
    top = (tmp_path / "out" / "rtl" / "test_2x3_requantizer.sv").read_text()
    assert "parameter int THRESHOLDS = 15" in top
    page = (tmp_path / "out" / "README.md").read_text()
    # Four lanes, 15 thresholds each, as wide as a total.
    assert "| `thresholds` | input | 1200 |" in page
    assert "`low` plus as many as the sum has reached of its channel's thresholds" in " ".join(page.split())
    files = [tmp_path / "out" / line for line in (tmp_path / "out" / "files.f").read_text().split()]
    assert shell("verilator", "--lint-only", "-Wall", "--top-module", "test_2x3_requantizer", *files) == ""


def test_a_machine_that_does_not_has_no_ports_for_it(tmp_path: Path) -> None:
    top, page = emitted(tmp_path / "out", "float32_rne")
    assert ".thresholds({(LANES*TOTAL_BITS){1'b0}})," in top
    assert "| `thresholds`" not in page


def test_every_lane_has_as_many_stages() -> None:
    """So that nothing around a lane depends on its kind."""
    assert LATENCY_CYCLES == STAGES
