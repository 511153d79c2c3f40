"""The array's laws against cycles counted on other people's hardware and simulators, through the gallery's machines."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.arch.load import load_arch
from accel.arch.spec import ArraySpec, Dataflow
from accel.arch.timing import ArrayTiming
from tests.arch.public_arrays import (
    COUNTED,
    GEMMINI,
    GEMMINI_FIRST_RESULT,
    IS,
    OS,
    WS,
    PublicArray,
    scale_sim_3,
    scale_sim_rtl,
    square,
)


def timing(machine: str, dataflow: Dataflow, **fields: Any) -> ArrayTiming:
    """A gallery machine's array with some fields replaced."""
    return ArrayTiming.of(load_arch(machine).array.model_copy(update=fields), dataflow)


@pytest.mark.parametrize("array", COUNTED, ids=str)
def test_counted(array: PublicArray) -> None:
    """Every point that was counted."""
    law = array.timing
    for run in array.runs:
        streams = [run.stream] * run.folds
        before = law.load_cycles if array.in_place else 0
        assert law.sequence_cycles(streams) - before == run.cycles, run


class TestAxisSystolicArray:
    """abarajithan11/axis-systolic-array @44bbe4f: 190 points meet this."""

    @pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 16), (8, 4), (4, 16)])
    @pytest.mark.parametrize("latencies", [(1, 1), (2, 3), (3, 1)])
    @pytest.mark.parametrize(("depth", "results"), [(3, 1), (16, 1), (64, 1), (64, 4), (147, 2), (576, 8)])
    def test_law(self, size: tuple[int, int], latencies: tuple[int, int], depth: int, results: int) -> None:
        (r, c), (multiplier, adder) = size, latencies
        array = timing(
            "axis-systolic-4x4",
            OS,
            rows=r,
            columns=c,
            multiplier_latency_cycles=multiplier,
            accumulate_latency_cycles=adder,
        )
        law = results * depth + r + 2 * c - 2 + multiplier + adder
        assert array.sequence_cycles([depth] * results) == law


class TestOpenTPU:
    """UCSBarchlab/OpenTPU @ca5d381: 24 points meet L + 2N."""

    @pytest.mark.parametrize("size", [2, 4, 8, 16])
    @pytest.mark.parametrize("vectors", [1, 8, 27, 64, 100, 1000])
    def test_law(self, size: int, vectors: int) -> None:
        assert timing("opentpu-8x8", WS, **square(size)).streaming_cycles(vectors) == vectors + 2 * size


class TestScaleSimRtl:
    """SCALE-Sim's published RTL @1d62b68; the laws stand beside its points."""

    @pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 16), (8, 16)])
    def test_law(self, size: tuple[int, int]) -> None:
        for array in scale_sim_rtl(*size):
            for run in array.runs:
                assert array.timing.sequence_cycles([run.stream]) == run.cycles


class TestGemminiMesh:
    """MeshWithDelays of ucb-bar/gemmini: one law for 50 points, the rows of all requests and 33."""

    def test_weight_stationary(self) -> None:
        for run in GEMMINI[0].runs:
            # At M = 16 the next preload travels along with a compute request; at M = 8 nothing does, and every fold is
            # a request of 16 rows and one of 8.
            rows = 16 + 16 * run.folds if run.stream == 16 else (16 + 8) * run.folds
            assert run.cycles == rows + 33

    def test_first_result(self) -> None:
        assert GEMMINI[0].timing.first_row_cycles == GEMMINI_FIRST_RESULT


def resnet18() -> list[tuple[int, int, int]]:
    """(output pixels, window, filters) of torchvision's ResNet-18 at 224: 20 convolutions and the classifier."""
    layers = [(112 * 112, 7 * 7 * 3, 64)]
    inside = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        pixels = (56 >> stage) ** 2
        for block in range(2):
            layers += [(pixels, 9 * inside, width), (pixels, 9 * width, width)]
            if stage > 0 and block == 0:
                layers.append((pixels, inside, width))
            inside = width
    return [*layers, (1, 512, 1000)]


class TestScaleSim3:
    """SCALE-Sim 3.0.0, CALC mode; it reports the last cycle's index, one less than the count."""

    @pytest.mark.parametrize("size", [(32, 32), (128, 128), (8, 64)])
    @pytest.mark.parametrize("layer", resnet18())
    def test_law(self, size: tuple[int, int], layer: tuple[int, int, int]) -> None:
        for dataflow in (WS, IS, OS):
            assert layer_cycles(dataflow, *size, *layer) - 1 == scale_sim_3(dataflow, *size, layer)

    @pytest.mark.parametrize(
        ("size", "totals"),
        [(32, {WS: 2_855_031, OS: 2_133_315, IS: 3_400_155}), (128, {WS: 441_581, OS: 274_431, IS: 629_829})],
    )
    def test_resnet18_totals(self, size: int, totals: dict[Dataflow, int]) -> None:
        """What the simulator printed for all layers, topology given with torchvision's shapes."""
        for dataflow, total in totals.items():
            assert sum(layer_cycles(dataflow, size, size, *layer) - 1 for layer in resnet18()) == total


def layer_cycles(dataflow: Dataflow, rows: int, columns: int, pixels: int, window: int, filters: int) -> int:
    """One matrix product on SCALE-Sim's array, fold after fold."""
    array = timing("scale-sim-3", dataflow, rows=rows, columns=columns)
    across, down, stream = {
        WS: (filters, window, pixels),
        IS: (pixels, window, filters),
        OS: (filters, pixels, window),
    }[dataflow]
    return array.issue_cycles(ceil(across / columns) * ceil(down / rows), stream)


