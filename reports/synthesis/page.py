"""The study's page and picture, from its record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#888888"


def page(record: Record) -> str:
    """README.md."""
    rows = record["rows"]
    other = record["other_library"]
    plain = next(row for row in rows if row["kind"] == "PE")
    eight = next(row for row in rows if row["kind"] == "multiplier" and row["name"] == "8 x 8")
    adder = next(row for row in rows if row["kind"] == "adder" and row["name"] == "32")
    parts = [
        "# What do PEs and requantizers cost?",
        f"Written by `python reports/synthesis/measure.py{' --liberty FILE' if other else ''}`: the RTL's own modules, "
        f"synthesized by {record['yosys'].partition(' (')[0]} (`synth -noalumacc`, then ABC) for {record['library']} "
        "(0.18 µm; Debian's package qflow-tech-osu018), and run as netlists with that library's cell models and delays "
        f"in Icarus Verilog, {record['cycles']} cycles of random data, so that glitches count. Every transition of a "
        "net is charged with the input capacitances that it drives at 1.8 V and with the internal energy of the cell "
        "that drives it, every flip-flop with its clock; wires are left out. " + _about_other(other),
        "Libraries of 0.18 µm and figures of 45 nm are not comparable in µm² and pJ, so everything is **relative to "
        f"one module**. In {record['library']} an int8 x int8 PE with 32-bit sums takes {plain['cells']:,} cells, "
        f"{plain['nand2']:,.0f} NAND2 equivalents, {plain['area_um2']:,.0f} µm² and "
        f"{_energy(plain):.1f} pJ a cycle; in the cost model {plain['model_um2']:.0f} µm² and "
        f"{plain['model_pj']:.2f} pJ.",
        "![Relative area and energy of multipliers and PEs](synthesis.png)",
        "## What the cost model had wrong",
        _FINDINGS,
        "## Multipliers, relative to 8 x 8",
        _multipliers(record, eight),
        "## PEs, relative to the first",
        "Weight stationary, wrapping, and without double buffering unless they say otherwise. Registers of operands "
        "that stay are clocked in every cycle here; the cost model counts the registers that take a new value.",
        _pes([row for row in rows if row["kind"] == "PE"], plain, other),
        "## Requantizer lanes, relative to that PE",
        "Unit and bits of the sums; values of 8 bits, four stages.",
        _pes([row for row in rows if row["kind"] == "requantizer"], plain, other),
        "## Adders, relative to 32 bits",
        _adders(record, adder),
        "## Bit Fusion's PEs",
        "hsharma35/bitfusion @04ec1c8, results/systolic_array_synth.csv: arrays of 4 x 4 PEs of one precision at "
        "500 MHz, a sixteenth of their area and dynamic power each, beside PEs of this cost model with sums of four "
        "products (two bits more than a product). Published power is at a synthesis tool's default activity, far below "
        "that of random data, so what counts is that the ratio of energies stays the same over the widths.",
        _bit_fusion(record["bit_fusion"]),
    ]
    return "\n\n".join(parts) + "\n"


_FINDINGS = """\
- **Narrow multipliers.** Their cost was taken to go with the product of the widths. It goes with the cells of an array
  multiplier: ab AND gates, a quarter of a full adder each, and (a-1)(b-1) adders. At 8 x 8, where figures are
  published, those 65 adders at the published adder's price per bit are within 2 % of the published multiplier, in area
  (Hennessy and Patterson) as in energy (Horowitz). Below, the product had 4 x 4 at 1.4 to 1.5 times its area and 2 x 2
  at 2.7 times; from 2 x 2 to 24 x 24, area in both libraries is within 25 % of what the cells say. Energy falls faster
  still, as shallow arrays glitch less. At 32 x 32 the rule is 21 % above Horowitz's energy and 51 % above the published
  area; operands end at 16 bits.
