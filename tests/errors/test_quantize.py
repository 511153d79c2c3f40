"""One bad image file, option, width or place for each message of `accel quantize`; nothing is left half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.api import QuantizeOptions
from accel.errors import AccelError
from tests.quantizer.float_nets import images, residual

GOOD = images()
NAN, INFINITE = GOOD.copy(), GOOD.copy()
NAN[1, 0, 3, 2:4] = np.nan
INFINITE[0, 0, 0, 0] = -np.inf


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    residual(tmp_path / "float.onnx")
    np.save("x.npy", GOOD)
    return tmp_path


IMAGES = {
    "float64": (GOOD.astype(np.float64), "the type is float64; calibration images are float32, scaled as in training"),
    "bytes": (GOOD.astype(np.uint8), "the type is uint8; calibration images are float32, scaled as in training"),
    "none": (GOOD[:0], "the shape is 0x3x6x6; give at least one image, images along the first axis"),
    "a number": (np.float32(3), "the shape is a single number; give at least one image, images along the first axis"),
    "other size": (GOOD[:, :, :5], "the shape is 4x3x5x6; input takes Nx3x6x6, N images"),
    "no batch axis": (GOOD[0], "the shape is 3x6x6; input takes Nx3x6x6, N images"),
    "NaN": (NAN, "2 of 432 values are NaN or infinite; give finite numbers"),
    "infinite": (INFINITE, "1 of 432 values are NaN or infinite; give finite numbers"),
}


def check(accel, message: str, *words: object) -> None:
    before = sorted(Path().iterdir())
    assert accel("quantize", "float.onnx", "--out", "q.onnx", *words) == (2, "", f"error: {message}\n")
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("case", IMAGES)
def test_images(case, here, accel) -> None:
    values, message = IMAGES[case]
    np.save("bad.npy", values)
    check(accel, f"bad.npy: {message}", "--calibrate", "bad.npy")


def test_archives_of_images(here, accel) -> None:
    np.savez("two.npz", a=GOOD, b=GOOD)
    check(accel, "two.npz: it holds 2 arrays (a, b); keep one, or call the images 'images'", "-c", "two.npz")
    np.savez("objects.npz", np.array([{}], object))
    check(
        accel,
        "objects.npz: the .npz file is damaged (Object arrays cannot be loaded when allow_pickle=False); "
        "write it with numpy.save or numpy.savez",
        *("-c", "objects.npz"),
    )
    np.savez("good.npz", images=GOOD, labels=np.arange(4))
    assert accel("quantize", "float.onnx", "--out", "q.onnx", "-c", "good.npz").code == 0


def test_a_damaged_archive(here, accel) -> None:
    np.savez_compressed("cut.npz", images=GOOD)
    data = bytearray(Path("cut.npz").read_bytes())
    data[200:260] = bytes(60)
    Path("cut.npz").write_bytes(data)
    ran = accel("quantize", "float.onnx", "--out", "q.onnx", "-c", "cut.npz")
    assert ran.code == 2
    assert ran.err.startswith("error: cut.npz: the .npz file is damaged (")
    assert not Path("q.onnx").exists()


def test_no_images(here, accel) -> None:
    check(accel, "float.onnx: there are no calibration images; give some with --calibrate images.npz")
    check(accel, "none.npy: no such file; write it with numpy.save", "-c", "none.npy")


OPTIONS = {
    "--weights 0": "weights: 0 bits; legal is a whole number from 1 to 16",
    "--weights 17": "weights: 17 bits; legal is a whole number from 1 to 16",
    "--activations 32": "activations: 32 bits; legal is a whole number from 1 to 16",
    "--first-last 0": "the first and last layers: 0 bits; legal is a whole number from 1 to 16",
    "--bias-bits 1": "biases: 1 bits; legal is a whole number from 2 to 32",
    "--bias-bits 33": "biases: 33 bits; legal is a whole number from 2 to 32",
    "--percentile 101": "the percentile is 101; legal are 50 to 100, for example 99.99",
    "--percentile nan": "the percentile is nan; legal are 50 to 100, for example 99.99",
    "--bounds min_max": "bounds is 'min_max'; legal are max_abs, percentile, mse, aqt",
    "--rounding nearest": "rounding is 'nearest'; legal are half_even, half_up, floor",
    "--ranges signed": "ranges is 'signed'; legal are asymmetric, symmetric, unsigned",
    "--granularity group": "granularity is 'group'; legal are channel, tensor",
    "--format onnx": "file_format is 'onnx'; legal are auto, qdq, qonnx",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options(words, here, accel) -> None:
    check(accel, OPTIONS[words], "-c", "x.npy", *words.split())


LAYERS = {
    "stem: {weights: 0}": "1:17: weights of stem is 0; legal is a whole number of bits from 1 to 16",
    "stem: {weights: 4.0}": "1:17: weights of stem is 4.0; legal is a whole number of bits from 1 to 16",
    "stem: {weights: true}": "1:17: weights of stem is true; legal is a whole number of bits from 1 to 16",
    "stem: {weigths: 4}": "1:8: unknown key 'weigths' in stem; did you mean 'weights'?",
    "stem: {bias: 4}": "1:8: unknown key 'bias' in stem; legal are weights, activations",
    "stem: 4": "1:7: stem is 4; write {weights: 4, activations: 8}, or one of the two",
    "stem: {}": "1:7: stem says nothing; write {weights: 4, activations: 8}, or one of the two",
    "stem: {weights: 4}\nstem: {weights: 8}": "2:1: the key 'stem' is here twice; it stands in line 1 already",
    "one: {weights: 4}\nstme: {weights: 4}": "2:7: float.onnx has no layer 'stme'; did you mean 'stem'?",
    "add: {weights: 4}": "1:6: add has no weights; leave its weights out",
    "one: 4\ntwo: 5": (
        "1:6: one is 4; write {weights: 4, activations: 8}, or one of the two (and 1 more in this file)"
    ),
}


@pytest.mark.parametrize("text", LAYERS)
def test_widths_of_layers(text, here, accel) -> None:
    Path("bits.yaml").write_text(text)
    check(accel, f"bits.yaml:{LAYERS[text]}", "-c", "x.npy", "--bits", "bits.yaml")


def test_places(here, accel) -> None:
    Path("taken.onnx").write_text("mine")
    Path("folder").mkdir()
    words = ("quantize", "float.onnx", "-c", "x.npy", "--out")
    for out, message in (
        ("taken.onnx", "taken.onnx: the file exists already; choose another name, or replace it: --overwrite"),
        ("folder", "folder: this is a folder, not a file; name the .onnx file to write"),
        ("none/q.onnx", "none/q.onnx: there is no folder none; make it first"),
    ):
        assert accel(*words, out) == (2, "", f"error: {message}\n")
    if Path("/proc/self").exists():
        ran = accel(*words, "/proc/q.onnx")
        assert ran.err.startswith("error: /proc/q.onnx: the file cannot be written here (")
        assert ran.err.endswith("); name a file that you may write\n")
    assert Path("taken.onnx").read_text() == "mine"
    assert accel(*words, "taken.onnx", "--overwrite").code == 0
    onnx.checker.check_model("taken.onnx")


def test_what_goes_wrong_late_leaves_the_earlier_file(here, accel) -> None:
    Path("q.onnx").write_text("mine")
    check(accel, f"x.npy: {IMAGES['other size'][1]}", *_with(IMAGES["other size"][0]), "--overwrite")
    assert Path("q.onnx").read_text() == "mine"


def _with(values: np.ndarray) -> tuple[str, str]:
    np.save("x.npy", values)
    return ("-c", "x.npy")


def test_a_network_that_becomes_infinite(here, accel) -> None:
    np.save("x.npy", np.full_like(GOOD, 3e38))
    check(
        accel,
        "float.onnx: tensor stem.relu.out becomes NaN or infinite on calibration batch 1; "
        "give the images as the network was trained with",
        *("-c", "x.npy"),
    )


def test_images_that_are_almost_nothing(here, accel) -> None:
    np.save("x.npy", np.full_like(GOOD, 1e-40))
    check(
        accel,
        "float.onnx:input: its calibrated values lead to the scale 3.92e-43, which is no normal float32; "
        "scale the network's input as in training",
        *("-c", "x.npy", "--bounds", "max_abs"),
    )


def test_a_quantized_network(here, accel) -> None:
    assert accel("quantize", "float.onnx", "-c", "x.npy", "-o", "q.onnx").code == 0
    ran = accel("quantize", "q.onnx", "-c", "x.npy", "-o", "qq.onnx")
    assert ran.err == (
        "error: q.onnx: this network is quantized already (QuantizeLinear); give the float network it was made from\n"
    )


def test_options_from_python() -> None:
    with pytest.raises(AccelError, match=r"^weights: '8' bits; legal is a whole number from 1 to 16$"):
        QuantizeOptions(weights="8")  # type: ignore[arg-type]
