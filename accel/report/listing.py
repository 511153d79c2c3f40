"""A gallery as a table: one row each, the first column the name to use."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_LONG = ("description", "files")


def listing(rows: Sequence[dict[str, object]]) -> Group:
    """The short columns side by side; what is long stands in lines of its own below its row."""
    columns = [name for name in rows[0] if name not in _LONG]
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=name == columns[0])
    notes = []
    for row in rows:
        table.add_row(*(str(row[name]) for name in columns))
        words = "; ".join(str(row[name]) for name in _LONG if row.get(name))
        notes.append(Group(Text(str(row["name"]), style="bold"), Padding(Text(words), (0, 0, 0, 4))))
    return Group(table, Text(), *notes)
