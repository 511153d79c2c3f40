"""What both waveform formats need: signals in their scopes, values as bits, and where they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from accel.sim.registers import Family

Bits = npt.NDArray[np.uint8]
Values = npt.NDArray[np.signedinteger]
"""(cycles, signals, lanes) of one family, in ``lane_type``; only the bits that a lane has count."""
Frame = npt.NDArray[np.signedinteger]
"""(signals, lanes) of one family in one cycle."""
Scope = dict[str, Any]
"""Name -> the scope inside, or the number of a signal; signals are numbered through all families."""


def scopes(families: Sequence[Family], root: str) -> Scope:
    """The tree of scopes and signals under ``root``, a path of names with dots between."""
    top: Scope = {}
    first = 0
    for family in families:
        for number in range(family.count):
            for name in family.names(number):
                *path, leaf = f"{root}.{name}".split(".")
                scope = top
                for part in path:
                    scope = scope.setdefault(part, {})
                scope[leaf] = first + number
        first += family.count
    return top


def walk(scope: Scope) -> Iterator[tuple[str, int | None]]:
    """(name, signal) of every signal, (name, None) where a scope begins, ("", None) where it ends; signals first."""
    for name, signal in scope.items():
        if isinstance(signal, int):
            yield name, signal
    for name, inner in scope.items():
        if not isinstance(inner, int):
            yield name, None
            yield from walk(inner)
            yield "", None


def declared(name: str, width: int) -> str:
    """A signal's name as viewers expect it, with its range."""
    return name if width == 1 else f"{name} [{width - 1}:0]"


def lane_type(bits: int) -> np.dtype[np.signedinteger]:
    """The smallest type that holds a lane, high byte first."""
    return np.dtype(next(f">i{size}" for size in (1, 2, 4, 8) if bits <= 8 * size))


def bits_of(values: Frame, bits: int) -> Bits:
    """Two's complement.

    Parameters
    ----------
    values
        (n, lanes) in ``lane_type(bits)``.
    bits
        Of a lane.

    Returns
    -------
    Bits
        (n, lanes * bits) zeros and ones, the highest bit of the last lane first.

    Examples
    --------
    >>> bits_of(np.array([[1, -2]], lane_type(3)), 3).tolist()
    [[1, 1, 0, 0, 0, 1]]
    """
    octets = np.ascontiguousarray(values[:, ::-1]).view(np.uint8).reshape(*values.shape, values.itemsize)
    return np.unpackbits(octets, axis=-1)[..., 8 * values.itemsize - bits :].reshape(
        len(values), bits * values.shape[1]
    )


def changes(values: Values, before: Frame | None) -> npt.NDArray[np.bool_]:
    """(cycles, signals): where a value differs from that of the cycle before; None before: there is none."""
    changed = np.ones(values.shape[:2], np.bool_)
    changed[1:] = (values[1:] != values[:-1]).any(axis=-1)
    if before is not None:
        changed[0] = (values[0] != before).any(axis=-1)
    return changed


class WaveWriter(ABC):
    """Writes one file, block after block of consecutive cycles; a cycle is a nanosecond.

    Attributes
    ----------
    before
        What each family carried in the cycle before the next block; None: there is none.
    """

    block_bytes: ClassVar[int]
    """Of a block's values: as many as memory and the format like at a time."""

    def __init__(self, file: BinaryIO, families: Sequence[Family]) -> None:
        self.file = file
        self.families = families
        self.before: list[Frame | None] = [None] * len(families)

    def write(self, first_cycle: int, values: Sequence[Values], end: int | None = None) -> None:
        """Write a block of cycles, one array for each family; ``end``: the cycle after the file's last."""
        self.put(first_cycle, values, end)
        self.before = [shown[-1] for shown in values]

    @abstractmethod
    def put(self, first_cycle: int, values: Sequence[Values], end: int | None) -> None:
        """Write a block."""

    @abstractmethod
    def close(self) -> None:
        """Write what stands at the file's end; the file stays open."""
