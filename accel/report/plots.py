"""A result's figures as files: cycles, energy, error, occupancy, roofline; PNG to look at, SVG to print.

Everything is drawn through matplotlib's object interface: no pyplot, no window, no backend chosen for the caller,
and none of the caller's style. The same result gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from accel.report.bars import cycles_figure, drawn_layers, energy_figure, error_figure
from accel.report.roofline import roofline_figure
from accel.report.timeline import occupancy_figure
from accel.result import Result

FIGURES: dict[str, Callable[[Result], Figure | None]] = {
    "cycles": cycles_figure,
    "energy": energy_figure,
    "error": error_figure,
    "occupancy": occupancy_figure,
    "roofline": roofline_figure,
}
"""File stem -> figure; None where the result has nothing to draw."""

_PNG_DOTS_PER_INCH = 150
_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.handlelength": 1.1,
    "legend.columnspacing": 1.2,
    # With a salt of its own, the ids in an SVG depend on its content alone.
    "svg.hashsalt": "accel",
}


def save_plots(result: Result, folder: Path) -> list[Path]:
    """Draw every figure that the result has data for, as ``<name>.png`` and ``<name>.svg``.

    Parameters
    ----------
    result
        The record.
    folder
        Where; it is made if only its parent exists.

    Returns
    -------
    list of Path
        The files, in a fixed order; none for a result without layers.
    """
    if not drawn_layers(result):
        return []
    folder.mkdir(exist_ok=True)
    files = []
    with _own_style():
        for name, draw in FIGURES.items():
            if (figure := draw(result)) is not None:
                png, svg = folder / f"{name}.png", folder / f"{name}.svg"
                figure.savefig(png, dpi=_PNG_DOTS_PER_INCH, metadata={"Software": None})
                # The layout is settled now; both files show the same.
                figure.set_layout_engine("none")
                figure.savefig(svg, metadata={"Date": None, "Creator": None})
                files += [png, svg]
    return files


@contextmanager
def _own_style() -> Iterator[None]:
    """matplotlib's defaults with ours on top, whatever the caller or a matplotlibrc says; put back on leaving."""
    with matplotlib.style.context({}, after_reset=True), matplotlib.rc_context(_STYLE):
        yield
