"""Buffers over time: how many bytes of each are taken, against its capacity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from accel.report.bars import subject
from accel.report.palette import COMPONENTS, DARK_GREY, LIGHT_GREY
from accel.report.units import percent, size
from accel.result import Result

Steps = Sequence[tuple[int, int]]
"""(cycle, bytes taken from then on), cycles rising."""
Values = npt.NDArray[np.int64]

BUFFERS = ("weight", "activation", "accumulator")
_SIZE_IN = (11.0, 6.2)
_SLOTS = 1200
_NUMBER_GAP = 0.012
"""Of the width: a layer that is narrower than this has no number."""


def occupancy_figure(result: Result) -> Figure | None:
    """A panel for each buffer, layers marked by their ends and numbers; None where nothing was recorded.

    Where there are more steps than can be seen, the darker area is what was always taken, the lighter one what was
    taken at times.
    """
    if not any(result.occupancy.values()) or not result.latency_cycles:
        return None
    figure = Figure(figsize=_SIZE_IN, layout="constrained")
    panels = figure.subplots(len(BUFFERS), 1, sharex=True)
    for axes, name in zip(panels, BUFFERS, strict=True):
        _draw(axes, result, name)
    panels[-1].set_xlabel("cycle")
    panels[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    _number_layers(panels[0], result)
    heading = f"Buffers over time, layers by their numbers\n{subject(result)}"
    figure.suptitle(heading, x=0.01, horizontalalignment="left", fontsize=10, fontweight="bold")
    return figure


def envelope(steps: Steps, end: int, slots: int) -> tuple[Values, Values, Values]:
    """Borders of stretches of time from 0 to ``end``, and the least and the most that was taken in each.

    Every step is a border while there are at most ``slots``; beyond that, stretches are of equal length.

    >>> [values.tolist() for values in envelope([(0, 16), (8, 32), (42, 0)], 60, 10)]
    [[0, 8, 42, 60], [16, 32, 0], [16, 32, 0]]
    >>> [values.tolist() for values in envelope([(0, 16), (8, 32), (42, 0)], 60, 2)]
    [[0, 30, 60], [16, 0], [32, 32]]
    """
    cycles = np.array([0, *(cycle for cycle, _ in steps)], np.int64)
    taken = np.array([0, *(amount for _, amount in steps)], np.int64)
    inside = np.unique(cycles[cycles < end])
    borders = np.append(inside, end) if len(inside) <= slots else np.linspace(0, end, slots + 1).astype(np.int64)
    # What holds when a stretch begins, and every step within it.
    first = np.searchsorted(cycles, borders[:-1], side="right") - 1
    last = np.searchsorted(cycles, borders[1:], side="left")
    least = np.array([taken[low:high].min() for low, high in zip(first, last, strict=True)])
    most = np.array([taken[low:high].max() for low, high in zip(first, last, strict=True)])
    return borders, least, most


def _draw(axes: Axes, result: Result, name: str) -> None:
    colour = next(part.colour for part in COMPONENTS if part.field == f"{name}_buffer_pj")
    capacity, steps = getattr(result.buffers, name), result.occupancy.get(name, ())
    borders, least, most = envelope(steps, result.latency_cycles, _SLOTS)
    for amounts, opacity in ((most, 0.4), (least, 0.6)):
        axes.fill_between(borders, np.append(amounts, 0), step="post", color=colour, alpha=opacity, linewidth=0)
    axes.axhline(capacity, color=DARK_GREY, linewidth=1.2)
    for end, _ in spans(result):
        axes.axvline(end, color=LIGHT_GREY, linewidth=0.5, zorder=0)
    peak = max((taken for _, taken in steps), default=0)
    text = f"{name} buffer: {size(capacity)}, at most {size(peak)} taken ({percent(peak / capacity)})"
    axes.set_title(text, loc="left", fontsize=9, fontweight="normal", pad=14)
    axes.set_xlim(0, result.latency_cycles)
    axes.set_ylim(0, 1.06 * capacity)
    axes.yaxis.set_major_formatter(EngFormatter(unit="B"))


def _number_layers(axes: Axes, result: Result) -> None:
    """Above the axes, where a layer is wide enough."""
    begin, right = 0, -1.0
    for end, numbers in spans(result):
        width, middle = (end - begin) / result.latency_cycles, (begin + end) / 2
        begin = end
        if width < _NUMBER_GAP * len(numbers) or middle / result.latency_cycles - right < _NUMBER_GAP * len(numbers):
            continue
        right = middle / result.latency_cycles
        axes.annotate(
            "+".join(map(str, numbers)),
            (middle, 1.0),
            xycoords=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=6.5,
        )


def spans(result: Result) -> list[tuple[int, list[int]]]:
    """(end, numbers) of the layers, those that take turns together."""
    last = {layer: place for place, (_, layer) in enumerate(result.stretches)}
    found: list[tuple[int, list[int]]] = []
    together: set[int] = set()
    for place, (end, layer) in enumerate(result.stretches):
        together.add(layer)
        if all(last[other] <= place for other in together):
            found.append((end, sorted(other + 1 for other in together)))
            together = set()
    return found
