"""BatchNormalization and MultiThreshold behind convolutions and linear layers: folded where exact, else thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from accel import api
from accel.compile import fit_to_machine
from accel.errors import AccelError
from accel.graph.execute import execute, layer_sums
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.graph.onnx import load_network
from accel.graph.onnx.qonnx import DOMAINS
from accel.graph.rebase import rebase_activations, to_file
from accel.numerics.qtype import QType
from tests.graph.models import INT8, Qonnx
from tests.graph.qonnx_executor import assert_like_the_executor
from tests.graph.witnessed import random_inputs
from tests.machines import DATAFLOWS, machine

FACTORS = np.array([1.2, -0.7, 0.0, 3.0, -0.01, 0.4])


def layer(
    path: Path, to: str = "uint4", relu: bool = True, groups: int = 1, linear: bool = False, **changes: Any
) -> Path:
    """Quantized input -> convolution or linear layer of 6 channels -> BatchNormalization -> Relu -> Quant."""
    model = Qonnx(np.random.default_rng(changes.get("seed", 3)))
    factor = changes.get("factor", FACTORS)
    shift = changes.get("shift", model.rng.normal(0, 1, 6))
    shape = (6, 12) if linear else (6, 4 // groups, 3, 3)
    x = model.quant(model.input("x", (2, 12) if linear else (2, 4, 9, 9)), "xq", 0.25, 4)
    scale = model.rng.uniform(0.05, 0.1, (6, *(1,) * (len(shape) - 1))) if "scale" not in changes else changes["scale"]
    weight = model.quant(model.constant(model.rng.normal(0, 0.3, shape), np.float32, "w"), "wq", scale, 4, narrow=1)
    if linear:
        y = model.node("Gemm", [x, weight], "c", transB=1, name="layer")
    else:
        y = model.node("Conv", [x, weight], "c", pads=[1, 1, 1, 1], group=groups, name="layer")
    y = model.normalize(y, "n", factor, shift)
    y = model.node("Relu", [y], "r") if relu else y
    if to == "float":
        return model.save(path, y)
    if to == "bipolar":
        return model.save(path, model.bipolar(y, "y", 1.0))
    qtype = QType.parse(to)
    step = changes.get("step", 4.0 / 2**qtype.bits)
    return model.save(path, model.quant(y, "y", step, qtype.bits, signed=int(qtype.signed)))


def product(graph: Graph) -> tuple[Node, Conv | Linear]:
    node = next(node for node in graph.nodes if isinstance(node.op, Conv | Linear))
    assert isinstance(node.op, Conv | Linear)
    return node, node.op


@pytest.mark.parametrize("linear", [False, True], ids=["conv", "linear"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("to", ["uint4", "int4", "int8", "uint2", "int2", "uint1", "int3"])
def test_thresholds_say_what_the_executor_computes(to: str, relu: bool, linear: bool, tmp_path: Path) -> None:
    """Rising, falling and constant channels; bounds that are never reached and always reached."""
    for seed in range(3):
        graph = assert_like_the_executor(layer(tmp_path / "net.onnx", to, relu, linear=linear, seed=seed), 2, seed)
        _, op = product(graph)
        qtype = QType.parse(to)
        assert op.thresholds is not None
        assert op.thresholds.levels == qtype.max - qtype.min
        assert op.thresholds.falling.tolist() == (FACTORS < 0).tolist()
        assert op.normalization is None
        assert [node.kind for node in graph.nodes] == ["quantize", "linear" if linear else "conv", "dequantize"]


def test_groups(tmp_path: Path) -> None:
    assert_like_the_executor(layer(tmp_path / "net.onnx", groups=2), 2)


def test_thresholds_are_exact_at_every_sum(tmp_path: Path) -> None:
    """Each sum that could come up, through the float formula: x * (scale x scale), * factor, + shift, Relu, Quant."""
    path = layer(tmp_path / "net.onnx", "uint4")
    graph = load_network(path)
    node, op = product(graph)
    assert op.thresholds is not None
    source, out = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(str(path)).graph.initializer}
    norm = next(node for node in onnx.load(str(path)).graph.node if node.op_type == "BatchNormalization")
    gamma, beta, mean, variance = (stored[name] for name in norm.input[1:])
    factor = gamma / np.sqrt(variance)
    sums = np.arange(-3000, 3001)
    real = sums.astype(np.float32)[:, None] * (np.float32(source.scale) * op.weight.scale)
    real = np.maximum(real * factor + (beta - mean * factor), 0)
    expected = np.clip(np.rint(real / np.float32(out.scale)), 0, 15)
    made = op.thresholds.apply(np.repeat(sums[:, None], 6, axis=1), QType(4, signed=False))
    possible = np.abs(sums[:, None]) <= 8 * np.abs(op.weight.values.astype(int)).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(made[possible], expected[possible])
    assert possible.sum() > 10_000
    assert len(np.unique(made)) == 16


def test_a_shift_on_the_grid_is_a_bias(tmp_path: Path) -> None:
    """Scales and factors that are powers of two: no thresholds are needed, weights of falling channels change sign."""
    factor = np.array([0.5, -0.5, 1.0, -2.0, 4.0, 1.0])
    shift = np.array([3, -5, 0, 1, 7, -2]) * 0.25 * 0.0625 * np.abs(factor)
    model = layer(tmp_path / "net.onnx", "int4", relu=False, factor=factor, shift=shift, scale=0.0625, step=0.5)
    proto = onnx.load(str(model))
    norm = next(node for node in proto.graph.node if node.op_type == "BatchNormalization")
    for tensor in proto.graph.initializer:  # means and variances that leave factor and shift exact
        index = list(norm.input).index(tensor.name) if tensor.name in norm.input else 0
        if index:
            values = (factor, shift, np.zeros(6), np.ones(6))[index - 1].astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(proto, str(model))
    graph = assert_like_the_executor(model, 2)
    _, op = product(graph)
    assert (op.thresholds, op.folded, op.normalization) == (None, None, None)
    assert op.bias is not None
    assert op.bias.tolist() == [3, -5, 0, 1, 7, -2]
    np.testing.assert_array_equal(op.weight.scale, 0.0625 * np.abs(factor))


def test_a_bipolar_result_needs_a_bias_only(tmp_path: Path) -> None:
    for seed in range(4):
        factor = np.random.default_rng(seed).normal(0, 1, 6)
        graph = assert_like_the_executor(
            layer(tmp_path / "net.onnx", "bipolar", False, factor=factor, seed=seed), 2, seed
        )
        _, op = product(graph)
        assert op.thresholds is None
        assert op.bias is not None


def test_results_of_16_bits_are_rounded(tmp_path: Path) -> None:
    """Biases rounded to steps of up to 0.25 x 0.1 x 3.0, results in steps of 1/4096: off by half a step of both."""
    factor = np.array([1.2, -0.7, 0.8, 3.0, -0.9, 0.7])
    path = layer(tmp_path / "net.onnx", "int16", factor=factor, step=2.0**-12)
    _, op = product(load_network(path))
    assert (op.thresholds, op.normalization) == (None, None)
    from tests.graph.qonnx_executor import steps_apart

    assert np.abs(steps_apart(path)["y_quantized"]).max() * 2**-12 <= 0.25 * 0.1 * 3.0 / 2 + 2**-12


def test_a_normalized_output_stays_real(tmp_path: Path) -> None:
    path = layer(tmp_path / "net.onnx", "float", relu=False)
    graph = load_network(path)
    node, op = product(graph)
    assert (op.normalization, graph.tensors[node.output].qtype) == (None, None)
    from tests.graph.qonnx_executor import executed

    feeds = random_inputs(graph, np.random.default_rng(0))
    gap = np.abs(execute(graph, feeds).tensors["n"] - executed(path, feeds)["n"])
    assert gap.max() <= 0.25 * 0.1 * 3.0 / 2 + 1e-4  # half a step of the bias


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("activation", ["int4", "uint4"])
@pytest.mark.parametrize("groups", [1, 2])
def test_machines_with_and_without_thresholds(dataflow: str, activation: str, groups: int, tmp_path: Path) -> None:
    step = 0.06  # about as coarse as the biases
    network = api.load_network(layer(tmp_path / "net.onnx", "uint4", groups=groups, step=step))
    records = {}
    for steps in (0, 15):
        arch = machine(dataflow=dataflow, weight="int4", activation=activation, threshold_steps=steps)
        found = api.verify(network, arch)
        assert found.passed
        fitted = fit_to_machine(network.graph, arch)
        _, op = product(fitted)
        assert (op.thresholds is None) == (steps == 0)
        records[steps] = api.simulate(network, arch)
    outputs = [next(iter(record.outputs.values())) for record in records.values()]
    notes = [[note for note in record.notes if "threshold" in note] for record in records.values()]
    assert notes == [
        [
            "the normalization of 1 layers (layer first) is folded into their biases and those are rounded, as "
            "test-4x5 compares with 0 thresholds (vector.threshold_steps)"
        ],
        [],
    ]
    gap = np.rint(np.abs(outputs[0] - outputs[1]) / step)
    assert 0 < np.count_nonzero(gap) < gap.size / 10  # a bias is off by half a step at most, a result then by one
    assert gap.max() <= 1
    layers = {steps: record.result.layers[1].actions for steps, record in records.items()}
    results = 2 * 6 * 9 * 9
    assert (layers[0].vector_requantize, layers[0].vector_compare) == (results, 0)
    assert (layers[15].vector_requantize, layers[15].vector_compare) == (0, 15 * results)


def test_parameters_of_thresholds_are_loaded(tmp_path: Path) -> None:
    """6 channels: 8 bytes of bias and multiplier each, or 4 bytes of bias and 15 thresholds of 24 bits."""
    network = api.load_network(layer(tmp_path / "net.onnx", "uint4"))
    read = {}
    for steps in (0, 15):
        arch = machine(
            activation="int4", weight="int4", accumulator_bits=24, threshold_steps=steps, buffers=(1 << 16,) * 3
        )
        arch = arch.model_copy(update={"dram": arch.dram.model_copy(update={"burst_bytes": 1})})
        actions = api.estimate(network, arch).layers[1].actions
        read[steps] = actions.dram_read_bytes - actions.weight_buffer_write_bytes  # the activations stay on chip
    assert read == {0: 6 * 8, 15: 6 * (4 + 15 * 3)}


@pytest.mark.parametrize("signed", [True, False])
def test_rebasing_moves_the_results(signed: bool, tmp_path: Path) -> None:
    graph = load_network(layer(tmp_path / "net.onnx", "uint4"))
    feeds = random_inputs(graph, np.random.default_rng(0))
    rebased = rebase_activations(graph, signed)
    for name, values in execute(rebased, feeds).tensors.items():
        np.testing.assert_array_equal(to_file(rebased.tensors[name], values), execute(graph, feeds).tensors[name])


def multi_threshold(path: Path, **attributes: Any) -> Path:
    model = Qonnx(np.random.default_rng(0))
    x = model.quant(model.input("x", (2, 3, 6, 6)), "xq", 0.25, 4)
    weight = model.quant(model.constant(model.rng.normal(0, 0.3, (5, 3, 3, 3)), np.float32, "w"), "wq", 0.08, 4)
    y = model.node("Conv", [x, weight], "c", name="layer")
    if attributes.pop("normalized", False):
        y = model.normalize(y, "n", [1.0, -1.0, 0.5, -0.3, 2.0], model.rng.normal(0, 1, 5))
    rows, levels = attributes.pop("rows", 5), attributes.pop("levels", 15)
    thresholds = model.constant(np.sort(model.rng.normal(0, 1, (rows, levels)), axis=1), np.float32, "thresholds")
    model.node("MultiThreshold", [y, thresholds], "y", domain=DOMAINS[0], name="steps", **attributes)
    return model.save(path, "y")


FORMS: dict[str, dict[str, Any]] = {
    "uint4": {"out_dtype": "UINT4"},
    "int4": {"out_dtype": "INT4", "out_scale": 0.5, "out_bias": -4.0},
    "one row": {"out_dtype": "UINT4", "rows": 1},
    "bipolar": {"out_dtype": "BIPOLAR", "out_scale": 2.0, "out_bias": -1.0, "levels": 1},
    "binary": {"out_dtype": "BINARY", "levels": 1},
    "fewer": {"out_dtype": "UINT8", "levels": 9, "out_scale": 0.125, "data_layout": "NCHW"},
    "normalized": {"out_dtype": "UINT4", "normalized": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_multi_threshold(form: str, tmp_path: Path) -> None:
    path = multi_threshold(tmp_path / "net.onnx", **FORMS[form])
    graph = assert_like_the_executor(path, 2)
    node, op = product(graph)
    assert op.thresholds is not None
    assert op.folded is None
    name = FORMS[form]["out_dtype"].lower().replace("binary", "uint1")
    assert str(graph.tensors[node.output].qtype) == name
    levels = FORMS[form].get("levels", 15)
    assert api.verify(api.load_network(path), machine(weight="int4", threshold_steps=levels)).passed
    with pytest.raises(AccelError) as error:
        api.estimate(api.load_network(path), machine(weight="int4", threshold_steps=levels - 1))
    assert str(error.value) == (
        f"{path}: layer: sums are compared with up to {levels} thresholds, and a lane of the vector unit compares with "
        f"{levels - 1}; choose a machine with vector.threshold_steps of {levels} or more than test-4x5's"
    )


def test_sums_do_not_know_of_normalization(tmp_path: Path) -> None:
    graph = load_network(layer(tmp_path / "net.onnx", "uint4"))
    node, op = product(graph)
    x = np.ones(graph.tensors[node.inputs[0]].shape, np.int8)
    sums, overflows = layer_sums(graph, node, x)
    assert overflows == 0
    assert sums.shape == (2 * 81, 6)
    assert op.bias is None
    assert np.int8 == INT8
