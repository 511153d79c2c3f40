"""The pages of cost laws, from a record made by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from rich.console import Console

from accel.report.cost_laws import cost_law_tables, cost_laws_csv
from accel.studies.cost_laws import CostLaws, Costs, LayerCosts

LAYER = LayerCosts("stem", "conv", 4, 2, 1000, 50, Costs(8000, 4000, 200, 90, 30e3), Costs(64000, 8000, 400, 100, 90e3))
STUDY = CostLaws(
    "net", "edge", 1, "weights 4 bits", (), (LAYER,), Costs(cycles=10, energy_pj=1e3), Costs(cycles=100, energy_pj=1e3)
)
WITHOUT = replace(
    STUDY,
    machine="",
    layers=(replace(LAYER, costs=Costs(8000, 4000, 200, None, None), at_8_bits=Costs(64000, 8000, 400, None, None)),),
)


def page(study: CostLaws, width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(cost_law_tables(study, width))
    return captured.get()


def words(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(start)).split()


def test_every_law_by_layer_and_in_all() -> None:
    text = page(STUDY, 160)
    assert "Cost laws of net on edge, batch 1, if weights 4 bits" in text
    figures = ["1000", "8000", "4000", "200", "90", "30.0", "nJ"]
    assert words(text, "1  stem") == [
        "1", "stem", "conv", "4", "x", "2", *figures, "12.5%", "50.0%", "50.0%", "90.0%", "33.3%",
    ]  # fmt: skip
    assert words(text, "other layers")[-5:] == ["-", "-", "-", "10.0%", "100%"]
    # 100 of 200 cycles, 31 of 91 nJ
    assert words(text, "cycles  ") == ["cycles", "200", "100", "50.0%"]
    assert words(text, "energy  ") == ["energy", "91.0", "nJ", "31.0", "nJ", "34.1%"]
    assert words(text, "BOPs, AQT quadratic") == ["BOPs,", "AQT", "quadratic", "64.0k", "8000", "12.5%"]


def test_laws_alone() -> None:
    text = page(WITHOUT, 160)
    assert "cycles" not in text
    assert "other layers" not in text
    assert words(text, "AQT linear") == ["AQT", "linear", "8000", "4000", "50.0%"]


def test_a_narrow_terminal_keeps_the_shares() -> None:
    text = page(STUDY, 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert words(text, "1  stem")[-5:] == ["12.5%", "50.0%", "50.0%", "90.0%", "33.3%"]


def test_csv() -> None:
    (row,) = csv.DictReader(io.StringIO(cost_laws_csv(STUDY)))
    assert (row["number"], row["name"], row["weight_bits"], row["bops"]) == ("1", "stem", "4", "8000")
    assert (row["cycles_at_8_bits"], row["energy_pj"]) == ("100", "30000.0")
    (row,) = csv.DictReader(io.StringIO(cost_laws_csv(WITHOUT)))
    assert row["cycles"] == ""
