"""What the tables show is held against the records, at every width."""

import dataclasses
import io
import os
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from accel.report.columns import energy_columns, layer_columns, toggled_energy_pj
from accel.report.console import open_console
from accel.report.fit import Column, fitted_table
from accel.report.palette import CAUSES, COMPONENTS
from accel.report.tables import energy_table, layer_table, totals_table
from accel.report.totals import totals_rows
from accel.report.units import count
from accel.result import Cycles, Energy

from .synthetic import digits, estimate, resnet18, resnet50, without_layers

RESULTS = {
    "digits": digits(),
    "resnet18": resnet18(),
    "resnet50": resnet50(),
    "estimate": estimate(resnet18()),
    "one layer": dataclasses.replace(digits(), layers=digits().layers[:1]),
    "no layers": without_layers(digits()),
}
WIDTHS = (30, 40, 60, 80, 100, 120, 160, 250)


def printed(renderable, width):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def rows_of(text):
    """The lines between the header's rule and the next."""
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("─")]
    return lines[rules[0] + 1 : rules[1]]


def with_overflows(result):
    first, *rest = result.layers
    use = dataclasses.replace(first.accumulator, overflows=12_345)
    return dataclasses.replace(result, layers=(dataclasses.replace(first, accumulator=use), *rest))


def test_every_cause_and_component_has_its_column():
    assert [cause.field for cause in CAUSES] == [field.name for field in dataclasses.fields(Cycles)]
    assert [component.field for component in COMPONENTS] == [field.name for field in dataclasses.fields(Energy)]
    assert len({cause.colour for cause in CAUSES}) == len(CAUSES)
    assert len({component.colour for component in COMPONENTS}) == len(COMPONENTS)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("table", [layer_table, energy_table])
def test_lines_fit_and_numbers_are_whole(name, width, table):
    text = printed(table(RESULTS[name], width), width)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    rows = rows_of(text)
    assert len(rows) == len(RESULTS[name].layers)
    for number, line in enumerate(rows, start=1):
        _, *cells = line.split()
        assert int(line.split()[0]) == number
        # Only the name, the first cell, may be shortened.
        assert not any("…" in cell for cell in cells[1:])


@pytest.mark.parametrize("width", [80, 160])
def test_the_cycles_of_a_row_stand_in_it(width):
    """At 80 columns already: the causes, in the record's order, then their sum."""
    result = resnet18()
    rows = rows_of(printed(layer_table(result, width), width))
    for layer, line in zip(result.layers, rows, strict=True):
        expected = [count(cycles) for cycles in dataclasses.astuple(layer.cycles)] + [count(layer.cycles.total)]
        assert " ".join(expected) in " ".join(line.split())


def test_columns_leave_in_order():
    result = resnet18()
    wide, middle, narrow = (printed(layer_table(result, width), width) for width in (200, 80, 40))
    assert "shape" in wide
    assert "mostly" in wide
    assert "left out" not in wide
    assert "shape" not in middle
    assert "stall" in middle
    assert "SQNR" in middle
    assert "stall W, A, O:" in middle
    assert "stall" not in narrow
    assert "cycles" in narrow
    needed = int(re.search(r"a width of (\d+) shows all", middle)[1])
    assert "left out" not in printed(layer_table(result, needed), needed)
    assert "left out" in printed(layer_table(result, needed - 1), needed - 1)


def test_an_estimate_has_no_columns_of_data():
    headers = {column.header for column in layer_columns(estimate(resnet18()))}
    assert headers == {column.header for column in layer_columns(resnet18())} - {
        "SQNR\ndB",
        "bits used\n/ safe",
        "overflows",
        "energy,\ntoggled bits",
    }
    assert "toggled" not in {column.header for column in energy_columns(estimate(resnet18()))}


def test_overflows_that_happened_survive_narrow_terminals():
    assert "12.3k" in printed(layer_table(with_overflows(resnet18()), 60), 60)
    assert "flows" not in printed(layer_table(resnet18(), 80), 80)


def test_totals_are_the_sums_of_the_rows():
    result = digits()
    totals = {column.header: column.total for column in layer_columns(result)}
    assert totals["compute"] == count(sum(layer.cycles.compute for layer in result.layers))
    assert totals["cycles"] == count(sum(layer.cycles.total for layer in result.layers))
    assert totals["MACs"] == count(sum(layer.macs for layer in result.layers))
    energies = {column.header: column for column in energy_columns(result)}
    parts = [energies[component.header].total for component in COMPONENTS]
    assert sum(map(float, parts)) == pytest.approx(float(energies["total"].total), rel=0.01)
    for column in energies.values():
        if column.header not in ("#", "layer", "toggled"):
            # Each cell is right to half a thousandth or half a per cent, "<.001" included.
            cells = [float(cell.lstrip("<")) for cell in column.cells]
            assert sum(cells) == pytest.approx(float(column.total), rel=0.006, abs=0.0005 * (len(cells) + 1))


