"""The array's registers, stepped in numpy: their sums are the kernels', their cycles the laws'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import in_array
from accel.arch.timing import ArrayTiming
from accel.sim.array import compute_tile, moving_layout
from accel.sim.registers import FoldOperands, FoldPlan, Measures, SteppedLayer, Values
from accel.sim.registers.parts import add
from accel.sim.registers.schedule import schedule
from tests.differential.sequencer import Sequencer
from tests.differential.test_pe_by_pe import Case, cases
from tests.machines import machine

Int64Array = npt.NDArray[np.int64]


@dataclass
class Folded:
    """A tile cut into folds: moving operands (rows, stream), other ones, and where the sums belong."""

    folds: list[FoldOperands]
    corners: list[tuple[int, int]]
    """(row, column) of each fold's first sum in the tile's sums, as the array has them."""


def measures(case: Case) -> Measures:
    moving, other = in_array(case.activation), in_array(case.weight)
    if case.dataflow == "input_stationary":
        moving, other = other, moving
    timing = ArrayTiming.of(case.array, case.dataflow)
    product_bits = moving.bits + other.bits
    return Measures(case.array, timing, moving, other, product_bits, case.sums.partial_sum_bits, case.sums.overflow)


def folded(case: Case) -> Folded:
    x, w, _ = case.operands()
    moving, other = (w, x.T) if case.dataflow == "input_stationary" else (x.T, w)
    rows, columns = case.array.rows, case.array.columns
    folds, corners = [], []
    for column in range(0, other.shape[1], columns):
        part = other[:, column : column + columns]
        if case.dataflow == "output_stationary":
            for row in range(0, moving.shape[1], rows):
                folds.append(FoldOperands(moving[:, row : row + rows].T, part))
                corners.append((row, column))
        else:
            for row in range(0, len(moving), rows):
                folds.append(FoldOperands(moving[row : row + rows], part[row : row + rows]))
                corners.append((0, column))
    return Folded(folds, corners)


def layer_of(case: Case, waits: list[tuple[int, int, int, int]] | None = None) -> tuple[SteppedLayer, Folded]:
    """``waits``: load ready, stream ready, bubbles before the first and the last operand of each fold."""
    tile = folded(case)
    plans = [
        FoldPlan(fold.moving.shape[1], *(waits[number % len(waits)] if waits else ()))
        for number, fold in enumerate(tile.folds)
    ]
    return SteppedLayer(measures(case), plans, lambda fold: tile.folds[fold]), tile


def results(layer: SteppedLayer, values: Values, beat: int) -> Iterator[tuple[int, int, int]]:
    """(row, column, sum) of what is out in a cycle; ``beat`` counts such cycles of one fold."""
    array = layer.measures.spec
    if not layer.measures.output_stationary:
        yield from ((beat, column, total) for column, total in enumerate(values["sums"].tolist()))
    elif array.shift_out == "none":
        for lane, total in enumerate(values["results"].tolist()):
            yield lane // array.columns, lane % array.columns, total
    elif array.shift_out == "down":
        row = array.rows - 1 - beat
        yield from ((row, column, total) for column, total in enumerate(values["results"].tolist()))
    else:
        column = array.columns - 1 - beat
        yield from ((row, column, total) for row, total in enumerate(values["results"].tolist()))


def accumulate(case: Case, layer: SteppedLayer, tile: Folded) -> tuple[Int64Array, int, list[int]]:
    """The tile's sums, additions that did not fit, and the cycles in which folds were out."""
    _, _, old = case.operands()
    sums = (old.T if case.dataflow == "input_stationary" else old).copy()
    written = np.full(sums.shape, not case.first)
    fold = beat = overflows = 0
    outs: list[int] = []
    # Flags come a clock after their addition.
    for cycle, values in enumerate(layer.steps((0, layer.last_cycle + 2))):
        overflows += int(values["overflow"].sum())
        if not values["result_valid"][0]:
            continue
        top, left = tile.corners[fold]
        for row, column, total in results(layer, values, beat):
            at = top + row, left + column
            if row < _height(layer, tile, fold) and column < tile.folds[fold].other.shape[1]:
                start = np.array([sums[at] if written[at] else 0])
                joined, lost = add(start, np.array([total]), case.sums.accumulator_bits, case.sums.overflow)
                sums[at], written[at] = joined[0], True
                overflows += int(lost[0])
        beat += 1
        if values["result_last"][0]:
            outs.append(cycle)
            fold, beat = fold + 1, 0
    return (sums.T if case.dataflow == "input_stationary" else sums), overflows, outs


