"""Arrays that hypothesis draws, on the RTL: every sum, every cycle and every overflow is the simulator's.

Three opinions on each: the simulator's kernels and laws, the RTL, and the array of ``pe_by_pe``, which shares nothing
with either. Icarus Verilog runs most of them, as it compiles at once and shows values that nobody set; Verilator runs
some, and both simulators the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import in_array
from accel.arch.spec import ArraySpec, Machine
from accel.numerics.qtype import QType
from accel.rtl.build import compile_model, model_of
from accel.rtl.design import design_of
from accel.rtl.icarus import bench_sources, compile_icarus, replay_icarus
from accel.rtl.replay import Response, replay
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Stimulus, Tile, stimulus_of
from accel.sim.array import Sums
from tests.differential.pe_by_pe import simulate
from tests.differential.registers import Adder
from tests.drawn import arithmetics, arrays
from tests.machines import machine
from tests.rtl.tools import needs_iverilog, needs_verilator

Matrix = npt.NDArray[Any]
RESET = 20
"""Cycle in which the first operands may be there."""
PATTERNS = ("random", "extremes", "all lowest", "all highest", "negative", "zeros", "sparse")


@dataclass(frozen=True)
class Work:
    """One tile: what hypothesis draws of it."""

    groups: int
    pixels: int
    k: int
    channels: int
    patterns: tuple[str, str]
    """Of activations and of weights."""
    adds: bool
    """To the sums of the tile before, which has this one's shape then."""
    waits: tuple[int, int, int]
    """Cycles until what is loaded is there, then until all is, and those by which a narrow port delays the tile."""
    seed: int


@dataclass(frozen=True)
class Replay:
    """A machine and what it does."""

    machine: Machine
    works: tuple[Work, ...]

    def stimulus(self) -> Stimulus:
        """Tiles one behind the other, some of them waiting for data."""
        array = self.machine.array
        (dataflow,) = array.dataflow
        ready, shape, tiles = RESET, None, []
        for work in self.works:
            adds = work.adds and shape is not None
            if not adds:
                shape = work.groups, work.pixels, work.channels
            to_load, to_stream, stretch = work.waits
            load_ready = ready + to_load
            ready = load_ready + to_stream
            # Where nothing overlaps, a tile begins with its load once everything is there.
            tiles.append(
                Tile(
                    self.operands(work, shape),
                    first=not adds,
                    load_ready=ready if array.overlap == "none" else load_ready,
                    stream_ready=ready,
                    stretch=stretch,
                )
            )
        return stimulus_of(design_of(self.machine, dataflow, accumulator_rows=1 << 12), tiles)

    def operands(self, work: Work, shape: tuple[int, int, int]) -> tuple[tuple[Matrix, Matrix], ...]:
        rng, pe = np.random.default_rng(work.seed), self.machine.pe
        groups, pixels, channels = shape
        of_activations, of_weights = work.patterns
        return tuple(
            (
                operand(rng, pe.activation, (work.k, pixels), of_activations),
                operand(rng, pe.weight, (work.k, channels), of_weights),
            )
            for _ in range(groups)
        )


def operand(rng: np.random.Generator, qtype: QType, shape: tuple[int, int], pattern: str) -> Matrix:
    values = rng.integers(qtype.min, qtype.max, shape, endpoint=True)
    match pattern:
        case "extremes":
            values = rng.choice([qtype.min, qtype.max], shape)
        case "all lowest":
            values = np.full(shape, qtype.min)
        case "all highest":
            values = np.full(shape, qtype.max)
        case "negative":
            values = np.minimum(values, min(-1, qtype.max)) if qtype.signed else values
        case "zeros":
            values = np.zeros(shape, np.int64)
        case "sparse":
            values = values * (rng.random(shape) < 0.2)
    return values.astype(qtype.dtype)


def machine_of(array: ArraySpec, arithmetic: tuple[QType, QType, Sums], gates: bool) -> Machine:
    """``gates``: where both operands are -1 and +1, they are multiplied by XNOR gates."""
    activation, weight, sums = arithmetic
    plain = machine()
    pe = plain.pe.model_copy(
        update={
            "activation": activation,
            "weight": weight,
            "partial_sum_bits": sums.partial_sum_bits,
            "accumulator_bits": sums.accumulator_bits,
            "overflow": sums.overflow,
            "multiplier": "xnor" if gates and activation.bipolar and weight.bipolar else "parallel",
        }
    )
    return plain.model_copy(update={"array": array, "pe": pe})


