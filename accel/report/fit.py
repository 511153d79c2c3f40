"""A table that chooses its columns by the width it gets, and never cuts a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from accel.report.names import short_names

_NAME_WIDTH_MIN = 12


@dataclass(frozen=True, slots=True)
class Column:
    """One column, its cells ready to print."""

    header: str
    cells: tuple[str, ...]
    rank: int
    """Columns leave in groups of one rank, the highest first, when the table is too wide; rank 0 always stays."""
    total: str = ""
    narrow_header: str = ""
    """Used together with narrow gaps, before any column leaves; empty: the header itself."""
    narrow_note: str = ""
    """What explains the narrow header, where it is used."""
    style: str = ""
    text: bool = False
    """Words, not numbers: aligned to the left."""
    names: bool = False
    """The one kind of cell that may be shortened."""

    def heading(self, narrow: bool) -> str:
        """The header at this density."""
        return self.narrow_header if narrow and self.narrow_header else self.header

    def width(self, narrow: bool) -> int:
        """Characters that it takes whole."""
        return max(cell_len(text) for text in (*self.heading(narrow).split("\n"), *self.cells, self.total))

    def width_min(self, narrow: bool) -> int:
        """Characters below which it would say something else."""
        return min(self.width(narrow), _NAME_WIDTH_MIN) if self.names else self.width(narrow)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Some of a table's columns, with wide gaps and headers or with narrow ones."""

    columns: tuple[Column, ...]
    narrow: bool

    @property
    def gap(self) -> int:
        """Characters between columns."""
        return 1 if self.narrow else 2

    @property
    def width_min(self) -> int:
        """Characters that it takes with names as short as they may be."""
        return sum(column.width_min(self.narrow) for column in self.columns) + self._gaps

    def names_width(self, width: int) -> int:
        """Characters left for names in a table of ``width``."""
        numbers = sum(column.width(self.narrow) for column in self.columns if not column.names)
        return max(width - numbers - self._gaps, 1)

    @property
    def _gaps(self) -> int:
        return self.gap * (len(self.columns) - 1)


def fitted_table(title: str, columns: Sequence[Column], width: int) -> Table:
    """A table for ``width`` characters: the richest arrangement of columns that fits, or else the poorest there is.

    The caption tells how many columns are left out, if any.
    """
    arrangements = list(_arrangements(columns))
    choice = next((choice for choice in arrangements if choice.width_min <= width), arrangements[-1])
    caption = _caption(choice, arrangements[0])
    table = Table(
        title=Text(title),
        caption=Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        footer_style="bold",
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, choice.gap - 1, 0, 0),
        show_footer=any(column.total for column in choice.columns),
    )
    for column in choice.columns:
        table.add_column(
            Text(column.heading(choice.narrow)),
            Text(column.total),
            justify="left" if column.text else "right",
            style=column.style,
            no_wrap=True,
        )
    names_width = choice.names_width(width)
    for row in zip(*(_texts(column, names_width) for column in choice.columns), strict=True):
        table.add_row(*row)
    return table


def _arrangements(columns: Sequence[Column]) -> Iterator[Arrangement]:
    """From all columns, wide, to those of rank 0, narrow."""
    for rank in sorted({column.rank for column in columns}, reverse=True):
        kept = tuple(column for column in columns if column.rank <= rank)
        yield Arrangement(kept, narrow=False)
        yield Arrangement(kept, narrow=True)


def _caption(choice: Arrangement, richest: Arrangement) -> str:
    lines = [column.narrow_note for column in choice.columns if choice.narrow and column.narrow_note]
    if left_out := len(richest.columns) - len(choice.columns):
        whole = replace(richest, narrow=True).width_min
        lines.append(f"{left_out} column{'s' if left_out > 1 else ''} left out; a width of {whole} shows all")
    return "\n".join(dict.fromkeys(lines))


def _texts(column: Column, names_width: int) -> Sequence[Text]:
    if column.names:
        return [Text(name) for name in short_names(column.cells, names_width)]
    return [Text(cell, style="dim" if cell == "0" else "") for cell in column.cells]
