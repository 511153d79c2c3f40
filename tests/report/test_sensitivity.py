"""The pages of a sensitivity study, from a record made by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from rich.console import Console

from accel.report.columns import ABSENT
from accel.report.sensitivity import sensitivity_csv, sensitivity_tables
from accel.studies.cost_laws import Costs
from accel.studies.sensitivity import OPERANDS, Quality, Sensitivity, SensitivityStudy

BASE = Quality(40.0, 1.0, 0.98)
COSTS = Costs(1000, 100, 80, 500, 2e6)
ROWS = tuple(
    Sensitivity(
        layer, operand, bits, Quality(5.0 * bits, 0.9, 0.98 if bits == 4 else 0.955), replace(COSTS, cycles=450)
    )
    for layer in ("stem", "fc")
    for operand in OPERANDS
    for bits in (4, 2)
)
STUDY = SensitivityStudy("net", "edge", 7, "q31_half_up", (), 8, (4, 2), 0.99, BASE, COSTS, ("stem", "fc"), ROWS)


def page(study: SensitivityStudy, width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(sensitivity_tables(study, width))
    return captured.get()


def words(text: str, start: str) -> list[str]:
    wanted = start.split()
    return next(line.split() for line in text.splitlines() if line.split()[: len(wanted)] == wanted)


def test_base_and_changes() -> None:
    text = page(STUDY, 140)
    assert "Sensitivity of net on edge, 7 images" in text
    assert "8 bits everywhere: SQNR 40.0 dB, same class as the float network 100%, top-1 98.0%, 500 cycles" in text
    assert "float network: top-1 99.0%" in text
    assert "\nscales that q31_half_up has\n" in text
    assert text.count("1  stem") == 2
    # 4 bits: 20 dB, the same accuracy, a tenth fewer cycles, the same energy; 2 bits: 2.5 points lost.
    assert words(text, "1  stem") == ["1", "stem", "20.0", "=", "-10.0%", "=", "10.0", "-2.5", "-10.0%", "="]


def test_without_labels_the_class_and_without_a_machine_no_cycles() -> None:
    rows = tuple(replace(row, quality=replace(row.quality, top1=None)) for row in ROWS)
    unknown = replace(COSTS, cycles=None, energy_pj=None)
    plain = replace(STUDY, machine="", float_top1=None, base=replace(BASE, top1=None), base_costs=unknown, rows=rows)
    text = page(plain, 140)
    assert words(text, "1  stem") == ["1", "stem", "20.0", "-10.0", "10.0", "-10.0"]
    assert "float network: top-1" not in text


def test_what_was_left_out_has_no_figures() -> None:
    rows = tuple(row for row in ROWS if (row.layer, row.operand, row.bits) != ("stem", "weights", 2))
    text = page(replace(STUDY, rows=rows), 140)
    assert words(text, "1  stem") == ["1", "stem", "20.0", "=", "-10.0%", "=", *(ABSENT,) * 4]
    assert words(text, "2  fc") == ["2", "fc", "20.0", "=", "-10.0%", "=", "10.0", "-2.5", "-10.0%", "="]


def test_a_narrow_terminal_keeps_the_first_width() -> None:
    text = page(STUDY, 40)
    assert all(len(line) <= 40 for line in text.splitlines())
    assert words(text, "1 stem")[:3] == ["1", "stem", "20.0"]


def test_csv_begins_with_the_base() -> None:
    base, *rows = csv.DictReader(io.StringIO(sensitivity_csv(STUDY)))
    assert (base["layer"], base["bits"], base["sqnr_db"], base["cycles"]) == ("", "8", "40.0", "500")
    assert len(rows) == len(ROWS)
    assert (rows[1]["layer"], rows[1]["operand"], rows[1]["bits"]) == ("stem", "weights", "2")
    assert (rows[1]["sqnr_db"], rows[1]["top1"], rows[1]["cycles"]) == ("10.0", "0.955", "450")
