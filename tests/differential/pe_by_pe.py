"""A systolic array built from registers: slow, explicit, and ignorant of every formula.

Each register is an object; a token moves one register a clock and carries its own fold and place, a bubble is
``None``. Operands enter through triangles of skew registers, the stationary operand travels down a row a cycle and is
caught by the row it is for, a wave of operands names the fold whose register it works with, and a sequencer starts
folds when it sees that loads, streams or results are through. Cycles are counted, from the first load to the arrival
of the last result.

Toggles are counted register by register: a register is clocked when a token arrives and keeps its bits over bubbles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from accel.arch.spec import ArraySpec

Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Token:
    value: int
    fold: int
    index: int
    """Place in its stream; of a held operand or a result, its row."""
    last: bool = False
    column: int = -1
    """Of a result."""


@dataclass
class Meter:
    """Bits clocked and bits toggled in registers of one width."""

    bits: int
    clocked: int = 0
    toggled: int = 0


class Register:
    """Takes what was put in front of it when the clock ticks; keeps what it has if nothing was."""

    def __init__(self, meter: Meter | None) -> None:
        self.meter = meter
        self.token: Token | None = None
        self.bits = 0
        self.waiting: list[Token | None] = []

    def put(self, token: Token | None) -> None:
        assert not self.waiting, "two drivers"
        self.waiting.append(token)

    def tick(self) -> None:
        if not self.waiting:
            return
        self.token = self.waiting.pop()
        if self.token is not None:
            if self.meter is not None:
                self.meter.clocked += self.meter.bits
                mask = (1 << self.meter.bits) - 1
                self.meter.toggled += ((self.bits ^ self.token.value) & mask).bit_count()
            self.bits = self.token.value


class Chain:
    """Registers in a row; none at all is a wire."""

    def __init__(self, registers: list[Register]) -> None:
        self.registers = registers

    @property
    def out(self) -> Token | None:
        return self.registers[-1].token

    def through(self, token: Token | None) -> Token | None:
        """Put ``token`` in front; what comes out in this clock."""
        for register in self.registers:
            register.put(token)
            token = register.token
        return token


@dataclass(frozen=True)
class Adder:
    """Two's complement sums of so many bits."""

    bits: int
    overflow: str

    def add(self, a: int, b: int) -> tuple[int, bool]:
        exact = a + b
        low, high = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        if low <= exact <= high:
            return exact, False
        if self.overflow == "saturate":
            return (low if exact < low else high), True
        return (exact - low) % (1 << self.bits) + low, True


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
    sums: Meter


@dataclass
class Sequencer:
    """Starts loads and streams as soon as what they need is through; a row or an operand enters a clock."""

    array: ArraySpec
    load_cycles: int
    shift_cycles: int
    streams: list[int]
    loads_began: list[int] = field(default_factory=list)
    streams_began: list[int] = field(default_factory=list)

    def clock(self, now: int, folds_out: int) -> tuple[Token | None, Token | None]:
        """What enters in this clock: a row of a load, an operand of a stream."""
        self._start_stream(now)
        fold = len(self.loads_began)
        if fold < len(self.streams) and self._may_load(fold, now, folds_out):
            self.loads_began.append(now)
            self._start_stream(now)
        load = _position(self.loads_began, [self.load_cycles] * len(self.streams), now)
        return load, _position(self.streams_began, self.streams, now)

    def _start_stream(self, now: int) -> None:
        fold = len(self.streams_began)
        if fold < len(self.loads_began) and self._may_stream(fold, now):
            self.streams_began.append(now)

    def _stream_end(self, fold: int) -> int:
        return self.streams_began[fold] + self.streams[fold]

    @property
    def _behind(self) -> int:
        return max(self.load_cycles, self.shift_cycles)

    def _hides_nothing(self, fold: int) -> bool:
        return self.array.short_folds == "serialized" and self.streams[fold] < self._behind

    def _may_load(self, fold: int, now: int, folds_out: int) -> bool:
        if fold == 0:
            return True
        if self.array.overlap == "none":
            return folds_out == fold
        # The other register of each PE is free once the fold before has begun, the way down once its load is through.
        if len(self.streams_began) < fold or now < self.loads_began[-1] + self.load_cycles:
            return False
        return not self._hides_nothing(fold - 1) or now >= self._stream_end(fold - 1)

    def _may_stream(self, fold: int, now: int) -> bool:
        if now < self.loads_began[fold] + self.load_cycles:
            return False
        if fold == 0 or self.array.overlap == "none":
            return True
        before = self._stream_end(fold - 1)
        if self._hides_nothing(fold - 1) and now < before + self._behind:
            return False
        # Where results stay, the registers they leave through must be free again when this stream ends.
        return now >= before and now + self.streams[fold] >= before + self.shift_cycles


