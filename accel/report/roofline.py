"""The roofline: how near each layer comes to what the array and the DRAM allow.

S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual Performance Model", CACM 52(4), 2009.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from accel.report.bars import drawn_layers, figure_names, subject
from accel.report.labels import Box, place_labels
from accel.report.palette import BOUNDS, DARK_GREY
from accel.report.units import quantity
from accel.result import Result
from accel.studies.bottleneck import OPERATIONS_PER_MAC, bound, intensity, operations

Vector = npt.NDArray[np.float64]

_NEAR = math.log(1.08)
"""Layers that differ by less than 8 % in both directions share a letter."""

_PLOT_IN = (7.2, 4.8)
_LEFT_IN, _BOTTOM_IN, _TOP_IN, _RIGHT_IN = 0.75, 0.55, 0.58, 0.9
_KEY_COLUMN_IN = 1.95
_KEY_LINES = 40
_LISTED_ALL = 80
_LISTED_FEW = 3
_KEY_LINE_PT = 8.6
_KEY_PT = 6.5
_LABEL_PT = 8.0
_PT_PER_IN = 72.0
_CLEAR_PT = 25.0
_MARKS = {"array": "o", "vector": "s"}


@dataclass(frozen=True, slots=True)
class Point:
    """A layer."""

    number: int
    """As in the tables, from 1."""
    unit: str
    """``array`` or ``vector``."""
    bound: str
    """What most of its cycles went to."""
    intensity: float
    """Operations per DRAM byte; infinite without DRAM traffic."""
    rate: float
    """Operations per cycle."""
    cycles: int


Group = tuple[Point, ...]
"""Layers that do as well as each other."""


def points(result: Result) -> list[Group]:
    """A point for each layer, those at one place together, and those of least intensity first."""
    groups: list[list[Point]] = []
    for number, layer in drawn_layers(result):
        if not (done := operations(layer)):
            continue
        cycles, unit = layer.cycles.total, "array" if layer.macs else "vector"
        point = Point(number, unit, bound(layer), intensity(layer), done / cycles, cycles)
        near = (group for group in groups if _alike(group[0], point))
        if (group := next(near, None)) is not None:
            group.append(point)
        else:
            groups.append([point])
    return sorted(map(tuple, groups), key=lambda group: (group[0].intensity, group[0].rate))


def roofline_figure(result: Result) -> Figure | None:
    """Operations per cycle over operations per DRAM byte, under the machine's roofs; None where nothing was computed.

    A marker's colour is what bounds its layer, its area the layer's share of the latency. Letters lead from the markers
    to the layers' names. Layers without DRAM traffic stand at the right edge; one whose weights came while an earlier
    layer ran may stand above the DRAM's roof.
    """
    drawn = points(result)
    if not drawn:
        return None
    key = _key(result, drawn)
    columns = math.ceil(len(key) / _KEY_LINES)
    width_in = _LEFT_IN + _PLOT_IN[0] + _RIGHT_IN + _KEY_COLUMN_IN * columns
    height_in = _BOTTOM_IN + _PLOT_IN[1] + _TOP_IN
    figure = Figure(figsize=(width_in, height_in))
    place = (_LEFT_IN / width_in, _BOTTOM_IN / height_in, _PLOT_IN[0] / width_in, _PLOT_IN[1] / height_in)
    axes = figure.add_axes(place, xscale="log", yscale="log")
    view = _view(result, drawn)
    axes.set_xlim(view.left, view.right)
    axes.set_ylim(view.bottom, view.top)
    axes.grid()
    markers = [_markers(group, view, result.latency_cycles) for group in drawn]
    roofs = _draw_roofs(axes, result, view, [box for boxes in markers for box in boxes])
    _draw_points(axes, drawn, view, markers, roofs)
    _write_key(axes, key, {point.bound for group in drawn for point in group})
    axes.set_xlabel("operational intensity: operations per DRAM byte, a MAC being two")
    axes.set_ylabel("operations per cycle")
    seconds = axes.secondary_yaxis("right", functions=(_times(result.clock_hz), _times(1 / result.clock_hz)))
    seconds.yaxis.set_major_formatter(EngFormatter(unit="OPS"))
    axes.set_title(f"Roofline\n{subject(result)}", loc="left")
    return figure


@dataclass(frozen=True, slots=True)
class _View:
    """The axes' limits, in data; both scales are logarithmic."""

    left: float
    right: float
    bottom: float
    top: float

    def at(self, intensity: float, rate: float) -> tuple[float, float]:
        """Where it is in the axes, in typographic points."""
        across = math.log(intensity / self.left) / math.log(self.right / self.left)
        up = math.log(rate / self.bottom) / math.log(self.top / self.bottom)
        return across * _PLOT_IN[0] * _PT_PER_IN, up * _PLOT_IN[1] * _PT_PER_IN