def _height(layer: SteppedLayer, tile: Folded, fold: int) -> int:
    return tile.folds[fold].moving.shape[0 if layer.measures.output_stationary else 1]


@settings(max_examples=100, deadline=None)
@given(cases())
def test_sums_and_overflows_are_the_kernels_and_cycles_the_laws(case: Case) -> None:
    layer, tile = layer_of(case)
    sums, overflows, outs = accumulate(case, layer, tile)

    x, w, old = case.operands()
    activations, weights = x.astype(case.activation.dtype), w.astype(case.weight.dtype)
    moving, other = {
        "weight_stationary": (activations.T, weights),
        "output_stationary": (activations, weights),
        "input_stationary": (weights, activations.T),
    }[case.dataflow]
    timing = layer.measures.timing
    layout = moving_layout(timing, case.m, case.k, case.n)
    expected = old.copy()
    lines = layout.fill(moving)
    counts = compute_tile(timing, case.sums, lines, other, expected, first=case.first, safe=False, threads=1)
    assert sums.tolist() == expected.tolist()
    assert overflows == counts.overflows
    # What is out in a cycle was on its way in all cycles before it.
    assert len(outs) == counts.folds
    assert outs[-1] - layer.first_cycle == timing.sequence_cycles([layout.stream] * counts.folds)


@settings(max_examples=100, deadline=None)
@given(cases(), st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_folds_start_when_a_sequencer_starts_them(case: Case, streams: list[int]) -> None:
    timing = ArrayTiming.of(case.array, case.dataflow)
    times = schedule(timing, [FoldPlan(stream) for stream in streams])
    sequencer = Sequencer(case.array, timing.load_cycles, timing.shift_out_cycles, streams)
    # With nothing to load, the hardware notes a fold one clock before the fold's stream may begin.
    early = 0 if timing.load_cycles else 1
    for now in range(int(times.outs[-1])):
        sequencer.clock(now, int(np.count_nonzero(times.outs - early <= now)))
    if timing.load_cycles:
        assert sequencer.loads_began == times.takes.tolist()
    assert sequencer.streams_began == (times.begins - early).tolist()


@settings(max_examples=60, deadline=None)
@given(cases(), st.data())
def test_any_window_is_a_part_of_the_whole(case: Case, data: st.DataObject) -> None:
    wait = st.tuples(st.integers(0, 60), st.integers(0, 200), st.integers(0, 5), st.integers(0, 5))
    waits = sorted(data.draw(st.lists(wait, min_size=1, max_size=4)))
    layer, _ = layer_of(case, waits)
    end = layer.last_cycle + 2
    whole = list(layer.steps((0, end)))
    first = data.draw(st.integers(0, end - 1))
    for offset, values in enumerate(layer.steps((first, min(first + 5, end)))):
        for name, found in values.items():
            assert np.array_equal(found, whole[first + offset][name]), (name, first + offset)


SLOW = {
    "vertical_hop_latency_cycles": 2,
    "horizontal_hop_latency_cycles": 3,
    "multiplier_latency_cycles": 2,
    "accumulate_latency_cycles": 2,
    "input_latency_cycles": 1,
    "output_latency_cycles": 2,
}
LONG = [
    # dataflow, overlap, stream of a fold, fields of the array
    ("weight_stationary", "double_buffered", 300, {}),
    ("weight_stationary", "double_buffered", 300, SLOW),
    ("weight_stationary", "none", 300, {}),
    ("weight_stationary", "none", 300, SLOW),
    ("input_stationary", "double_buffered", 3, SLOW),
    ("input_stationary", "double_buffered", 4, {"short_folds": "serialized"}),
    ("output_stationary", "double_buffered", 100, {}),
    ("output_stationary", "double_buffered", 100, SLOW | {"shift_out": "right"}),
    ("output_stationary", "double_buffered", 100, SLOW | {"accumulator_preload": True}),
    ("output_stationary", "double_buffered", 100, {"shift_out": "none"}),
    ("output_stationary", "none", 100, SLOW | {"accumulator_preload": True}),
    ("output_stationary", "none", 100, {"shift_out": "right"}),
]


@pytest.mark.parametrize(("dataflow", "overlap", "stream", "fields"), LONG)
def test_a_window_does_not_begin_at_the_beginning(dataflow: Any, overlap: str, stream: int, fields: Any) -> None:
    made = Measures.of(machine(3, 2, dataflow=dataflow, overlap=overlap, array=fields), dataflow)
    rng = np.random.default_rng(1)
    shape = (stream, 2) if made.output_stationary else (3, 2)
    folds = [
        FoldOperands(rng.integers(-128, 128, (3, stream)), rng.integers(-128, 128, shape))
        for _ in range(1500 // stream)
    ]
    layer = SteppedLayer(made, [FoldPlan(stream)] * len(folds), lambda fold: folds[fold])
    whole = list(layer.steps((0, layer.last_cycle + 1)))
    # At most a fold where a sum stays, else a load; and twice the longest way through this small array.
    way = made.timing.flush_cycles + 3 * made.timing.row_step_cycles + 2 * made.timing.column_step_cycles + 4
    most = 3 + 2 * way + (made.timing.period(stream) if made.output_stationary else 3)
    for first in range(layer.last_cycle - 2 * stream - 20, layer.last_cycle - 2, 11):
        steps: list[int] = []
        found = list(layer.steps((first, first + 3), lambda done, total, steps=steps: steps.append(total)))
        assert steps[0] <= most < first
        for offset, values in enumerate(found):
            assert all(np.array_equal(values[name], whole[first + offset][name]) for name in values)


def test_waits_are_bubbles() -> None:
    """4 x 4, weights stay: load 4; operands there in cycle 10; two bubbles before the last of three."""
    timing = ArrayTiming("weight_stationary", 4, 4, True, False, 1, 1, 4, "none", flush_cycles=6)
    plans = [FoldPlan(3, 2, 10, held_back=2), FoldPlan(1, held_back=3), FoldPlan(2, late=4)]
    times = schedule(timing, plans)
    assert times.takes.tolist() == [2, 10, 18]  # a load as soon as the stream before has begun
    assert times.asks.tolist() == [6, 15, 22]
    assert times.begins.tolist() == [10, 18, 26]  # an only operand is the last one: its bubbles come first
    assert times.ends.tolist() == [14, 18, 27]
    assert times.outs.tolist() == [21, 25, 34]


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 64), st.sampled_from(["wrap", "saturate"]), st.data())
def test_addition(bits: int, overflow: str, data: st.DataObject) -> None:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    value = st.integers(low, high) | st.sampled_from([low, high])
    a, b = data.draw(value), data.draw(value)
    exact = a + b
    wanted = min(max(exact, low), high) if overflow == "saturate" else (exact - low) % (1 << bits) + low
    total, lost = add(np.array([a]), np.array([b]), bits, overflow)
    assert (int(total[0]), int(lost[0])) == (wanted, int(exact != wanted))