- **The requantizer.** It was a float32 multiplier and two float32 adders, at their published areas 23 PEs a lane. The
  RTL needs no such unit: it is a 24 x 24 multiplier, adders that round, multiplexers that shift, and pipeline
  registers, 6.6 to 6.7 PEs together. The model now adds up those parts, to 7.7. Its energy was 8.8 PEs and is 7.1;
  toggles say 7.4. A unit that only shifts takes a sixth of that area, one with a 31-bit factor half as much again;
  the model has their areas right within a quarter in the 45 nm library, the energy of 31-bit factors a quarter too low
  (deep multipliers glitch more than it says), and that of shifts twice too high (registers, as below).
- **Saturation** was free. It is a choice behind every adder: 3 to 9 % of a PE's area here, 8 % in the model now.
- **Registers.** Output-stationary PEs that are double buffered hold three sums (the sum, its shadow, the hop between
  shadows), not two; skew of the operand that is loaded, latencies in front of and behind the array, and the adders of
  the accumulators were missing. They are counted as in the RTL now, and the tests hold the count to yosys's flip-flops.

What stays: registers weigh more in the cost model than here (9 fJ and 6 µm² a bit beside a multiplier of 200 fJ and
282 µm²), so that narrow PEs come out dearer. Yosys uses no full-adder cells, and so makes multipliers and adders 1.6 to
1.7 times as large as their adders would be; a commercial flow does use them. And the model's figure for a register has
a second witness: by NanGate's Liberty file, a flip-flop DFF_X1 takes 12 to 15 fJ a cycle at 1.1 V when half of its data
toggle, clock included, which is 8 to 10 fJ at 0.9 V."""


def _about_other(other: str | None) -> str:
    if other is None:
        return ""
    return (
        f"Areas in {other} (NanGate's Open Cell Library, 45 nm, from The-OpenROAD-Project/OpenSTA @d1b2b39, "
        "examples/nangate45_typ.lib.gz, given with `--liberty`) stand beside them."
    )


def _energy(row: Record) -> float:
    return row["logic_pj"] + row["registers_pj"]


def _table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    names = list(head)
    text = [names, ["---"] * len(names), *([str(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in text)


def _relative(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _areas(row: Record, one: Record, other: str | None) -> list[str]:
    """In the library, in the other one if there is one, and in the cost model."""
    shown = [_relative(row["area_um2"] / one["area_um2"])]
    if other is not None:
        shown.append(_relative(row["other_um2"] / one["other_um2"]))
    return [*shown, _relative(row["model_um2"] / one["model_um2"])]


def _heads(other: str | None) -> list[str]:
    areas = ["area", *([] if other is None else [f"area, {other}"]), "area, model"]
    return [*areas, "energy", "energy, model"]


def _multipliers(record: Record, one: Record) -> str:
    other = record["other_library"]
    lines = []
    for row in record["rows"]:
        if row["kind"] == "multiplier":
            energies = [_relative(_energy(row) / _energy(one)), _relative(row["model_pj"] / one["model_pj"])]
            product = _relative(_product(row) / 64)
            lines.append([row["name"], f"{row['nand2']:,.0f}", *_areas(row, one, other), *energies, product])
    head = ["bits", "NAND2", *_heads(other), "product of the widths"]
    return _table(head, lines)


def _pes(rows: list[Record], one: Record, other: str | None) -> str:
    lines = []
    for row in rows:
        energies = [_relative(_energy(row) / _energy(one)), _relative(row["model_pj"] / one["model_pj"])]
        counts = [f"{row['cells']:,}", f"{row['flip_flops']:,}", f"{row['nand2']:,.0f}"]
        share = f"{row['registers_pj'] / _energy(row):.0%}"
        lines.append([row["name"], *counts, *_areas(row, one, other), *energies, share])
    return _table(["", "cells", "flip-flops", "NAND2", *_heads(other), "registers' share of the energy"], lines)


def _adders(record: Record, one: Record) -> str:
    other = record["other_library"]
    published = {"8": ("0.26", "0.3"), "16": ("0.49", "0.5"), "24": ("", ""), "32": ("1", "1")}
    lines = []
    for row in record["rows"]:
        if row["kind"] == "adder":
            energies = [_relative(_energy(row) / _energy(one)), _relative(row["model_pj"] / one["model_pj"])]
            lines.append([row["name"], *_areas(row, one, other), *energies, *published[row["name"]]])
    head = ["bits", *_heads(other), "area, Hennessy and Patterson, 6th ed., fig. 1.13", "energy, Horowitz, ISSCC 2014"]
    return _table(head, lines)


def _bit_fusion(rows: list[Record]) -> str:
    lines = []
    for row in rows:
        line = [row["bits"], f"{row['published_um2']:.0f}", f"{row['model_um2']:.0f}"]
        line += [f"{row[key + '_um2'] / row['published_um2']:.2f}" for key in ("model", "product_rule")]
        line += [f"{row['published_pj']:.3f}", f"{row['model_pj']:.3f}"]
        line += [f"{row[key + '_pj'] / row['published_pj']:.2f}" for key in ("model", "product_rule")]
        lines.append(line)
    head = ["bits", "µm²", "model, µm²", "ratio", "ratio, product rule"]
    return _table([*head, "pJ a cycle", "model, pJ", "ratio", "ratio, product rule"], lines)


def _product(row: Record) -> int:
    a, b = (int(word) for word in row["name"].split(" x "))
    return a * b


def draw(record: Record, path: Path) -> None:
    """Multipliers beside their cells; PEs and lanes, model against synthesis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_multipliers(left, record)
    _draw_modules(right, record)
    figure.savefig(path, dpi=130)