def _view(result: Result, drawn: Sequence[Group]) -> _View:
    roof = OPERATIONS_PER_MAC * result.macs_per_cycle
    ridge = roof / result.dram_bytes_per_cycle
    placed = [point for group in drawn for point in group]
    intensities = [ridge, *(point.intensity for point in placed if math.isfinite(point.intensity))]
    rates = [roof, *(point.rate for point in placed)]
    return _View(min(intensities) / 2, max(intensities) * 3, min(rates) / 2, max(rates) * 2)


def _markers(group: Group, view: _View, latency_cycles: int) -> list[Box]:
    """Where the points stand. An area has a floor, so that a quick layer is still seen."""
    diameters_pt = [math.sqrt(18.0 + 600.0 * point.cycles / latency_cycles) for point in group]
    places = [view.at(min(point.intensity, 0.9 * view.right), point.rate) for point in group]
    return [Box(x, y, diameter, diameter) for (x, y), diameter in zip(places, diameters_pt, strict=True)]


def _draw_roofs(axes: Axes, result: Result, view: _View, markers: Sequence[Box]) -> list[Box]:
    """The two roofs and their names; returned is what they cover."""
    roof = OPERATIONS_PER_MAC * result.macs_per_cycle
    bandwidth = result.dram_bytes_per_cycle
    start, ridge = max(view.left, view.bottom / bandwidth), roof / bandwidth
    axes.plot([start, ridge, view.right], [start * bandwidth, roof, roof], color=DARK_GREY, linewidth=1.6, zorder=1)
    sustained = result.dram_sustained_bytes_per_cycle
    if sustained < bandwidth:
        begin = max(view.left, view.bottom / sustained)
        axes.plot([begin, roof / sustained], [begin * sustained, roof], "--", color=DARK_GREY, linewidth=1.2, zorder=1)
    low, high = np.array(view.at(start, start * bandwidth)), np.array(view.at(ridge, roof))
    right, _ = view.at(view.right, roof)
    array_name = f"array: {result.pe_count:,} PEs, {roof:,.0f} operations per cycle"
    dram_name = f"DRAM: {bandwidth:g} bytes per cycle, {quantity(bandwidth * result.clock_hz, 'B/s')}"
    if sustained < bandwidth:
        dram_name += f"; {sustained:.3g} sustained"
    _name_roof(axes, array_name, (right - 3, high[1] + 4), ha="right")
    along = (high - low) / np.hypot(*(high - low))
    middle = _clear_place(low, high, _text_width_pt(dram_name), markers) + _LABEL_PT * np.array([-along[1], along[0]])
    angle = math.degrees(math.atan2(along[1], along[0]))
    _name_roof(axes, dram_name, middle, ha="center", va="center", rotation=angle)
    reach = along * _text_width_pt(dram_name) / 2
    covered = [
        *(Box(x, y, 4, 4) for x, y in np.linspace(low, high, 100)),
        *(Box(x, y, 9, 9) for x, y in np.linspace(middle - reach, middle + reach, 30)),
    ]
    width = _text_width_pt(array_name)
    flat = Box((high[0] + right) / 2, high[1], right - high[0], 3)
    return [*covered, flat, Box(right - width / 2, high[1] + _LABEL_PT, width, 1.2 * _LABEL_PT)]


def _clear_place(low: Vector, high: Vector, width_pt: float, markers: Sequence[Box]) -> Vector:
    """The middle of a text of this width along the line from ``low`` to ``high`` that is farthest from all markers."""
    length = float(np.hypot(*(high - low)))
    along = (high - low) / length
    places = np.array([(marker.x, marker.y) for marker in markers]) - low
    ahead, aside = places @ along, places @ np.array([-along[1], along[0]])
    # The most central first; from some distance on, farther is no better.
    middles = np.array(
        sorted(np.linspace(width_pt / 2, length - width_pt / 2, 51), key=lambda at: abs(at - length / 2))
    )
    gaps = np.hypot(np.maximum(np.abs(ahead - middles[:, None]) - width_pt / 2, 0), aside).min(axis=1)
    clearest: Vector = low + middles[np.argmax(np.minimum(gaps, _CLEAR_PT))] * along
    return clearest


def _name_roof(axes: Axes, name: str, at: Sequence[float] | Vector, **options: Any) -> None:
    axes.annotate(name, (at[0], at[1]), xycoords="axes points", color=DARK_GREY, fontsize=_LABEL_PT, **options)


def _text_width_pt(text: str) -> float:
    return 0.55 * _LABEL_PT * len(text)


