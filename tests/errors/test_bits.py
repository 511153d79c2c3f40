"""What a newcomer gets wrong about bits: one sentence each, exit code 2, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from accel.gallery import workloads_dir

DIGITS = workloads_dir() / "digits_resnet8"
LEGAL = "legal are 1 to 16 bits"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with np.load(DIGITS / "images.npz") as data:
        images = data["images"][:2]
    np.save("x.npy", images)
    np.save("empty.npy", images[:0])
    np.save("shape.npy", images[:, :, :5])
    images[0, 0, 0, :3] = np.nan
    np.save("nan.npy", images)
    return tmp_path


IMAGES = {
    "empty.npy": "the shape is 0x1x16x16; give at least one image, images along the first axis",
    "shape.npy": "the shape is 2x1x5x16; input takes Nx1x16x16, N images",
    "nan.npy": "3 of 512 values are NaN or infinite; give finite numbers",
}
ALLOCATE = ("allocate", DIGITS / "float.onnx", "--budget", "bops=0.5x", "--out", "layers.yaml")


@pytest.mark.parametrize("file", IMAGES)
@pytest.mark.parametrize("words", [("sensitivity", DIGITS / "float.onnx"), ALLOCATE])
def test_calibration_images(words, file, here, accel) -> None:
    before = sorted(Path().iterdir())
    assert accel(*words, "--calibrate", file) == (2, "", f"error: {file}: {IMAGES[file]}\n")
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bits", "8,0"), f"--bits has a width of 0; {LEGAL}"),
        (("--bits", "17"), f"--bits has a width of 17; {LEGAL}"),
        (("--bits", ""), "--bits is ''; list widths in bits, such as 8,6,4"),
        (("--first-last", 17), f"--first-last is 17; {LEGAL}"),
    ],
)
def test_bits_out_of_range(words, message, here, accel) -> None:
    before = sorted(Path().iterdir())
    assert accel(*ALLOCATE, "--calibrate", "x.npy", *words) == (2, "", f"error: {message}\n")
    assert sorted(Path().iterdir()) == before


def test_a_machine_that_lacks_the_width_names_a_few_layers_of_many(here, accel) -> None:
    ran = accel("estimate", DIGITS / "int8.onnx", "--arch", "xnor-32x32")
    few = "stem_quant, stage1.conv1_quant, stage1.conv2_quant"
    assert ran == (
        2,
        "",
        f"error: {DIGITS / 'int8.onnx'}: {few} and 7 more have int8 weights, and the processing elements take bipolar; "
        f"{few} and 7 more have int8 activations, and the processing elements take bipolar; "
        f"{few} and 4 more have padding with zeros, and bipolar processing elements have none; "
        "choose a machine with wider processing elements than xnor-32x32's\n",
    )


def test_a_machine_that_lacks_the_width_has_no_cycles_to_budget(here, accel) -> None:
    words = ("allocate", DIGITS / "float.onnx", "--calibrate", "x.npy", "--arch", "xnor-32x32", "--bits", 8)
    ran = accel(*words, "--budget", "latency=0.5x", "--out", "layers.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        f"error: {DIGITS / 'float.onnx'}: no cycles on xnor-32x32: stem, stage1.conv1, stage1.conv2"
    )
    assert ran.err.endswith("; choose a machine that takes 8 bits and all of --bits\n")
    assert not Path("layers.yaml").exists()
    # A budget that needs no machine is met, and a note says what is missing.
    ran = accel(*words, "--budget", "bops=1x")
    assert ran.code == 0
    assert ran.err.startswith("note: no cycles on xnor-32x32: stem, stage1.conv1, stage1.conv2 and 7 more have int8")


def test_a_channel_of_zeros(here, accel) -> None:
    model = onnx.load(DIGITS / "float.onnx")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "stage1.conv1.weight")
    values = numpy_helper.to_array(weight).copy()
    values[3] = 0
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, "zero.onnx")
    ran = accel("quantize", "zero.onnx", "--calibrate", "x.npy", "--weights", 1, "--out", "q.onnx")
    assert ran == (
        2,
        "",
        "error: zero.onnx:stage1.conv1: all weights of channel 3 are zero, which one bit does not hold; "
        "give the layer 2 bits\n",
    )
    assert not Path("q.onnx").exists()
    ran = accel("sensitivity", "zero.onnx", "--calibrate", "x.npy", "--bits", 1)
    assert (ran.code, ran.err) == (
        0,
        "note: stage1.conv1: weights of 1 bits are left out: all weights of channel 3 are zero, which one bit does not "
        "hold\n",
    )
    assert accel("quantize", "zero.onnx", "--calibrate", "x.npy", "--weights", 4, "--out", "q.onnx").code == 0
    assert "\nerror" not in accel("run", "q.onnx", "--arch", "edge-32x32", "--input", "x.npy").err


def test_images_of_zeros_are_named(here, accel) -> None:
    np.save("zeros.npy", np.zeros((2, 1, 16, 16), np.float32))
    ran = accel("quantize", DIGITS / "float.onnx", "--calibrate", "zeros.npy", "--out", "q.onnx")
    assert ran.code == 0
    assert "input is zero on all calibration images; its scale is 1" in " ".join(ran.out.split())
