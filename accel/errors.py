"""The one exception that a user's mistake raises."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 3


class AccelError(Exception):
    """Something in the user's input is wrong; the message is one sentence that says what to do.

    Parameters
    ----------
    what
        What is wrong, and what was found.
    where
        ``file:line:column``, ``file`` or ``network:node``; empty when no place applies.
    hint
        What is legal, or what to do about it.

    Examples
    --------
    >>> print(AccelError("array.rows is 0", "my.yaml:3:9", "legal are 1 to 512"))
    my.yaml:3:9: array.rows is 0; legal are 1 to 512
    """

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where else ""
        tail = f"; {self.hint}" if self.hint else ""
        return f"{head}{self.what}{tail}"


def listed(names: Sequence[str]) -> str:
    """A few names, and how many more there are.

    Examples
    --------
    >>> listed(["stem"]), listed(["a", "b"]), listed(["a", "b", "c", "d", "e", "f"])
    ('stem', 'a and b', 'a, b, c and 3 more')
    """
    few = len(names) <= _NAMED + 1
    *first, last = names if few else [*names[:_NAMED], f"{len(names) - _NAMED} more"]
    return f"{', '.join(first)} and {last}" if first else last