def test_toggled_energy_takes_average_activity_where_nothing_was_counted():
    result = digits()
    counted, uncounted = result.layers[0], result.layers[3]
    assert uncounted.activity is None
    pair = dataclasses.replace(result, layers=(counted, uncounted))
    assert toggled_energy_pj(pair) == counted.activity.energy.total_pj + uncounted.energy.total_pj
    assert toggled_energy_pj(estimate(result)) is None


def test_names_are_text_not_markup():
    layer = dataclasses.replace(digits().layers[0], name="[bold]conv[/red]")
    result = dataclasses.replace(digits(), layers=(layer,), network="[/x]net", machine="[y]")
    assert "[bold]conv[/red]" in printed(layer_table(result, 200), 200)
    assert "[/x]net on [y]" in printed(totals_table(result), 80)


def test_a_table_never_gives_up_its_first_columns():
    columns = (
        Column("layer", ("a_name_longer_than_that",), rank=0, text=True, names=True),
        Column("cycles", ("123456",), rank=0),
        Column("energy", ("1.00 mJ",), rank=1),
    )
    assert "123456" in printed(fitted_table("t", columns, 19), 19)  # 12 + 1 + 6: the least there is
    assert "1.00 mJ" not in printed(fitted_table("t", columns, 26), 26)
    assert "123456 1.00 mJ" in printed(fitted_table("t", columns, 27), 27)
    assert "123456  1.00 mJ" in printed(fitted_table("t", columns, 29), 29)  # with more room, wider gaps


def test_totals():
    rows = {label: (figure, note) for label, figure, note in totals_rows(resnet18())}
    result = resnet18()
    assert rows["Latency"][0] == f"{result.latency_cycles:,} cycles"
    assert f"{result.latency_ms:.2f} ms at 1.00 GHz" in rows["Latency"][1]
    assert rows["MACs"][0] == "1,814,073,344"  # counted from ResNet-18's shapes
    assert rows["Efficiency"][0] == f"{2 * result.macs / result.energy_pj:.3g} TOPS/W"
    assert rows["Area"][0] == "2.13 mm²"  # 0.61 + 0.42 + 0.84 + 0.21 + 0.05
    assert "activation buffer 39.4%" in rows["Area"][1]
    assert rows["Output"] == ("sha256 9f86d081884c7d65", "logits")
    least = min(layer.error.sqnr_db for layer in result.layers if layer.error)
    assert f"least: {least:.1f} dB" in rows["SQNR"][1]
    assert rows["Accumulator"][0] == f"{max(u.accumulator.bits_used for u in result.layers if u.accumulator)} bits used"
    read = sum(layer.actions.dram_read_bytes for layer in result.layers)
    written = sum(layer.actions.dram_write_bytes for layer in result.layers)
    assert f"{(read + written) / result.latency_cycles / 16:.1%} of 16 bytes a cycle" in rows["DRAM traffic"][1]


def test_totals_of_a_batch_are_given_an_image_too():
    rows = {label: note for label, _, note in totals_rows(dataclasses.replace(digits(), batch=2))}
    assert rows["MACs"] == "262,816 an image"  # 525,632 / 2
    assert rows["Energy"].startswith("3.61 µJ an image: DRAM")


def test_totals_with_accuracy():
    rows = {label: (figure, note) for label, figure, note in totals_rows(digits())}
    assert rows["Top-1, integer"] == ("97.22%", "of 360 images")
    assert rows["Top-1, float"][0] == "97.50%"
    assert rows["Agreement"][0] == "99.44%"
    without = dataclasses.replace(digits().accuracy, float_top1=None, agreement=None)
    labels = [label for label, _, _ in totals_rows(dataclasses.replace(digits(), accuracy=without))]
    assert "Top-1, integer" in labels
    assert "Top-1, float" not in labels
    assert "Agreement" not in labels


def test_totals_of_nothing_claim_nothing():
    result = dataclasses.replace(without_layers(digits()), area=None)
    assert {label: figure for label, figure, _ in totals_rows(result)} == {
        "Latency": "0 cycles",
        "Throughput": "-",
        "Utilization": "0%",
        "MACs": "0",
        "Energy": "0 J",
        "Average power": "-",
        "Efficiency": "-",
        "DRAM traffic": "0 B",
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RESULTS)
def test_totals_fit(name, width):
    text = printed(totals_table(RESULTS[name]), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert f"{RESULTS[name].latency_cycles:,}" in text


def test_a_pipe_is_wide_and_takes_any_encoding(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    raw = io.BytesIO()
    console = open_console(io.TextIOWrapper(raw, encoding="ascii"))
    assert console.width == 200
    console.print(energy_table(resnet18(), console.width))
    console.file.flush()
    assert "Energy in ?J, resnet18" in raw.getvalue().decode("ascii")


def test_columns_sets_the_width_of_a_pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    assert open_console(io.StringIO()).width == 72


@pytest.mark.parametrize("module", ["tables", "csv", "folder", "console"])
def test_tables_do_not_wait_for_matplotlib(module):
    code = f"import sys, accel.report.{module}; print([m for m in sys.modules if m.startswith('matplotlib')])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert shown.stdout == "[]\n"
