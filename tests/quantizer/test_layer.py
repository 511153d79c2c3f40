"""A layer's bias: its units, its correction, its saturation; and Gemm's factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import accel
from accel.api import QuantizeOptions
from accel.errors import AccelError
from accel.graph.ir import Conv, Linear
from accel.quantizer.layer import mean_error
from accel.quantizer.weights import quantize_weight, weight_scale
from tests.quantizer.float_nets import one_layer

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(0.5, 1, (6, 4, 5, 5)).astype(np.float32)
SHAPE = (1, 4, 5, 5)
GEMM = ("input", "w", "b")


def conv(path: Path, weight: np.ndarray, bias: np.ndarray | None, **attributes: object) -> Path:
    inputs = ["input", "w"] + ([] if bias is None else ["b"])
    constants = {"w": weight} | ({} if bias is None else {"b": bias})
    return one_layer(path, [helper.make_node("Conv", inputs, ["y"], "conv", **attributes)], constants, SHAPE)


def quantized(path: Path, images: np.ndarray = IMAGES, **options: object):
    """The layer's operation and its input's encoding, read back, and the record."""
    record = accel.quantize(path, path.with_name("q.onnx"), images, QuantizeOptions(**options), overwrite=True)
    graph = accel.load_network(path.with_name("q.onnx")).graph
    node = next(node for node in graph.nodes if isinstance(node.op, Conv | Linear))
    return node.op, graph.tensors[node.inputs[0]], record


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]), st.integers(2, 8))
def test_mean_error_is_that_of_a_whole_image(seed, groups, bits) -> None:
    """Where the kernel is 1x1, no padding gets in the way: the mean output moves by exactly that much."""
    rng = np.random.default_rng(seed)
    real = rng.normal(0, 1, (8, 4 // groups, 1, 1)).astype(np.float32)
    x = rng.normal(0.5, 1, (2, 4, 3, 3))
    options = QuantizeOptions()
    weight = quantize_weight(real, bits, weight_scale(real, bits, options, "")[0], options)
    by_group = x.transpose(1, 0, 2, 3).reshape(groups, 4 // groups, -1)

    def mean_output(values: np.ndarray) -> np.ndarray:
        rows = values.reshape(groups, 8 // groups, 4 // groups).astype(np.float64)
        return np.einsum("goi,gin->gon", rows, by_group).mean(axis=2).ravel()

    expected = mean_output(weight.real()) - mean_output(real)
    np.testing.assert_allclose(mean_error(weight, real, x.mean(axis=(0, 2, 3))), expected, atol=1e-9)


def test_the_bias_is_in_steps_of_input_times_weight_scale(tmp_path) -> None:
    weight, bias = RNG.normal(0, 1, (3, 4, 3, 3)).astype(np.float32), RNG.normal(0, 2, 3).astype(np.float32)
    op, x, _ = quantized(conv(tmp_path / "f.onnx", weight, bias), bias_correction=False)
    units = np.float32(x.scale) * op.weight.scale
    np.testing.assert_array_equal(op.bias, np.rint(bias.astype(np.float64) / units))


@pytest.mark.parametrize("with_bias", [True, False])
def test_correction_moves_the_bias_by_the_mean_error(with_bias, tmp_path) -> None:
    weight = RNG.normal(0, 1, (3, 4, 1, 1)).astype(np.float32)
    bias = RNG.normal(0, 2, 3).astype(np.float32) if with_bias else None
    op, x, _ = quantized(conv(tmp_path / "f.onnx", weight, bias), weights=4, activations=8)
    rounded = op.weight.values * op.weight.scale.reshape(-1, 1, 1, 1)
    error = ((rounded - weight).reshape(3, 4) @ IMAGES.mean(axis=(0, 2, 3))).astype(np.float64)
    wanted = (0 if bias is None else bias) - error
    units = x.scale * op.weight.scale
    np.testing.assert_allclose(op.bias * units, wanted, atol=units.max())


def test_one_and_two_bits_are_not_corrected(tmp_path) -> None:
    """Three bits are, by the mean error; of two, the bias is the float network's."""
    weight, bias = RNG.normal(0, 1, (3, 4, 1, 1)).astype(np.float32), RNG.normal(0, 2, 3).astype(np.float32)
    for bits, corrected in ((1, False), (2, False), (3, True)):
        op, x, _ = quantized(conv(tmp_path / "f.onnx", weight, bias), weights=bits)
        units = np.float32(x.scale) * op.weight.scale
        assert np.array_equal(op.bias, np.rint(bias.astype(np.float64) / units)) != corrected


def test_narrow_biases_saturate_and_are_counted(tmp_path) -> None:
    weight = np.ones((3, 4, 1, 1), np.float32)
    bias = np.array([0.0, 100.0, -100.0], np.float32)
    op, _, record = quantized(conv(tmp_path / "f.onnx", weight, bias), bias_bits=8, bias_correction=False)
    assert op.bias.tolist() == [0, 127, -128]
    assert record.layers[0].saturated_biases == 2
    assert record.notes == ("conv: 2 of 3 biases saturate at 8 bits",)


