"""An accumulator study as tables, and as CSV: one row for each layer, width and kind of overflow."""

from __future__ import annotations

import csv
import dataclasses
import io

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.columns import ABSENT
from accel.report.fit import Column, fitted_table
from accel.report.units import count, decibels, percent
from accel.studies.accumulators import OVERFLOWS, AccumulatorStudy, LayerAccumulator, NarrowLayer

_TITLES = {
    "wrap": "Sums wrap around",
    "saturate": "Every addition saturates",
    "saturate_at_end": "Saturation at the end",
}
_NARROWER = (
    "Narrower accumulators: SQNR in dB of each layer's output alone, against wide accumulators on the same inputs "
    "(share of sums that change). The last line is the network's output with every layer that narrow."
)
_SHORT = {"wrap": "wrap", "saturate": "saturate", "saturate_at_end": "saturate\nat end"}


def accumulator_tables(study: AccumulatorStudy, width: int) -> Group:
    """What sums need and what is proved, what narrower accumulators cost each layer alone, and all of them together."""
    parts: list[Table | Text] = [_bounds(study, width), Text(_explanation(study)), Text(), Text(_NARROWER)]
    for overflow in OVERFLOWS:
        parts += [Text(), _narrow(study, overflow, width)]
    parts += [Text(), _end_to_end(study, width)]
    return Group(*parts)


def accumulators_csv(study: AccumulatorStudy) -> str:
    """Every layer's figures, with each narrower accumulator in a row of its own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    layer_fields = [field.name for field in dataclasses.fields(LayerAccumulator) if field.name != "narrower"]
    narrow_fields = [field.name for field in dataclasses.fields(NarrowLayer)]
    writer.writerow(["number", *layer_fields, *narrow_fields])
    for number, layer in enumerate(study.layers, start=1):
        figures = [getattr(layer, name) for name in layer_fields]
        for narrow in layer.narrower:
            writer.writerow([number, *figures, *(getattr(narrow, name) for name in narrow_fields)])
    return text.getvalue()


def _identity(study: AccumulatorStudy, footer: str = "") -> tuple[Column, ...]:
    layers = study.layers
    return (
        Column("#", tuple(str(number) for number, _ in enumerate(layers, start=1)), rank=0, style="dim"),
        Column("layer", tuple(layer.name for layer in layers), rank=0, total=footer, text=True, names=True),
    )


def _bounds(study: AccumulatorStudy, width: int) -> Table:
    layers = study.layers
    columns = (
        *_identity(study, "most"),
        Column("op", tuple(layer.op for layer in layers), rank=3, text=True),
        Column("products\nof a sum", tuple(str(layer.products) for layer in layers), rank=2),
        Column("operands", tuple(f"{layer.activation} x {layer.weight}" for layer in layers), rank=1, text=True),
        _bits("used", [layer.bits_used for layer in layers]),
        _bits("tightest", [layer.bits_tightest for layer in layers]),
        Column(
            "A2Q+",
            tuple(str(layer.bits_a2q_plus) if layer.zero_centred else f"({layer.bits_a2q_plus})" for layer in layers),
            rank=0,
        ),
        _bits("A2Q", [layer.bits_a2q for layer in layers]),
        _bits("data\ntype", [layer.bits_data_type for layer in layers]),
    )
    order = f", folds of {study.machine}" if study.machine else ""
    title = f"Accumulator bits of {study.network}{order}, {study.images} image{'s' if study.images > 1 else ''}"
    return fitted_table(title, columns, width)


def _bits(header: str, bits: list[int]) -> Column:
    return Column(header, tuple(map(str, bits)), rank=0, total=str(max(bits)))


def _explanation(study: AccumulatorStudy) -> str:
    lines = [
        "used: holds every final sum seen. The others never overflow, whatever the input: tightest by each channel's "
        "weights one by one, A2Q by their absolute sum, data type by the types alone."
    ]
    if not all(layer.zero_centred for layer in study.layers):
        lines.append("(A2Q+): would hold if every channel's weights added up to zero, which here they do not.")
    return " ".join(lines)


def _narrow(study: AccumulatorStudy, overflow: str, width: int) -> Table:
    columns = [*_identity(study, "all layers")]
    for position, bits in enumerate(study.widths):
        chosen = [
            narrow
            for layer in study.layers
            for narrow in layer.narrower
            if (narrow.bits, narrow.overflow) == (bits, overflow)
        ]
        pairs = zip(chosen, study.layers, strict=True)
        cells = tuple(_cell(narrow, layer.sums) for narrow, layer in pairs)
        footer = next(
            decibels(whole.sqnr_db) for whole in study.end_to_end if (whole.bits, whole.overflow) == (bits, overflow)
        )
        columns.append(Column(f"{bits} bits", cells, rank=position, total=footer))
    return fitted_table(_TITLES[overflow], columns, width)


def _cell(narrow: NarrowLayer, sums: int) -> str:
    if not narrow.changed:
        return "exact"
    return f"{decibels(narrow.sqnr_db)} ({percent(narrow.changed / sums)})"


def _end_to_end(study: AccumulatorStudy, width: int) -> Table:
    columns = [Column("bits", tuple(map(str, study.widths)), rank=0, text=True)]
    for overflow in OVERFLOWS:
        rows = [whole for whole in study.end_to_end if whole.overflow == overflow]
        name = _SHORT[overflow]
        columns.append(Column(f"{name}\nSQNR dB", tuple(decibels(row.sqnr_db) for row in rows), rank=0))
        if any(row.agreement is not None for row in rows):
            columns.append(Column("same\nclass", tuple(_share(row.agreement) for row in rows), rank=1))
        if any(row.top1 is not None for row in rows):
            columns.append(Column("top-1", tuple(_share(row.top1) for row in rows), rank=0))
    wide = "" if study.wide_top1 is None else f"; wide accumulators: top-1 {percent(study.wide_top1)}"
    return fitted_table(f"End to end, every layer narrow, on {count(study.images)} images{wide}", columns, width)


def _share(value: float | None) -> str:
    return ABSENT if value is None else percent(value)
