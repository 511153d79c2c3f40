"""Signals and their names, as the RTL of the array has them.

A family is one wire or register of every PE (or of every place between PEs). Between two PEs lies one wire that both
of them name, the left one as its output and the right one as its input: one signal of two names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Names = Callable[[int], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Family:
    """Signals of one kind."""

    count: int
    names: Names
    """Number of a signal -> its names, from the array's module down, parts joined by dots."""
    bits: int
    """Of a lane."""
    lanes: int = 1
    """Lanes joined into one signal, lane 0 in the lowest bits."""

    @property
    def width(self) -> int:
        """Bits of one signal."""
        return self.bits * self.lanes


def single(name: str, bits: int, lanes: int = 1) -> Family:
    """One signal beside the PEs."""
    return Family(1, lambda _: (name,), bits, lanes)


def in_each(rows: int, columns: int, names: str | tuple[str, ...], bits: int, lanes: int = 1) -> Family:
    """One signal of each PE, PEs row by row."""
    parts = (names,) if isinstance(names, str) else names

    def of(number: int) -> tuple[str, ...]:
        place = _place(*divmod(number, columns))
        return tuple(f"{place}.{part}" for part in parts)

    return Family(rows * columns, of, bits, lanes)


def to_the_right(rows: int, columns: int, name: str, bits: int) -> Family:
    """Wires from PE to PE along the rows: ``columns`` + 1 a row, the first from the edge and the last to nowhere.

    Examples
    --------
    >>> to_the_right(1, 2, "moving", 8).names(1)
    ('array.g_row[0].g_column[1].moving_in', 'array.g_row[0].g_column[0].moving_out')
    """

    def of(number: int) -> tuple[str, ...]:
        row, column = divmod(number, columns + 1)
        entering = (f"{_place(row, column)}.{name}_in",) if column < columns else ()
        return entering + ((f"{_place(row, column - 1)}.{name}_out",) if column > 0 else ())

    return Family(rows * (columns + 1), of, bits)


def down(rows: int, columns: int, name: str, bits: int) -> Family:
    """Wires from PE to PE down the columns: ``rows`` + 1 a column, in rows."""

    def of(number: int) -> tuple[str, ...]:
        row, column = divmod(number, columns)
        entering = (f"{_place(row, column)}.{name}_in",) if row < rows else ()
        return entering + ((f"{_place(row - 1, column)}.{name}_out",) if row > 0 else ())

    return Family((rows + 1) * columns, of, bits)


def _place(row: int, column: int) -> str:
    return f"array.g_row[{row}].g_column[{column}]"
