"""Bottlenecks as tables: layers, the worst first; then what more of each resource would bring, the best first."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.columns import ABSENT, UNITS
from accel.report.fit import Column, fitted_table
from accel.report.units import count, energy, percent
from accel.result import LayerResult, Result
from accel.studies.bottleneck import Bottleneck, More, bound, intensity, operations, roof

_CRITICAL = {
    "compute": "compute",
    "fill_drain": "fill &\ndrain",
    "vector": "vector\nunit",
    "bandwidth": "DRAM\nbandwidth",
    "latency": "DRAM\nlatency",
    "width": "buffer\nwidth",
}
"""Field of ``CriticalPath`` -> header."""
_STALLS = {"stall_weights": "weights", "stall_activations": "activations", "stall_outputs": "outputs"}


def bottleneck_tables(study: Bottleneck, width: int) -> Group:
    """Both tables in ``width`` characters."""
    return Group(_layers(study.result, width), Text(), _more(study, width))


def _layers(result: Result, width: int) -> Table:
    """By cycles that the array's work does not account for; what takes no time is left out."""
    numbered = [(number, layer) for number, layer in enumerate(result.layers, 1) if layer.cycles.total]
    numbered.sort(key=lambda entry: entry[1].critical.compute - entry[1].cycles.total)
    layers = [layer for _, layer in numbered]
    latency = result.latency_cycles
    columns = [
        Column("#", tuple(str(number) for number, _ in numbered), rank=0, style="dim"),
        Column("layer", tuple(layer.name for layer in layers), rank=0, total="total", text=True, names=True),
        Column("bound by", tuple(map(bound, layers)), rank=0, text=True, style="bold"),
        Column("cycles", tuple(count(layer.cycles.total) for layer in layers), rank=0, total=count(latency)),
        Column("of all", tuple(percent(layer.cycles.total / latency) for layer in layers), rank=2),
    ]
    for field, header in _CRITICAL.items():
        cycles = [getattr(layer.critical, field) for layer in layers]
        columns.append(Column(header, tuple(map(count, cycles)), rank=1, total=count(sum(cycles))))
    for field, operand in _STALLS.items():
        cycles = [getattr(layer.cycles, field) for layer in layers]
        columns.append(Column(f"stall on\n{operand}", tuple(map(count, cycles)), rank=5, total=count(sum(cycles))))
    for unit, name in UNITS.items():
        busy = [getattr(layer.busy, unit) for layer in layers]
        shares = tuple(percent(part / layer.cycles.total) for part, layer in zip(busy, layers, strict=True))
        total = percent(sum(busy) / latency) if latency else ABSENT
        columns.append(Column(f"{name}\nbusy", shares, rank=3, total=total))
    columns += [
        Column("ops per\nDRAM byte", tuple(_number(intensity(layer)) for layer in layers), rank=4),
        Column("ops per\ncycle", tuple(_number(operations(layer) / layer.cycles.total) for layer in layers), rank=4),
        Column("of the\nroofline", tuple(_of_roof(result, layer) for layer in layers), rank=4),
    ]
    what = f"Bottlenecks of {result.network} on {result.machine}, batch {result.batch}"
    return fitted_table(f"{what}: cycles along the critical path, layers by those not spent on compute", columns, width)


def _of_roof(result: Result, layer: LayerResult) -> str:
    allowed = roof(result, layer)
    return percent(operations(layer) / layer.cycles.total / allowed) if allowed else ABSENT


def _number(value: float) -> str:
    return "∞" if value == float("inf") else f"{value:.3g}" if value < 1000 else count(round(value))


def _more(study: Bottleneck, width: int) -> Table:
    def rank(more: More) -> tuple[float, float]:
        return -(study.speedup(more) or 0.0), more.energy_pj or 0.0

    rows = sorted(study.more, key=rank)
    here = study.result
    area = here.area.total_mm2 if here.area else None
    columns = [
        Column("more", tuple(more.resource for more in rows), rank=0, total="as it is", text=True),
        Column("change", tuple(more.change for more in rows), rank=1, text=True),
        Column("speed-up", tuple(_times(study.speedup(more)) for more in rows), rank=0, total="", style="bold"),
        Column(
            "cycles",
            tuple(ABSENT if more.cycles is None else f"{more.cycles:,}" for more in rows),
            rank=0,
            total=f"{here.latency_cycles:,}",
        ),
        Column(
            "energy",
            tuple(_against(more.energy_pj, here.energy_pj) for more in rows),
            rank=0,
            total=energy(here.energy_pj),
        ),
        Column(
            "area",
            tuple(_against(more.area_mm2, area) for more in rows),
            rank=0,
            total=ABSENT if area is None else f"{area:.3g} mm²",
        ),
    ]
    table = fitted_table("What more of each resource would bring, mapped anew or as it was", columns, width)
    notes = [f"{more.resource} ({more.change}): {more.problem}" for more in rows if more.problem]
    if notes:
        table.caption = Text("\n".join([*([str(table.caption)] if table.caption else []), *notes]))
    return table


def _times(speedup: float | None) -> str:
    return ABSENT if speedup is None else f"{speedup:.3f}x"


def _against(value: float | None, whole: float | None) -> str:
    if value is None or not whole:
        return ABSENT
    change = value / whole - 1
    return "same" if abs(change) < 0.0005 else f"{change:+.1%}"