def _draw_multipliers(axes: Any, record: Record) -> None:
    rows = [row for row in record["rows"] if row["kind"] == "multiplier"]
    rows.sort(key=lambda row: row["model_um2"])
    one = next(row for row in rows if row["name"] == "8 x 8")
    names = [row["name"].replace(" ", "") for row in rows]

    def points(value: Callable[[Record], float], mark: str, color: str, label: str) -> None:
        ratios = [value(row) / value(one) / (row["model_um2"] / one["model_um2"]) for row in rows]
        axes.plot(names, ratios, mark, color=color, label=label, markersize=5)

    points(_product, "x", _GREY, "product of the widths")
    points(lambda row: row["area_um2"], "o", _BLUE, f"area, {record['library']}")
    if record["other_library"] is not None:
        points(lambda row: row["other_um2"], "s", _GREEN, f"area, {record['other_library']}")
    points(_energy, "^", _ORANGE, "energy by toggles")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set(yscale="log", yticks=[0.25, 0.5, 1, 2, 4], ylabel="relative to the cells of the array (model)")
    axes.set_yticklabels(["1/4", "1/2", "1", "2", "4"])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelsize=7, labelrotation=60)
    axes.set_title("Multipliers, 8 x 8 = 1")
    axes.legend(fontsize=7)


def _draw_modules(axes: Any, record: Record) -> None:
    rows = [row for row in record["rows"] if row["kind"] in ("PE", "requantizer")]
    one = rows[0]
    area = [(row["area_um2"] / one["area_um2"], row["model_um2"] / one["model_um2"]) for row in rows]
    energy = [(_energy(row) / _energy(one), row["model_pj"] / one["model_pj"]) for row in rows]
    for values, mark, color, label in ((area, "o", _BLUE, "area"), (energy, "^", _ORANGE, "energy")):
        axes.plot(*zip(*values, strict=True), mark, color=color, label=label, markersize=5)
    ends = [min(min(pair) for pair in area + energy), max(max(pair) for pair in area + energy)]
    axes.plot(ends, ends, "-", color="black", linewidth=0.8)
    axes.fill_between(ends, [end / 1.5 for end in ends], [end * 1.5 for end in ends], color="black", alpha=0.08)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"synthesized, {record['library']}",
        ylabel="cost model",
        title="PEs and requantizers, int8 PE = 1; band: ± 50 %",
    )
    axes.legend(fontsize=7)