sizes = st.integers(1, 512)
streams = st.lists(st.integers(1, 5000), min_size=1, max_size=6)


@given(sizes, sizes, streams)
def test_plain_laws_without_overlap(rows: int, columns: int, lengths: list[int]) -> None:
    """Load or shift-out R, skew R + C - 2: a fold costs 2R + C + S - 2, under every dataflow."""
    for dataflow in (WS, OS, IS):
        array = plain(dataflow, rows=rows, columns=columns, overlap="none")
        assert array.sequence_cycles(lengths) == sum(2 * rows + columns + s - 2 for s in lengths)
        assert array.issue_cycles(3, lengths[0]) == 3 * array.period(lengths[0])
        assert (array.lead_cycles, array.tail_cycles(lengths[0])) == (0, 0)


@given(sizes, sizes, streams)
def test_plain_laws_double_buffered(rows: int, columns: int, lengths: list[int]) -> None:
    """Folds follow each other every max(S, R) cycles, with one load or shift-out, one fill and one drain.

    What fills up to R is the next load behind a fold, or, where outputs stay, the fold before still shifting out.
    """
    first, *others = lengths
    *before, last = lengths
    for dataflow in (WS, IS):
        law = sum(max(s, rows) for s in before) + last + 2 * rows + columns - 2
        assert plain(dataflow, rows=rows, columns=columns).sequence_cycles(lengths) == law
    law = first + sum(max(s, rows) for s in others) + 2 * rows + columns - 2
    assert plain(OS, rows=rows, columns=columns).sequence_cycles(lengths) == law


@given(sizes, sizes, st.integers(1, 1000), st.integers(1, 9))
def test_a_tile_is_its_lead_its_folds_and_its_tail(rows: int, columns: int, stream: int, folds: int) -> None:
    for dataflow in (WS, OS, IS):
        for overlap in ("none", "double_buffered"):
            array = plain(dataflow, rows=rows, columns=columns, overlap=overlap)
            parts = array.lead_cycles + array.issue_cycles(folds, stream) + array.tail_cycles(stream)
            assert parts == array.sequence_cycles([stream] * folds)


def test_pipeline_registers_add_up() -> None:
    """By hand, 4 rows and 3 columns, S = 10: every hop twice or three times as long, every latency once."""
    fields = {
        "rows": 4,
        "columns": 3,
        "multiplier_latency_cycles": 5,
        "accumulate_latency_cycles": 1,
        "vertical_hop_latency_cycles": 2,
        "horizontal_hop_latency_cycles": 3,
        "input_latency_cycles": 7,
        "output_latency_cycles": 11,
    }
    # Sums take 2 + 1 cycles from row to row: the last one leaves 4 * 3 + 2 * 3 - 1 cycles after the last operand.
    assert plain(WS, **fields).sequence_cycles([10]) == 4 + 10 + (4 * 3 + 2 * 3 - 1) + 5 + 7 + 11
    # Operands take 2 cycles from row to row; the adder's latency counts once; results need 4 cycles to shift out.
    assert plain(OS, **fields).sequence_cycles([10]) == 10 + (3 * 2 + 2 * 3) + 5 + 1 + 7 + 11 + 4


def test_sums_that_enter_first_hide_like_any_load() -> None:
    plain_array, preloaded = plain(OS, rows=8, columns=4), plain(OS, rows=8, columns=4, accumulator_preload=True)
    assert preloaded.sequence_cycles([20, 20]) == plain_array.sequence_cycles([20, 20]) + 8
    unshifted = plain(OS, rows=8, columns=4, accumulator_preload=True, shift_out="none")
    assert unshifted.period(3) == 8


def test_results_leave_the_shorter_way_if_the_machine_has_it() -> None:
    down = plain(OS, rows=8, columns=4)
    right = plain(OS, rows=8, columns=4, shift_out="right")
    assert down.sequence_cycles([20]) - right.sequence_cycles([20]) == 4
    assert (down.period(1), right.period(1)) == (8, 4)


@pytest.mark.parametrize(("stream", "overlapped", "serialized"), [(7, 8, 15), (8, 8, 8), (9, 9, 9)])
def test_short_folds(stream: int, overlapped: int, serialized: int) -> None:
    assert plain(WS, rows=8, columns=8).period(stream) == overlapped
    assert plain(WS, rows=8, columns=8, short_folds="serialized").period(stream) == serialized


def test_a_tail_is_never_negative() -> None:
    """One column, short folds serialized: the last result is out a cycle before the next fold may begin."""
    array = plain(WS, rows=8, columns=1, short_folds="serialized")
    assert array.sequence_cycles([3]) == 8 + 3 + 7
    assert array.lead_cycles + array.issue_cycles(1, 3) == 8 + 3 + 8
    assert array.tail_cycles(3) == 0


def test_nothing_takes_no_time() -> None:
    assert plain(WS, rows=4, columns=4).sequence_cycles([]) == 0


def plain(dataflow: Dataflow, **fields: Any) -> ArrayTiming:
    """An array with every default, double buffered."""
    return ArrayTiming.of(ArraySpec(dataflow=(dataflow,), **{"overlap": "double_buffered", **fields}), dataflow)