def test_the_wave_by_hand() -> None:
    """Plain, weights stay: PE(r, c) multiplies operand m in cycle load + m + r + c; its row's sum is there then."""
    made = Measures.of(machine(2, 3), "weight_stationary")
    x, w = np.array([[1, -2, 3, 4], [5, 6, -7, 8]]), np.array([[9, -10, 11], [12, 13, 14]])
    layer = SteppedLayer(made, [FoldPlan(4)], lambda fold: FoldOperands(x, w))
    cycles = list(layer.steps((0, layer.last_cycle + 1)))
    for m in range(4):
        for r in range(2):
            for c in range(3):
                values = cycles[2 + m + r + c]
                assert values["moving"][r, c] == x[r, m]
                assert values["held"][r, c] == w[r, c]
                assert values["product"].reshape(2, 3)[r, c] == x[r, m] * w[r, c]
                assert values["sum"][r, c] == (x[: r + 1, m] * w[: r + 1, c]).sum()
    assert measured_names(layer, "held_down")[3] == (
        "array.g_row[1].g_column[0].held_in",
        "array.g_row[0].g_column[0].held_out",
    )


def measured_names(layer: SteppedLayer, key: str) -> list[tuple[str, ...]]:
    family = layer.families()[key]
    return [family.names(number) for number in range(family.count)]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_families_describe_what_steps_show(case: Case) -> None:
    layer, _ = layer_of(case)
    families = layer.families()
    names = [name for family in families.values() for number in range(family.count) for name in family.names(number)]
    assert len(set(names)) == len(names)
    values = next(layer.steps((0, 1)))
    for key, family in families.items():
        assert values[key].size == family.count * family.lanes, key
    assert families["moving"].bits == measures(case).moving.bits
