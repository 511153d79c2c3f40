"""A systolic array built from registers: slow, explicit, and ignorant of every formula.

Operands enter through triangles of skew registers, the stationary operand travels down a row a cycle and is caught by
the row it is for, a wave of operands names the fold whose register it works with, and a sequencer starts folds when
it sees that loads, streams or results are through. Cycles are counted, from the first load to the arrival of the last
result.
"""

from __future__ import annotations

from accel.arch.spec import ArraySpec
from tests.differential.array_of_pes import NEXT_TILE, Array, Fold, Matrix, Outcome
from tests.differential.registers import Adder, Token


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
        skew = [self.entry + self.h * c * behind for c in range(self.columns)]
        self.skew_columns = [self.chain(length, self.other_meter) for length in skew]
        self.load_entry = self.chain(self.entry)
        self.down = self.grid(self.v if self.behind_wave else 1, self.other_meter)
        self.banks = [self.grid(behind, self.other_meter) for _ in range(2)]
        self.sums = self.grid(self.v, self.sum_meter)
        late = [self.h * (self.columns - 1 - c) for c in range(self.columns)]
        # A sum is out when it enters the last of its registers.
        self.bottom = [self.chain(self.v - 1) for _ in late]
        self.exit = [self.chain(length + array.output_latency_cycles, self.sum_meter) for length in late]

    def row_step(self) -> int:
        return self.array.vertical_hop_latency_cycles + self.array.accumulate_latency_cycles

    def results(self, fold: Fold) -> int:
        return fold.stream * fold.columns

    def clock(self, now: int, load: Token | None, stream: Token | None) -> None:
        shift = self.load_entry.through(load) is not None
        for c in range(self.columns):
            self.load_column(c, load, shift)
            for r in range(self.rows):
                moving = self.moving_operand(r, c, stream)
                product = self.multiply(r, c, moving, self.held_operand(r, c, moving))
                total = self.accumulate(r, c, product)
            done = self.exit[c].through(self.bottom[c].through(total))
            if done is not None:
                self.arrive(now, done)

    def load_column(self, c: int, load: Token | None, shift: bool) -> None:
        """Rows of the held operand enter from above, the last row first, and go on to the bottom."""
        token = None
        if load is not None and load.fold != NEXT_TILE:
            row, fold = self.rows - 1 - load.index, self.folds[load.fold]
            if row < len(fold.other) and c < fold.columns:
                token = Token(int(fold.other[row, c]), load.fold, row)
        token = self.skew_columns[c].through(token)
        if not self.behind_wave and not shift:
            return
        for r in range(self.rows):
            if self.behind_wave and token is not None and token.index == r:
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
        self.skew_columns = [self.chain(self.entry + self.h * c, self.other_meter) for c in range(self.columns)]
        self.down = self.grid(self.v, self.other_meter)
        latency = array.accumulate_latency_cycles
        self.before: list[list[Token | None]] = self.nothing()
        # Sums pass these registers, in the last of which they settle; until then nothing takes them.
        self.settling = self.grid(latency, self.sum_meter)
        self.settled = self.grid(1, self.sum_meter)
        leaves = self.behind_wave and array.shift_out != "none"
        self.captures = self.grid(1)
        self.shadow = self.grid(1 if leaves else 0, self.sum_meter)
        hop = {"down": self.v, "right": self.h, "none": 0}[array.shift_out]
        self.hop = self.grid(hop if leaves else 0, self.sum_meter)
        self.edge = self.grid(1 if not self.behind_wave and array.shift_out != "none" else 0, self.sum_meter)
        # A result is out when it enters the last of its registers.
        self.exit = [
            [self.chain(self.late(r, c) + array.output_latency_cycles, self.sum_meter) for c in range(self.columns)]
            for r in range(self.rows)
        ]
        corner = self.v * (self.rows - 1) + self.h * (self.columns - 1)
        self.end_of_fold = self.chain(self.entry + corner + array.multiplier_latency_cycles + latency)
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
        total = None
        if product is not None:
            before = self.before[r][c]
            assert product.index == 0 or (before is not None and before.fold == product.fold)
            start = 0 if product.index == 0 or before is None else before.value
            total = Token(self.add(start, product.value), product.fold, r, product.last, column=c)
            self.before[r][c] = total
        settling = self.settling[r][c].through(total)
        if settling is not None:
            self.settled[r][c].through(settling)
        final = settling if settling is not None and settling.last else None
        if self.behind_wave and self.array.shift_out == "none":
            self.take(now, r, c, final)
        elif self.behind_wave:
            self.leave_behind_the_wave(now, r, c, self.captures[r][c].through(final))
        elif final is not None:
            self.done[r][c] = final

    def at_edge(self, r: int, c: int) -> bool:
        return r == self.rows - 1 if self.array.shift_out == "down" else c == self.columns - 1

    def neighbour(self, r: int, c: int) -> tuple[int, int] | None:
        """Whose results pass PE(r, c) on their way out."""
        if self.array.shift_out == "down":
            return (r - 1, c) if r > 0 else None
        return (r, c - 1) if c > 0 else None

    def leave_behind_the_wave(self, now: int, r: int, c: int, captured: Token | None) -> None:
        """A shadow register takes its PE's result when that has settled, and otherwise what the one before held."""
        before = self.neighbour(r, c)
        passing = None if before is None else self.hop[r][c].through(self.shadow[before[0]][before[1]].out)
        assert captured is None or passing is None, "two results on one way"
        assert captured is None or captured == self.settled[r][c].out
        token = passing if captured is None else captured
        self.shadow[r][c].through(token)
        if self.at_edge(r, c):
            self.take(now, r, c, token)

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
                        self.settled[r][c].through(arriving[r][c])
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
