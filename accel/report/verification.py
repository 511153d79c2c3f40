"""A verification as a table: what was compared, and the first tensor that differs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.verification import Comparison, RtlCheck, Verification

_COLUMNS = (
    ("simulator_alone", "simulator\nalone"),
    ("simulator_end_to_end", "simulator\nend to end"),
    ("witness_alone", "onnxruntime\nalone"),
    ("witness_end_to_end", "onnxruntime\nend to end"),
)
_PRODUCTS = ("conv", "depthwise", "grouped_conv", "linear")
_RESCALED = ("average_pool", "concat", "requantize")
_ADDED = ("add",)
_FEW = 3
"""Layers that a line names."""
_MEANING = {
    "simulator_alone": "simulator and reference, the layer fed with the reference's inputs",
    "simulator_end_to_end": "simulator and reference, end to end",
    "witness_alone": "reference and onnxruntime, the layer fed with the reference's inputs",
    "witness_end_to_end": "reference and onnxruntime, end to end",
}


def verification_table(verification: Verification) -> Group:
    """Differing integers by tensor and comparison (``-`` where there is nothing to compare), and the verdict."""
    table = Table(title=f"{verification.network} on {verification.machine}: integers that differ", title_justify="left")
    table.add_column("layer", overflow="fold")
    table.add_column("op", overflow="fold")
    table.add_column("integers", justify="right")
    for _, head in _COLUMNS:
        table.add_column(head, justify="right")
    for check in verification.checks:
        comparisons = [getattr(check, kind) for kind, _ in _COLUMNS]
        counts = [comparison.elements for comparison in comparisons if comparison is not None]
        excused = [kind.startswith("witness") and bool(check.witness_note) for kind, _ in _COLUMNS]
        cells = [_cell(comparison, excuse) for comparison, excuse in zip(comparisons, excused, strict=True)]
        table.add_row(check.layer, check.op, f"{max(counts, default=0):,}", *cells)
    parts: list[Table | Text] = [table]
    if verification.rtl:
        parts.append(_rtl_table(verification))
    return Group(*parts, *_verdict(verification))


def _rtl_table(verification: Verification) -> Table:
    table = Table(
        title=f"{verification.network} on {verification.machine}'s RTL: what differs from the simulator",
        title_justify="left",
    )
    table.add_column("#", justify="right", style="dim")
    table.add_column("layer", overflow="fold")
    for head in ("folds", "sums", "differ", "integers\ndiffer", "cycle\nstamps\ndiffer", "cycles", "RTL\ncycles"):
        table.add_column(head, justify="right")
    table.add_column("overflows\nsimulator / RTL", justify="right")
    for check in verification.rtl:
        overflows = f"{check.simulated_overflows:,} / {check.rtl_overflows:,}"
        table.add_row(
            str(check.position + 1),
            check.layer,
            f"{check.folds:,}",
            f"{check.sums.elements:,}",
            _cell(check.sums),
            _cell(check.integers),
            _cell(check.stamps),
            f"{check.simulated_cycles:,}",
            _equal(f"{check.rtl_cycles:,}", check.rtl_cycles == check.simulated_cycles),
            _equal(overflows, check.rtl_overflows == check.simulated_overflows),
        )
    return table


def _equal(text: str, same: bool) -> Text:
    return Text(text, style="green" if same else "bold red")


def _cell(comparison: Comparison | None, excused: bool = False) -> Text:
    if comparison is None:
        return Text("-")
    wrong = "yellow" if excused else "bold red"
    return Text(f"{comparison.mismatches:,}", style=wrong if comparison.mismatches else "green")


def _verdict(verification: Verification) -> list[Text]:
    lines = [Text(f"witness: {verification.witness}"), *_rounding(verification)]
    doubts = {"single layers": verification.doubt_alone, "the whole network": verification.doubt_end_to_end}
    for what, doubt in doubts.items():
        if doubt:
            lines.append(Text(f"no witness of {what} here: {doubt}", style="yellow"))
    for note, layers in _excused(verification).items():
        lines.append(Text(f"* {_first_few(layers)}: {note}", style="yellow"))
    lines += [Text(text) for text in _other_rule(verification)]
    lines.append(
        Text(f"cycles: estimate {verification.estimate_cycles:,}, simulation {verification.simulated_cycles:,}")
    )
    difference = verification.first_difference
    if difference is not None:
        check, kind, comparison = difference
        lines.append(
            Text(f"first difference: {check.layer}, tensor {check.tensor} ({_MEANING[kind]}): {comparison.first}")
        )
    if verification.rtl:
        lines.insert(1, Text(f"RTL: {verification.rtl_witness}"))
    for replayed in (check for check in verification.rtl if not check.passed):
        place = f"layer {replayed.position + 1}, {replayed.layer}"
        lines.append(Text(f"RTL and simulator differ in {place}: {_why(replayed)}"))
        lines += [Text(f"  waveform: {path}") for path in replayed.waveforms]
    lines.append(Text("PASSED", "bold green") if verification.passed else Text("FAILED", "bold red"))
    return lines


def _excused(verification: Verification) -> dict[str, list[str]]:
    """Layers that differ from the witness where that proves nothing, by the reason."""
    layers: dict[str, list[str]] = {}
    for check in verification.checks:
        if check.witness_note and any(c and c.mismatches for c in (check.witness_alone, check.witness_end_to_end)):
            layers.setdefault(check.witness_note, []).append(check.layer)
    return layers


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


def _other_rule(verification: Verification) -> list[str]:
    """What other units than onnxruntime's make of it: how many integers differ, and by how much."""
    units: dict[str, list[str]] = {}
    if verification.requantizer != "float32_rne":
        units.setdefault(verification.requantizer, []).extend(_PRODUCTS)
        if verification.adder != "float32":
            units[verification.requantizer].extend(_RESCALED)
    if verification.adder != "float32":
        units.setdefault(verification.adder, []).extend(_ADDED)
    if not units:
        return []
    alone = [
        _differing(name, "each layer alone", [c.witness_alone for c in verification.checks if c.op in concerned])
        for name, concerned in units.items()
    ]
    everything = [check.witness_end_to_end for check in verification.checks]
    return [*alone, _differing(" with ".join(units), "end to end", everything)]


def _differing(name: str, what: str, comparisons: Sequence[Comparison | None]) -> str:
    compared = [comparison for comparison in comparisons if comparison is not None]
    wrong = sum(comparison.mismatches for comparison in compared)
    total = sum(comparison.elements for comparison in compared)
    by = f", by up to {max(comparison.largest for comparison in compared):g}" if wrong else ""
    return f"{name} and onnxruntime, {what}: {wrong:,} of {total:,} integers differ{by}"


def _why(check: RtlCheck) -> str:
    if check.difference:
        return check.difference
    if check.integers is not None and check.integers.mismatches:
        return check.integers.first
    if check.simulated_overflows != check.rtl_overflows:
        return f"the RTL saw {check.rtl_overflows} overflows, the simulator {check.simulated_overflows}"
    return f"the RTL took {check.rtl_cycles} cycles, the simulator {check.simulated_cycles}"


def _rounding(verification: Verification) -> list[Text]:
    """Where the witness of single layers computes in float32, and how far that may be off."""
    layers = [check.layer for check in verification.checks if check.witness_share]
    if not layers:
        return []
    most = max(check.witness_share for check in verification.checks)
    text = (
        f"it multiplies more than 8 bits in float32 ({len(layers)} layers, {layers[0]} first): "
        f"alone, it may be one off in up to {most:.2%} of the integers"
    )
    return [Text(text, style="yellow")]
