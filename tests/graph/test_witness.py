"""When onnxruntime is believed, and when not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from accel import api
from accel.errors import AccelError
from accel.graph import witness
from accel.graph.float_reference import FloatNetwork
from accel.graph.node_witness import onnxruntime_node
from accel.graph.onnx import load_network
from accel.graph.witness import has_vnni, onnxruntime_tensors
from tests.graph.models import INT8, MICROSOFT, UINT8, FloatNet, Model, quantize_with_onnxruntime, residual_net

X = {"x": np.zeros((1, 3, 16, 16), np.float32)}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantize_with_onnxruntime(residual_net("pool"), tmp_path_factory.mktemp("s8"), "QOperator", "QInt8")


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantize_with_onnxruntime(residual_net("mean"), tmp_path_factory.mktemp("u8"), "QOperator", "QUInt8")


def test_unsigned_activations_need_vnni(signed: Path, unsigned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness.platform, "machine", lambda: "x86_64")
    for vnni, reason in (
        (True, ""),
        (False, "onnxruntime saturates uint8 x int8 on a CPU without VNNI, from stem_quant on"),
        (None, "this system does not tell whether uint8 x int8 saturates in onnxruntime, from stem_quant on"),
    ):
        monkeypatch.setattr(witness, "has_vnni", lambda vnni=vnni: vnni)
        seen = onnxruntime_tensors(unsigned, X)
        assert (seen.trustworthy, seen.reason) == (not reason, reason)
        assert onnxruntime_tensors(signed, X).trustworthy


def test_other_processors_add_otherwise(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness.platform, "machine", lambda: "aarch64")
    seen = onnxruntime_tensors(signed, X)
    assert not seen.trustworthy
    assert seen.reason == "onnxruntime's QLinearAdd follows another formula on aarch64"


def test_vnni_is_read_from_the_processors_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = tmp_path / "cpuinfo"
    monkeypatch.setattr(witness, "_CPU_FLAGS", flags)
    assert has_vnni() is None
    for text, expected in (("flags: sse avx2", False), ("flags: avx512_vnni", True), ("flags: avx_vnni", True)):
        flags.write_text(text)
        assert has_vnni() is expected


def test_a_file_that_onnxruntime_refuses(signed: Path, tmp_path: Path) -> None:
    proto = onnx.load(str(signed))
    proto.ir_version = onnx.IR_VERSION
    proto.opset_import[0].version = onnx.defs.onnx_opset_version()
    path = tmp_path / "new.onnx"
    onnx.save(proto, str(path))
    seen = onnxruntime_tensors(path, X)
    if seen.tensors:
        pytest.skip("this onnxruntime runs the newest files")
    assert not seen.trustworthy
    assert seen.reason.startswith("onnxruntime cannot run it: ")


def test_ties_are_everything_behind_a_float_mean(unsigned: Path, signed: Path) -> None:
    seen = onnxruntime_tensors(unsigned, X)
    assert {"flat_quantized", "logits_quantized", "logits"} <= seen.ties
    assert not any(name.startswith(("stem", "block", "sum", "joined", "average")) for name in seen.ties)
    assert onnxruntime_tensors(signed, X).ties == frozenset()


def test_errors_of_the_float_network(signed: Path, tmp_path: Path) -> None:
    graph, float_path = load_network(signed), signed.parent / "float.onnx"
    with pytest.raises(AccelError) as error:
        FloatNetwork(tmp_path / "none.onnx", graph)
    assert str(error.value) == f"{tmp_path}/none.onnx: no such file"
    with pytest.raises(AccelError, match="onnxruntime cannot run it"):
        FloatNetwork(float_path, graph).tensors(np.zeros((1, 3, 8, 8)))
    net = FloatNet()
    net.shapes["z"] = net.shapes["x"]
    net.model.input("z", net.shapes["z"])
    two = tmp_path / "two.onnx"
    onnx.save(net.proto(net.layer("Add", ["x", "z"], "y")), str(two))
    with pytest.raises(AccelError) as error:
        FloatNetwork(two, graph)
    assert str(error.value) == f"{two}: the float network has 2 inputs; give one with one input"


def mixed_signs(kind: str, tmp_path: Path) -> Path:
    """int8 in, uint8 out."""
    model = Model()
    encodings = [model.encoding(0.05, 3, INT8), model.encoding(0.1, 100, UINT8)]
    q = model.quantize(model.input("x", (1, 4, 6, 6)), encodings[0])
    real = model.dequantize(q, encodings[0])
    weights = model.weights((4, 4, 1, 1), per_channel=False)
    operand = model.dequantize(weights[0], weights[1:]) if kind == "Conv" else real
    y = model.quantize(model.node(kind, [real, operand], "c"), encodings[1])
    return model.save(tmp_path / "mixed.onnx", model.dequantize(y, encodings[1]))


def test_a_node_that_onnxruntime_refuses_is_not_compared(tmp_path: Path) -> None:
    """A convolution from int8 to uint8: a legal operator, and no integer kernel of onnxruntime's takes it."""
    path = mixed_signs("Conv", tmp_path)
    graph = load_network(path)
    node = next(node for node in graph.nodes if node.kind == "conv")
    assert onnxruntime_node(graph, node, [np.zeros((1, 4, 6, 6), np.int8)]) is None
    found = api.verify(api.load_network(path), api.load_arch("edge-32x32"))
    checks = {check.layer: check for check in found.checks}
    assert found.passed
    assert checks[node.name].witness_alone is None
    assert checks[node.name].simulator_alone is not None
    assert all(check.witness_alone for name, check in checks.items() if name != node.name)


