"""The RTL of the gallery's machines that describe public arrays takes the cycles that were counted on those arrays.

The counts, with their repositories and commits, are in ``tests/arch/public_arrays.py``; here they are read off the
hardware's own stamps, under Icarus Verilog: abarajithan11/axis-systolic-array @44bbe4f, UCSBarchlab/OpenTPU @ca5d381,
ucb-bar/gemmini's MeshWithDelays in its default configuration, SCALE-Sim's published RTL @1d62b68, SCALE-Sim 3.0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accel.arch.spec import Dataflow
from accel.arch.timing import ArrayTiming
from accel.rtl.design import Design, design_of
from accel.rtl.icarus import bench_sources, compile_icarus, replay_icarus
from accel.rtl.replay import Response
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Stimulus, Tile, stimulus_of
from tests.arch.public_arrays import (
    AXIS,
    GEMMINI,
    GEMMINI_FIRST_RESULT,
    IS,
    OPENTPU,
    OS,
    WS,
    PublicArray,
    Run,
    scale_sim_3,
    scale_sim_rtl,
)
from tests.rtl.tools import needs_iverilog

pytestmark = needs_iverilog

Matrix = npt.NDArray[Any]
AFTER_RESET = 20
"""Cycle in which the first load may begin, reset being over for a while."""
IDLE_CYCLES = 11
"""Between two measurements; the array has nothing to do."""


def operands_of(design: Design, run: Run, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Activations (k, pixels) and weights (k, channels) that make as many folds of that length, all PEs in use."""
    array = design.machine.array
    down = run.folds * array.rows
    k, pixels = (run.stream, down) if design.output_stationary else (down, run.stream)
    return int8(rng, (k, pixels)), int8(rng, (k, array.columns))


