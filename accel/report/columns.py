"""The columns of the tables, layer by layer; terminal and page show the same."""

from __future__ import annotations

from collections.abc import Callable

from accel.report.fit import Column
from accel.report.palette import CAUSES, COMPONENTS, cycles_of, largest_component, picojoules_of
from accel.report.units import count, decibels, energy, fixed, percent, size
from accel.result import LayerResult, Result
from accel.studies.bottleneck import bound

ABSENT = "-"
UNITS = {"array": "array", "vector": "vector unit", "dma": "DMA"}
"""Field of ``UnitCycles`` -> what it is called."""
_MICROJOULE_PJ = 1e6
_STALLS = "stall W, A, O: waiting for weights, for activations, to put outputs away"


def title(result: Result) -> str:
    """What was run on what: ``resnet18 on edge-32x32, batch 1: simulation``."""
    return f"{result.network} on {result.machine}, batch {result.batch}: {result.kind}"


def energy_columns(result: Result) -> tuple[Column, ...]:
    """Energy by component, all in microjoules so that cells compare.

    Where the run counted toggled bits, ``toggled`` is the energy that follows from them, beside the total of
    average activity.
    """
    layers = result.layers
    columns = [*_identity(result)]
    for component in COMPONENTS:
        picojoules = [picojoules_of(layer.energy, component) for layer in layers]
        columns.append(
            Column(
                component.header,
                tuple(fixed(value / _MICROJOULE_PJ) for value in picojoules),
                rank=1 if any(picojoules) else 2,
                total=fixed(sum(picojoules) / _MICROJOULE_PJ),
                narrow_header=component.narrow_header,
            )
        )
    columns.append(
        Column(
            "total",
            tuple(fixed(layer.energy.total_pj / _MICROJOULE_PJ) for layer in layers),
            rank=0,
            total=fixed(result.energy_pj / _MICROJOULE_PJ),
            style="bold",
        )
    )
    if (toggled_pj := toggled_energy_pj(result)) is not None:
        cells = tuple(_toggled(layer, lambda pj: fixed(pj / _MICROJOULE_PJ)) for layer in layers)
        columns.append(Column("toggled", cells, rank=1, total=fixed(toggled_pj / _MICROJOULE_PJ)))
    return tuple(columns)


def toggled_energy_pj(result: Result) -> float | None:
    """Energy with the counted toggles where layers have them, average activity elsewhere; None: nowhere counted."""
    counted = [layer.activity.energy if layer.activity else None for layer in result.layers]
    if not any(counted):
        return None
    pairs = zip(counted, result.layers, strict=True)
    return sum((seen or layer.energy).total_pj for seen, layer in pairs)


def layer_columns(result: Result) -> tuple[Column, ...]:
    """Where the cycles went, how busy the array was, the energy, and how good the integers are."""
    return (*_identity(result), *_work(result), *_cycles(result), *_energy(result), *_quality(result))


def use_columns(result: Result) -> tuple[Column, ...]:
    """What bounds each layer, how busy each unit was meanwhile, and how full each buffer at its fullest."""
    layers, capacity = result.layers, result.buffers
    columns = [*_identity(result), Column("bound by", tuple(bound(layer) or ABSENT for layer in layers), 0, text=True)]
    for unit, header in UNITS.items():
        busy = [getattr(layer.busy, unit) for layer in layers]
        shares = tuple(_share(cycles, layer.cycles.total) for cycles, layer in zip(busy, layers, strict=True))
        columns.append(Column(f"{header}\nbusy", shares, rank=2, total=_share(sum(busy), result.latency_cycles)))
    for name in ("weight", "activation", "accumulator"):
        peaks, room = [getattr(layer.peak, name) for layer in layers], getattr(capacity, name)
        cells = tuple(f"{size(peak)} ({percent(peak / room)})" for peak in peaks)
        columns.append(Column(f"{name} buffer,\nat most", cells, rank=3, total=size(max(peaks, default=0))))
    return tuple(columns)


