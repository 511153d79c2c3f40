"""When the folds of a layer load, stream and leave, and what the array's control wires carry in each cycle.

The rules are the sequencer's, one fold after another: a load begins when the registers it fills are free, a stream
when its load is through, the array is free and its operands are there. From a fold's few times every control wire of
any cycle follows, so that a window in the middle of a long layer costs no walk from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.arch.spec import ArraySpec
from accel.arch.timing import ArrayTiming

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """One fold as the sequencer is told of it."""

    length: int
    """Operands in its stream."""
    load_ready: int = 0
    """Cycle in which what it loads is in its buffer."""
    stream_ready: int = 0
    """Cycle in which what it streams is."""
    late: int = 0
    """Bubbles in front of its first operand, when all is there: a buffer port that is too narrow."""
    held_back: int = 0
    """Bubbles in front of its last operand, likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Cycles of all folds, one entry a fold."""

    lengths: Int64Array
    takes: Int64Array
    """The first row of its load enters (with nothing to load: the fold is noted)."""
    asks: Int64Array
    """Its first operand could enter, and enters as soon as it is there."""
    begins: Int64Array
    """Its first operand enters."""
    ends: Int64Array
    """Its last operand enters."""
    outs: Int64Array
    """Its last result is out: it stands in the last register before the accumulators."""


def schedule(timing: ArrayTiming, plans: Sequence[FoldPlan]) -> Schedule:
    """Start each fold as soon as it may.

    Examples
    --------
    >>> timing = ArrayTiming("weight_stationary", 4, 4, True, False, 1, 1, 4, "none", 6)
    >>> times = schedule(timing, [FoldPlan(8), FoldPlan(8)])
    >>> times.takes.tolist(), times.begins.tolist(), times.outs.tolist()
    ([0, 4], [4, 12], [18, 26])
    """
    rows: list[tuple[int, ...]] = []
    for plan in plans:
        before = _Before(*rows[-1]) if rows else None
        take = max(plan.load_ready if timing.load_cycles else 0, _free_to_load(timing, before))
        ask = max(take + max(timing.load_cycles, 1), _free_to_stream(timing, before, plan.length))
        begin = max(ask, plan.stream_ready) + plan.late
        end = begin + plan.length - 1 + plan.held_back
        # An only operand is the last one.
        begin = end if plan.length == 1 else begin
        rows.append((plan.length, take, ask, begin, end, end + timing.flush_cycles + 1))
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    return Schedule(*columns)


@dataclass(frozen=True, slots=True)
class _Before:
    """The fold before the one to be started."""

    length: int
    take: int
    ask: int
    begin: int
    end: int
    out: int


def _hides_nothing(timing: ArrayTiming, fold: _Before) -> bool:
    return timing.serialized_short_folds and fold.length < timing.behind_wave_cycles


def _free_to_load(timing: ArrayTiming, before: _Before | None) -> int:
    if before is None:
        return 0
    if timing.load_cycles == 0:
        return before.begin
    if not timing.overlapped:
        return before.out
    return before.end + 1 if _hides_nothing(timing, before) else before.begin


def _free_to_stream(timing: ArrayTiming, before: _Before | None, length: int) -> int:
    if before is None:
        return 0
    if not timing.overlapped:
        return before.out
    behind = timing.behind_wave_cycles if _hides_nothing(timing, before) else 0
    # Not so early that it ends while results of the fold before still occupy the registers it leaves its own in.
    return before.end + 1 + max(behind, timing.shift_out_cycles - length)


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """The control wires in consecutive cycles, and which operands are at the array's edges."""

    first_cycle: int
    load_enable: BoolArray
    load_last: BoolArray
    load_bank: Int64Array
    loaded: Int64Array
    """Fold whose load is at the port, or was there last; -1 before the first."""
    loaded_row: Int64Array
    stream_request: BoolArray
    stream_index: Int64Array
    enter: BoolArray
    enter_first: BoolArray
    enter_last: BoolArray
    enter_bank: Int64Array
    entered: Int64Array
    """Fold whose operand is at the port, or was there last; -1 before the first."""
    entered_index: Int64Array
    leaves: BoolArray
    """Results that stayed leave the PEs, a row or column of them in a cycle."""
    result_valid: BoolArray
    result_last: BoolArray