def _draw_points(
    axes: Axes, drawn: Sequence[Group], view: _View, markers: Sequence[Sequence[Box]], roofs: Sequence[Box]
) -> None:
    for group, boxes in zip(drawn, markers, strict=True):
        for point, box in zip(group, boxes, strict=True):
            axes.plot(
                min(point.intensity, 0.9 * view.right),
                point.rate,
                _MARKS[point.unit],
                color=BOUNDS[point.bound],
                markersize=box.width,
                markeredgecolor="white",
                markeredgewidth=0.6,
                alpha=0.75,
                zorder=3,
            )
    largest = [max(boxes, key=lambda box: box.width) for boxes in markers]
    letters = [_letters(place) for place in range(len(drawn))]
    sizes = [(0.75 * _LABEL_PT * len(text), 1.05 * _LABEL_PT) for text in letters]
    width_pt, height_pt = (_PT_PER_IN * inches for inches in _PLOT_IN)
    field = Box(width_pt / 2, height_pt / 2, width_pt, height_pt)
    for text, box, label in zip(letters, largest, place_labels(largest, sizes, field, roofs), strict=True):
        far = math.hypot(label.x - box.x, label.y - box.y) > (box.width + label.width) / 2 + 6
        axes.annotate(
            text,
            (box.x, box.y),
            (label.x, label.y),
            xycoords="axes points",
            textcoords="axes points",
            ha="center",
            va="center_baseline",
            fontsize=_LABEL_PT,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": DARK_GREY, "shrinkA": 1} if far else None,
            zorder=4,
        )


def _key(result: Result, drawn: Sequence[Group]) -> list[tuple[str, str, str]]:
    """Lines of a letter, a number and a name: each group's layers, or of a very deep network its first few."""
    numbers = [point.number for group in drawn for point in group]
    names = dict(zip(numbers, figure_names([result.layers[number - 1].name for number in numbers]), strict=True))
    listed_max = len(numbers) if len(numbers) <= _LISTED_ALL else _LISTED_FEW
    lines = []
    for place, group in enumerate(drawn):
        of_group = [(str(point.number), names[point.number]) for point in group[:listed_max]]
        if unlisted := len(group) - len(of_group):
            of_group.append(("", f"and {unlisted} more"))
        lines += [("" if later else _letters(place), *line) for later, line in enumerate(of_group)]
    return lines


def _write_key(axes: Axes, key: Sequence[tuple[str, str, str]], bounds: set[str]) -> None:
    """The bounds' colours in the axes; beside them, in columns: first the markers, then the letters."""
    drawn = [name for name in BOUNDS if name in bounds]
    colours = [Line2D([], [], linestyle="", marker="o", color=BOUNDS[name]) for name in drawn]
    axes.add_artist(
        axes.legend(colours, drawn, title="bound by", title_fontsize=8, alignment="left", loc="lower right")
    )
    handles = [Line2D([], [], linestyle="", marker=mark, color=DARK_GREY) for mark in _MARKS.values()]
    axes.legend(
        handles,
        [f"{unit} layers" for unit in _MARKS],
        title="marker area: share of latency",
        title_fontsize=8,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1 + _RIGHT_IN / _PLOT_IN[0], 1 + _TOP_IN / _PLOT_IN[1]),
        borderaxespad=0.1,
        borderpad=0,
        handletextpad=0.3,
    )
    for line, (letter, number, name) in enumerate(key):
        column, row = divmod(line, _KEY_LINES)
        x = (_PLOT_IN[0] + _RIGHT_IN + column * _KEY_COLUMN_IN) * _PT_PER_IN
        y = _PLOT_IN[1] * _PT_PER_IN - 10 - row * _KEY_LINE_PT
        for shift, words, side, weight in (
            (5, letter, "left", "bold"),
            (30, number, "right", "normal"),
            (35, name, "left", "normal"),
        ):
            axes.annotate(
                words,
                (x + shift, y),
                xycoords="axes points",
                annotation_clip=False,
                ha=side,
                fontsize=_KEY_PT,
                weight=weight,
            )


def _letters(place: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    rest, last = divmod(place, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + last)


def _times(factor: float) -> Callable[[npt.ArrayLike], npt.NDArray[np.float64]]:
    return lambda values: np.asarray(values, dtype=np.float64) * factor


def _alike(a: Point, b: Point) -> bool:
    if a.unit != b.unit or math.isinf(a.intensity) != math.isinf(b.intensity):
        return False
    apart = 0.0 if math.isinf(a.intensity) else abs(math.log(a.intensity / b.intensity))
    return max(apart, abs(math.log(a.rate / b.rate))) < _NEAR
