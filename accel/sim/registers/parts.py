"""What the array is built from: delay lines, triangles of them, registers that hold an operand, adders.

Every part shows what its registers hold in this cycle, and takes what they will hold in the next. Arrays are never
changed in place, so what a part has shown stays as it was.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from accel.numerics.mac import saturate, wrap

Int64Array = npt.NDArray[np.int64]


class Delay:
    """Registers one after another; none at all is a wire."""

    def __init__(self, cycles: int, shape: tuple[int, ...]) -> None:
        self.line = deque(np.zeros(shape, np.int64) for _ in range(cycles))
        """What the registers hold, the newest first."""

    @property
    def out(self) -> Int64Array:
        """What the last register holds."""
        return self.line[-1]

    def push(self, value: Int64Array) -> None:
        """One clock."""
        self.line.appendleft(value)
        self.line.pop()

    def through(self, value: Int64Array) -> Int64Array:
        """What arrives in this cycle, ``value`` being at the entrance; then one clock."""
        self.line.appendleft(value)
        return self.line.pop()


class Skew:
    """A delay line of its own length for each lane: the triangles at the array's edges."""

    def __init__(self, cycles: npt.ArrayLike) -> None:
        self._cycles = np.asarray(cycles, np.int64)
        self._lanes = np.arange(len(self._cycles))
        self._seen = np.zeros((int(self._cycles.max()) + 1, len(self._cycles)), np.int64)
        self._at = 0

    def through(self, value: Int64Array | int) -> Int64Array:
        """What arrives in this cycle, ``value`` being at the entrance; then one clock."""
        self._seen[self._at] = value
        arrived: Int64Array = self._seen[self._at - self._cycles, self._lanes]
        self._at = (self._at + 1) % len(self._seen)
        return arrived


class DoubleBank:
    """Two registers a PE that take turns, and the way down behind the wave.

    A row of operands enters each column from above, the last row first; a catch that comes by with row 0 is one clock
    a row faster than they, and so meets each PE's operand when it is opposite that PE.
    """

    def __init__(self, rows: int, columns: int, down_cycles: int) -> None:
        self.banks = [np.zeros((rows, columns), np.int64) for _ in range(2)]
        self.down = Delay(down_cycles, (rows, columns))
        self._load_down = Delay(down_cycles - 1, (rows, columns))

    def fill(self, bank: int, values: Int64Array) -> None:
        """Put (rows, columns) operands there as if a load had."""
        self.banks[bank] = values

    def nets(self, row: Int64Array, load: Int64Array) -> tuple[Int64Array, Int64Array]:
        """(rows + 1, columns) operands and catches between the PEs, row 0 from above and the last one leaving."""
        operands = np.vstack([row, self.down.out])
        if self._load_down.line:
            return operands, np.vstack([load, self._load_down.out])
        return operands, np.broadcast_to(load, operands.shape)

    def held(self, select: Int64Array) -> Int64Array:
        """The operand in use."""
        return np.where(select == 1, self.banks[1], self.banks[0])

    def clock(self, operands: Int64Array, loads: Int64Array) -> None:
        """Take what ``nets`` has shown."""
        arriving, catch = operands[:-1], loads[:-1]
        self.banks = [np.where(catch >> bank & 1, arriving, self.banks[bank]) for bank in range(2)]
        self.down.push(arriving)
        self._load_down.through(catch)


class SingleBank:
    """One register a PE; those of a column are a shift register while a load is on."""

    def __init__(self, rows: int, columns: int) -> None:
        self.banks = [np.zeros((rows, columns), np.int64)]

    def fill(self, bank: int, values: Int64Array) -> None:
        """Put (rows, columns) operands there as if a load had."""
        self.banks[bank] = values

    def nets(self, row: Int64Array, load: Int64Array) -> tuple[Int64Array, Int64Array]:
        """(rows + 1, columns) operands and load signals between the PEs."""
        operands = np.vstack([row, self.banks[0]])
        return operands, np.broadcast_to(load, operands.shape)

    def held(self, select: Int64Array) -> Int64Array:
        """The operand in use."""
        return self.banks[0]

    def clock(self, operands: Int64Array, loads: Int64Array) -> None:
        """Take what ``nets`` has shown."""
        self.banks = [np.where(loads[:-1] & 1, operands[:-1], self.banks[0])]


def add(a: Int64Array, b: Int64Array, bits: int, overflow: str) -> tuple[Int64Array, Int64Array]:
    """Sums of ``bits`` bits that wrap or saturate, and where they did.

    Examples
    --------
    >>> add(np.array([100, 100]), np.array([27, 28]), 8, "saturate")
    (array([127, 127]), array([0, 1]))
    """
    total = a + b
    if bits < 64:
        lost = wrap(total, bits) != total
        narrow = wrap if overflow == "wrap" else saturate
        return narrow(total, bits) if lost.any() else total, lost.astype(np.int64)
    # numpy has wrapped already: operands of one sign, a sum of the other.
    lost = ((a ^ total) & (b ^ total)) < 0
    if overflow == "saturate":
        limit = np.iinfo(np.int64)
        total = np.where(lost, np.where(a < 0, limit.min, limit.max), total)
    return total, lost.astype(np.int64)