def control(array: ArraySpec, timing: ArrayTiming, times: Schedule, cycles: tuple[int, int]) -> Control:
    """The control wires in cycles ``cycles[0]`` to ``cycles[1] - 1``."""
    t = np.arange(*cycles, dtype=np.int64)
    load = timing.load_cycles
    loaded = _latest(times.takes, t) if load else np.full(len(t), -1)
    since = t - times.takes[loaded]
    load_enable = (loaded >= 0) & (since < load)
    entered = _latest(times.begins, t)
    enter, enter_last = _enters(times, t)
    waiting = np.searchsorted(times.ends, t, "left")
    asked = np.append(times.asks, np.iinfo(np.int64).max)[waiting] <= t
    streaming = (entered >= 0) & (t > times.begins[entered]) & (t <= times.ends[entered])
    reached = np.minimum(t - times.begins[entered], times.lengths[entered] - 1)
    at_end = t >= times.ends[entered]
    leaves, _ = _leaves(array, timing, times, t)
    valid, last = _results(array, timing, times, t)
    return Control(
        first_cycle=cycles[0],
        load_enable=load_enable,
        load_last=load_enable & (since == load - 1),
        load_bank=np.searchsorted(times.takes + load - 1, t, "left") % 2 if load else np.zeros_like(t),
        loaded=loaded,
        loaded_row=np.maximum(load - 1 - since, 0),
        stream_request=asked,
        stream_index=np.where(streaming, reached, 0),
        enter=enter,
        enter_first=enter & ~streaming,
        enter_last=enter_last,
        enter_bank=waiting % 2,
        entered=entered,
        entered_index=np.where(at_end, times.lengths[entered] - 1, np.minimum(reached, times.lengths[entered] - 2)),
        leaves=leaves,
        result_valid=valid,
        result_last=last,
    )


def _latest(cycles: Int64Array, t: Int64Array) -> Int64Array:
    """The last entry that is not after t; -1: none."""
    return np.searchsorted(cycles, t, "right") - 1


def _enters(times: Schedule, t: Int64Array) -> tuple[BoolArray, BoolArray]:
    """Whether an operand enters, and whether it is its fold's last."""
    fold = _latest(times.begins, t)
    last = (fold >= 0) & (t == times.ends[fold])
    return last | ((fold >= 0) & (t - times.begins[fold] < times.lengths[fold] - 1)), last


def _leaves(array: ArraySpec, timing: ArrayTiming, times: Schedule, t: Int64Array) -> tuple[BoolArray, BoolArray]:
    """Whether results that stayed leave the PEs, and whether those are their fold's last."""
    if timing.dataflow != "output_stationary":
        return np.zeros(len(t), np.bool_), np.zeros(len(t), np.bool_)
    beats = max(timing.shift_out_cycles, 1)
    settle = timing.flush_cycles - timing.shift_out_cycles - array.output_latency_cycles
    fold = _latest(times.ends + 1 + settle, t)
    beat = t - (times.ends + 1 + settle)[fold]
    return (fold >= 0) & (beat < beats), (fold >= 0) & (beat == beats - 1)


def _results(array: ArraySpec, timing: ArrayTiming, times: Schedule, t: Int64Array) -> tuple[BoolArray, BoolArray]:
    """Whether results are out, and whether those are their fold's last."""
    if timing.dataflow != "output_stationary":
        return _enters(times, t - timing.flush_cycles - 1)
    edge = 0 if timing.shift_out == "none" else 1
    return _leaves(array, timing, times, t - edge - array.output_latency_cycles)