def _position(began: list[int], lengths: list[int], now: int) -> Token | None:
    fold = len(began) - 1
    if fold < 0 or now >= began[fold] + lengths[fold]:
        return None
    index = now - began[fold]
    return Token(0, fold, index, last=index == lengths[fold] - 1)


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
        self.v, self.h = self.row_step(), array.horizontal_hop_latency_cycles
        self.skew_rows = [self.chain(self.v * r, self.moving_meter) for r in range(self.rows)]
        self.right = self.grid(self.h, self.moving_meter)
        self.product = self.grid(1, self.product_meter)
        self.multiplier = self.grid(array.multiplier_latency_cycles)
        self.load_entry = self.chain(array.input_latency_cycles)
        self.stream_entry = self.chain(array.input_latency_cycles)
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
        while any(register.token for register in self.registers) and now < cycles + 1000:
            self.step(now, None, None)  # operands behind the last result run out of the array
            now += 1
        operands = Meter(
            0,
            self.moving_meter.clocked + self.other_meter.clocked,
            self.moving_meter.toggled + self.other_meter.toggled,
        )
        first = self.first_row_at + 1 - sequencer.streams_began[0]
        return Outcome(self.accumulators, cycles, first, self.overflows, operands, self.product_meter, self.sum_meter)

    def step(self, now: int, load: Token | None, stream: Token | None) -> None:
        self.clock(now, self.load_entry.through(load), self.stream_entry.through(stream))
        for register in self.registers:
            register.tick()

    def moving_operand(self, r: int, c: int, stream: Token | None) -> Token | None:
        """The operand in front of PE(r, c) in this clock; it goes on to the right."""
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


class OperandStays(Array):
    """Weight stationary as it stands; input stationary with the operands' roles exchanged."""

    shift_cycles = 0

    def __init__(
        self,
        array: ArraySpec,
        folds: list[Fold],
        accumulators: Matrix,
        bits: tuple[int, int],
        adders: tuple[Adder, Adder],
    ) -> None:
        super().__init__(array, folds, accumulators, bits, adders)
        self.load_cycles = self.rows
        behind = 1 if self.behind_wave else 0
        self.skew_columns = [self.chain(self.h * c * behind, self.other_meter) for c in range(self.columns)]
        self.down = self.grid(self.v if self.behind_wave else 1, self.other_meter)
        self.banks = [self.grid(behind, self.other_meter) for _ in range(2)]
        self.sums = self.grid(self.v, self.sum_meter)
        late = [self.h * (self.columns - 1 - c) for c in range(self.columns)]
        self.deskew = [self.chain(length, self.sum_meter) for length in late]
        # A sum is out when it enters the last of its registers.
        self.exit = [self.chain(self.v - 1 + length + array.output_latency_cycles) for length in late]

    def row_step(self) -> int:
        return self.array.vertical_hop_latency_cycles + self.array.accumulate_latency_cycles

    def results(self, fold: Fold) -> int:
        return fold.stream * fold.columns

    def clock(self, now: int, load: Token | None, stream: Token | None) -> None:
        for c in range(self.columns):
            self.load_column(c, load)
            for r in range(self.rows):
                moving = self.moving_operand(r, c, stream)
                product = self.multiply(r, c, moving, self.held_operand(r, c, moving))
                total = self.accumulate(r, c, product)
            self.deskew[c].through(self.sums[-1][c].out)
            done = self.exit[c].through(total)
            if done is not None:
                self.arrive(now, done)

    def load_column(self, c: int, load: Token | None) -> None:
        """Rows of the held operand enter from above, the last row first."""
        token = None
        if load is not None:
            row, fold = self.rows - 1 - load.index, self.folds[load.fold]
            if row < len(fold.other) and c < fold.columns:
                token = Token(int(fold.other[row, c]), load.fold, row)
        if not self.behind_wave:
            for r in range(self.rows if load is not None else 0):
                above = token if r == 0 else self.down[r - 1][c].out
                # What the fold before left behind is shifted out of the way, but no longer live.
                live = above is not None and load is not None and above.fold == load.fold
                self.down[r][c].through(above if live else None)
            return
        token = self.skew_columns[c].through(token)
        for r in range(self.rows):
            if token is not None and token.index < r:
                token = None  # it has found its row
            if token is not None and token.index == r:
                self.banks[token.fold % 2][r][c].through(token)
            below = self.down[r][c].out
            self.down[r][c].through(token)
            token = below

    def held_operand(self, r: int, c: int, moving: Token | None) -> Token | None:
        if moving is None or c >= self.folds[moving.fold].columns:
            return None
        held = self.banks[moving.fold % 2][r][c].out if self.behind_wave else self.down[r][c].out
        assert held is not None
        assert (held.fold, held.index) == (moving.fold, r), "another fold's operand"
        return held

    def accumulate(self, r: int, c: int, product: Token | None) -> Token | None:
        above = self.sums[r - 1][c].out if r > 0 else None
        total = above
        if product is not None:
            assert r == 0 or (above is not None and (above.fold, above.index) == (product.fold, product.index))
            before = 0 if above is None else above.value
            total = Token(self.add(before, product.value), product.fold, product.index, column=c)
        self.sums[r][c].through(total)
        return total


