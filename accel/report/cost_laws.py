"""Cost laws as tables, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.columns import ABSENT
from accel.report.fit import Column, fitted_table
from accel.report.units import count, energy, percent
from accel.studies.cost_laws import CostLaws

_LAWS: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("bops", "BOPs, AQT quadratic", "BOPs", count),
    ("aqt_linear", "AQT linear", "linear", count),
    ("memory_bits", "weight memory, bits", "weight\nbits", count),
    ("cycles", "cycles", "cycles", count),
    ("energy_pj", "energy", "energy", energy),
)
"""(field, name, column, how it is written)."""


def cost_law_tables(study: CostLaws, width: int) -> Group:
    """Layer by layer, then each law's total beside the machine's: what the same bits are worth to each."""
    return Group(_layers(study, width), Text(), _totals(study))


def cost_laws_csv(study: CostLaws) -> str:
    """One row for each layer; cells that need a machine are empty without one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = [field for field, *_ in _LAWS]
    identity = ["name", "op", "weight_bits", "activation_bits", "macs", "weights"]
    writer.writerow(["number", *identity, *fields, *(f"{field}_at_8_bits" for field in fields)])
    for number, layer in enumerate(study.layers, start=1):
        figures = [getattr(costs, field) for costs in (layer.costs, layer.at_8_bits) for field in fields]
        writer.writerow([number, *(getattr(layer, name) for name in identity), *figures])
    return text.getvalue()


def _title(study: CostLaws) -> str:
    machine = f" on {study.machine}" if study.machine else ""
    asked = f", if {study.what_if}" if study.what_if else ""
    return f"Cost laws of {study.network}{machine}, batch {study.batch}{asked}"


def _shown(study: CostLaws) -> list[tuple[str, str, str, Callable[[Any], str]]]:
    return [law for law in _LAWS if study.machine or law[0] not in ("cycles", "energy_pj")]


def _layers(study: CostLaws, width: int) -> Table:
    layers = study.layers
    names = [layer.name for layer in layers]
    costs = [layer.costs for layer in layers]
    shares = [layer.costs.relative_to(layer.at_8_bits) for layer in layers]
    kinds = [layer.op for layer in layers]
    widths = [f"{layer.weight_bits} x {layer.activation_bits}" for layer in layers]
    macs = [count(layer.macs) for layer in layers]
    if study.machine:
        names, kinds = [*names, "other layers"], [*kinds, ABSENT]
        widths, macs = [*widths, ABSENT], [*macs, ABSENT]
        costs, shares = [*costs, study.others], [*shares, study.others.relative_to(study.others_at_8_bits)]
    numbers = [str(number) for number, _ in enumerate(layers, start=1)]
    columns = [
        Column("#", (*numbers, *[""] * (len(names) - len(numbers))), rank=0, style="dim"),
        Column("layer", tuple(names), rank=0, total="total", text=True, names=True),
        Column("op", tuple(kinds), rank=5, text=True),
        Column("bits\nW x A", tuple(widths), rank=1),
        Column("MACs", tuple(macs), rank=4, total=count(sum(layer.macs for layer in layers))),
    ]
    whole = study.costs.relative_to(study.at_8_bits)
    for field, _, header, write in _shown(study):
        cells = tuple(_written(getattr(cost, field), write) for cost in costs)
        columns.append(Column(header, cells, rank=3, total=_written(getattr(study.costs, field), write)))
    for field, _, header, _ in _shown(study):
        cells = tuple(_percent(share[field]) for share in shares)
        short = header.replace("\n", " ")
        columns.append(Column(f"{short}\nof 8 bits", cells, rank=0, total=_percent(whole[field])))
    return fitted_table(_title(study), columns, width)


def _totals(study: CostLaws) -> Table:
    table = Table(box=None, pad_edge=False, title="The same bits by each law", title_justify="left", title_style="bold")
    for header in ("", "at 8 bits", "here", "of 8 bits"):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    shares = study.costs.relative_to(study.at_8_bits)
    for field, name, _, write in _shown(study):
        figures = [_written(getattr(costs, field), write) for costs in (study.at_8_bits, study.costs)]
        table.add_row(name, *figures, Text(_percent(shares[field]), style="bold"))
    return table


def _written(value: Any, write: Callable[[Any], str]) -> str:
    return ABSENT if value is None else write(value)


def _percent(share: float | None) -> str:
    if share is None:
        return ABSENT
    return percent(share) if share <= 1 else f"{share:.0%}"
