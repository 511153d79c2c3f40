"""The kernels and the laws against an array built from registers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import in_array
from accel.arch.spec import ArraySpec
from accel.arch.timing import ArrayTiming
from accel.numerics.qtype import QType
from accel.sim.activity import OperandWidths, tile_activity
from accel.sim.array import Sums, compute_tile, moving_layout
from tests.differential.array_of_pes import Fold
from tests.differential.pe_by_pe import OperandStays, ResultStays, simulate
from tests.differential.registers import Adder
from tests.drawn import arithmetics, arrays


@dataclass(frozen=True)
class Case:
    """A small machine and a small tile."""

    array: ArraySpec
    sums: Sums
    activation: QType
    weight: QType
    m: int
    k: int
    n: int
    first: bool
    seed: int

    @property
    def dataflow(self) -> str:
        return self.array.dataflow[0]

    def operands(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Activations (m, k), weights (k, n), accumulators (m, n); extremes are drawn often."""
        rng = np.random.default_rng(self.seed)
        half = 1 << (self.sums.accumulator_bits - 1)
        old = np.zeros((self.m, self.n), np.int64)
        if not self.first:
            old = rng.integers(-half, half - 1, old.shape, endpoint=True)
        return (
            draw(rng, self.activation, (self.m, self.k)),
            draw(rng, self.weight, (self.k, self.n)),
            old,
        )


def draw(rng: np.random.Generator, qtype: QType, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    values = rng.integers(qtype.min, qtype.max, shape, endpoint=True)
    extremes = rng.choice([qtype.min, qtype.max], shape)
    return np.where(rng.random(shape) < 0.3, extremes, values)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    activation, weight, sums = draw(arithmetics())
    extent = st.integers(1, 13)
    return Case(
        array=draw(arrays(most=6)),
        sums=sums,
        activation=activation,
        weight=weight,
        m=draw(extent),
        k=draw(extent),
        n=draw(extent),
        first=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32)),
    )


@settings(max_examples=150, deadline=None)
@given(cases())
def test_kernels_and_laws(case: Case) -> None:
    x, w, old = case.operands()
    adders = tuple(Adder(bits, case.sums.overflow) for bits in (case.sums.partial_sum_bits, case.sums.accumulator_bits))
    bits = in_array(case.activation).bits, in_array(case.weight).bits
    seen = simulate(case.array, case.dataflow, (x, w), old, bits, adders)

    timing = ArrayTiming.of(case.array, case.dataflow)
    layout = moving_layout(timing, case.m, case.k, case.n)
    activations, weights = x.astype(case.activation.dtype), w.astype(case.weight.dtype)
    moving, other = {
        "weight_stationary": (activations.T, weights),
        "output_stationary": (activations, weights),
        "input_stationary": (weights, activations.T),
    }[case.dataflow]
    sums = old.copy()
    counts = compute_tile(timing, case.sums, layout.fill(moving), other, sums, first=case.first, safe=False, threads=1)
    assert sums.tolist() == seen.accumulators.tolist()
    assert counts.overflows == seen.overflows

    widths = OperandWidths(*bits)
    activity = tile_activity(case.array, case.dataflow, case.sums, widths, activations.T, weights)
    assert (activity.operand_bits, activity.operand_bits_possible) == (seen.operands.toggled, seen.operands.clocked)
    assert (activity.product_bits, activity.product_bits_possible) == (seen.products.toggled, seen.products.clocked)
    latency = case.array.multiplier_latency_cycles
    assert seen.pipeline.toggled == latency * activity.product_bits
    assert seen.pipeline.clocked == latency * activity.product_bits_possible
    assert (activity.sum_bits, activity.sum_bits_possible) == (seen.sums.toggled, seen.sums.clocked)

    assert seen.cycles == timing.sequence_cycles([layout.stream] * counts.folds)
    if case.dataflow != "output_stationary":
        assert seen.first_row_cycles == timing.first_row_cycles


@settings(max_examples=60, deadline=None)
@given(cases(), st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_laws_of_folds_of_different_lengths(case: Case, streams: list[int]) -> None:
    adders = (Adder(32, "wrap"), Adder(32, "wrap"))
    kind = ResultStays if case.dataflow == "output_stationary" else OperandStays
    rows, columns = min(case.array.rows, case.m), min(case.array.columns, case.n)
    folds = []
    for stream in streams:
        other = (stream, columns) if kind is ResultStays else (rows, columns)
        folds.append(Fold(np.ones((rows, stream), np.int64), np.ones(other, np.int64), 0, 0))
    seen = kind(case.array, folds, np.zeros((max(rows, 12), columns), np.int64), (2, 2), adders).run()
    assert seen.cycles == ArrayTiming.of(case.array, case.dataflow).sequence_cycles(streams)