def _share(part: int, whole: int) -> str:
    return percent(part / whole) if whole else ABSENT


def _identity(result: Result) -> tuple[Column, ...]:
    numbers = tuple(str(number) for number, _ in enumerate(result.layers, start=1))
    return (
        Column("#", numbers, rank=0, style="dim"),
        Column("layer", tuple(layer.name for layer in result.layers), rank=0, total="total", text=True, names=True),
    )


def _work(result: Result) -> tuple[Column, ...]:
    layers = result.layers
    return (
        Column("op", tuple(layer.op for layer in layers), rank=5, text=True),
        Column("output\nshape", tuple(layer.shape for layer in layers), rank=9, text=True),
        Column("MACs", tuple(count(layer.macs) for layer in layers), rank=6, total=count(result.macs)),
    )


def _cycles(result: Result) -> tuple[Column, ...]:
    layers = result.layers
    split = [
        Column(
            cause.header,
            tuple(count(cycles_of(layer.cycles, cause)) for layer in layers),
            rank=3,
            total=count(sum(cycles_of(layer.cycles, cause) for layer in layers)),
            narrow_header=cause.narrow_header,
            narrow_note=_STALLS if cause.field.startswith("stall") else "",
        )
        for cause in CAUSES
    ]
    totals = tuple(count(layer.cycles.total) for layer in layers)
    utilization = tuple(percent(layer.utilization) if layer.unit == "array" else ABSENT for layer in layers)
    return (
        *split,
        Column("cycles", totals, rank=0, total=count(result.latency_cycles), style="bold"),
        Column("utili-\nzation", utilization, rank=1, total=percent(result.utilization), narrow_header="util"),
    )


def _energy(result: Result) -> tuple[Column, ...]:
    layers = result.layers
    columns = [
        Column(
            "energy",
            tuple(energy(layer.energy.total_pj) for layer in layers),
            rank=2,
            total=energy(result.energy_pj),
        ),
    ]
    if (toggled_pj := toggled_energy_pj(result)) is not None:
        cells = tuple(_toggled(layer, energy) for layer in layers)
        columns.append(
            Column("energy,\ntoggled bits", cells, rank=5, total=energy(toggled_pj), narrow_header="tog-\ngled")
        )
    columns.append(Column("mostly", tuple(_largest_share(layer) for layer in layers), rank=8, text=True))
    return tuple(columns)


def _quality(result: Result) -> tuple[Column, ...]:
    layers = result.layers
    columns = []
    if any(layer.error for layer in layers):
        cells = tuple(decibels(layer.error.sqnr_db) if layer.error else ABSENT for layer in layers)
        columns.append(Column("SQNR\ndB", cells, rank=4))
    uses = [layer.accumulator for layer in layers]
    if any(uses):
        bits = tuple(f"{use.bits_used}/{use.bits_safe}" if use else ABSENT for use in uses)
        columns.append(Column("bits used\n/ safe", bits, rank=7, narrow_header="bits/\nsafe"))
        overflows = sum(use.overflows for use in uses if use)
        columns.append(
            Column(
                "overflows",
                tuple(count(use.overflows) if use else ABSENT for use in uses),
                # Sums that overflowed change the answer: then the column outlives all but latency.
                rank=1 if overflows else 10,
                total=count(overflows),
                narrow_header="over-\nflows",
                style="red" if overflows else "",
            )
        )
    return tuple(columns)


def _toggled(layer: LayerResult, text: Callable[[float], str]) -> str:
    if layer.activity is None or layer.activity.energy is None:
        return ABSENT
    return text(layer.activity.energy.total_pj)


def _largest_share(layer: LayerResult) -> str:
    total_pj = layer.energy.total_pj
    if not total_pj:
        return ABSENT
    largest = largest_component(layer.energy)
    return f"{largest.label} {percent(picojoules_of(layer.energy, largest) / total_pj)}"