def int8(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    return rng.integers(-128, 128, shape, np.int8)


def one_by_one(
    design: Design, products: Sequence[tuple[Matrix, Matrix]], cycles: Sequence[int], in_place: bool = False
) -> Stimulus:
    """Each product on an array that the one before has left, ``cycles`` being those it may take.

    With ``in_place`` operands that stay are there for a while when the stream begins.
    """
    load_cycles = ArrayTiming.of(design.machine.array, design.dataflow).load_cycles
    tiles, ready = [], AFTER_RESET
    for product, count in zip(products, cycles, strict=True):
        begins = ready + (load_cycles + IDLE_CYCLES if in_place else 0)
        tiles.append(Tile((product,), True, load_ready=ready, stream_ready=begins))
        ready = begins + count + IDLE_CYCLES
    return stimulus_of(design, tiles)


def on_the_rtl(stimulus: Stimulus, folder: Path) -> Response:
    return replay_icarus(compile_icarus(bench_sources(stimulus.design), folder), stimulus)


def stamps_by_tile(stimulus: Stimulus, response: Response) -> list[npt.NDArray[np.int64]]:
    of_tile = np.array([place.tile for place in stimulus.places])
    return [response.stamps[of_tile == tile] for tile in range(len(stimulus.tiles))]


def cycles_taken(stimulus: Stimulus, response: Response, in_place: bool = False) -> list[int]:
    """From the cycle in which a product's load might begin (or, in place, its first operand entered) to its end."""
    return [
        int(stamps[-1, 2]) + 1 - (int(stamps[0, 0]) if in_place else tile.load_ready)
        for tile, stamps in zip(stimulus.tiles, stamps_by_tile(stimulus, response), strict=True)
    ]


def exact_product(tile: Tile) -> npt.NDArray[np.int64]:
    """(pixels, channels) by numpy alone."""
    ((activations, weights),) = tile.operands
    return activations.T.astype(np.int64) @ weights.astype(np.int64)


@pytest.mark.parametrize(
    "array", [*AXIS, *OPENTPU, *GEMMINI, *scale_sim_rtl(4, 4), *scale_sim_rtl(8, 16), *scale_sim_rtl(16, 16)], ids=str
)
def test_counted_cycles(array: PublicArray, tmp_path: Path) -> None:
    design = design_of(array.described(), array.dataflow)
    rng = np.random.default_rng(7)
    cycles = [run.cycles for run in array.runs]
    products = [operands_of(design, run, rng) for run in array.runs]
    stimulus = one_by_one(design, products, cycles, array.in_place)
    response = on_the_rtl(stimulus, tmp_path)

    assert [len(stamps) for stamps in stamps_by_tile(stimulus, response)] == [run.folds for run in array.runs]
    assert cycles_taken(stimulus, response, array.in_place) == cycles
    for tile, sums in zip(stimulus.tiles, response.sums, strict=True):
        assert sums[0].tolist() == exact_product(tile).tolist()
    if (array.machine, array.dataflow) == ("gemmini-mesh-16x16", WS):
        assert set(response.stamps[:, 1] + 1 - response.stamps[:, 0]) == {GEMMINI_FIRST_RESULT}


@pytest.mark.parametrize("dataflow", [WS, OS, IS])
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
def test_scale_sim_3_layers(dataflow: Dataflow, size: tuple[int, int], tmp_path: Path) -> None:
    """Layers (output pixels, window, filters) that fill the array, that do not, and that take many folds."""
    rows, columns = size
    array = PublicArray("scale-sim-3", dataflow, (), {"rows": rows, "columns": columns})
    design = design_of(array.described(), dataflow)
    layers = [(16, 9, 8), (1, 20, 7), (30, 3, 2), (9, 27, 13), (4, 4, 4)]
    rng = np.random.default_rng(3)
    products = [(int8(rng, (window, pixels)), int8(rng, (window, filters))) for pixels, window, filters in layers]
    printed = [scale_sim_3(dataflow, rows, columns, layer) for layer in layers]
    stimulus = one_by_one(design, products, [last_index + 1 for last_index in printed])
    response = on_the_rtl(stimulus, tmp_path)
    assert [cycles - 1 for cycles in cycles_taken(stimulus, response)] == printed
    for tile, sums in zip(stimulus.tiles, response.sums, strict=True):
        assert sums[0].tolist() == exact_product(tile).tolist()


class TestGemminiWraps:
    """Output stationary, the mesh keeps 20 bits: from K = 64 on large operands do not fit, and their sums wrap.

    Gemmini's C model keeps 32 bits. Where weights stay, 16 products are at most 2**18, and the sums of all rows are
    made in the accumulators behind the mesh, 32 bits wide.
    """

    RANGE = 1 << 20

    def stimulus(self, dataflow: Dataflow) -> Stimulus:
        """K = 64: two products by hand; one in which the terms of a result have one sign, and most do not fit."""
        shape = (64, 16)
        rng = np.random.default_rng(20)
        signs = rng.choice([-1, 1], (2, 16))
        activations, weights = ((sign * rng.integers(100, 128, shape)).astype(np.int8) for sign in signs)
        highest, lowest = np.full(shape, 127, np.int8), np.full(shape, -128, np.int8)
        design = design_of(PublicArray("gemmini-mesh-16x16", dataflow, ()).described(), dataflow)
        return one_by_one(design, [(highest, highest), (lowest, lowest), (activations, weights)], [200] * 3)

    def test_results_that_stay(self, tmp_path: Path) -> None:
        stimulus = self.stimulus(OS)
        response = on_the_rtl(stimulus, tmp_path)
        # 64 x 127 x 127 = 1,032,256, less 2**20; 64 x 128 x 128 is 2**20.
        assert set(response.sums[0].ravel()) == {1_032_256 - self.RANGE} == {-16_320}
        assert set(response.sums[1].ravel()) == {0}
        exact = exact_product(stimulus.tiles[2])
        wrapped = (exact + self.RANGE // 2) % self.RANGE - self.RANGE // 2
        assert np.count_nonzero(wrapped != exact) > 200
        assert response.sums[2][0].tolist() == wrapped.tolist()

        expected = simulated(stimulus)
        assert [sums.tolist() for sums in expected.sums] == [sums.tolist() for sums in response.sums]
        # Among products of 127 x 127 the 33rd is the first that does not fit, of 128 x 128 the 32nd; after that the
        # sums come from the other end of the range, and the rest does not fill it again. So each of 256 results
        # overflows once in both products by hand, and in the third one each result that does not fit.
        assert 32 * 127**2 < self.RANGE // 2 <= 33 * 127**2
        assert 31 * 128**2 < self.RANGE // 2 <= 32 * 128**2
        others = np.count_nonzero(wrapped != exact)
        assert response.overflows == expected.overflows == 256 + 256 + others

    def test_weights_that_stay(self, tmp_path: Path) -> None:
        stimulus = self.stimulus(WS)
        response = on_the_rtl(stimulus, tmp_path)
        assert set(response.sums[0].ravel()) == {1_032_256}
        for tile, sums in zip(stimulus.tiles, response.sums, strict=True):
            assert sums[0].tolist() == exact_product(tile).tolist()
        assert response.overflows == 0