class ResultStays(Array):
    """Output stationary."""

    def __init__(
        self,
        array: ArraySpec,
        folds: list[Fold],
        accumulators: Matrix,
        bits: tuple[int, int],
        adders: tuple[Adder, Adder],
    ) -> None:
        super().__init__(array, folds, accumulators, bits, adders)
        self.load_cycles = array.rows if array.accumulator_preload else 0
        self.shift_cycles = {"down": self.rows, "right": self.columns, "none": 0}[array.shift_out]
        self.skew_columns = [self.chain(self.h * c, self.other_meter) for c in range(self.columns)]
        self.down = self.grid(self.v, self.other_meter)
        self.sum = self.grid(1, self.sum_meter)
        self.adder = self.grid(array.accumulate_latency_cycles)
        leaves = self.behind_wave and array.shift_out != "none"
        self.shadow = self.grid(1 if leaves else 0, self.sum_meter)
        self.countdown = [[0] * self.columns for _ in range(self.rows)]
        hop = {"down": self.v, "right": self.h, "none": 0}[array.shift_out]
        self.way_out = self.grid(hop if leaves else 0, self.sum_meter)
        self.edge = self.grid(1 if array.shift_out != "none" else 0, self.sum_meter)
        self.exit = [
            [self.chain(self.late(r, c) + array.output_latency_cycles) for c in range(self.columns)]
            for r in range(self.rows)
        ]
        metered = self.sum_meter if leaves else None
        self.deskew = [
            [self.chain(self.late(r, c) if leaves else 0, metered) for c in range(self.columns)]
            for r in range(self.rows)
        ]
        corner = self.v * (self.rows - 1) + self.h * (self.columns - 1)
        self.end_of_fold = self.chain(corner + array.multiplier_latency_cycles + array.accumulate_latency_cycles)
        self.done = self.nothing()
        self.shifts_left = 0

    def nothing(self) -> list[list[Token | None]]:
        return [[None] * self.columns for _ in range(self.rows)]

    def row_step(self) -> int:
        return self.array.vertical_hop_latency_cycles

    def late(self, r: int, c: int) -> int:
        """How much earlier than the last row or column a result leaves, so that all leave aligned."""
        rows, columns = self.v * (self.rows - 1 - r), self.h * (self.columns - 1 - c)
        if not self.behind_wave:
            return 0
        return {"down": columns, "right": rows, "none": rows + columns}[self.array.shift_out]

    def results(self, fold: Fold) -> int:
        return fold.rows * fold.columns

    def clock(self, now: int, load: Token | None, stream: Token | None) -> None:
        if self.behind_wave and self.array.shift_out != "none":
            self.leave_behind_the_wave(now)
        for c in range(self.columns):
            for r in range(self.rows):
                moving = self.moving_operand(r, c, stream)
                product = self.multiply(r, c, moving, self.operand_from_above(r, c, stream))
                self.accumulate(now, r, c, product)
        if not self.behind_wave:
            self.leave_when_all_are_done(now, stream)

    def operand_from_above(self, r: int, c: int, stream: Token | None) -> Token | None:
        if r > 0:
            token = self.down[r - 1][c].out
        else:
            fed = None
            if stream is not None and c < self.folds[stream.fold].columns:
                fed = Token(int(self.folds[stream.fold].other[stream.index, c]), stream.fold, stream.index)
            token = self.skew_columns[c].through(fed)
        self.down[r][c].through(token)
        return token

    def accumulate(self, now: int, r: int, c: int, product: Token | None) -> None:
        final = None
        if product is not None:
            before = self.sum[r][c].out
            assert product.index == 0 or (before is not None and before.fold == product.fold)
            start = 0 if product.index == 0 or before is None else before.value
            total = Token(self.add(start, product.value), product.fold, r, column=c)
            self.sum[r][c].through(total)
            final = total if product.last else None
        final = self.adder[r][c].through(final)
        if self.behind_wave and self.array.shift_out == "none":
            self.take(now, r, c, final)
        elif final is not None and self.behind_wave:
            assert self.countdown[r][c] == 0, "the fold before is still in the shadow register"
            self.shadow[r][c].through(final)
            # One result a clock leaves a column (or row): those nearest to the edge first.
            ahead = self.rows - 1 - r if self.array.shift_out == "down" else self.columns - 1 - c
            self.countdown[r][c] = ahead + 1
        elif final is not None:
            self.done[r][c] = final

    def at_edge(self, r: int, c: int) -> bool:
        return r == self.rows - 1 if self.array.shift_out == "down" else c == self.columns - 1

    def neighbour(self, r: int, c: int) -> tuple[int, int] | None:
        """Whose results pass PE(r, c) on their way out."""
        if self.array.shift_out == "down":
            return (r - 1, c) if r > 0 else None
        return (r, c - 1) if c > 0 else None

    def leave_behind_the_wave(self, now: int) -> None:
        for r in range(self.rows):
            for c in range(self.columns):
                before = self.neighbour(r, c)
                token = None if before is None else self.way_out[before[0]][before[1]].out
                if self.countdown[r][c] > 0:
                    self.countdown[r][c] -= 1
                    if self.countdown[r][c] == 0:
                        assert token is None, "two results on one way"
                        token = self.shadow[r][c].out
                if self.at_edge(r, c):
                    self.deskew[r][c].through(self.edge[r][c].out)
                    self.edge[r][c].through(token)
                    self.take(now, r, c, token)
                else:
                    self.way_out[r][c].through(token)

    def leave_when_all_are_done(self, now: int, stream: Token | None) -> None:
        """Once the last PE is through, the registers of the sums themselves become a shift register."""
        leaving = self.nothing()
        if self.shifts_left > 0:
            self.shifts_left -= 1
            arriving = self.nothing()
            for r in range(self.rows):
                for c in range(self.columns):
                    before = self.neighbour(r, c)
                    if before is not None and self.done[before[0]][before[1]] is not None:
                        arriving[r][c] = self.done[before[0]][before[1]]
                        self.sum[r][c].through(arriving[r][c])
                    if self.at_edge(r, c) and self.done[r][c] is not None:
                        leaving[r][c] = self.done[r][c]
                        self.edge[r][c].through(leaving[r][c])
            self.done = arriving
        end = self.end_of_fold.through(stream if stream is not None and stream.last else None)
        if end is not None:
            self.shifts_left = self.shift_cycles
            if self.array.shift_out == "none":
                leaving, self.done = self.done, leaving
        for r in range(self.rows):
            for c in range(self.columns):
                self.take(now, r, c, leaving[r][c])

    def take(self, now: int, r: int, c: int, token: Token | None) -> None:
        done = self.exit[r][c].through(token)
        if done is not None:
            self.arrive(now, done)


