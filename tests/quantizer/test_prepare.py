"""What is done to a float network before it is quantized leaves what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import accel
from accel.errors import AccelError
from accel.graph.ir import Conv
from accel.quantizer.prepare import prepare
from tests.quantizer.float_nets import SHAPE, images, one_layer, residual

RNG = np.random.default_rng(4)
BATCH_NORM = {
    "gamma": np.array([0.5, -2.0, 1.5, 0.0], np.float32),
    "beta": np.array([1.0, 0.3, -0.7, 0.2], np.float32),
    "mean": np.array([0.1, -0.4, 0.0, 2.0], np.float32),
    "var": np.array([0.5, 2.0, 1e-3, 1.0], np.float32),
}
NORM = helper.make_node("BatchNormalization", ["m", *BATCH_NORM], ["y"], "norm", epsilon=1e-3)
WEIGHT = RNG.normal(0, 1, (4, 3, 3, 3)).astype(np.float32)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def check_same(path: Path, opset: int = 0) -> list[str]:
    """The prepared network computes what the file does; the operators that it has."""
    prepared = prepare(path, opset, SHAPE[1:])
    for image in images(3):
        np.testing.assert_allclose(
            run(prepared.model, image[None]), run(onnx.load(path), image[None]), rtol=1e-4, atol=1e-4
        )
    return [node.op_type for node in prepared.source.nodes]


def test_a_batch_norm_goes_into_the_convolution_before_it(tmp_path) -> None:
    nodes = [helper.make_node("Conv", ["input", "w"], ["m"], "conv", pads=[1] * 4), NORM]
    assert check_same(one_layer(tmp_path / "f.onnx", nodes, {"w": WEIGHT} | BATCH_NORM)) == ["Conv"]


def test_a_batch_norm_that_stands_alone_becomes_a_depthwise_convolution(tmp_path) -> None:
    """Behind a Relu; with a slope of each sign and one that is zero."""
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["m"], "relu"),
        NORM,
    ]
    path = one_layer(tmp_path / "f.onnx", nodes, {"w": WEIGHT} | BATCH_NORM)
    assert check_same(path) == ["Conv", "Relu", "Conv"]
    record = accel.quantize(path, tmp_path / "q.onnx", images())
    graph = accel.load_network(tmp_path / "q.onnx").graph
    assert [(node.name, node.kind) for node in graph.nodes if isinstance(node.op, Conv)] == [
        ("conv", "conv"),
        ("norm", "depthwise"),
    ]
    assert record.notes == ("norm: all weights of channel 3 are zero",)


def test_constants_are_folded_and_identities_go(tmp_path) -> None:
    nodes = [
        helper.make_node("Identity", ["input"], ["i"], "identity"),
        helper.make_node("Mul", ["w", "two"], ["scaled"], "times two"),
        helper.make_node("Conv", ["i", "scaled"], ["y"], "conv"),
    ]
    path = one_layer(tmp_path / "f.onnx", nodes, {"w": WEIGHT, "two": np.array(2, np.float32)})
    assert check_same(path) == ["Conv"]


@pytest.mark.parametrize("opset", [13, 21, 25])
def test_a_newer_opset_computes_the_same(opset, tmp_path) -> None:
    path = residual(tmp_path / "f.onnx")
    check_same(path, opset)
    assert prepare(path, opset, SHAPE[1:]).source.opset == max(opset, 17)


def test_free_axes_take_the_images_sizes(tmp_path) -> None:
    path = one_layer(
        tmp_path / "f.onnx",
        [helper.make_node("Conv", ["input", "w"], ["y"], "conv")],
        {"w": WEIGHT},
        ("batch", 3, "height", 6),
    )
    prepared = prepare(path, 0, SHAPE[1:])
    assert prepared.source.inputs[0].shape == SHAPE
    assert prepared.notes == ("the input input had free axes; it is 1x3x6x6 now",)


def refusal(path: Path) -> str:
    with pytest.raises(AccelError) as error:
        prepare(path, 0, SHAPE[1:])
    return str(error.value)


def test_a_network_that_is_quantized_already() -> None:
    path = accel.load_network("digits-resnet8").graph.path
    assert refusal(Path(path)) == (
        f"{path}: this network is quantized already (QuantizeLinear); give the float network it was made from"
    )


def test_several_inputs_and_one_of_integers(tmp_path) -> None:
    node = helper.make_node("Conv", ["input", "w"], ["y"], "conv")
    path = one_layer(tmp_path / "f.onnx", [node], {"w": WEIGHT})
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, SHAPE))
    onnx.save(model, path)
    assert refusal(path) == f"{path}: the network has 2 inputs (input, mask); networks with one input can be quantized"
    del model.graph.input[1]
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, path)
    assert refusal(path) == f"{path}: its input input is uint8; networks with a float32 input are quantized"


def test_a_network_that_onnxruntime_does_not_load(tmp_path) -> None:
    path = one_layer(tmp_path / "f.onnx", [helper.make_node("Frobnicate", ["input"], ["y"], "x")], {})
    assert refusal(path).startswith(f"{path}: onnxruntime cannot load it: ")


def test_a_batch_norm_with_operands_that_vary(tmp_path) -> None:
    nodes = [
        helper.make_node("Relu", ["input"], ["m"], "relu"),
        helper.make_node("GlobalAveragePool", ["input"], ["p"], "pool"),
        helper.make_node("Reshape", ["p", "three"], ["gamma"], "reshape"),
        helper.make_node("BatchNormalization", ["m", "gamma", "beta", "mean", "var"], ["y"], "norm"),
    ]
    constants = {name: values[:3] for name, values in BATCH_NORM.items() if name != "gamma"}
    path = one_layer(tmp_path / "f.onnx", nodes, constants | {"three": np.array([3], np.int64)})
    assert refusal(path) == f"{path}:norm: its operand 'gamma' is not constant"
