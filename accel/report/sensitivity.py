"""A sensitivity study as tables, and as CSV: one row for each layer, operand and width."""

from __future__ import annotations

import csv
import dataclasses
import io

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.columns import ABSENT
from accel.report.fit import Column, fitted_table
from accel.report.units import count, decibels, energy, percent
from accel.studies.cost_laws import Costs
from accel.studies.sensitivity import OPERANDS, Quality, Sensitivity, SensitivityStudy

_TITLES = {"weights": "Weights of one layer", "activations": "What one layer reads"}


def sensitivity_tables(study: SensitivityStudy, width: int) -> Group:
    """The base, then, operand by operand, what each layer alone loses and saves."""
    parts: list[Table | Text] = [*_base(study)]
    for operand in OPERANDS:
        parts += [Text(), _table(study, operand, width)]
    return Group(*parts)


def sensitivity_csv(study: SensitivityStudy) -> str:
    """One row for each layer, operand and width; the base in front, without a layer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quality, costs = ([field.name for field in dataclasses.fields(kind)] for kind in (Quality, Costs))
    writer.writerow(["layer", "operand", "bits", *quality, *costs])
    base = ("", "", study.base_bits, study.base, study.base_costs)
    rows = [base, *((row.layer, row.operand, row.bits, row.quality, row.costs) for row in study.rows)]
    for *identity, good, cost in rows:
        writer.writerow([*identity, *(getattr(good, name) for name in quality), *(getattr(cost, n) for n in costs)])
    return text.getvalue()


def _base(study: SensitivityStudy) -> list[Text]:
    machine = f" on {study.machine}" if study.machine else ""
    lines = [
        Text(f"Sensitivity of {study.network}{machine}, {study.images} image{'s' if study.images > 1 else ''}", "bold"),
        Text(f"{study.base_bits} bits everywhere: {_quality(study.base)}{_costs(study.base_costs)}"),
    ]
    lines.append(Text(f"scales that {study.requantizer} has"))
    if study.float_top1 is not None:
        lines.append(Text(f"float network: top-1 {percent(study.float_top1)}"))
    lines.append(
        Text("SQNR in dB of the network's output against the float network's; the rest is change against the base")
    )
    return lines


def _quality(quality: Quality) -> str:
    parts = [f"SQNR {decibels(quality.sqnr_db)} dB"]
    if quality.agreement is not None:
        parts.append(f"same class as the float network {percent(quality.agreement)}")
    if quality.top1 is not None:
        parts.append(f"top-1 {percent(quality.top1)}")
    return ", ".join(parts)


def _costs(costs: Costs) -> str:
    if costs.cycles is None or costs.energy_pj is None:
        return ""
    return f", {count(costs.cycles)} cycles, {energy(costs.energy_pj)}"


def _table(study: SensitivityStudy, operand: str, width: int) -> Table:
    found = {(row.layer, row.bits): row for row in study.rows if row.operand == operand}
    columns = [
        Column("#", tuple(str(number) for number, _ in enumerate(study.layers, start=1)), rank=0, style="dim"),
        Column("layer", study.layers, rank=0, text=True, names=True),
    ]
    for position, bits in enumerate(study.widths):
        rows = [found.get((layer, bits)) for layer in study.layers]
        columns += _at(study, bits, rows, 4 * position)
    return fitted_table(f"{_TITLES[operand]} at fewer bits, the rest at {study.base_bits}", columns, width)


def _at(study: SensitivityStudy, bits: int, rows: list[Sensitivity | None], rank: int) -> list[Column]:
    """What there is to say of one width; wider ones stay longest in a narrow terminal."""
    sqnr = tuple(ABSENT if row is None else decibels(row.quality.sqnr_db) for row in rows)
    columns = [Column(f"{bits} bits\nSQNR", sqnr, rank=rank)]
    top1 = study.base.top1
    if top1 is not None:
        lost = tuple(_points(None if row is None else row.quality.top1, top1) for row in rows)
        columns.append(Column(f"{bits} bits\ntop-1", lost, rank=rank + 1))
    elif study.base.agreement is not None:
        agreement = study.base.agreement
        lost = tuple(_points(None if row is None else row.quality.agreement, agreement) for row in rows)
        columns.append(Column(f"{bits} bits\nclass", lost, rank + 1))
    if study.base_costs.cycles is not None:
        shares = [{} if row is None else row.costs.relative_to(study.base_costs) for row in rows]
        for field, header, extra in (("cycles", "cycles", 2), ("energy_pj", "energy", 3)):
            cells = tuple(_change(share.get(field)) for share in shares)
            columns.append(Column(f"{bits} bits\n{header}", cells, rank=rank + extra))
    return columns


def _points(value: float | None, base: float) -> str:
    """Percentage points gained or lost."""
    if value is None:
        return ABSENT
    return "=" if value == base else f"{100 * (value - base):+.1f}"


def _change(share: float | None) -> str:
    if share is None:
        return ABSENT
    return "=" if share == 1 else f"{100 * (share - 1):+.1f}%"
