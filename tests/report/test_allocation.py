"""The pages of an allocation, from a record made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

from rich.console import Console

from accel.report.allocation import allocation_tables
from accel.studies.allocation import AllocatedLayer, Allocation, Candidate
from accel.studies.cost_laws import Costs
from accel.studies.sensitivity import Quality

BASE = Candidate("8 bits", Quality(40.0, 1.0, 0.9), Costs(1000, 100, 80, 500, 2e6))
CHOSEN = Candidate("allocated", Quality(25.0, 0.95, 0.85), Costs(400, 70, 60, 350, 1e6))
ALLOCATION = Allocation(
    "net", "edge", 9, "shared_exponent8", "latency=0.7x", "cycles", 350.0, (), (8, 4), 0.91, 24.0, CHOSEN, (BASE,),
    (AllocatedLayer("stem", 8, 8), AllocatedLayer("body", 4, 2)),
)  # fmt: skip


def page(allocation: Allocation, width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(allocation_tables(allocation, width))
    return captured.get()


def words(text: str, start: str) -> list[str]:
    wanted = start.split()
    return next(line.split() for line in text.splitlines() if line.split()[: len(wanted)] == wanted)


def test_bits_and_networks() -> None:
    text = page(ALLOCATION, 160)
    assert "Bits of net on edge for latency=0.7x" in " ".join(text.split())
    assert words(text, "2 body") == ["2", "body", "4", "2"]
    figures = ["350", "70.0%", "1.00", "µJ", "50.0%", "400", "40.0%", "60", "75.0%"]
    assert words(text, "allocated") == ["allocated", "25.0", "95.0%", "85.0%", *figures]
    assert "24.0 dB if the layers' losses simply added up; the float network's top-1 is 91.0%" in text
    assert text.endswith("scales that shared_exponent8 has\n")


def test_without_labels_and_machine() -> None:
    def plain(candidate: Candidate) -> Candidate:
        quality = replace(candidate.quality, top1=None)
        return replace(candidate, quality=quality, costs=replace(candidate.costs, cycles=None, energy_pj=None))

    text = page(replace(ALLOCATION, machine="", float_top1=None, allocated=plain(CHOSEN), uniform=(plain(BASE),)), 160)
    assert words(text, "allocated") == ["allocated", "25.0", "95.0%", "400", "40.0%", "60", "75.0%"]


def test_a_narrow_terminal_keeps_what_is_limited() -> None:
    text = page(ALLOCATION, 40)
    assert all(len(line) <= 40 for line in text.splitlines())
    assert words(text, "allocated")[-1] == "70.0%"


def test_json() -> None:
    record = json.loads(ALLOCATION.to_json())
    assert record["layers"][1] == {"name": "body", "weight_bits": 4, "activation_bits": 2}
    assert record["allocated"]["costs"]["cycles"] == 350
