"""digits-resnet8: what ships is small, labelled, and as accurate as stated."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from accel.gallery import workloads_dir
from accel.networks import Companions, companions, network_path, networks

FOLDER = workloads_dir() / "digits_resnet8"
INFO = next(info for info in networks() if info.name == "digits-resnet8")


@pytest.fixture(scope="module")
def digits() -> Companions:
    found = companions("digits-resnet8")
    assert found is not None
    return found


def logits(file: str, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(FOLDER / file), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input": image[None]})[0] for image in images])


@pytest.mark.parametrize("file", INFO.files, ids=lambda file: file.name)
def test_accuracy_is_the_stated_one(file, digits: Companions) -> None:
    correct = int((logits(file.name, digits.images).argmax(axis=1) == digits.labels).sum())
    assert file.top1 == correct / len(digits.labels)
    assert correct / len(digits.labels) > 0.97
    stated = re.search(rf"^\| `{file.name}` \| (\d+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert stated is not None
    assert int(stated[1]) == correct


@pytest.mark.parametrize("file", [file.name for file in INFO.files if file.form != "float"])
def test_integer_forms_stay_near_the_float_network(file: str, digits: Companions) -> None:
    want, got = (logits(name, digits.images) for name in ("float.onnx", file))
    sqnr_db = 10 * np.log10((want**2).sum() / ((want - got) ** 2).sum())
    assert sqnr_db > 30


def test_the_test_split_is_real_and_labelled(digits: Companions) -> None:
    assert digits.images.shape == (360, 1, 16, 16)
    assert digits.images.dtype == np.float32
    assert digits.labels.dtype == np.int64
    assert set(np.unique(digits.images * 16)) <= set(range(17))
    assert np.array_equal(digits.images, digits.images[:, :, ::2, ::2].repeat(2, axis=2).repeat(2, axis=3))
    assert np.bincount(digits.labels, minlength=10).min() >= 20


def test_the_test_split_comes_from_scikit_learn(digits: Companions) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is needed for training only")
    source = datasets.load_digits()
    order = np.random.default_rng(8).permutation(len(source.images))[:360]
    assert np.array_equal(digits.images[:, 0, ::2, ::2] * 16, source.images[order])
    assert np.array_equal(digits.labels, source.target[order])


def test_everything_shipped_is_small() -> None:
    shipped = [path for path in workloads_dir().rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in shipped) < 2_000_000


def test_the_float_network_is_found_beside_the_integer_ones(digits: Companions) -> None:
    assert digits.float_path == FOLDER / "float.onnx"
    assert network_path("digits-resnet8").parent == FOLDER
