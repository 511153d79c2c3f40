"""How long work reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as (what is being done, how much is done, how much there is)."""


def one_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one batch among several, as a part of the whole."""
    if progress is None or count == 1:
        return progress
    return lambda text, done, total: progress(f"image {number + 1} of {count}", number * total + done, count * total)


def named(progress: Progress | None, text: str) -> Callable[[int, int], None] | None:
    """Progress of something that has one name from its beginning to its end."""
    return None if progress is None else lambda done, total: progress(text, done, total)
