"""A check that cannot fail proves nothing: whatever is made wrong on purpose, the comparison sees, and says where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.errors import AccelError
from accel.gallery import models_dir
from accel.rtl.compare import compare_stamps, compare_sums
from accel.rtl.design import design_of
from accel.rtl.icarus import bench_sources
from accel.rtl.replay import Response, replay
from accel.rtl.simulated import simulated
from accel.rtl.sources import modules_under
from accel.rtl.stimulus import Stimulus, Tile, stimulus_of
from accel.verification import Comparison, RtlCheck
from tests.conftest import Ran
from tests.machines import DATAFLOWS, machine
from tests.rtl.faults import ARRAYS, FAULTS, PRODUCT, ROUNDING, Fault, differences, on_the_rtl, work_on
from tests.rtl.tools import needs_iverilog, needs_verilator
from tests.rtl.wave_files import read_vcd


@pytest.fixture(autouse=True)
def _stuck_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardware that comes to a halt does so within a moment."""
    monkeypatch.setattr("accel.rtl.stimulus._SLACK_CYCLES", 500)


# ---- the response, corrupted


def plain(dataflow: str, pixels: int, k: int, channels: int, tiles: int = 1) -> Stimulus:
    """Tiles of one shape on 2 x 2 PEs with nothing but the array in the way; the first load begins in cycle 20."""
    rng = np.random.default_rng(5)
    operands = [(rng.integers(-9, 9, (k, pixels), np.int8), rng.integers(-9, 9, (k, channels), np.int8))] * tiles
    work = [Tile((product,), True, number, 20, 20) for number, product in enumerate(operands)]
    return stimulus_of(design_of(machine(2, 2, dataflow), dataflow, accumulator_rows=64), work)


def with_sum(response: Response, tile: int, place: tuple[int, int, int], value: int) -> Response:
    sums = [matrix.copy() for matrix in response.sums]
    sums[tile][place] = value
    return replace(response, sums=tuple(sums))


@pytest.mark.parametrize(
    ("stimulus", "tile", "pixel", "channel", "where"),
    [
        # 4 folds a tile: 2 blocks of columns, k in 2 parts, one every 3 cycles. The array loads in cycles 20, 21; the
        # second tile's folds stream from 22 + 12, 37, 40 and 43 on. Channel 2 is column 0 of the second block; a result
        # is out R + C - 2 = 2 cycles after its operand, here the one that entered in cycle 43 + 2.
        (plain("weight_stationary", 3, 4, 3, tiles=2), 1, 2, 2, "tile 1, fold 7 (2 add up), PE(1, 0), cycle 47"),
        # The same, activations in place: channels stream, pixels are the columns.
        (plain("input_stationary", 3, 4, 3, tiles=2), 1, 2, 1, "tile 1, fold 7 (2 add up), PE(1, 0), cycle 46"),
        # Nothing is loaded: 2 folds of rows stream from 20 and 23 on, 3 operands each. The last sum of the second one
        # is there R + C - 2 = 2 cycles after its operand in cycle 25, and row 1, the lowest, leaves in the next cycle.
        (plain("output_stationary", 4, 3, 2), 0, 3, 1, "tile 0, fold 1 (1 add up), PE(1, 1), cycle 28"),
        (plain("output_stationary", 4, 3, 2), 0, 2, 0, "tile 0, fold 1 (1 add up), PE(0, 0), cycle 29"),
    ],
)
def test_a_corrupted_sum(stimulus: Stimulus, tile: int, pixel: int, channel: int, where: str) -> None:
    expected = simulated(stimulus)
    right = int(expected.sums[tile][0, pixel, channel])
    response = with_sum(expected, tile, (0, pixel, channel), right + 1)
    comparison, place = compare_sums(stimulus, response, list(expected.sums))
    text = f"{where}: of group 0, pixel {pixel}, channel {channel} the RTL has {right + 1}, the simulator {right}"
    assert (comparison.mismatches, comparison.first) == (1, text)
    assert place is not None
    assert place.text == text


