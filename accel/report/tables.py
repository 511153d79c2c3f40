"""Tables for a terminal: layer by layer, energy by component, and the totals."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from accel.report.columns import energy_columns, layer_columns, title
from accel.report.fit import fitted_table
from accel.report.totals import totals_rows
from accel.result import Result


def layer_table(result: Result, width: int) -> Table:
    """Layer by layer: where the cycles went, how busy the array was, the energy, and how good the integers are.

    Parameters
    ----------
    result
        A run's record.
    width
        Characters a line. Columns that do not fit are left out, and the caption says so; numbers are never cut.
    """
    return fitted_table(title(result), layer_columns(result), width)


def energy_table(result: Result, width: int) -> Table:
    """Energy by layer and component in microjoules, in ``width`` characters."""
    return fitted_table(f"Energy in µJ, {title(result)}", energy_columns(result), width)


def totals_table(result: Result) -> Table:
    """The totals of a run, one a row: the figure, then what explains it."""
    table = Table(
        title=Text(f"Totals, {title(result)}"),
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        show_header=False,
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, figure, explanation in totals_rows(result):
        table.add_row(Text(label), Text.assemble((figure, "bold"), "  " if explanation else "", explanation))
    return table
