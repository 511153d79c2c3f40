"""What the dataflows of ``pe_by_pe`` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.arch.spec import ArraySpec
from tests.differential.registers import Adder, Chain, Meter, Register, Token
from tests.differential.sequencer import Sequencer

Matrix = npt.NDArray[np.int64]

NEXT_TILE = -1
"""The fold of a load that follows the last one, and pushes out what a column's shift register still holds."""


@dataclass(frozen=True)
class Fold:
    """One fold: ``moving`` (rows, stream), and ``other``, held (rows, columns) or moving down (stream, columns)."""

    moving: Matrix
    other: Matrix
    first_row: int
    """Of the accumulators, if results stay."""
    first_column: int

    @property
    def stream(self) -> int:
        return int(self.moving.shape[1])

    @property
    def rows(self) -> int:
        return int(self.moving.shape[0])

    @property
    def columns(self) -> int:
        return int(self.other.shape[1])


@dataclass
class Outcome:
    accumulators: Matrix
    cycles: int
    first_row_cycles: int
    """From the first operand until all columns of the first result are out."""
    overflows: int
    operands: Meter
    products: Meter
    pipeline: Meter
    """Registers behind the multipliers."""
    sums: Meter


class Array(ABC):
    """What all dataflows share: operands moving right, multipliers, the accumulator buffer, and the clock."""

    load_cycles: int
    shift_cycles: int

    def __init__(
        self,
        array: ArraySpec,
        folds: list[Fold],
        accumulators: Matrix,
        bits: tuple[int, int],
        adders: tuple[Adder, Adder],
    ) -> None:
        self.array, self.folds = array, folds
        self.accumulators = accumulators.copy()
        self.inner, self.outer = adders
        self.rows, self.columns = array.rows, array.columns
        self.behind_wave = array.overlap == "double_buffered"
        self.registers: list[Register] = []
        self.moving_meter, self.other_meter = Meter(bits[0]), Meter(bits[1])
        self.product_meter, self.sum_meter = Meter(sum(bits)), Meter(self.inner.bits)
        self.pipeline_meter = Meter(sum(bits))
        self.v, self.h = self.row_step(), array.horizontal_hop_latency_cycles
        self.entry = array.input_latency_cycles
        self.skew_rows = [self.chain(self.entry + self.v * r, self.moving_meter) for r in range(self.rows)]
        self.right = self.grid(self.h, self.moving_meter)
        self.product = self.grid(1, self.product_meter)
        self.multiplier = self.grid(array.multiplier_latency_cycles, self.pipeline_meter)
        self.overflows = 0
        self.arrived = [0] * len(folds)
        self.first_row_at = self.last_at = -1

    @abstractmethod
    def row_step(self) -> int: ...

    @abstractmethod
    def results(self, fold: Fold) -> int: ...

    @abstractmethod
    def clock(self, now: int, load: Token | None, stream: Token | None) -> None: ...

    def chain(self, length: int, meter: Meter | None = None) -> Chain:
        registers = [Register(meter) for _ in range(length)]
        self.registers += registers
        return Chain(registers)

    def grid(self, length: int, meter: Meter | None = None) -> list[list[Chain]]:
        return [[self.chain(length, meter) for _ in range(self.columns)] for _ in range(self.rows)]

    def run(self) -> Outcome:
        sequencer = Sequencer(self.array, self.load_cycles, self.shift_cycles, [fold.stream for fold in self.folds])
        expected = [self.results(fold) for fold in self.folds]
        now = 0
        while self.arrived != expected:
            out = sum(arrived == wanted for arrived, wanted in zip(self.arrived, expected, strict=True))
            self.step(now, *sequencer.clock(now, out))
            now += 1
            assert now < 20_000, "stuck"
        cycles = now
        for row in range(self.load_cycles):
            self.step(now, Token(0, NEXT_TILE, row), None)
            now += 1
        while self.step(now, None, None):  # operands behind the last result run out of the array
            now += 1
        operands = Meter(
            0,
            self.moving_meter.clocked + self.other_meter.clocked,
            self.moving_meter.toggled + self.other_meter.toggled,
        )
        first = self.first_row_at + 1 - sequencer.streams_began[0]
        meters = operands, self.product_meter, self.pipeline_meter, self.sum_meter
        return Outcome(self.accumulators, cycles, first, self.overflows, *meters)

    def step(self, now: int, load: Token | None, stream: Token | None) -> bool:
        """One clock; whether anything moved in it."""
        self.clock(now, load, stream)
        return sum(register.tick() for register in self.registers) > 0

    def moving_operand(self, r: int, c: int, stream: Token | None) -> Token | None:
        """The operand in front of PE(r, c) in this clock, ``stream`` entering; it goes on to the right."""
        if c > 0:
            token = self.right[r][c - 1].out
        else:
            fed = None
            if stream is not None and r < self.folds[stream.fold].rows:
                value = int(self.folds[stream.fold].moving[r, stream.index])
                fed = Token(value, stream.fold, stream.index, stream.last)
            token = self.skew_rows[r].through(fed)
        self.right[r][c].through(token)
        return token

    def multiply(self, r: int, c: int, a: Token | None, b: Token | None) -> Token | None:
        """The product as it reaches the adder."""
        product = None
        if a is not None and b is not None:
            assert a.fold == b.fold
            product = Token(a.value * b.value, a.fold, a.index, a.last)
            self.product[r][c].through(product)
        return self.multiplier[r][c].through(product)

    def add(self, a: int, b: int) -> int:
        total, lost = self.inner.add(a, b)
        self.overflows += lost
        return total

    def arrive(self, now: int, token: Token) -> None:
        """A result joins its accumulator."""
        fold = self.folds[token.fold]
        at = (fold.first_row + token.index, fold.first_column + token.column)
        total, lost = self.outer.add(int(self.accumulators[at]), token.value)
        self.overflows += lost
        self.accumulators[at] = total
        self.arrived[token.fold] += 1
        if token.fold == 0 and self.arrived[0] == fold.columns:
            self.first_row_at = now