def test_a_sum_of_other_types_than_its_operands_is_compared_in_float32(tmp_path: Path) -> None:
    found = api.verify(api.load_network(mixed_signs("Add", tmp_path)), api.load_arch("edge-32x32"))
    assert found.passed
    assert found.doubt_end_to_end == "onnxruntime computes c_node in float32"
    for check in found.checks:
        for comparison in (check.witness_alone, check.witness_end_to_end):
            assert comparison is not None
            assert comparison.mismatches == 0


@pytest.mark.parametrize("off", [1.0, 1.000001, 1.001, 1.01])
@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
def test_a_bias_of_another_scale_is_a_doubt(kind: str, off: float, tmp_path: Path) -> None:
    """onnxruntime fuses the product and takes the bias's integers as they are: 5000 steps are 5 off at 1.001."""
    rng = np.random.default_rng(1)
    model = Model(rng)
    encodings = [model.encoding(0.05, 3, INT8), model.encoding(0.1, -10, INT8)]
    conv = kind == "Conv"
    shape = (1, 6, 5, 5) if conv else (7, 6)
    q = model.quantize(model.input("x", shape), encodings[0])
    values = rng.integers(-127, 128, (4, 6, 1, 1) if conv else (6, 4)).astype(np.int8)
    weights = [model.constant(values), *model.encoding(0.01, 0, INT8)]
    scale = np.float32(0.05) * np.float32(0.01) * np.float32(off)
    bias = [model.constant(np.full(4, 5000), np.int32), model.constant(scale), model.constant(0, np.int32)]
    operands = [model.dequantize(part[0], part[1:]) for part in ([q, *encodings[0]], weights, bias)]
    y = model.quantize(model.node(kind, operands, "c"), encodings[1])
    path = model.save(tmp_path / "bias.onnx", model.dequantize(y, encodings[1]))
    seen = onnxruntime_tensors(path, {"x": rng.normal(size=shape).astype(np.float32)})
    same = off < 1.0001
    assert seen.reason == ("" if same else "onnxruntime takes no notice of the bias's scale in c_node")
    assert seen.trustworthy == same


@pytest.mark.parametrize(("second", "doubted"), [(0.05, False), (0.2, True)])
@pytest.mark.parametrize("last", ["Conv", "none"])
def test_two_pairs_in_a_row_are_a_doubt(last: str, second: float, doubted: bool, tmp_path: Path) -> None:
    """onnxruntime rounds such values once, the file twice."""
    rng = np.random.default_rng(2)
    model = Model(rng)
    encodings = [model.encoding(0.05, 3, INT8), model.encoding(second, 3, INT8), model.encoding(0.3, -20, INT8)]
    real = model.input("x", (1, 4, 6, 6))
    for encoding in encodings[:2]:
        real = model.dequantize(model.quantize(real, encoding), encoding)
    if last == "Conv":
        weights = model.weights((4, 4, 1, 1), per_channel=False)
        y = model.quantize(model.node("Conv", [real, model.dequantize(weights[0], weights[1:])], "c"), encodings[2])
        real = model.dequantize(y, encodings[2])
    path = model.save(tmp_path / "pairs.onnx", real)
    seen = onnxruntime_tensors(path, {"x": rng.normal(size=(1, 4, 6, 6)).astype(np.float32)})
    expected = "onnxruntime drops one of two QuantizeLinear in a row, which made x_q_dq" if doubted else ""
    assert seen.reason == expected


def test_onnxruntime_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A mean whose scales its kernel does not take: it logs what it raises, from behind Python's back."""
    model = Model()
    encodings = [model.encoding(0.05, 3, INT8), model.encoding(1e-6, 3, INT8)]
    q = model.quantize(model.input("x", (1, 4, 6, 6)), encodings[0])
    y = model.node("QLinearGlobalAveragePool", [q, *encodings[0], *encodings[1]], "y", MICROSOFT)
    found = api.verify(api.load_network(model.save(tmp_path / "mean.onnx", y)), api.load_arch("edge-32x32"))
    assert found.passed
    assert [check.witness_alone is None for check in found.checks] == [False, True]
    assert found.doubt_end_to_end.startswith("onnxruntime cannot run it: ")
    assert capfd.readouterr().err == ""
