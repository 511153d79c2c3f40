"""Networks with seeded weights: the same bytes each time, activations like a trained network's, the right forms."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from workloads import seeded_net
from workloads.recipes import FILES, build_float, make
from workloads.seeded_net import natural_images

ROOT = Path(__file__).parents[2]


def digests(folder: Path) -> dict[str, str]:
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}


def all_tensors(model: onnx.ModelProto, x: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Every intermediate tensor, as onnxruntime computes it without rewriting the graph."""
    names = [output for node in model.graph.node for output in node.output]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "logits")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options)
    return dict(zip(names, session.run(names, {"input": x}), strict=True))


@pytest.fixture(scope="module")
def resnet20(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resnet20")
    make("resnet20", folder)
    return folder


def test_another_process_writes_the_same_bytes(resnet20: Path, tmp_path: Path) -> None:
    script = "import sys, pathlib; from workloads.recipes import make; make('resnet20', pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "7", "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT, env=environment)
    assert digests(tmp_path) == digests(resnet20)


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 4), (2, 2)])
def test_calibration_sums_are_exact_in_any_order(stride: int, groups: int) -> None:
    rng = np.random.default_rng(stride + groups)
    x = seeded_net._on_grid(rng.normal(scale=4, size=(2, 64, 9, 9)))
    weight = seeded_net._bell(rng, (8, 64 // groups, 3, 3)) / 16
    y = seeded_net._convolve(x, weight, stride, 1, groups)
    order = rng.permutation(64 // groups)
    shuffled = x.reshape(2, groups, -1, 9, 9)[:, :, order].reshape(x.shape)
    assert np.array_equal(y, seeded_net._convolve(shuffled, weight[:, order], stride, 1, groups))


def test_activations_stay_in_range_through_all_layers() -> None:
    tensors = all_tensors(build_float("resnet18"), natural_images(1, 224, seed=99))
    relus = {name: value for name, value in tensors.items() if ".relu" in name}
    assert len(relus) == 17
    for name, value in relus.items():
        assert 0.3 < value.std() < 2, name
        assert value.max() < 20, name
        assert 0.1 < (value == 0).mean() < 0.7, name
        assert (value == 0).all(axis=(0, 2, 3)).mean() < 0.02, name
    assert 0.5 < tensors["logits"].std() < 10


@pytest.mark.parametrize("file", ["int8.onnx", "int8_qdq.onnx", "uint8.onnx", "uint8_qdq.onnx"])
def test_integer_forms_stay_near_the_float_network(file: str, resnet20: Path) -> None:
    x = np.load(resnet20 / "input.npy")
    want, got = (
        onnxruntime.InferenceSession(str(resnet20 / name)).run(None, {"input": x})[0] for name in ("float.onnx", file)
    )
    assert 10 * np.log10((want**2).sum() / ((want - got) ** 2).sum()) > 20


@pytest.mark.parametrize(
    ("file", "activations", "convolution"),
    [
        ("int8.onnx", np.int8, "QLinearConv"),
        ("int8_qdq.onnx", np.int8, "Conv"),
        ("uint8.onnx", np.uint8, "QLinearConv"),
        ("uint8_qdq.onnx", np.uint8, "Conv"),
    ],
)
def test_integer_forms_are_what_their_names_say(
    file: str, activations: type[np.generic], convolution: str, resnet20: Path
) -> None:
    model = onnx.load(resnet20 / file)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    zero_points = [constants[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"] + [
        constants[node.input[7]] for node in model.graph.node if node.op_type == "QLinearConv"
    ]
    assert {value.dtype for value in zero_points} == {np.dtype(activations)}
    if activations is np.int8:
        assert not np.any(np.concatenate([value.ravel() for value in zero_points]))
    weights = {name: value for name, value in constants.items() if name.endswith("weight_quantized")}
    assert len(weights) == 22
    for name, value in weights.items():
        assert value.dtype == np.int8
        assert not np.any(constants[name.replace("_quantized", "_zero_point")])
        assert constants[name.replace("_quantized", "_scale")].shape == (value.shape[0],)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds[convolution] == 21
    assert model.ir_version <= 10


def test_both_exporter_tails_compute_the_same() -> None:
    pool, mean = build_float("resnet20"), build_float("resnet20", tail="mean")
    assert [node.op_type for node in pool.graph.node[-3:]] == ["GlobalAveragePool", "Flatten", "Gemm"]
    assert [node.op_type for node in mean.graph.node[-3:]] == ["ReduceMean", "Reshape", "Gemm"]
    x = natural_images(1, 32, seed=5)
    assert np.allclose(all_tensors(pool, x)["logits"], all_tensors(mean, x)["logits"], atol=1e-5)


def test_unweighted_shortcuts_equal_padding_with_zeros() -> None:
    """He's option A as usually written: every second pixel, zero channels, one convolution of full width."""
    model = build_float("resnet20")
    tensors = all_tensors(model, natural_images(1, 32, seed=6))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    parts = [f"stage2.block1.conv2{half}" for half in "ab"]
    weight = np.concatenate([constants[f"{part}.weight"] for part in parts]).astype(np.float64)
    bias = np.concatenate([constants[f"{part}.bias"] for part in parts])
    main = seeded_net._convolve(tensors["stage2.block1.relu1.out"], weight, 1, 1, 1) + bias[:, None, None]
    sampled = tensors["stage1.block3.relu.out"][:, :, ::2, ::2]
    shortcut = np.concatenate([sampled, np.zeros_like(sampled)], axis=1)
    want = np.maximum(main + shortcut, 0)
    assert np.allclose(tensors["stage2.block1.relu.out"], want, atol=1e-4)


def test_images_have_the_spectrum_of_photographs() -> None:
    """Power falls about as 1 / frequency^2 (amplitude as 1 / frequency) between 4 and 50 cycles an image."""
    grey = natural_images(8, 224, seed=1).mean(axis=1)
    power = (np.abs(np.fft.fft2(grey)) ** 2).mean(axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(224) * 224, np.fft.fftfreq(224) * 224))
    bands = np.geomspace(4, 50, 9)
    means = [power[(frequency >= low) & (frequency < high)].mean() for low, high in itertools.pairwise(bands)]
    slope = np.polyfit(np.log(np.sqrt(bands[:-1] * bands[1:])), np.log(means), 1)[0]
    assert -2.7 < slope < -1.6
    assert 0.5 < grey.std() < 1.5
