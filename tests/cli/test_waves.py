"""`accel run --waves`: the file, and one bad request for each message, with its exact text."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import numpy as np
import pytest

import accel as accel_package
from accel import api
from accel.compile import compile_graph, fit_to_machine
from accel.gallery import workloads_dir
from accel.graph.rebase import from_file
from accel.inputs import image_batches, input_images
from accel.rtl import waves
from accel.sim.simulate import Simulator
from tests.rtl.wave_files import read_fst, read_vcd

INT8 = workloads_dir() / "digits_resnet8" / "int8.onnx"
RUN = ("run", INT8, "--arch", "axis-systolic-4x4", "--json")
ROOT = "TOP.dut.core"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def never_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake is found before the long run."""

    def run(*_: object, **__: object) -> None:
        raise AssertionError("it was simulated")

    monkeypatch.setattr(Simulator, "run", run)


def test_a_window_of_a_layer(here, accel) -> None:
    ran = accel(*RUN, "--waves", "w.vcd", "--layer", "3", "--cycles", "20:90")
    assert (ran.code, ran.err) == (0, "w.vcd\n")
    assert accel(*RUN, "--waves", "w.fst", "--layer", "stage1.conv1_quant", "--cycles", "20:90").code == 0
    assert accel(*RUN, "--waves", "w.FST", "--layer", "3", "--cycles", "0:120").code == 0
    times = range(20, 90)
    text = {name: wave.over(times) for name, wave in read_vcd(here / "w.vcd").items()}
    assert {name: wave.over(times) for name, wave in read_fst(here / "w.fst").items()} == text
    assert {name: wave.over(times) for name, wave in read_fst(here / "w.FST").items()} == text
    assert text[f"{ROOT}.cycle"] == [format(cycle, "032b") for cycle in times]
    # Output stationary, 4 x 4: nothing to load, and cycle 0 is the one in which the first operand enters.
    assert read_fst(here / "w.FST")[f"{ROOT}.enter_first"].at(0) == "1"
    # 3 x 3 x 16 operands a fold: none ends in this window, and PE (1, 2) works on operand 20 - 3 in cycle 20.
    assert set(text[f"{ROOT}.enter"]) == {"1"}
    assert set(text[f"{ROOT}.enter_last"]) == {"0"}


def test_the_integers_are_the_networks(here, accel) -> None:
    """The classifier's sums, added up by hand from its weights and inputs, leave the array in its last cycles."""
    accel(*RUN, "--waves", "w.fst", "--layer", "16")
    shown = read_fst(here / "w.fst")
    end = max(moment for moment, _ in shown[f"{ROOT}.cycle"].changes)
    valid = [cycle for cycle in range(end + 1) if shown[f"{ROOT}.result_valid"].at(cycle) == "1"]
    assert valid[-1] == end
    machine = api.load_arch("axis-systolic-4x4")
    graph = fit_to_machine(api.load_network(INT8).graph, machine)
    simulator = Simulator(compile_graph(graph, machine), machine)
    source = graph.tensors[graph.inputs[0]]
    data, _ = input_images(graph, None, None)
    layer = simulator.layers[15]
    kept = simulator.run({source.name: from_file(source, image_batches(graph, data)[0])}, keep=[layer.source.name])
    inputs = kept.tensors[layer.source.name].astype(np.int64).reshape(1, -1)
    sums = (inputs @ layer.weights[0].astype(np.int64))[0]
    found = []
    for cycle in valid:
        # Results leave to the right: the last column of the array first, row 0 in the lowest lane.
        word = shown[f"{ROOT}.results"].at(cycle)
        found.append(int(word[-32:], 2) - (int(word[-32]) << 32))
    blocks = [sums[low : low + 4] for low in range(0, 10, 4)]
    expected = [total for block in blocks for total in [*reversed([*block, *[0] * (4 - len(block))])]]
    assert found == expected


def test_replaced_only_when_asked(here, accel) -> None:
    words = (*RUN, "--waves", "w.fst", "--layer", "3", "--cycles", "0:5")
    Path("w.fst").write_text("mine")
    assert accel(*words) == (
        2,
        "",
        "error: w.fst: the file exists already; name another, or replace it: --overwrite\n",
    )
    assert Path("w.fst").read_text() == "mine"
    assert accel(*words, "--overwrite").code == 0
    assert Path("w.fst").stat().st_size > 1000
    assert [path.name for path in here.iterdir()] == ["w.fst"]