@pytest.mark.parametrize("array", ARRAYS)
def test_every_sum_and_every_stamp_counts(array: str) -> None:
    stimulus = work_on(array)
    expected = simulated(stimulus)
    elements = sum(sums.size for sums in expected.sums)
    for tile, sums in enumerate(expected.sums):
        for index in np.ndindex(sums.shape):
            response = with_sum(expected, tile, index, int(sums[index]) - 1)
            comparison, place = compare_sums(stimulus, response, list(expected.sums))
            assert (comparison.mismatches, comparison.elements) == (1, elements)
            assert place is not None
            assert place.text.startswith(f"tile {tile}, fold ")
            assert f"pixel {index[1]}, channel {index[2]} the RTL has {sums[index] - 1}, the" in place.text
    for index in np.ndindex(expected.stamps.shape):
        stamps = expected.stamps.copy()
        stamps[index] += 1
        comparison, place = compare_stamps(stimulus, replace(expected, stamps=stamps), expected.stamps)
        assert (comparison.mismatches, comparison.elements) == (1, expected.stamps.size)
        assert place is not None
        assert (place.fold, place.cycle) == (index[0], expected.stamps[index])


@pytest.mark.parametrize(
    ("which", "text"),
    [
        # As above: the second tile's first fold streams in cycles 34, 35, 36; results are out 2 cycles later.
        (0, "tile 1, fold 4: the first operand comes in cycle 33 in the RTL, in cycle 34 in the simulator"),
        (1, "tile 1, fold 4: the first result comes in cycle 35 in the RTL, in cycle 36 in the simulator"),
        (2, "tile 1, fold 4: the last result comes in cycle 37 in the RTL, in cycle 38 in the simulator"),
    ],
)
def test_a_corrupted_stamp(which: int, text: str) -> None:
    stimulus = plain("weight_stationary", 3, 4, 3, tiles=2)
    expected = simulated(stimulus)
    stamps = expected.stamps.copy()
    stamps[4, which] -= 1
    comparison, place = compare_stamps(stimulus, replace(expected, stamps=stamps), expected.stamps)
    assert (comparison.mismatches, comparison.first) == (1, text)
    assert place is not None
    assert place.text == text


