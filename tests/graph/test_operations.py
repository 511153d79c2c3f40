"""Every operation in its integer form and as a float island, random shapes and scales, against onnxruntime.

All tests together compare several million integers and allow no difference.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.graph.models import INT8, MICROSOFT, UINT8, Model
from tests.graph.witnessed import assert_like_onnxruntime

DTYPES = pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
FORMS = pytest.mark.parametrize("form", ["integer", "island"])
SEEDS = pytest.mark.parametrize("seed", range(6))


def islands(model: Model, names: list[str], encodings: list[list[str]]) -> list[str]:
    return [model.dequantize(name, encoding) for name, encoding in zip(names, encodings, strict=True)]


def random_window(rng: np.random.Generator, depthwise: bool) -> dict[str, list[int]]:
    kernel = [int(size) for size in rng.integers(1, 5, 2)]
    return {
        "kernel_shape": kernel,
        "strides": [int(step) for step in rng.integers(1, 4, 2)],
        "dilations": [int(step) for step in rng.integers(1, 3 if depthwise else 4, 2)],
        "pads": [int(pad) for pad in rng.integers(0, 4, 4)],
    }


@SEEDS
@FORMS
@DTYPES
@pytest.mark.parametrize("kind", ["dense", "grouped", "depthwise", "pointwise"])
def test_conv(kind: str, dtype: np.dtype, form: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, len(kind)])
    model = Model(rng)
    depth = int(rng.integers(1, 40))
    groups = {"dense": 1, "pointwise": 1, "grouped": 4, "depthwise": depth}[kind]
    depth = depth * groups if kind == "grouped" else depth
    channels = depth if kind == "depthwise" else groups * int(rng.integers(1, 20))
    window = random_window(rng, kind == "depthwise")
    if kind == "pointwise":
        window |= {"kernel_shape": [1, 1], "pads": [0, 0, 0, 0]}
    batch, height, width = (int(size) for size in rng.integers([1, 14, 14], [3, 30, 30]))
    x = model.input("x", (batch, depth, height, width), dtype)
    encodings = [model.random_encoding(dtype, 0.02), model.random_encoding(dtype, 0.05)]
    weights = model.weights((channels, depth // groups, *window["kernel_shape"]), per_channel=bool(seed % 2))
    bias = rng.integers(-3000, 3000, channels).astype(np.int32) if seed % 3 else None
    if form == "integer":
        operands = [x, *encodings[0], *weights, *encodings[1]] + ([] if bias is None else [model.constant(bias)])
        out = model.node("QLinearConv", operands, "y", group=groups, **window)
    else:
        real = model.dequantize(x, encodings[0])
        kernel = model.dequantize(weights[0], weights[1:], axis=0)
        operands = [real, kernel]
        if bias is not None:
            operands.append(dequantized_bias(model, bias, encodings[0][0], weights[1]))
        out = model.quantize(model.node("Conv", operands, "y", group=groups, **window), encodings[1])
    assert assert_like_onnxruntime(model.save(tmp_path / "conv.onnx", out), rng) > 0


def dequantized_bias(model: Model, bias: np.ndarray, x_scale: str, w_scale: str) -> str:
    import onnx

    values = {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.constants}
    scale = np.float32(values[x_scale]) * values[w_scale]
    name = model.constant(bias)
    encoding = [model.constant(scale, np.float32), model.constant(np.zeros(scale.shape), np.int32)]
    return model.dequantize(name, encoding, axis=0)


@pytest.mark.parametrize("form", ["QGemm", "Gemm"])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (1, 1)], ids=str)
def test_biases_that_are_broadcast(shape: tuple[int, ...], form: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(shape))
    model = Model(rng)
    encodings = [model.random_encoding(INT8, 0.02), model.random_encoding(INT8, 0.05)]
    x, weights = model.input("x", (4, 6), INT8), model.weights((6, 4), per_channel=False)
    bias = rng.integers(-3000, 3000, shape).astype(np.int32)
    if form == "QGemm":
        operands = [x, *encodings[0], *weights, model.constant(bias), *encodings[1]]
        out = model.node("QGemm", operands, "y", MICROSOFT)
    else:
        real, kernel = model.dequantize(x, encodings[0]), model.dequantize(weights[0], weights[1:])
        shift = dequantized_bias(model, bias, encodings[0][0], weights[1])
        out = model.quantize(model.node("Gemm", [real, kernel, shift], "y"), encodings[1])
    assert assert_like_onnxruntime(model.save(tmp_path / "gemm.onnx", out), rng) > 0


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad(auto_pad: str, stride: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(stride)
    for size in range(10, 15):
        model = Model(rng)
        x = model.input("x", (1, 4, size, size + 1), INT8)
        encodings = [model.random_encoding(INT8, 0.02), model.random_encoding(INT8, 0.05)]
        operands = [x, *encodings[0], *model.weights((8, 4, 4, 3), per_channel=True), *encodings[1]]
        model.node("QLinearConv", operands, "c", auto_pad=auto_pad, strides=[stride, stride])
        window = {"kernel_shape": [2, 2], "auto_pad": auto_pad, "strides": [stride, stride]}
        model.node("MaxPool", ["c"], "m", **window)
        model.node("QLinearAveragePool", ["c", *encodings[1], *encodings[0]], "a", MICROSOFT, **window)
        assert_like_onnxruntime(model.save(tmp_path / "auto_pad.onnx", "m", "a"), rng)


@SEEDS
@DTYPES
@pytest.mark.parametrize("form", ["QGemm", "QGemm float", "QLinearMatMul", "Gemm", "MatMul"])
def test_linear(form: str, dtype: np.dtype, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, len(form)])
    model = Model(rng)
    rows, depth, features = (int(size) for size in rng.integers([1, 1, 1], [40, 300, 70]))
    stacked = form in ("QLinearMatMul", "MatMul") and seed % 2 == 1
    x = model.input("x", (3, rows, depth) if stacked else (rows, depth), dtype)
    encodings = [model.random_encoding(dtype, 0.02), model.random_encoding(dtype, 0.3)]
    transposed = "Gemm" in form and seed % 3 == 0
    axis = 0 if transposed else 1
    shape = (features, depth) if transposed else (depth, features)
    weights = model.weights(shape, per_channel=bool(seed % 2) or stacked, axis=axis)
    bias = rng.integers(-3000, 3000, features).astype(np.int32)
    if form.startswith("Q"):
        operands = [x, *encodings[0], *weights]
        if form == "QLinearMatMul":
            out = model.node("QLinearMatMul", [*operands, *encodings[1]], "y")
        else:
            result = encodings[1] if form == "QGemm" else []
            out = model.node(
                "QGemm", [*operands, model.constant(bias), *result], "y", MICROSOFT, transB=int(transposed)
            )
    else:
        real, kernel = model.dequantize(x, encodings[0]), model.dequantize(weights[0], weights[1:], axis=axis)
        if form == "Gemm":
            shift = dequantized_bias(model, bias, encodings[0][0], weights[1])
            out = model.node("Gemm", [real, kernel, shift], "y", transB=int(transposed))
        else:
            out = model.node("MatMul", [real, kernel], "y")
        out = model.quantize(out, encodings[1])
    assert_like_onnxruntime(model.save(tmp_path / "linear.onnx", out), rng)


@SEEDS
@FORMS
@DTYPES
def test_add(dtype: np.dtype, form: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        model = Model(rng)
        names = [model.input(name, (2, 8, 40, 33), dtype) for name in "ab"]
        encodings = [model.random_encoding(dtype, 0.05) for _ in range(3)]
        if form == "integer":
            operands = [names[0], *encodings[0], names[1], *encodings[1], *encodings[2]]
            out = model.node("QLinearAdd", operands, "y", MICROSOFT)
        else:
            out = model.quantize(model.node("Add", islands(model, names, encodings[:2]), "y"), encodings[2])
        assert_like_onnxruntime(model.save(tmp_path / "add.onnx", out), rng)


@SEEDS
@FORMS
@DTYPES
def test_concat(dtype: np.dtype, form: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = Model(rng)
    axis = int(rng.integers(0, 4))
    names, shapes = ["a", "b", "c"], rng.integers(1, 9, (3, 4))
    shapes[:, [other for other in range(4) if other != axis]] = (2, 5, 6)
    for name, shape in zip(names, shapes.tolist(), strict=True):
        model.input(name, tuple(shape), dtype)
    encodings = [model.random_encoding(dtype, 0.05) for _ in range(4)]
    if form == "integer":
        parts = [text for name, encoding in zip(names, encodings[:3], strict=True) for text in (name, *encoding)]
        out = model.node("QLinearConcat", [*encodings[3], *parts], "y", MICROSOFT, axis=axis)
    else:
        joined = model.node("Concat", islands(model, names, encodings[:3]), "y", axis=axis - 4)
        out = model.quantize(joined, encodings[3])
    assert_like_onnxruntime(model.save(tmp_path / "concat.onnx", out), rng)


@SEEDS
@DTYPES
@pytest.mark.parametrize("ceil_mode", [0, 1])
@FORMS
def test_max_pool(form: str, ceil_mode: int, dtype: np.dtype, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, ceil_mode])
    model = Model(rng)
    encoding = model.random_encoding(dtype)
    x = model.quantize(model.input("x", (2, 8, 21, 18)), encoding)
    window = random_window(rng, depthwise=False)
    window["pads"] = [min(pad, window["kernel_shape"][axis % 2] - 1) for axis, pad in enumerate(window["pads"])]
    window["strides"] = [min(step, size) for step, size in zip(window["strides"], window["kernel_shape"], strict=True)]
    if form == "integer":
        out = model.node("MaxPool", [x], "y", ceil_mode=ceil_mode, **window)
    else:
        pooled = model.node("MaxPool", [model.dequantize(x, encoding)], "y", ceil_mode=ceil_mode, **window)
        out = model.quantize(pooled, model.random_encoding(dtype, 0.7) if seed % 2 else encoding)
    out = model.dequantize(out, encoding) if form == "integer" else out
    assert_like_onnxruntime(model.save(tmp_path / "max_pool.onnx", out), rng)


@SEEDS
@DTYPES
@FORMS
@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("same_scale", [False, True])
def test_average_pool(same_scale: bool, ceil_mode: int, form: str, dtype: np.dtype, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, ceil_mode, same_scale])
    model = Model(rng, opset=19)
    x = model.input("x", (2, 8, 21, 18), dtype)
    first = model.random_encoding(dtype)
    second = first if same_scale else model.random_encoding(dtype, 0.5)
    window = random_window(rng, depthwise=False)
    del window["dilations"]
    window["pads"] = [min(pad, window["kernel_shape"][axis % 2] - 1) for axis, pad in enumerate(window["pads"])]
    attributes = {"ceil_mode": ceil_mode, "count_include_pad": int(not ceil_mode and seed % 2), **window}
    if form == "integer":
        out = model.node("QLinearAveragePool", [x, *first, *second], "y", MICROSOFT, **attributes)
    else:
        out = model.quantize(model.node("AveragePool", [model.dequantize(x, first)], "y", **attributes), second)
    assert_like_onnxruntime(model.save(tmp_path / "average_pool.onnx", out), rng)


@SEEDS
@DTYPES
@FORMS
@pytest.mark.parametrize("same_scale", [False, True])
def test_global_average_pool(same_scale: bool, form: str, dtype: np.dtype, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, same_scale])
    for size in (1, 4, 7, 8):
        model = Model(rng)
        x = model.input("x", (2, 300, size, size + int(rng.integers(2))), dtype)
        first = model.random_encoding(dtype)
        second = first if same_scale else model.random_encoding(dtype, 0.3)
        if form == "integer":
            out = model.node("QLinearGlobalAveragePool", [x, *first, *second], "y", MICROSOFT)
        else:
            out = model.quantize(model.node("GlobalAveragePool", [model.dequantize(x, first)], "y"), second)
        assert_like_onnxruntime(model.save(tmp_path / "global.onnx", out), rng)


@SEEDS
@DTYPES
@pytest.mark.parametrize("op_type", ["Relu", "Clip", "Relu Clip"])
@pytest.mark.parametrize("same_scale", [False, True])
def test_clamp_between_integers(same_scale: bool, op_type: str, dtype: np.dtype, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = Model(rng)
    first = model.random_encoding(dtype, 0.1)
    second = first if same_scale else model.random_encoding(dtype, 0.1)
    real = model.dequantize(model.input("x", (2, 8, 20, 20), dtype), first)
    if "Relu" in op_type:
        real = model.node("Relu", [real], "relu")
    if "Clip" in op_type:
        low, high = sorted(rng.normal(0, 5, 2))
        real = model.node("Clip", [real, model.constant(low, np.float32), model.constant(high, np.float32)], "clip")
    assert_like_onnxruntime(model.save(tmp_path / "clamp.onnx", model.quantize(real, second)), rng)


@SEEDS
@DTYPES
def test_edges(dtype: np.dtype, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = Model(rng)
    encoding = model.random_encoding(dtype, 0.03)
    x = model.quantize(model.input("x", (3, 7, 50, 60)), encoding)
    path = model.save(tmp_path / "edges.onnx", model.dequantize(x, encoding))
    assert_like_onnxruntime(path, rng)