NO_FORMAT = "legal are .fst and .vcd"
WRONG = {
    "no layer": (
        ("--waves", "w.fst"),
        "--waves shows the array in one layer; add --layer N, as the report's table numbers it",
    ),
    "a layer alone": (("--layer", "3"), "--layer says what --waves shows, which is not there; add --waves FILE.fst"),
    "cycles alone": (("--cycles", "0:4"), "--cycles says what --waves shows, which is not there; add --waves FILE.fst"),
    "layer 99": (
        ("--waves", "w.fst", "--layer", "99"),
        "digits-resnet8: there is no layer 99; they are numbered from 1 to 17; `accel estimate` lists them",
    ),
    "layer 0": (
        ("--waves", "w.fst", "--layer", "0"),
        "digits-resnet8: there is no layer 0; they are numbered from 1 to 17; `accel estimate` lists them",
    ),
    "a name that is near": (
        ("--waves", "w.fst", "--layer", "stem_quantt"),
        'digits-resnet8: there is no layer "stem_quantt"; did you mean stem_quant?',
    ),
    "not on the array": (
        ("--waves", "w.fst", "--layer", "5"),
        "digits-resnet8: layer 5, stage1.add_quant, does not run on the array; "
        "these do: 2, 3, 4, 6, 7, 8, 10, 11, 12, 16",
    ),
    "two layers": (
        ("--waves", "w.fst", "--layer", "3,4"),
        "digits-resnet8: a waveform shows one layer, not 3,4; give one",
    ),
    "no range": (
        ("--waves", "w.fst", "--layer", "3", "--cycles", "400"),
        '"400" is no range of cycles; write FROM:TO, such as 0:400 for the first 400',
    ),
    "an empty range": (
        ("--waves", "w.fst", "--layer", "3", "--cycles", "7:7"),
        "the range of cycles 7:7 is empty; TO is the cycle after the last: 0:400 has 400",
    ),
    # 3 folds (10 channels, 4 columns) of 64 operands; V = H = LM = LA = 1, 4 to shift out, an edge register:
    # 3 * 64 + (3 + 3 + 1 + 1 + 4) cycles, and the one in which the last result is seen.
    "beyond the end": (
        ("--waves", "w.fst", "--layer", "16", "--cycles", "0:206"),
        "w.fst: the cycles 0:206 reach beyond the end of layer 16, whose last cycle on the array is 204; "
        "the whole layer is 0:205",
    ),
    "no suffix": (("--waves", "w", "--layer", "3"), f"w: a waveform's suffix says its format; {NO_FORMAT}"),
    "another suffix": (("--waves", "w.txt", "--layer", "3"), f'w.txt: ".txt" is no waveform format; {NO_FORMAT}'),
    "no folder": (
        ("--waves", "nowhere/w.fst", "--layer", "3"),
        "nowhere/w.fst: the waveform cannot be written here (No such file or directory); "
        "name a file in a folder of yours",
    ),
    "among the results": (
        ("--waves", "folder.fst/w.fst", "--layer", "3", "--out", "./folder.fst"),
        "folder.fst/w.fst: this is in the folder of the results, which holds nothing else; name a file elsewhere",
    ),
    "a folder": (("--waves", "folder.fst", "--layer", "3"), "folder.fst: this is a folder; name a file in it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests(case, here, accel, never_simulated) -> None:
    words, message = WRONG[case]
    Path("folder.fst").mkdir()
    assert accel(*RUN, *words) == (2, "", f"error: {message}\n")
    assert [path.name for path in here.iterdir()] == ["folder.fst"]


def test_a_file_that_would_be_absurdly_large(here, accel, never_simulated, monkeypatch) -> None:
    monkeypatch.setattr(waves, "LARGEST_BYTES", 100_000)
    ran = accel(*RUN, "--waves", "w.fst", "--layer", "3")
    said = re.fullmatch(
        r"error: w\.fst: ([0-9,]+) cycles of 4 x 4 PEs make a file of up to ([0-9.]+) GB; "
        r"take at most ([0-9]+) cycles: --cycles FROM:TO\n",
        ran.err,
    )
    assert ran.code == 2
    assert said is not None
    # 64 x 4 folds, each of 3 x 3 x 16 operands or of what the array does behind them.
    assert int(said[1].replace(",", "")) > 64 * 4 * 144
    assert accel(*RUN, "--waves", "w.fst", "--layer", "3", "--cycles", f"7:{int(said[3]) + 8}").code == 2
    with pytest.raises(AssertionError, match="it was simulated"):
        accel(*RUN, "--waves", "w.fst", "--layer", "3", "--cycles", f"7:{int(said[3]) + 7}")
    assert list(here.iterdir()) == []


def test_a_folder_of_somebody_else(here, accel, never_simulated, monkeypatch) -> None:
    def touch(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", touch)
    assert accel(*RUN, "--waves", "w.fst", "--layer", "3") == (
        2,
        "",
        "error: w.fst: the waveform cannot be written here (Permission denied); name a file in a folder of yours\n",
    )


def test_from_python(here) -> None:
    machine, network = accel_package.load_arch("axis-systolic-4x4"), accel_package.load_network(INT8)
    accel_package.simulate(network, machine, waves=accel_package.Waves(Path("w.vcd"), 3, (0, 9)))
    assert Path("w.vcd").read_text().endswith("#9\n")
