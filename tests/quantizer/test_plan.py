"""Which width each tensor and layer gets."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

import accel
from accel.api import LayerBits, QuantizeOptions
from accel.errors import AccelError
from accel.graph.ir import Conv, Linear, Requantize
from accel.graph.onnx.source import read_source
from accel.quantizer.plan import Plan, plan
from tests.quantizer.float_nets import images, one_layer, residual


def planned(path: Path, **options: object) -> Plan:
    return plan(read_source(onnx.load(path), str(path)), QuantizeOptions(**options))


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return residual(tmp_path_factory.mktemp("float") / "float.onnx")


def test_first_and_last_are_the_layers_with_weights_at_both_ends(path) -> None:
    made = planned(path, weights=4, activations=3, first_last=8)
    widths = {name: (bits.weights, bits.activations) for name, bits in made.reads.items()}
    assert widths == {
        "stem": (8, 8),
        "one": (4, 3),
        "two": (4, 3),
        "project": (4, 3),
        "add": (None, 3),
        "deep": (4, 3),
        "wide": (4, 3),
        "join": (None, 3),
        "mean": (None, 3),
        "fc": (8, 8),
    }


def test_a_tensor_is_stored_as_wide_as_its_widest_reader(path) -> None:
    """The pool's output is the stem's, moved; it is read by one layer at 6 bits, by the other at 4."""
    layers = {"one": LayerBits(activations=6), "project": LayerBits(activations=4)}
    made = planned(path, activations=5, layers=layers)
    assert made.homes["pool.out"] == "stem.relu.out"
    assert made.stored["stem.relu.out"] == 6
    assert made.stored["one.relu.out"] == 5
    assert made.real_output == "logits"
    assert "logits" not in made.stored


def test_layers_go_before_first_last_which_goes_before_the_rest(path) -> None:
    made = planned(path, weights=4, activations=4, first_last=8, layers={"fc": LayerBits(weights=6)})
    assert (made.reads["fc"].weights, made.reads["fc"].activations) == (6, 8)


def test_a_narrow_reader_of_a_wide_tensor_gets_a_requantized_copy(path, tmp_path) -> None:
    layers = {"one": LayerBits(activations=4)}
    record = accel.quantize(path, tmp_path / "q.onnx", images(), QuantizeOptions(layers=layers))
    graph = accel.load_network(tmp_path / "q.onnx").graph
    reads = {
        node.name: graph.tensors[node.inputs[0]].qtype for node in graph.nodes if isinstance(node.op, Conv | Linear)
    }
    assert {name: str(qtype) for name, qtype in reads.items()} == dict.fromkeys(reads, "uint8") | {"one": "uint4"}
    assert [str(graph.tensors[node.output].qtype) for node in graph.nodes if isinstance(node.op, Requantize)] == [
        "uint4"
    ]
    assert record.notes == ("stem.relu.out is stored at 8 bits and requantized to 4 for layers that read it so",)


def test_a_relu_that_another_node_looks_behind_stays(tmp_path) -> None:
    """The sum reads the convolution's output before the Relu as well: both tensors are quantized."""
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["m"], "conv"),
        helper.make_node("Relu", ["m"], ["r"], "relu"),
        helper.make_node("Add", ["m", "r"], ["y"], "add"),
    ]
    made = planned(one_layer(tmp_path / "f.onnx", nodes, {"w": images(2).reshape(2, 3, 6, 6)[:, :, :1, :1]}))
    assert [(step.name, step.role, step.clamp) for step in made.steps] == [
        ("conv", "product", None),
        ("relu", "clamp", None),
        ("add", "arithmetic", None),
    ]
    assert set(made.stored) == {"input", "m", "r", "y"}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"stme": LayerBits(8)}, "{path} has no layer 'stme'; did you mean 'stem'?"),
        ({"two": LayerBits(8, None, "bits.yaml:3:1"), "x?": LayerBits(8, None, "bits.yaml:4:1")}, None),
        ({"pool": LayerBits(8)}, "{path} has no layer 'pool'; "),
        ({"add": LayerBits(weights=8)}, "add has no weights; leave its weights out"),
    ],
)
def test_names_of_layers(layers, message, path) -> None:
    message = message or "bits.yaml:4:1: {path} has no layer 'x?'; its layers are stem, one, two, project, add, "
    with pytest.raises(AccelError) as error:
        planned(path, layers=layers)
    assert str(error.value).startswith(message.format(path=path))


def test_everything_that_cannot_be_quantized_at_once(tmp_path) -> None:
    nodes = [
        helper.make_node("Sigmoid", ["input"], ["a"], "squash"),
        helper.make_node("Conv", ["a", "w"], ["b"], "conv"),
        helper.make_node("Conv", ["b", "b"], ["c"], "two activations"),
        helper.make_node("Add", ["c", "k"], ["y"], "add"),
    ]
    weight = images(1).reshape(3, 6, 6)[:, :1, :3].reshape(3, 3, 1, 1)
    path = one_layer(tmp_path / "f.onnx", nodes, {"w": weight, "k": weight})
    with pytest.raises(AccelError) as error:
        planned(path)
    assert str(error.value) == (
        f"{path}: 3 nodes cannot be quantized:\n"
        "  squash (Sigmoid): this operation has no integer form here\n"
        "  two activations (Conv): it multiplies two activations\n"
        "  add (Add): it computes on the constant 'k'; \n"
        "supported are Add, AveragePool, Clip, Concat, Conv, Dropout, Flatten, Gemm, GlobalAveragePool, Identity, "
        "MatMul, MaxPool, ReduceMean, Relu, Reshape, Squeeze, Unsqueeze"
    )
