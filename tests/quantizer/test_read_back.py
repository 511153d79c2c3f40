"""What is written is what is read: types, scales, zero points, weights and biases, in both dialects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import accel
from accel.api import QuantizeOptions
from accel.errors import AccelError
from accel.graph.execute import execute
from accel.graph.ir import Conv, Graph, Linear
from accel.quantizer.quantize import Quantized, quantize_network
from tests.graph.qonnx_executor import assert_like_the_executor
from tests.quantizer.float_nets import images, residual

QDQ = [
    {"weights": 8, "activations": 8},
    {"weights": 8, "activations": 8, "ranges": "symmetric"},
    {"weights": 8, "activations": 8, "ranges": "unsigned", "granularity": "tensor"},
    {"weights": 4, "activations": 8, "first_last": 8},
    {"weights": 4, "activations": 4, "first_last": 8, "scales": "mantissa8_shared", "bias_bits": 8},
    {"weights": 4, "activations": 4, "ranges": "unsigned", "scales": "power_of_two"},
    {"weights": 16, "activations": 16},
    {"weights": 8, "activations": 4, "layers": {"two": accel.LayerBits(weights=16, activations=8)}},
    {"weights": 2, "activations": 2, "file_format": "qdq"},
    {"weights": 8, "activations": 4, "ranges": "symmetric", "file_format": "qdq"},
]
QONNX = [
    {"weights": 3, "activations": 5},
    {"weights": 7, "activations": 9, "ranges": "symmetric"},
    {"weights": 2, "activations": 2, "ranges": "unsigned", "granularity": "tensor"},
    {"weights": 4, "activations": 4, "ranges": "symmetric"},
    {"weights": 1, "activations": 4, "first_last": 8},
    {"weights": 2, "activations": 1, "first_last": 8},
    {"weights": 15, "activations": 13},
    {"weights": 6, "activations": 6, "layers": {"two": accel.LayerBits(weights=3, activations=5)}},
    {"weights": 5, "activations": 4, "scales": "mantissa8_shared", "bias_bits": 8},
    *({**options, "file_format": "qonnx"} for options in QDQ[:8]),
]


@pytest.fixture(scope="module")
def float_path(tmp_path_factory) -> Path:
    return residual(tmp_path_factory.mktemp("float") / "float.onnx")


def quantized(path: Path, out: Path, options: dict) -> tuple[Quantized, Graph]:
    made = quantize_network(path, images(), "", QuantizeOptions(**options), lambda *_: None)
    onnx.save(made.model, out)
    return made, accel.load_network(out).graph


def check_same(made: Quantized, graph: Graph) -> None:
    """Every layer and every tensor."""
    layers = {node.name: node for node in graph.nodes if isinstance(node.op, Conv | Linear)}
    assert layers.keys() == made.operands.keys()
    for name, operands in made.operands.items():
        op = layers[name].op
        assert op.weight.qtype == operands.weight.qtype
        np.testing.assert_array_equal(op.weight.values, operands.weight.values)
        np.testing.assert_array_equal(op.weight.scale, operands.weight.scale)
        np.testing.assert_array_equal(op.bias, np.broadcast_to(operands.bias, len(op.weight.values)))
    stored = {repr(max(widths.items())[1]) for widths in made.encodings.values()}
    copies = {repr(encoding) for widths in made.encodings.values() for encoding in widths.values()}
    found = {repr(tensor.encoding) for tensor in graph.tensors.values() if tensor.qtype is not None}
    assert stored <= found <= copies


@pytest.mark.parametrize("options", QDQ, ids=str)
def test_qdq(options, float_path, tmp_path) -> None:
    made, graph = quantized(float_path, tmp_path / "q.onnx", options)
    assert made.record.file_format == "qdq"
    onnx.checker.check_model(made.model, full_check=True)
    check_same(made, graph)


@pytest.mark.parametrize("options", QONNX, ids=str)
def test_qonnx(options, float_path, tmp_path) -> None:
    made, graph = quantized(float_path, tmp_path / "q.onnx", options)
    assert made.record.file_format == "qonnx"
    check_same(made, graph)


@pytest.mark.parametrize("options", QONNX[:6], ids=str)
def test_the_qonnx_package_computes_the_same(options, float_path, tmp_path) -> None:
    """Its executor, node by node in float32, which holds such narrow sums: nine tensors, every integer."""
    quantized(float_path, tmp_path / "q.onnx", options)
    assert_like_the_executor(tmp_path / "q.onnx", least=9)


@pytest.mark.parametrize("options", QDQ[:8], ids=str)
def test_both_dialects_say_the_same(options, float_path, tmp_path) -> None:
    """Bit for bit, on every image."""
    qdq, qonnx = (
        quantized(float_path, tmp_path / f"{name}.onnx", {**options, "file_format": name})[1]
        for name in ("qdq", "qonnx")
    )
    for image in images(6, seed=7):
        outputs = [execute(graph, {"input": image[None]}).tensors["logits"] for graph in (qdq, qonnx)]
        np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("options", [options for options in QDQ if options["weights"] != 2], ids=str)
def test_onnxruntime_makes_the_same_of_it(options, float_path, tmp_path) -> None:
    """Unoptimized, its islands compute in float32, which may round a tie the other way: a step here and there."""
    _, graph = quantized(float_path, tmp_path / "q.onnx", options)
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(tmp_path / "q.onnx"), settings, providers=["CPUExecutionProvider"])
    for image in images(6, seed=5):
        (expected,) = session.run(None, {"input": image[None]})
        found = execute(graph, {"input": image[None]}).tensors[graph.outputs[0]]
        node = graph.nodes[-1]
        step = graph.tensors[node.inputs[0]].scale * np.abs(node.op.weight.values).max(axis=1) * node.op.weight.scale
        assert (np.abs(found - expected) <= 2 * step + 1e-5).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_onnxruntime_reads_the_integers_of_quantize_linear(bits, float_path, tmp_path) -> None:
    """The file's first QuantizeLinear against the formula, in ONNX's own packed types."""
    made, _ = quantized(float_path, tmp_path / "q.onnx", {"weights": 8, "activations": bits})
    (encoding,) = made.encodings["input"].values()
    model = onnx.load(tmp_path / "q.onnx")
    output = next(
        node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear" and "input" in node.name
    )
    model.graph.output.append(onnx.ValueInfoProto(name=output))
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    image = images(1, seed=9)
    _, reals = session.run(None, {"input": image})
    steps = np.clip(np.rint(image / np.float32(encoding.scale)) + encoding.zero_point, 0, 2**bits - 1)
    np.testing.assert_array_equal(reals, (steps - encoding.zero_point).astype(np.float32) * np.float32(encoding.scale))


def test_eight_bits_are_as_good_as_the_float_network(float_path, tmp_path) -> None:
    """256 steps: 40 dB and more at each tensor, of which ten layers leave 25."""
    _, graph = quantized(float_path, tmp_path / "q.onnx", {})
    session = onnxruntime.InferenceSession(str(float_path), providers=["CPUExecutionProvider"])
    pairs = []
    for image in images():
        (expected,) = session.run(None, {"input": image[None]})
        pairs.append((expected, execute(graph, {"input": image[None]}).tensors[graph.outputs[0]]))
    noise = sum(float(((made - real) ** 2).sum()) for real, made in pairs)
    assert 10 * np.log10(sum(float((real**2).sum()) for real, _ in pairs) / noise) > 25


def test_versions_are_as_old_as_the_types_allow(float_path, tmp_path) -> None:
    """QuantizeLinear has int4 and int16 since opset 21 (IR 10), int2 since 25 (IR 13)."""
    for options, opset, ir_version in (
        ({}, 17, 8),
        ({"weights": 4}, 21, 10),
        ({"activations": 16}, 21, 10),
        ({"weights": 2, "file_format": "qdq"}, 25, 13),
        ({"weights": 3, "file_format": "qonnx"}, 17, 8),
    ):
        made = quantize_network(float_path, images(), "", QuantizeOptions(**options), lambda *_: None)
        assert (made.record.opset, made.model.ir_version) == (opset, ir_version)


@pytest.mark.parametrize(
    ("options", "file_format"),
    [
        ({"weights": 3}, "qonnx"),
        ({"activations": 7}, "qonnx"),
        ({"weights": 2}, "qonnx"),
        ({"weights": 4, "activations": 4, "ranges": "symmetric"}, "qonnx"),
        ({"weights": 4, "activations": 16}, "qdq"),
        ({"first_last": 5}, "qonnx"),
        ({"layers": {"two": accel.LayerBits(weights=6)}}, "qonnx"),
    ],
)
def test_the_dialect_follows_from_the_widths(options, file_format, float_path) -> None:
    made = quantize_network(float_path, images(), "", QuantizeOptions(**options), lambda *_: None)
    assert made.record.file_format == file_format
    domains = {node.domain for node in made.model.graph.node}
    assert ("qonnx.custom_op.general" in domains) == (file_format == "qonnx")


def test_qdq_has_no_integers_of_three_bits(float_path) -> None:
    with pytest.raises(AccelError) as error:
        quantize_network(
            float_path, images(), "", QuantizeOptions(weights=3, activations=5, file_format="qdq"), lambda *_: None
        )
    assert str(error.value) == (
        "QDQ files have integers of 2, 4, 8 and 16 bits, and 3, 5 are asked for; ask for --format qonnx or auto"
    )