def simulate(
    array: ArraySpec,
    dataflow: str,
    operands: tuple[Matrix, Matrix],
    accumulators: Matrix,
    bits: tuple[int, int],
    adders: tuple[Adder, Adder],
) -> Outcome:
    """A tile on an array.

    Parameters
    ----------
    operands, bits
        Activations (m, k) and weights (k, n), and their widths.
    accumulators
        (m, n) at the beginning.
    adders
        Of the partial sums in the array, and of the accumulators.
    """
    x, w = operands
    if dataflow == "input_stationary":
        swapped = simulate_with(OperandStays, array, (w.T, x.T), accumulators.T, bits[::-1], adders)
        swapped.accumulators = swapped.accumulators.T
        return swapped
    kind = OperandStays if dataflow == "weight_stationary" else ResultStays
    return simulate_with(kind, array, (x, w), accumulators, bits, adders)


def simulate_with(
    kind: type[Array],
    array: ArraySpec,
    operands: tuple[Matrix, Matrix],
    accumulators: Matrix,
    bits: tuple[int, int],
    adders: tuple[Adder, Adder],
) -> Outcome:
    """Folds run column by column of the array's width, and within it along the array's rows."""
    x, w = operands
    folds = []
    for column in range(0, w.shape[1], array.columns):
        part = w[:, column : column + array.columns]
        if kind is OperandStays:
            for k in range(0, len(w), array.rows):
                here = slice(k, k + array.rows)
                folds.append(Fold(x[:, here].T, part[here], 0, column))
        else:
            for m in range(0, len(x), array.rows):
                folds.append(Fold(x[m : m + array.rows], part, m, column))
    return kind(array, folds, accumulators, bits, adders).run()
