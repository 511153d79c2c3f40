"""Widths as a user lists them."""

from __future__ import annotations

from collections.abc import Container, Sequence

from accel.errors import AccelError


def parse_widths(text: str) -> tuple[int, ...]:
    """``24,20,16`` as numbers; which are legal, each study says itself.

    Raises
    ------
    AccelError
        Something that is no whole number.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise AccelError(f"--bits is '{text}'", "", "list widths in bits, such as 8,6,4")
    return tuple(int(word) for word in words)


def check_widths(widths: Sequence[int], legal: Container[int], hint: str) -> None:
    """Raise AccelError unless there are widths, each legal, none twice."""
    wrong = next((bits for bits in widths if bits not in legal), None)
    twice = next((bits for bits in widths if list(widths).count(bits) > 1), None)
    if wrong is not None:
        raise AccelError(f"--bits has a width of {wrong}", "", hint)
    if twice is not None:
        raise AccelError(f"--bits has {twice} twice", "", "name each width once")
    if not widths:
        raise AccelError("--bits has no width", "", hint)
