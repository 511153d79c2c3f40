"""Figures with one place a layer: cycles by cause, energy by component, error."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from accel.report.names import short_names
from accel.report.palette import BLUE, CAUSES, COMPONENTS, GREEN, Part, cycles_of, picojoules_of
from accel.report.units import decibels, energy, percent
from accel.result import LayerResult, NumericError, Result

NumberedLayer = tuple[int, LayerResult]
"""A layer with its number in the tables, from 1."""

_HEIGHT_IN = 4.6
_LAYER_IN = 0.19
_SUMS_IN = 3.0
_NAME_WIDTH = 24
_LABELS_MAX = 80
_LEGEND_ENTRY_IN = 1.9
_LEGEND_ROW_PT = 13.0


def drawn_layers(result: Result) -> list[NumberedLayer]:
    """The layers that take time; views move nothing and would be gaps."""
    return [(number, layer) for number, layer in enumerate(result.layers, 1) if layer.cycles.total]


def subject(result: Result) -> str:
    """Whose figure it is: ``resnet18 on edge-32x32, batch 1``."""
    network, machine = (figure_names([name])[0] for name in (result.network, result.machine))
    return f"{network} on {machine}, batch {result.batch}"


def figure_names(names: Sequence[str]) -> list[str]:
    """Names short enough to stand in a figure, and never taken for a formula."""
    return [name.replace("$", r"\$") for name in short_names(names, _NAME_WIDTH)]


def cycles_figure(result: Result) -> Figure:
    """Cycles by layer, stacked by cause; the legend tells each cause's share of the latency."""
    layers = drawn_layers(result)
    figure = Figure(figsize=(_width_in(len(layers)), _HEIGHT_IN), layout="constrained")
    axes = figure.add_subplot()
    cycles = [np.array([cycles_of(layer.cycles, cause) for _, layer in layers], dtype=np.float64) for cause in CAUSES]
    for cause, part, bars in zip(CAUSES, cycles, _stack(axes, CAUSES, cycles), strict=True):
        if part.any():
            bars.set_label(f"{cause.label}  {percent(float(part.sum()) / result.latency_cycles)}")
    _name_layers(axes, layers)
    axes.set_ylabel("cycles")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    _head(axes, "Cycles by layer and cause", result)
    return figure


def energy_figure(result: Result) -> Figure | None:
    """Energy by layer, stacked by component, and the components' totals beside it; None where there is none."""
    if not result.energy_pj:
        return None
    layers = drawn_layers(result)
    width_in = _width_in(len(layers))
    figure = Figure(figsize=(width_in + _SUMS_IN, _HEIGHT_IN), layout="constrained")
    axes, sums = figure.subplots(1, 2, width_ratios=(width_in, _SUMS_IN))
    joules = [
        np.array([picojoules_of(layer.energy, component) * 1e-12 for _, layer in layers]) for component in COMPONENTS
    ]
    _stack(axes, COMPONENTS, joules)
    _name_layers(axes, layers)
    axes.set_ylabel("energy")
    axes.yaxis.set_major_formatter(EngFormatter(unit="J"))
    _head(axes, "Energy by layer and component", result)
    _draw_sums(sums, joules)
    return figure


