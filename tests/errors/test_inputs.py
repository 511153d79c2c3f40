"""One bad input, label file, option or folder for each message, with its exact text."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.errors import AccelError
from accel.gallery import workloads_dir
from accel.inputs import input_images, read_labels, read_npy
from tests.networks import UINT8, Builder

INT8 = workloads_dir() / "digits_resnet8" / "int8.onnx"
RUN = ("run", "digits-resnet8", "--arch", "edge-32x32")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name: str, values: object) -> Path:
    np.save(name, np.asarray(values))
    return Path(name)


GOOD = np.zeros((2, 1, 16, 16), np.float32)
NAN = GOOD.copy()
NAN[1, 0, 3, 3:5] = np.nan

INPUTS = {
    "wrong shape": (np.zeros((2, 3, 16, 16), np.float32), "the shape is 2x3x16x16; input takes Nx1x16x16, N images"),
    "no batch axis": (np.zeros((1, 16, 16), np.float32), "the shape is 1x16x16; input takes Nx1x16x16, N images"),
    "a number": (np.float32(3), "the shape is a single number; input takes Nx1x16x16, N images"),
    "no image": (np.zeros((0, 1, 16, 16), np.float32), "the shape is 0x1x16x16; input takes Nx1x16x16, N images"),
    "bytes": (np.zeros((1, 1, 16, 16), np.uint8), "the type is uint8; input takes float32, scaled as in training"),
    "text": (np.full((1, 1, 16, 16), "a"), "the type is <U1; input takes float32, scaled as in training"),
    "NaN": (NAN, "2 of 512 values are NaN, infinite or beyond float32; give finite numbers"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_input(case, here, accel) -> None:
    values, message = INPUTS[case]
    ran = accel(*RUN, "--input", save("x.npy", values), "--out", "results")
    assert ran == (2, "", f"error: x.npy: {message}\n")
    assert not Path("results").exists()


def test_a_network_of_integers_takes_its_range_and_type() -> None:
    net = Builder()
    net.conv(net.input(1, 2, 4, 4), 2)
    graph = net.graph()
    with pytest.raises(AccelError) as error:
        input_images(graph, np.full((1, 2, 4, 4), 200), None)
    assert str(error.value) == "the input: values reach from 200 to 200; x takes -128 to 127"
    with pytest.raises(AccelError) as error:
        input_images(graph, np.zeros((1, 2, 4, 4)), None)
    assert str(error.value) == "the input: the type is float64; x takes integers from -128 to 127"


def test_integers_below_the_range_and_labels_in_two_axes() -> None:
    net = Builder(qtype=UINT8)
    net.conv(net.input(1, 2, 4, 4), 2)
    with pytest.raises(AccelError) as error:
        input_images(net.graph(), np.full((1, 2, 4, 4), -1), None)
    assert str(error.value) == "the input: values reach from -1 to -1; x takes 0 to 255"
    with pytest.raises(AccelError) as error:
        read_labels(np.array([[1], [2]]), 2, 10)
    assert str(error.value) == "the labels: labels are int64 of shape (2, 1); give one integer for each image"


def test_a_batch_is_never_cut(here) -> None:
    net = Builder()
    net.conv(net.input(4, 2, 4, 4), 2)
    with pytest.raises(AccelError) as error:
        input_images(net.graph(), np.zeros((6, 2, 4, 4), np.int8), None)
    assert str(error.value) == "the input: the shape is 6x2x4x4; x takes Nx2x4x4, N a multiple of the batch size 4"
    with pytest.raises(AccelError) as error:
        input_images(net.graph(), np.zeros((8, 2, 4, 4), np.int8), None, limit=6)
    assert str(error.value) == (
        "the input: 6 images are asked for, and there are 8, 4 in a batch; ask for a multiple of 4 up to 8"
    )


def test_missing_input(here, accel) -> None:
    assert accel(*RUN, "--input", "x.npy").err == "error: x.npy: no such file; write it with numpy.save\n"


def test_folder_as_input(here, accel) -> None:
    Path("x.npy").mkdir()
    assert accel(*RUN, "--input", "x.npy").err == "error: x.npy: a folder, not a .npy file; write it with numpy.save\n"


def test_not_an_array(here, accel) -> None:
    Path("x.npy").write_text("1 2 3")
    assert accel(*RUN, "--input", "x.npy").err == "error: x.npy: not a .npy file; write it with numpy.save\n"


def test_truncated_array(here) -> None:
    path = save("x.npy", GOOD)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(AccelError, match=r"^x\.npy: the \.npy file is damaged \(.*\); write it with numpy\.save$"):
        read_npy(path)


def test_pickles_are_refused_and_never_run(here, accel) -> None:
    np.save("x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    ran = accel(*RUN, "--input", "x.npy")
    assert ran.err == "error: x.npy: the array holds pickled Python objects; save an array of numbers instead\n"
    Path("y.npy").write_bytes(pickle.dumps(GOOD))
    assert accel(*RUN, "--input", "y.npy").err == "error: y.npy: not a .npy file; write it with numpy.save\n"


def test_labels(here) -> None:
    assert read_labels(np.array([3, 1, 2]), 2, 4).tolist() == [3, 1]
    with pytest.raises(AccelError) as error:
        read_labels(save("y.npy", [1, 2]), 3, 4)
    assert str(error.value) == "y.npy: there are 2 labels for 3 images; give one for each image"
    with pytest.raises(AccelError) as error:
        read_labels(save("y.npy", [[1.0]]), 1, 4)
    assert str(error.value) == "y.npy: labels are float64 of shape (1, 1); give one integer for each image"
    with pytest.raises(AccelError) as error:
        read_labels(save("y.npy", [1, 4]), 2, 4)
    assert str(error.value) == "y.npy: labels reach from 1 to 4; the network has classes 0 to 3"


def test_labels_without_images(here, accel) -> None:
    ran = accel("run", INT8, "--arch", "edge-32x32", "--labels", save("y.npy", [1]))
    assert ran.err == f"error: {INT8}: labels are given without images; give the images with --input\n"


def test_images_of_no_input(here, accel) -> None:
    ran = accel("run", INT8, "--arch", "edge-32x32", "--images", 2)
    assert ran.err == f"error: {INT8}: 2 images are asked for, and no input is given; give one with --input\n"


def test_a_float_network_of_other_names_is_said_to_show_nothing(here, accel) -> None:
    model = onnx.load(workloads_dir() / "digits_resnet8" / "float.onnx")
    for node in model.graph.node:
        node.name = f"other.{node.name}"
        node.input[:] = [f"other.{name}" if name else name for name in node.input]
        node.output[:] = [f"other.{name}" for name in node.output]
    for value in (*model.graph.initializer, *model.graph.input, *model.graph.output):
        value.name = f"other.{value.name}"
    del model.graph.value_info[:]
    onnx.save(model, "other.onnx")
    ran = accel(*RUN, "--images", 1, "--float", "other.onnx")
    assert (ran.code, ran.err) == (
        0,
        "note: no tensor of other.onnx is named like one of this network: no layer shows an error\n",
    )


def test_a_quantized_network_is_no_float_reference(here, accel) -> None:
    ran = accel(*RUN, "--float", INT8)
    assert ran.err == f"error: {INT8}: this network is quantized itself; give the float network it was made from\n"


def test_an_array_larger_than_memory(here, accel) -> None:
    with Path("x.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 1, 16, 16)}
        np.lib.format.write_array_header_1_0(file, header)
    ran = accel(*RUN, "--input", "x.npy")
    assert ran.err == "error: x.npy: the array is larger than the memory there is; give fewer images\n"


def test_numbers_beyond_float32(here, accel) -> None:
    ran = accel(*RUN, "--input", save("x.npy", np.full((1, 1, 16, 16), 1e300)))
    assert ran.err == "error: x.npy: 256 of 256 values are NaN, infinite or beyond float32; give finite numbers\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("form", [["--json"], ["--csv"], []])
def test_a_full_standard_output(form) -> None:
    words = ["estimate", "digits-resnet8", "--arch", "edge-32x32", *form]
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", "from accel.cli import main; main()", *words]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "error: standard output cannot be written (No space left on device)\n")


def test_result_folder(here, accel) -> None:
    Path("taken").mkdir()
    Path("taken/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    for out in ("taken", "file", "file/below"):
        ran = accel("estimate", *RUN[1:], "--out", out, "--overwrite")
        assert ran.code == 2
        assert ran.out == ""
        assert ran.err.startswith(f"error: {out}")
        assert ran.err.count("\n") == 1
    assert [path.name for path in Path("taken").iterdir()] == ["notes.txt"]


def test_json_and_csv_exclude_each_other(accel) -> None:
    ran = accel("estimate", *RUN[1:], "--json", "--csv")
    assert ran.code == 2
    assert ran.err == "error: --json and --csv both want standard output; give one of them; --out writes both files\n"


def test_float_network_of_another_shape(here, accel) -> None:
    ran = accel(*RUN, "--float", workloads_dir() / "gallery.json")
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (("run", "digits-resnet9", "--arch", "edge-32x32"), "error: "),
        (("run", "digits-resnet8", "--arch", "edge-33x33"), "error: "),
        (("estimate", "resnet50", "--arch", "edge-32x32"), "error: "),
        (("run", "digits-resnet8"), "Usage:"),
        (("run", "digits-resnet8", "--arch", "edge-32x32", "--images", "0"), "Usage:"),
        (("walk",), "Usage:"),
    ],
)
def test_wrong_words_exit_with_2_and_one_explanation(words, start, here, accel) -> None:
    ran = accel(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert start in ran.err
    assert "Traceback" not in ran.err
