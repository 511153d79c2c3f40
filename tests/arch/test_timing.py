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

WS: Dataflow = "weight_stationary"
OS: Dataflow = "output_stationary"
IS: Dataflow = "input_stationary"


def timing(machine: str, dataflow: Dataflow, **fields: Any) -> ArrayTiming:
    """A gallery machine's array with some fields replaced."""
    return ArrayTiming.of(load_arch(machine).array.model_copy(update=fields), dataflow)


def square(size: int, **fields: Any) -> dict[str, Any]:
    return {"rows": size, "columns": size, **fields}


class TestAxisSystolicArray:
    """abarajithan11/axis-systolic-array @44bbe4f under Verilator: T results of depth K, first input to last output."""

    @pytest.mark.parametrize(
        ("machine", "fields", "depth", "results", "counted"),
        [
            ("axis-systolic-4x4", {}, 16, 1, 28),
            ("axis-systolic-4x4", {}, 64, 16, 1036),
            ("axis-systolic-4x4", {}, 1152, 4, 4620),
            ("axis-systolic-8x8", {"multiplier_latency_cycles": 2, "accumulate_latency_cycles": 3}, 147, 1, 174),
            ("axis-systolic-16x16", {"multiplier_latency_cycles": 3, "accumulate_latency_cycles": 1}, 576, 8, 4658),
        ],
    )
    def test_counted(self, machine: str, fields: dict[str, int], depth: int, results: int, counted: int) -> None:
        assert timing(machine, OS, **fields).sequence_cycles([depth] * results) == counted

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
    """UCSBarchlab/OpenTPU @ca5d381 under Verilator: dispatch to done of L vectors, weights in place; L + 2N."""

    @pytest.mark.parametrize(("size", "vectors", "counted"), [(4, 100, 108), (8, 64, 80), (16, 27, 59)])
    def test_counted(self, size: int, vectors: int, counted: int) -> None:
        assert timing("opentpu-8x8", WS, **square(size)).streaming_cycles(vectors) == counted

    @pytest.mark.parametrize("size", [2, 4, 8, 16])
    @pytest.mark.parametrize("vectors", [1, 8, 27, 64, 100, 1000])
    def test_law(self, size: int, vectors: int) -> None:
        assert timing("opentpu-8x8", WS, **square(size)).streaming_cycles(vectors) == vectors + 2 * size


class TestScaleSimRtl:
    """SCALE-Sim's published RTL @1d62b68 in simulation; a PE has two registers on the way down."""

    @pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 16), (8, 16)])
    @pytest.mark.parametrize("stream", [1, 4, 16, 100])
    def test_law(self, size: tuple[int, int], stream: int) -> None:
        r, c = size
        weights_stay = timing("scale-sim-rtl", WS, rows=r, columns=c)
        outputs_stay = timing("scale-sim-rtl", OS, rows=r, columns=c)
        assert weights_stay.sequence_cycles([stream]) == stream + 3 * r + c - 2  # load to last output
        assert outputs_stay.sequence_cycles([stream]) == stream + r + c - 1  # until the bottom row is final


class TestGemminiMesh:
    """MeshWithDelays of ucb-bar/gemmini, default configuration, under Verilator: first request to last result row."""

    @pytest.mark.parametrize(("folds", "counted"), [(1, 65), (2, 81), (4, 113), (8, 177), (16, 305)])
    def test_weight_stationary_full_requests(self, folds: int, counted: int) -> None:
        mesh = timing("gemmini-mesh-16x16", WS)
        assert mesh.sequence_cycles([16] * folds) == counted
        # The law, rows of all requests + 33: one preload of 16 rows, then a compute request of 16 for each fold, the
        # next preload travelling along with it.
        assert counted == 16 + 16 * folds + 33

    @pytest.mark.parametrize("folds", range(1, 17))
    def test_weight_stationary_short_requests(self, folds: int) -> None:
        # M = 8: 57 for one fold and 24 for each further one. Nothing travels along, so every fold is a request of 16
        # rows and one of 8.
        assert timing("gemmini-mesh-16x16", WS).sequence_cycles([8] * folds) == 57 + 24 * (folds - 1)
        assert 57 + 24 * (folds - 1) == folds * (16 + 8) + 33

    def test_first_result(self) -> None:
        assert timing("gemmini-mesh-16x16", WS).first_row_cycles == 34

    @pytest.mark.parametrize("blocks", range(1, 17))
    def test_output_stationary(self, blocks: int) -> None:
        mesh = timing("gemmini-mesh-16x16", OS)
        assert mesh.sequence_cycles([16 * blocks]) == 16 * (blocks + 2) + 33  # blocks, a preload and the way out


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
        (r, c), (pixels, window, filters) = size, layer
        cycles = {name: layer_cycles(name, r, c, *layer) for name in (WS, OS, IS)}
        assert cycles[WS] - 1 == ceil(window / r) * ceil(filters / c) * (2 * r + c + pixels - 2) - 1
        assert cycles[IS] - 1 == ceil(window / r) * ceil(pixels / c) * (2 * r + c + filters - 2) - 1
        assert cycles[OS] - 1 == ceil(pixels / r) * ceil(filters / c) * (r + c + window - 2) - 1

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
