"""A machine as a readable page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

Row = tuple[str, str, str, str, str | None, str]
"""section, field, value, unit, default (None: the file must say it), meaning."""


def machine_page(title: str, rows: Sequence[Row], figures: Sequence[tuple[str, str]]) -> Group:
    """Every field with unit, default and meaning, section by section, then what follows from them."""
    table = Table(box=None, pad_edge=False)
    for column in ("field", "value", "unit", "default", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column == "field", justify="left")
    section = None
    for head, field, value, unit, default, meaning in rows:
        if head != section:
            if section is not None:
                table.add_row()
            if head:
                table.add_row(Text(head, style="bold"))
            section = head
        table.add_row(f"{'  ' if head else ''}{field}", value, unit, "" if default is None else default, meaning)
    derived = Table(box=None, pad_edge=False, show_header=False)
    for name, value in figures:
        derived.add_row(Text(name, style="bold"), value)
    return Group(Text(title, style="bold"), Text(), table, Text(), derived)
