"""The tables of bottlenecks: sorted, exact where they claim to be, and legible at any width."""

from __future__ import annotations

import dataclasses

import pytest
from rich.console import Console

from accel.report.bottleneck import bottleneck_tables
from accel.report.columns import use_columns
from accel.report.totals import totals_rows
from accel.result import Actions, BufferBytes, CriticalPath, Cycles, UnitCycles
from accel.studies.bottleneck import Bottleneck, More, bound

from .synthetic import digits, resnet50


def study(result) -> Bottleneck:
    whole = result.latency_cycles
    more = (
        More("DRAM bandwidth", "16 B/cycle -> 32 B/cycle", whole // 2, result.energy_pj, result.area.total_mm2),
        More("array rows", "512 -> 1024", None, None, None, "array.rows is 1024; legal are 1 to 512"),
        More("vector lanes", "32 -> 64", whole // 4, 0.5 * result.energy_pj, 2 * result.area.total_mm2),
    )
    return Bottleneck(result, more)


def printed(found: Bottleneck, width: int) -> str:
    console = Console(width=width, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(bottleneck_tables(found, width))
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_asked_and_no_number_is_cut(width) -> None:
    text = printed(study(digits()), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text.split("What more")[1]
    assert f"{digits().latency_cycles / (digits().latency_cycles // 4):.3f}x" in text


def test_changes_by_what_they_bring() -> None:
    text = printed(study(resnet50()), 200).split("What more")[1]
    rows = [line for line in text.splitlines() if "->" in line and ";" not in line]
    assert [row.split("  ")[0] for row in rows] == ["vector lanes", "DRAM bandwidth", "array rows"]
    assert rows[0].split()[-4:][1:] == [f"{resnet50().latency_cycles // 4:,}", "-50.0%", "+100.0%"]
    assert rows[1].split()[-2:] == ["same", "same"]
    assert rows[2].split()[-4:] == ["-"] * 4
    assert "array rows (512 -> 1024): array.rows is 1024; legal are 1 to 512" in text


def one_layer(**changes):
    layer = dataclasses.replace(digits().layers[0], **changes)
    return dataclasses.replace(digits(), layers=(layer,))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (CriticalPath(compute=5, bandwidth=4), "compute"),
        (CriticalPath(compute=4, fill_drain=5), "fill and drain"),
        (CriticalPath(compute=4, vector=5), "vector unit"),
        (CriticalPath(compute=4, bandwidth=5), "DRAM bandwidth"),
        (CriticalPath(compute=4, latency=5), "DRAM latency"),
        (CriticalPath(compute=4, width=5), "buffer width"),
        (CriticalPath(compute=4, bandwidth=4), "compute"),
    ],
)
def test_a_layer_is_bound_by_most_of_its_path(path, name) -> None:
    (layer,) = one_layer(critical=path).layers
    assert bound(layer) == name
    assert bound(dataclasses.replace(layer, cycles=Cycles())) == ""


def test_how_units_and_buffers_were_used_by_hand() -> None:
    """40 cycles: the array 30, the vector unit none, DMA all; 64 of 128 KiB of weights, 256 of 256, nothing. Then 60
    cycles of the vector unit alone.
    """
    used = one_layer(
        cycles=Cycles(compute=30, stall_weights=10),
        critical=CriticalPath(bandwidth=40),
        busy=UnitCycles(30, 0, 40),
        peak=BufferBytes(64 << 10, 256 << 10, 0),
    )
    idle = one_layer(cycles=Cycles(vector=60), critical=CriticalPath(vector=60), busy=UnitCycles(vector=60))
    result = dataclasses.replace(used, layers=(*used.layers, *idle.layers))
    rows = {column.header.replace("\n", " "): (*column.cells, column.total) for column in use_columns(result)}
    assert rows["bound by"] == ("DRAM bandwidth", "vector unit", "")
    assert rows["array busy"] == ("75.0%", "0%", "30.0%")
    assert rows["vector unit busy"] == ("0%", "100%", "60.0%")
    assert rows["DMA busy"] == ("100%", "0%", "40.0%")
    assert rows["weight buffer, at most"] == ("64.0 KiB (50.0%)", "1.00 KiB (0.8%)", "64.0 KiB")
    assert rows["activation buffer, at most"][::2] == ("256 KiB (100%)", "256 KiB")
    assert rows["accumulator buffer, at most"][::2] == ("0 B (0%)", "100 B")


def test_what_a_dram_device_did_is_among_the_totals() -> None:
    """30 bursts: 10 opened a row, 20 found theirs open."""
    actions = Actions(dram_activates=10, dram_row_hits=20, dram_refreshes=3)
    rows = {label: rest for label, *rest in totals_rows(one_layer(actions=actions))}
    assert rows["DRAM rows"] == ["10 activates", "66.7% of bursts found their row open; 20 hits, 3 refreshes"]
    assert "DRAM rows" not in {label for label, *_ in totals_rows(digits())}
