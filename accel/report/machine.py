"""A machine as a readable page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

Row = tuple[str, str, str, str, str | None, str]
"""section, field, value, unit, default (None: the file must say it), meaning."""

_PROSE = ("name", "description", "source")
_ROOM_FOR_MEANINGS = 110


def machine_page(rows: Sequence[Row], figures: Sequence[tuple[str, str]], width: int) -> Group:
    """Name and prose, every field with unit and default, section by section, then what follows from them.

    Parameters
    ----------
    rows
        As ``describe_machine`` makes them.
    figures
        (name, value) of what follows from the fields.
    width
        Columns of the terminal; where there is room, each field has its meaning beside it.
    """
    prose = {field: value for section, field, value, *_ in rows if not section and field in _PROSE}
    columns = ("field", "value", "unit", "default", "meaning")
    shown = len(columns) if width >= _ROOM_FOR_MEANINGS else len(columns) - 1
    table = Table(box=None, pad_edge=False)
    for column in columns[:shown]:
        table.add_column(column, overflow="fold", no_wrap=column == "field")
    before = ""
    for section, field, value, unit, default, meaning in rows:
        if not section and field in _PROSE:
            continue
        if section != before:
            table.add_row()
            table.add_row(Text(section, style="bold"))
            before = section
        cells = (f"{'  ' if section else ''}{field}", value, unit, "" if default is None else default, meaning)
        table.add_row(*(Text(cell) for cell in cells[:shown]))
    derived = Table(box=None, pad_edge=False, show_header=False)
    for name, value in figures:
        derived.add_row(Text(name, style="bold"), Text(value))
    head = [Text(prose["name"], style="bold"), *(Text(prose[name]) for name in _PROSE[1:] if prose.get(name))]
    return Group(*head, Text(), table, Text(), derived)