def error_figure(result: Result) -> Figure | None:
    """SQNR against the float network at each layer's output; None for a run without errors."""
    seen = [(number, layer, layer.error) for number, layer in enumerate(result.layers, 1) if layer.error]
    if not seen:
        return None
    layers = [(number, layer) for number, layer, _ in seen]
    figure = Figure(figsize=(_width_in(len(layers)), _HEIGHT_IN), layout="constrained")
    axes = figure.add_subplot()
    levels_db = np.array([_sqnr_db(error) for _, _, error in seen])
    finite_db = [level for level in levels_db if math.isfinite(level)]
    bottom_db, top_db = min([0.0, *(1.1 * level for level in finite_db)]), 1.1 * max([10.0, *finite_db])
    heights_db = np.clip(levels_db, bottom_db, top_db)
    on_array = np.array([layer.unit == "array" for _, layer in layers])
    for where, colour, marker, label in (
        (on_array, BLUE, "o", "array layers"),
        (~on_array, GREEN, "s", "vector layers"),
    ):
        if where.any():
            places = np.flatnonzero(where)
            axes.vlines(places, 0, heights_db[where], color=colour, linewidth=1.2, alpha=0.45)
            axes.plot(places, heights_db[where], marker, color=colour, markersize=5, label=label)
    for place in np.flatnonzero(levels_db == math.inf):
        axes.annotate("exact", (place, top_db), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    _name_layers(axes, layers)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylim(bottom_db, 1.06 * top_db)
    axes.set_ylabel("SQNR at the layer's output (dB)")
    worst = int(np.argmin(levels_db))
    exact = levels_db[worst] == math.inf
    least = "none" if exact else f"least {decibels(levels_db[worst])} dB, at layer {layers[worst][0]}"
    _head(axes, f"Error by layer, against the float network: {least}", result)
    return figure


def _sqnr_db(error: NumericError) -> float:
    """No signal and no noise (not a number) is drawn as what it is: no error."""
    return math.inf if math.isnan(error.sqnr_db) else error.sqnr_db


def _stack(axes: Axes, parts: Sequence[Part], values: Sequence[npt.NDArray[np.float64]]) -> list[BarContainer]:
    """Bars on each other, in the order of ``parts``."""
    places = np.arange(len(values[0]))
    bottoms = np.cumsum([np.zeros(len(places)), *values], axis=0)
    return [
        axes.bar(places, heights, 0.82, bottom, color=part.colour, linewidth=0)
        for part, heights, bottom in zip(parts, values, bottoms, strict=False)
    ]


def _draw_sums(axes: Axes, joules: Sequence[npt.NDArray[np.float64]]) -> None:
    """One horizontal bar a component, with its energy and share; it is the stack's legend too."""
    sums = [(part, float(values.sum())) for part, values in zip(COMPONENTS, joules, strict=True) if values.any()]
    whole = sum(value for _, value in sums)
    places = range(len(sums))
    axes.barh(places, [value for _, value in sums], color=[part.colour for part, _ in sums])
    for place, (_, value) in zip(places, sums, strict=True):
        axes.text(value, place, f" {energy(value * 1e12)} ({percent(value / whole)})", va="center", fontsize=8)
    axes.set_yticks(places, [part.label for part, _ in sums])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    # Beside the longest bar there must be room for its text.
    axes.set_xlim(0, 1.9 * max(value for _, value in sums))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"Whole network: {energy(whole * 1e12)}", loc="left")


def _name_layers(axes: Axes, layers: Sequence[NumberedLayer]) -> None:
    """Numbers and names below the axis; beyond 80 layers only every second, third, ... has room."""
    names = figure_names([layer.name for _, layer in layers])
    labels = [f"{name}  {number}" for name, (number, _) in zip(names, layers, strict=True)]
    places = range(0, len(layers), math.ceil(len(layers) / _LABELS_MAX))
    few = len(layers) <= 14
    axes.set_xticks(
        places,
        [labels[place] for place in places],
        rotation=40 if few else 90,
        rotation_mode="anchor" if few else "default",
        ha="right" if few else "center",
        fontsize=8 if len(layers) <= 40 else 6.5,
    )
    axes.tick_params(axis="x", length=0, pad=3)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.margins(y=0.03)


def _head(axes: Axes, what: str, result: Result) -> None:
    """The title, under it the legend if anything is labelled, under that the axes."""
    rows = 0
    if entries := len(axes.get_legend_handles_labels()[1]):
        columns = min(entries, int(_width_in(len(axes.get_xticks())) / _LEGEND_ENTRY_IN))
        rows = math.ceil(entries / columns)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, borderpad=0.2)
    axes.set_title(f"{what}\n{subject(result)}", loc="left", pad=6 + _LEGEND_ROW_PT * rows)


def _width_in(layers: int) -> float:
    return min(max(_LAYER_IN * layers + 1.2, 7.0), 15.0)
