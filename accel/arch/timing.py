"""The laws of the array: how many cycles folds take, from the machine's description alone.

Cycle 0 is the first cycle in which a streamed operand enters the array. With ``V`` cycles from a row to the next and
``H`` from a column to the next, PE(r, c) works on streamed operand s in cycle s + V*r + H*c (the skew), so a fold
that streams S operands keeps the array busy for S + V*(R-1) + H*(C-1) cycles and leaves the pipeline V cycles after
its last multiply-accumulate. The same laws, with the latencies of their pipeline registers, were counted on public
hardware (axis-systolic-array, OpenTPU, SCALE-Sim's RTL, Gemmini's mesh); the tests hold each of those counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accel.arch.spec import ArraySpec, Dataflow, ShiftOut


@dataclass(frozen=True, slots=True)
class ArrayTiming:
    """One array under one dataflow.

    A fold goes through three phases: load (the stationary operand, or the initial sums, travel in), stream, and flush
    (the last wave leaves; results shift out). Without overlap the phases of all folds follow one another. A double
    buffered array loads and shifts out behind the running wave, so that a sequence of folds shows one load at its
    beginning and one flush at its end.

    Examples
    --------
    >>> timing = ArrayTiming("weight_stationary", 32, 32, True, False, 1, 1, 32, "none", 62)
    >>> timing.period(49), timing.period(7), timing.sequence_cycles([49, 49])
    (49, 32, 192)
    """

    dataflow: Dataflow
    rows: int
    columns: int
    overlapped: bool
    """Double buffered: load and flush hide behind the streams of other folds."""
    serialized_short_folds: bool
    """A fold shorter than the load hides nothing of it: the next load begins when its stream has ended."""
    row_step_cycles: int
    """V: from a PE to the one below it."""
    column_step_cycles: int
    """H: from a PE to the one on its right."""
    load_cycles: int
    """Rows of the stationary operand, or of initial sums, one a cycle."""
    shift_out: ShiftOut
    """Where results that stayed leave; ``none`` where sums flow out by themselves."""
    flush_cycles: int
    """From the cycle after the last operand entered until the last result is out, shift-out included."""

    @classmethod
    def of(cls, array: ArraySpec, dataflow: Dataflow) -> ArrayTiming:
        """Resolve an array's fields for one of its dataflows.

        Where an operand stays, sums move down: the accumulator's latency lies between the rows, and a result leaves a
        full row step after the bottom row's addition. Where outputs stay, only operands move between PEs.
        """
        pipeline = array.multiplier_latency_cycles + array.input_latency_cycles + array.output_latency_cycles
        across = array.horizontal_hop_latency_cycles * (array.columns - 1)
        if dataflow in ("weight_stationary", "input_stationary"):
            row_step = array.vertical_hop_latency_cycles + array.accumulate_latency_cycles
            load = array.rows
            shift_out: ShiftOut = "none"
            flush = row_step * array.rows + across - 1 + pipeline
        else:
            row_step = array.vertical_hop_latency_cycles
            load = array.rows if array.accumulator_preload else 0
            shift_out = array.shift_out
            flush = row_step * (array.rows - 1) + across + pipeline + array.accumulate_latency_cycles
            flush += _shift_out_cycles(shift_out, array.rows, array.columns)
        return cls(
            dataflow=dataflow,
            rows=array.rows,
            columns=array.columns,
            overlapped=array.overlap == "double_buffered",
            serialized_short_folds=array.short_folds == "serialized",
            row_step_cycles=row_step,
            column_step_cycles=array.horizontal_hop_latency_cycles,
            load_cycles=load,
            shift_out=shift_out,
            flush_cycles=flush,
        )

    @property
    def shift_out_cycles(self) -> int:
        """Results that stayed, on their way out: a beat for each row or column they pass."""
        return _shift_out_cycles(self.shift_out, self.rows, self.columns)

    @property
    def behind_wave_cycles(self) -> int:
        """What a double-buffered array does behind the running wave of each fold: load and shift-out, at a time."""
        return max(self.load_cycles, self.shift_out_cycles)

    @property
    def first_row_cycles(self) -> int:
        """From the first operand's cycle until all columns of the first result are out, both included."""
        return 1 + self.flush_cycles

    def streaming_cycles(self, stream: int) -> int:
        """One fold from its first operand to its last result, shift-out included."""
        return stream + self.flush_cycles

    def period(self, stream: int, following: int | None = None) -> int:
        """Cycles from a fold's begin to the next one's.

        Parameters
        ----------
        stream
            Operands that flow through the fold.
        following
            The same of the next fold; None: as many. A shorter one would end while results still shift out, and so
            begins later.
        """
        if not self.overlapped:
            return self.load_cycles + self.streaming_cycles(stream)
        shorter = 0 if following is None else stream - following
        wait = max(stream, self.shift_out_cycles + shorter)
        if self.serialized_short_folds and stream < self.behind_wave_cycles:
            return max(wait, stream + self.behind_wave_cycles)
        return max(wait, self.load_cycles)

    @property
    def lead_cycles(self) -> int:
        """Before the first fold of a sequence; without overlap every period has its own."""
        return self.load_cycles if self.overlapped else 0

    def issue_cycles(self, folds: int, stream: int, following: int | None = None) -> int:
        """How long ``folds`` folds of ``stream`` operands each keep the next tile's first fold waiting.

        ``following`` as for ``period``: what that fold streams.
        """
        return (folds - 1) * self.period(stream) + self.period(stream, following)

    def tail_cycles(self, stream: int, following: int | None = None) -> int:
        """From the end of ``issue_cycles`` until the last result of a tile is out.

        Never negative: an array of one column that serializes short folds is through a cycle before its next fold may
        begin, and there the tile counts as done with its period.
        """
        if not self.overlapped:
            return 0
        return max(0, self.streaming_cycles(stream) - self.period(stream, following))

    def sequence_cycles(self, streams: Sequence[int]) -> int:
        """Folds one after another on an idle array, from the first load to the last result.

        Parameters
        ----------
        streams
            Operands that each fold streams, in order.
        """
        if not streams:
            return 0
        periods = sum(map(self.period, streams[:-1], streams[1:]))
        return self.load_cycles + periods + self.streaming_cycles(streams[-1])


def _shift_out_cycles(shift_out: ShiftOut, rows: int, columns: int) -> int:
    return {"down": rows, "right": columns, "none": 0}[shift_out]