def works(most: int) -> st.SearchStrategy[Work]:
    extent, pattern = st.integers(1, most), st.sampled_from(PATTERNS)
    return st.builds(
        Work,
        groups=st.sampled_from([1, 1, 1, 2]),
        pixels=extent,
        k=extent,
        channels=extent,
        patterns=st.tuples(pattern, pattern),
        adds=st.booleans(),
        waits=st.tuples(
            st.sampled_from([0, 0, 1, 9, 60]), st.sampled_from([0, 0, 0, 3, 40]), st.sampled_from([0, 0, 0, 1, 7])
        ),
        seed=st.integers(0, 2**32),
    )


def replays(most: int) -> st.SearchStrategy[Replay]:
    """Arrays of up to ``most`` rows and columns, and up to four tiles that are somewhat larger."""
    machines = st.builds(machine_of, arrays(most), arithmetics(), st.booleans())
    return st.builds(Replay, machines, st.lists(works(most + most // 2), min_size=1, max_size=4).map(tuple))


def agree(found: Response, wanted: Response) -> None:
    for number, (rtl, simulator) in enumerate(zip(found.sums, wanted.sums, strict=True)):
        assert rtl.tolist() == simulator.tolist(), f"sums of tile {number}"
    assert found.stamps.tolist() == wanted.stamps.tolist()
    assert found.overflows == wanted.overflows


def under_icarus(stimulus: Stimulus) -> Response:
    with TemporaryDirectory() as folder:
        return replay_icarus(compile_icarus(bench_sources(stimulus.design), Path(folder)), stimulus)


def built_of_registers(stimulus: Stimulus) -> tuple[list[list[list[int]]], int]:
    """The sums after each tile, and all overflows, of the array that knows neither kernels nor RTL."""
    design, pe = stimulus.design, stimulus.design.machine.pe
    adders = tuple(Adder(bits, pe.overflow) for bits in (pe.partial_sum_bits, pe.accumulator_bits))
    made: list[Any] = []
    overflows = 0
    kept: list[Matrix] = []
    for tile in stimulus.tiles:
        groups, pixels, _, channels = tile.shape
        if tile.first:
            kept = [np.zeros((pixels, channels), np.int64) for _ in range(groups)]
        for group, (activations, weights) in enumerate(tile.operands):
            operands = activations.T.astype(np.int64), weights.astype(np.int64)
            bits = in_array(pe.activation).bits, in_array(pe.weight).bits
            seen = simulate(design.machine.array, design.dataflow, operands, kept[group], bits, adders)
            kept[group] = np.array(seen.accumulators, np.int64)
            overflows += seen.overflows
        made.append([matrix.tolist() for matrix in kept])
    return made, overflows


HEAVY = Replay(
    machine(
        rows=12,
        columns=12,
        dataflow="output_stationary",
        accumulator_bits=17,
        overflow="saturate",
        pe={"partial_sum_bits": 16},
    ),
    (
        Work(1, 13, 17, 13, ("all lowest", "all lowest"), False, (0, 0, 0), 1),
        Work(1, 13, 18, 13, ("extremes", "random"), True, (9, 40, 7), 2),
    ),
)


@needs_iverilog
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(HEAVY)
@given(replays(most=6) | replays(most=12))
def test_drawn_arrays_under_icarus(drawn: Replay) -> None:
    stimulus = drawn.stimulus()
    found = under_icarus(stimulus)
    agree(found, simulated(stimulus))
    if drawn.machine.array.rows <= 6 and drawn.machine.array.columns <= 6:
        sums, overflows = built_of_registers(stimulus)
        assert [tile.tolist() for tile in found.sums] == sums
        assert found.overflows == overflows


@needs_verilator
@needs_iverilog
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(replays(most=12))
def test_drawn_arrays_under_both(drawn: Replay) -> None:
    """The same arrays in every run, so that the second one finds them compiled."""
    stimulus = drawn.stimulus()
    found = replay(compile_model(model_of(stimulus.design)), stimulus)
    agree(found, simulated(stimulus))
    agree(under_icarus(stimulus), found)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    """They are what they are called."""
    rng = np.random.default_rng(0)
    for qtype in (QType(8, signed=True), QType(4, signed=False), QType(1, signed=True), QType(16, signed=False)):
        values = operand(rng, qtype, (30, 30), pattern).astype(np.int64)
        assert qtype.min <= values.min() <= values.max() <= qtype.max
        if pattern == "negative" and qtype.signed:
            assert values.max() < 0
        if pattern == "extremes":
            assert set(values.ravel().tolist()) == {qtype.min, qtype.max}
        if pattern == "sparse":
            assert np.count_nonzero(values) < values.size / 3