@pytest.mark.parametrize(
    "fields",
    [
        {"sums": Comparison(1, 9)},
        {"stamps": Comparison(1, 9)},
        {"integers": Comparison(1, 9)},
        {"rtl_cycles": 101},
        {"rtl_overflows": 8},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_one_difference_is_enough(fields: dict[str, Any]) -> None:
    same = Comparison(0, 9)
    check = RtlCheck(0, "conv", "Conv", "edge_ws", 1, 3, same, same, same, 100, 100, 7, 7)
    assert check.passed
    assert not replace(check, **fields).passed


@needs_iverilog
def test_the_fold_that_made_a_sum_wrong(put_in: Callable[[Fault], None]) -> None:
    """Folds add up, over two tiles with another one between them; one product is wrong, and every sum after it."""
    put_in(PRODUCT)
    activations, weights = np.ones((8, 3), np.int8), np.ones((8, 2), np.int8)
    later = activations.copy(), weights.copy()
    later[0][4, 1], later[1][4, 1] = 29, 23
    between = np.ones((2, 1), np.int8), np.ones((2, 1), np.int8)
    tiles = [
        Tile(((activations, weights),), True, 0, 20, 20),
        Tile((between,), True, 1, 20, 20),
        Tile((later,), False, 0, 20, 20),
    ]
    stimulus = stimulus_of(design_of(machine(2, 2), "weight_stationary", accumulator_rows=64), tiles)
    expected = list(simulated(stimulus).sums)
    # Loads take 2 cycles. From cycle 22 on 4 folds of 3 pixels stream, the one between in 34, behind it the next load;
    # the last tile's from 36 on, that with k = 4, fold 7, from 42. Pixel 1 follows it a cycle later and is out 2 cycles
    # after that. All other products are 1, but for 29 and 23 times one.
    right = 8 + 4 + 29 * 23 + 1
    values = f"of group 0, pixel 1, channel 1 the RTL has {right + 1}, the simulator {right}"
    response = on_the_rtl(stimulus)
    comparison, place = compare_sums(stimulus, response, expected, on_the_rtl)
    assert place is not None
    assert place.fold == 7
    assert comparison.first == f"tile 2, fold 7 (4 add up), PE(1, 1), cycle 45: {values}"
    # The tile's last fold is wrong only for what was there before.
    comparison, _ = compare_sums(stimulus, response, expected)
    assert comparison.first.startswith("tile 2, fold 8 (4 add up), PE(1, 1), cycle 48: ")


# ---- the stimulus, corrupted on its way


@needs_iverilog
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_corrupted_operand(dataflow: str) -> None:
    stimulus = plain(dataflow, 5, 7, 3)
    ((activations, weights),) = stimulus.tiles[0].operands
    k, pixel = 4, 3
    # Operands end the file, 32 bits each; the matrix that moves comes first. Input stationary, that is the weights.
    before = weights.size if dataflow == "input_stationary" else 0
    at = len(stimulus.content) - 4 * (activations.size + weights.size) + 4 * (before + k * activations.shape[1] + pixel)
    operand = np.frombuffer(stimulus.content, np.int32, 1, at)[0]
    assert operand == activations[k, pixel]
    changed = np.int32(operand ^ 1)
    wrong = replace(stimulus, content=stimulus.content[:at] + changed.tobytes() + stimulus.content[at + 4 :])

    expected = simulated(stimulus)
    response = on_the_rtl(wrong)
    off = (response.sums[0] - expected.sums[0])[0]
    assert off[pixel].tolist() == (weights[k].astype(int) * (int(changed) - int(operand))).tolist()
    assert not np.delete(off, pixel, axis=0).any()
    comparison, _ = compare_sums(stimulus, response, list(expected.sums))
    assert comparison.mismatches == np.count_nonzero(weights[k]) > 0
    assert f"pixel {pixel}, channel " in comparison.first


# ---- the parameters, wrong in the generated top

ARITHMETIC = {
    "MOVING_BITS",
    "MOVING_SIGNED",
    "OTHER_BITS",
    "OTHER_SIGNED",
    "SUM_BITS",
    "ACCUMULATOR_BITS",
    "SATURATE",
    "XNOR",
}
TIMING = {"DOUBLE_BUFFERED", "SERIALIZE_SHORT_FOLDS", "PRELOAD", "ROW_STEP", "COLUMN_STEP"}
LATENCIES = {"MULTIPLIER_LATENCY", "ACCUMULATE_LATENCY", "INPUT_LATENCY", "OUTPUT_LATENCY"}
SIZES = {"ROWS", "COLUMNS", "SHIFT_OUT", "LENGTH_BITS", "ADDRESS_BITS"}


def wrong_values(name: str, value: int | bool) -> Iterator[str]:
    """What a parameter may be mistaken for."""
    if isinstance(value, bool):
        yield f"1'b{not value:d}"
    elif name == "SHIFT_OUT":
        yield from (str(way) for way in range(3) if way != value)
    elif name in ("LENGTH_BITS", "ADDRESS_BITS"):
        yield "2"  # A spare bit does no harm. Folds of 5 operands do not fit, nor do 10 rows of sums.
    else:
        yield from (str(value - 1), str(value + 1))


@needs_iverilog
@pytest.mark.parametrize(
    ("array", "name"),
    [(array, name) for array in ("weights stay", "results go down") for name in work_on(array).design.parameters],
)
def test_a_wrong_parameter(array: str, name: str) -> None:
    stimulus = work_on(array)
    sources = bench_sources(stimulus.design)
    top = f"{stimulus.design.name}.sv"
    for value in wrong_values(name, stimulus.design.parameters[name]):
        wrong, count = re.subn(rf"(parameter \w+ {name}) = [^,]+,", rf"\1 = {value},", sources[top])
        assert count == 1
        found = differences(stimulus, sources | {top: wrong})
        if name in TIMING | LATENCIES:
            assert found == {"stamps"}
        elif name in ARITHMETIC:
            assert found & {"sums", "no response"}
            assert "stamps" not in found
        else:
            assert name in SIZES
            assert found


# ---- the modules, wrong by hand


@needs_iverilog
@pytest.mark.parametrize("array", ARRAYS)
def test_nothing_is_wrong_to_begin_with(array: str) -> None:
    assert differences(work_on(array)) == set()


@needs_iverilog
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_in_a_module(fault: Fault, put_in: Callable[[Fault], None]) -> None:
    put_in(fault)
    assert fault.shows in differences(work_on(fault.array))


def test_every_module_of_an_array_has_a_fault() -> None:
    assert {fault.module for fault in FAULTS} == set(modules_under("sa_operand_stationary", "sa_output_stationary"))


# ---- all the way to the report

LAYER = "layer 3, stage1.conv1_quant"


@pytest.fixture
def verify(accel: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Ran]:
    monkeypatch.chdir(tmp_path)
    return lambda arch: accel("verify", "digits-resnet8", "--arch", arch, "--rtl", "--layers", "3")


def weights_stay_4x4(folder: Path) -> Path:
    path = folder / "weights-stay-4x4.yaml"
    text = (models_dir() / "machines" / "opentpu-8x8.yaml").read_text()
    path.write_text(text.replace("rows: 8", "rows: 4").replace("columns: 8", "columns: 4"))
    return path


@needs_verilator
@pytest.mark.parametrize("results_stay", [True, False])
def test_a_fault_is_traced_to_its_register(
    results_stay: bool, verify: Callable[[object], Ran], put_in: Callable[[Fault], None], tmp_path: Path
) -> None:
    put_in(PRODUCT)
    ran = verify("axis-systolic-4x4" if results_stay else weights_stay_4x4(tmp_path))
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert said.endswith("FAILED")
    found = re.search(
        rf"RTL and simulator differ in {LAYER}: tile \d+, fold \d+ \(\d+ add up\), PE\((\d), (\d)\), cycle (\d+): "
        r"of group 0, pixel \d+, channel \d+ the RTL has (-?\d+), the simulator (-?\d+); "
        r"in cycle (\d+), (\S+) is 668 in the RTL and 667 in the simulator, the first of \d+ registers and wires",
        said,
    )
    assert found is not None, said
    row, column, out, rtl, simulator, cycle = (int(found[group]) for group in (1, 2, 3, 4, 5, 6))
    assert rtl == simulator + 1
    assert cycle < out
    # Where results stay, the wrong product is made in the PE that has the sum; where weights stay, above it.
    place = re.fullmatch(r"TOP\.dut\.core\.array\.g_row\[(\d)\]\.g_column\[(\d)\]\.pe\.product", found[7])
    assert place is not None, found[7]
    assert int(place[2]) == column
    assert int(place[1]) == row or not results_stay

    # Cycle n is 2 n + 1 in the RTL's file.
    paths = [Path(line.split("waveform: ")[1]) for line in ran.out.splitlines() if "waveform: " in line]
    assert [path.name for path in paths] == ["layer3-rtl.vcd", "layer3-simulator.vcd"]
    hardware, simulated_array = (read_vcd(tmp_path / path) for path in paths)
    assert int(hardware[found[7]].at(2 * cycle + 1), 2) == 668
    assert int(simulated_array[found[7]].at(cycle), 2) == 667


@needs_verilator
def test_a_fault_of_the_requantizer(verify: Callable[[object], Ran], put_in: Callable[[Fault], None]) -> None:
    put_in(ROUNDING)
    ran = verify("axis-systolic-4x4")
    assert ran.code == 1
    said = " ".join(ran.out.split())
    found = re.search(
        rf"differ in {LAYER}: of the sum -?\d+ the RTL's requantizer makes (\S+), the simulator (\S+)", said
    )
    assert found is not None, said
    assert abs(int(found[1])) == abs(int(found[2])) - 1


@needs_verilator
def test_a_corrupted_count_of_overflows(verify: Callable[[object], Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    def miscounted(executable: Path, stimulus: Stimulus) -> Response:
        response = replay(executable, stimulus)
        return replace(response, overflows=response.overflows + 1)

    monkeypatch.setattr("accel.rtl.witness.replay", miscounted)
    ran = verify("axis-systolic-4x4")
    assert ran.code == 1
    assert f"differ in {LAYER}: the RTL saw 1 overflows, the simulator 0" in " ".join(ran.out.split())


@needs_verilator
def test_hardware_that_comes_to_a_halt(verify: Callable[[object], Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    def halted(*_: object) -> Response:
        raise AccelError("the RTL of axis_systolic_4x4_os is stuck in fold 0 of 4: no result by cycle 9")

    monkeypatch.setattr("accel.rtl.witness.replay", halted)
    ran = verify("axis-systolic-4x4")
    assert ran.code == 2
    assert f"{LAYER}: the RTL of axis_systolic_4x4_os is stuck in fold 0 of 4" in ran.err
