"""Whole networks, quantized by onnxruntime's quantizer: import, golden model, rebasing, witness, float partners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.graph.check import check
from accel.graph.execute import execute
from accel.graph.float_reference import FloatNetwork, pair_tensors
from accel.graph.ir import Graph
from accel.graph.onnx import load_network
from accel.graph.rebase import from_file, rebase_activations, to_file
from tests.graph.models import quantize_with_onnxruntime, residual_net
from tests.graph.witnessed import assert_like_onnxruntime, random_inputs

FORMS = ["QOperator", "QDQ"]
ACTIVATIONS = ["QInt8", "QUInt8"]
TAILS = ["pool", "mean"]


@pytest.fixture(scope="module", params=[(f, a, t) for f in FORMS for a in ACTIVATIONS for t in TAILS], ids="-".join)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    form, activations, tail = request.param
    folder = tmp_path_factory.mktemp(f"{form}{activations}{tail}")
    return quantize_with_onnxruntime(residual_net(tail), folder, form, activations)


def test_every_tensor_is_onnxruntimes(network: Path) -> None:
    assert assert_like_onnxruntime(network, np.random.default_rng(2)) > 13_000


def test_kinds(network: Path) -> None:
    graph = load_network(network)
    kinds = [node.kind for node in graph.nodes]
    symmetric = "QInt8" in network.name
    # Asymmetric activations need no Relu: saturation at the zero point is one. Symmetric ones keep 5 Relu and Clip.
    assert kinds.count("requantize") == (5 if symmetric else 0)
    assert kinds.count("conv") == 5
    assert [kinds.count(kind) for kind in ("depthwise", "linear", "add", "max_pool", "concat")] == [1, 1, 2, 1, 1]
    assert kinds.count("average_pool") == 2
    assert kinds[0] == "quantize"
    assert kinds[-1] == "dequantize"


def test_every_onnx_node_is_accounted_for(network: Path) -> None:
    graph = load_network(network)
    constants = {tensor.name for tensor in onnx.load(str(network)).graph.initializer}
    origins = {name for node in graph.nodes for name in node.origin}
    for node in onnx.load(str(network)).graph.node:
        if node.input[0] not in constants:
            assert node.name in origins


@pytest.mark.parametrize("signed", [True, False])
def test_rebasing_moves_every_tensor_and_changes_none(network: Path, signed: bool) -> None:
    graph = load_network(network)
    rebased = rebase_activations(graph, signed)
    check(rebased)
    assert all(tensor.qtype is None or tensor.qtype.signed == signed for tensor in rebased.tensors.values())
    feeds = random_inputs(graph, np.random.default_rng(3))
    moved = {name: from_file(rebased.tensors[name], values) for name, values in feeds.items()}
    expected, found = execute(graph, feeds).tensors, execute(rebased, moved).tensors
    for name, values in expected.items():
        assert found[name].dtype == (np.float32 if values.dtype == np.float32 else np.dtype("i1" if signed else "u1"))
        back = to_file(rebased.tensors[name], found[name])
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(back, values, name)
    twice = rebase_activations(rebased, not signed)
    assert all(tensor.file_offset in (0, 128, -128) for tensor in twice.tensors.values())
    back_again = execute(rebase_activations(twice, signed), moved).tensors
    np.testing.assert_array_equal(back_again[graph.outputs[0]], expected[graph.outputs[0]])


def test_float_partners(network: Path) -> None:
    graph = load_network(network)
    pairs = pair_tensors(graph, network.parent / "float.onnx")
    integers = {name for name, tensor in graph.tensors.items() if tensor.qtype is not None}
    assert pairs.keys() == integers
    assert {"x", "max", "sum1_relu", "sum2_relu", "depthwise_relu6", "joined", "global", "logits"} <= set(
        pairs.values()
    )
    images = random_inputs(graph, np.random.default_rng(4))["x"]
    reals = FloatNetwork(network.parent / "float.onnx", graph).tensors(images)
    tensors = execute(graph, {"x": images}).tensors
    for name in integers:
        if pairs[name] == "depthwise":  # the quantizer gives it the range of the Clip behind it, so it saturates
            continue
        tensor = graph.tensors[name]
        decoded = (tensors[name].astype(np.float64) - tensor.zero_point) * tensor.scale
        signal, noise = np.square(reals[name]).sum(), np.square(decoded - reals[name]).sum()
        # A pair that does not belong together is off by the whole signal, an 8-bit one keeps 20 dB and more.
        assert 10 * np.log10(signal / noise) > 12, name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activations", ACTIVATIONS)
def test_per_tensor_weights_and_larger_batches(form: str, activations: str, tmp_path: Path) -> None:
    path = quantize_with_onnxruntime(residual_net("pool", batch=3, seed=5), tmp_path, form, activations, False)
    graph = load_network(path)
    assert graph.batch == 3
    assert_like_onnxruntime(path, np.random.default_rng(5))
    feeds = random_inputs(graph, np.random.default_rng(5))
    logits = execute(graph, feeds).tensors["logits"]
    again = execute(graph, {"x": feeds["x"][[2, 0, 1]]}).tensors["logits"]
    np.testing.assert_array_equal(again, logits[[2, 0, 1]])


def test_reading_the_same_file_twice_gives_the_same_graph(network: Path) -> None:
    assert str(load_network(network)) == str(load_network(network))


def test_a_graph_prints_readably(network: Path) -> None:
    text = str(load_network(network))
    assert text.startswith("graph ")
    assert "  input  x: float32[1x3x16x16]" in text
    assert text.endswith("  output logits")


def float_outputs(graph: Graph) -> list[str]:
    return [name for name, tensor in graph.tensors.items() if tensor.qtype is None]


def test_float_stays_at_the_edges(network: Path) -> None:
    assert float_outputs(load_network(network)) == ["x", "logits"]