def test_sixteen_bit_operands_leave_an_int32_bias_room(tmp_path) -> None:
    """The bias of channel 1 is 1e6 times its weights: at the weights' own scale it would be beyond 2^31."""
    weight = RNG.normal(0, 1e-3, (3, 4, 1, 1)).astype(np.float32)
    bias = np.array([0.0, 1000.0, -1e-3], np.float32)
    op, x, _ = quantized(conv(tmp_path / "f.onnx", weight, bias), weights=16, activations=16, bias_correction=False)
    largest = np.abs(weight).max(axis=(1, 2, 3))
    assert op.weight.scale[0] <= largest[0] / 32767 * 1.0001
    assert op.weight.scale[1] > largest[1] / 32767 * 10
    assert abs(op.bias[1]) <= 2**30 + 2**7
    np.testing.assert_allclose(op.bias * np.float64(x.scale) * op.weight.scale, bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemms_factors_and_orientation(transposed, tmp_path) -> None:
    weight = RNG.normal(0, 1, (7, 5)).astype(np.float32)
    bias = RNG.normal(0, 1, 7).astype(np.float32)
    node = helper.make_node("Gemm", GEMM, ["y"], "fc", alpha=0.5, beta=2.0, transB=transposed)
    constants = {"w": weight if transposed else np.ascontiguousarray(weight.T), "b": bias}
    images = RNG.normal(0, 1, (9, 5)).astype(np.float32)
    path = one_layer(tmp_path / "f.onnx", [node], constants, (1, 5))
    op, x, _ = quantized(path, images, weight_bounds="max_abs", bias_correction=False)
    np.testing.assert_allclose(op.weight.scale, np.abs(0.5 * weight).max(axis=1) / 127, rtol=1e-6)
    np.testing.assert_array_equal(op.weight.values, np.rint(0.5 * weight / op.weight.scale[:, None]))
    np.testing.assert_array_equal(op.bias, np.rint(2.0 * bias / (np.float32(x.scale) * op.weight.scale).astype(float)))


@pytest.mark.parametrize("file_format", ["qdq", "qonnx"])
def test_matmul(file_format, tmp_path) -> None:
    weight = RNG.normal(0, 1, (5, 7)).astype(np.float32)
    node = helper.make_node("MatMul", ["input", "w"], ["y"], "fc")
    path, images = one_layer(tmp_path / "f.onnx", [node], {"w": weight}, (1, 5)), RNG.normal(0, 1, (9, 5))
    options = {"weight_bounds": "max_abs", "bias_correction": False, "file_format": file_format}
    op, _, _ = quantized(path, images.astype(np.float32), **options)
    np.testing.assert_array_equal(op.weight.values, np.rint(weight.T / op.weight.scale[:, None]))


def test_layers_that_share_their_weights_have_each_their_own_integers(tmp_path) -> None:
    """One constant, read by two layers at two widths."""
    weight = RNG.normal(0, 1, (4, 4, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["m"], "one"),
        helper.make_node("Conv", ["m", "w"], ["y"], "two"),
    ]
    layers = {"one": accel.LayerBits(weights=8), "two": accel.LayerBits(weights=4)}
    path, out = one_layer(tmp_path / "f.onnx", nodes, {"w": weight}, SHAPE), tmp_path / "q.onnx"
    accel.quantize(path, out, IMAGES, QuantizeOptions(layers=layers, weight_bounds="max_abs"))
    ops = [node.op for node in accel.load_network(out).graph.nodes if isinstance(node.op, Conv)]
    assert [str(op.weight.qtype) for op in ops] == ["int8", "int4"]
    for op, top in zip(ops, (127, 7), strict=True):
        np.testing.assert_array_equal(op.weight.values, np.rint(weight / op.weight.scale.reshape(-1, 1, 1, 1)))
        assert np.abs(op.weight.values).max() == top


def test_zero_channels_are_noted(tmp_path) -> None:
    weight = RNG.normal(0, 1, (3, 4, 1, 1)).astype(np.float32)
    weight[1] = 0
    _, _, record = quantized(conv(tmp_path / "f.onnx", weight, None))
    assert record.notes == ("conv: all weights of channel 1 are zero",)


def test_a_bias_that_is_no_number(tmp_path) -> None:
    weight = np.ones((2, 4, 1, 1), np.float32)
    path = conv(tmp_path / "f.onnx", weight, np.array([1, np.nan], np.float32))
    with pytest.raises(AccelError) as error:
        quantized(path)
    expected = f"{path}: a node cannot be quantized:\n  conv (Conv): its bias holds NaN or infinity"
    assert str(error.value).startswith(expected)
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.onnx"]
