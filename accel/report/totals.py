"""The figures of a whole run, each with what explains it."""

from __future__ import annotations

from accel.report.columns import ABSENT, toggled_energy_pj
from accel.report.palette import CAUSES, COMPONENTS, cycles_of, picojoules_of
from accel.report.units import decibels, duration, energy, percent, quantity, size
from accel.result import Accuracy, Area, Result

Row = tuple[str, str, str]
"""What, how much, and what explains it."""


def totals_rows(result: Result) -> list[Row]:
    """Every total that the result has data for."""
    rows = [
        ("Latency", f"{result.latency_cycles:,} cycles", _latency(result)),
        ("Throughput", _frames(result.frames_per_second), _throughput(result)),
        ("Utilization", percent(result.utilization), f"of {result.pe_count:,} PEs"),
        ("MACs", f"{result.macs:,}", _per_image(result)),
        ("Energy", energy(result.energy_pj), _energy_shares(result)),
    ]
    if (toggled_pj := toggled_energy_pj(result)) is not None:
        against = toggled_pj / result.energy_pj - 1 if result.energy_pj else 0.0
        rows.append(("Energy, toggled", energy(toggled_pj), f"{against:+.1%} against average activity"))
    rows += [
        ("Average power", quantity(result.average_power_w, "W") if result.average_power_w else ABSENT, ""),
        ("Efficiency", f"{result.tops_per_w:.3g} TOPS/W" if result.tops_per_w else ABSENT, ""),
        ("DRAM traffic", size(_dram_bytes(result)), _dram(result)),
    ]
    rows += _dram_device(result)
    if result.area:
        rows.append(("Area", f"{result.area.total_mm2:.3g} mm²", _area_parts(result.area)))
    rows += _numeric_rows(result)
    rows += _accuracy_rows(result.accuracy) if result.accuracy else []
    hashes = result.output_sha256.items()
    return rows + [("Output", f"sha256 {digest[:16]}", name) for name, digest in hashes]


def _frames(per_second: float) -> str:
    if not per_second:
        return ABSENT
    return f"{per_second:,.0f} frames/s" if per_second >= 100 else f"{per_second:.3g} frames/s"


def _latency(result: Result) -> str:
    total = result.latency_cycles
    head = f"{duration(result.latency_ms)} at {quantity(result.clock_hz, 'Hz')}"
    by_cause = [(cause.label, sum(cycles_of(layer.cycles, cause) for layer in result.layers)) for cause in CAUSES]
    return ": ".join([head, *_shares(by_cause, total)])


def _throughput(result: Result) -> str:
    return f"{quantity(result.tops * 1e12, 'OPS')} achieved, a MAC being two" if result.tops else ""


def _per_image(result: Result) -> str:
    return f"{result.macs // result.batch:,} an image" if result.batch > 1 else ""


def _energy_shares(result: Result) -> str:
    layers = result.layers
    by_component = [(part.label, sum(picojoules_of(layer.energy, part) for layer in layers)) for part in COMPONENTS]
    an_image = [f"{energy(result.energy_pj / result.batch)} an image"] if result.batch > 1 else []
    return ": ".join([*an_image, *_shares(by_component, result.energy_pj)])


def _shares(parts: list[tuple[str, int]] | list[tuple[str, float]], total: float) -> list[str]:
    """One text of all parts, the largest first; none when there is nothing to share."""
    if not total:
        return []
    ordered = sorted(parts, key=lambda part: -part[1])
    return [", ".join(f"{label} {percent(value / total)}" for label, value in ordered if value)]


def _dram_bytes(result: Result) -> int:
    return sum(layer.actions.dram_read_bytes + layer.actions.dram_write_bytes for layer in result.layers)


def _dram(result: Result) -> str:
    read = sum(layer.actions.dram_read_bytes for layer in result.layers)
    if not result.latency_cycles:
        return ""
    used = _dram_bytes(result) / (result.latency_cycles * result.dram_bytes_per_cycle)
    written = size(_dram_bytes(result) - read)
    return f"{size(read)} read, {written} written; {percent(used)} of {result.dram_bytes_per_cycle:g} bytes a cycle"


def _dram_device(result: Result) -> list[Row]:
    """What a device with banks and rows did besides moving bytes; nothing of a DRAM without."""
    activates, hits, refreshes = (
        sum(getattr(layer.actions, name) for layer in result.layers)
        for name in ("dram_activates", "dram_row_hits", "dram_refreshes")
    )
    if not activates + hits + refreshes:
        return []
    hit = f"{percent(hits / (hits + activates))} of bursts found their row open" if hits + activates else "no burst"
    return [("DRAM rows", f"{activates:,} activates", f"{hit}; {hits:,} hits, {refreshes:,} refreshes")]


def _area_parts(area: Area) -> str:
    parts = (
        ("array", area.array_mm2),
        ("weight buffer", area.weight_buffer_mm2),
        ("activation buffer", area.activation_buffer_mm2),
        ("accumulator buffer", area.accumulator_buffer_mm2),
        ("vector unit", area.vector_mm2),
    )
    return "".join(_shares(list(parts), area.total_mm2))


def _numeric_rows(result: Result) -> list[Row]:
    rows: list[Row] = []
    uses = [(layer, layer.accumulator) for layer in result.layers if layer.accumulator]
    if uses:
        layer, widest = max(uses, key=lambda pair: pair[1].bits_used)
        overflows = sum(use.overflows for _, use in uses)
        safe = max(use.bits_safe for _, use in uses)
        seen = f"widest sum in {layer.name}; {safe} bits can never overflow; {overflows:,} overflows"
        rows.append(("Accumulator", f"{widest.bits_used} bits used", seen))
    errors = [(layer, layer.error) for layer in result.layers if layer.error]
    if errors:
        worst, error = min(errors, key=lambda pair: pair[1].sqnr_db)
        last, final = errors[-1]
        note = f"at {last.name}; least: {decibels(error.sqnr_db)} dB at {worst.name}"
        rows.append(("SQNR", f"{decibels(final.sqnr_db)} dB", note))
    return rows


def _accuracy_rows(accuracy: Accuracy) -> list[Row]:
    rows = [("Top-1, integer", _top1(accuracy.integer_top1), f"of {accuracy.images:,} images")]
    if accuracy.float_top1 is not None:
        rows.append(("Top-1, float", _top1(accuracy.float_top1), ""))
    if accuracy.agreement is not None:
        rows.append(("Agreement", _top1(accuracy.agreement), "of images get the same class from both"))
    return rows


def _top1(fraction: float) -> str:
    return f"{fraction:.2%}"
