"""What every requantizer is: a way to write a scale down as bits, and an exact rule for what a sum times it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import IntArray
from accel.numerics.qtype import QType

Words = npt.NDArray[np.int64]
"""Scales as the hardware stores them: one word for each channel."""
_BLOCK_ELEMENTS = 1 << 15
"""Elements scaled at a time, so that intermediate copies stay in the first cache levels."""


class Requantizer(Protocol):
    """A unit that turns sums into output integers.

    A network's file says scales as real numbers. ``encode`` makes the words of them that a machine's memory holds,
    once for each layer; ``apply`` and the hardware see nothing but words.
    """

    def __hash__(self) -> int:
        """Units are values, and parts of keys."""
        ...

    @property
    def name(self) -> str:
        """As a machine's description says it."""
        ...

    @property
    def meaning(self) -> str:
        """What it does, in a few words."""
        ...

    @property
    def word_bits(self) -> int:
        """Width of a word."""
        ...

    def problem(self, multiplier: npt.ArrayLike) -> str:
        """Why these scales of a layer cannot be encoded, as the end of a sentence; empty if they can."""
        ...

    def encode(self, multiplier: npt.ArrayLike) -> Words:
        """Words for a layer's scales, in their shape: ``input scale * weight scale / output scale``.

        Raises
        ------
        ValueError
            What ``problem`` says.
        """
        ...

    def decode(self, words: Words) -> npt.NDArray[np.float64]:
        """The real numbers that words stand for; a unit that rounds scales does not give back what it got."""
        ...

    def apply(
        self, acc: IntArray, words: Words, zero_point: int, qtype: QType, clamp: tuple[int, int] | None = None
    ) -> IntArray:
        """Output integers of sums.

        Parameters
        ----------
        acc
            Sums, bias included; any shape.
        words
            One, or one for each entry of the last axis of ``acc``.
        zero_point, qtype
            Of the output; at most 16 bits.
        clamp
            Inclusive output bounds narrower than the type's; None for the type's.
        """
        ...


def by_blocks(
    acc: IntArray, qtype: QType, work: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> npt.NDArray[np.generic]:
    """``work`` on some rows of ``acc`` at a time, the last axis whole; the results as ``qtype`` is stored."""
    columns = acc.shape[-1] if acc.ndim else 1
    flat = acc.reshape(-1, columns)
    out = np.empty(flat.shape, qtype.dtype)
    rows = max(1, _BLOCK_ELEMENTS // max(columns, 1))
    for start in range(0, len(flat), rows):
        out[start : start + rows] = work(flat[start : start + rows])
    return out.reshape(acc.shape)
