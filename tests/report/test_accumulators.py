"""The accumulator study's pages, from a record made by hand."""

from __future__ import annotations

import csv
import io
import math

from rich.console import Console

from accel.report.accumulators import accumulator_tables, accumulators_csv
from accel.studies.accumulators import OVERFLOWS, AccumulatorStudy, LayerAccumulator, NarrowLayer, NarrowNetwork

WIDTHS = (18, 16)


def layer(name: str, centred: bool, changed: int) -> LayerAccumulator:
    narrower = tuple(
        NarrowLayer(bits, overflow, 0 if bits == 18 else changed, math.inf if bits == 18 else 12.34)
        for bits in WIDTHS
        for overflow in OVERFLOWS
    )
    return LayerAccumulator(name, "conv", 144, "int4", "uint8", 1000, 17, 23, 22, 21, centred, 20, narrower)


def study(labels: bool = True) -> AccumulatorStudy:
    end = tuple(
        NarrowNetwork(bits, overflow, 9.87, 0.5, 0.25 if labels else None) for bits in WIDTHS for overflow in OVERFLOWS
    )
    layers = (layer("stem", False, 250), layer("body", True, 3))
    return AccumulatorStudy("net", "edge", 8, (), WIDTHS, 1.0 if labels else None, layers, end)


def page(record: AccumulatorStudy, width: int = 120) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(accumulator_tables(record, width))
    return captured.get()


def words(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(start)).split()


def test_bounds_by_layer() -> None:
    text = page(study())
    assert "Accumulator bits of net, folds of edge, 8 images" in text
    # used, tightest, A2Q+ (in brackets where it is no guarantee), A2Q, data type
    assert words(text, "1  stem")[2:] == ["conv", "144", "uint8", "x", "int4", "17", "20", "(21)", "22", "23"]
    assert words(text, "2  body")[2:] == ["conv", "144", "uint8", "x", "int4", "17", "20", "21", "22", "23"]
    assert words(text, "most") == ["most", "17", "20", "22", "23"]


def test_narrow_accumulators() -> None:
    text = page(study())
    narrow = text[text.index("Sums wrap around") : text.index("Every addition saturates")]
    assert words(narrow, "1  stem") == ["1", "stem", "exact", "12.3", "(25.0%)"]
    assert words(narrow, "2  body") == ["2", "body", "exact", "12.3", "(0.3%)"]
    assert words(narrow, "all layers") == ["all", "layers", "9.9", "9.9"]
    end = text[text.index("End to end") :]
    assert "on 8 images; wide accumulators: top-1 100%" in end
    assert words(end, "16") == ["16", *["9.9", "50.0%", "25.0%"] * 3]


def test_without_labels_there_is_no_accuracy() -> None:
    end = page(study(labels=False))
    assert "top-1" not in end


def test_a_narrow_terminal_loses_columns_not_digits() -> None:
    text = page(study(), 50)
    assert all(len(line) <= 50 for line in text.splitlines())
    assert "columns left out" in text


def test_csv_has_a_row_for_each_width_and_overflow() -> None:
    rows = list(csv.DictReader(io.StringIO(accumulators_csv(study()))))
    assert len(rows) == 2 * len(WIDTHS) * len(OVERFLOWS)
    last = rows[-1]
    assert (last["number"], last["name"], last["bits_tightest"], last["zero_centred"]) == ("2", "body", "20", "True")
    assert (last["bits"], last["overflow"], last["changed"], last["sqnr_db"]) == ("16", "saturate_at_end", "3", "12.34")
    assert rows[0]["sqnr_db"] == "inf"
