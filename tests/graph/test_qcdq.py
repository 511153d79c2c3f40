"""QCDQ files: a Clip between QuantizeLinear and DequantizeLinear makes the integers narrower."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.graph.execute import execute
from accel.graph.ir import Conv, Requantize
from accel.graph.onnx import load_network
from accel.graph.onnx.types import narrowed
from accel.graph.witness import onnxruntime_tensors
from accel.numerics.qtype import QType
from tests.graph.models import INT8, UINT8, Model

SIGNED, UNSIGNED = QType(8, signed=True), QType(8, signed=False)


@pytest.mark.parametrize(
    ("stored", "low", "high", "name", "whole"),
    [
        (SIGNED, -8, 7, "int4", True),
        (SIGNED, -7, 7, "int4", False),
        (SIGNED, -2, 1, "int2", True),
        (SIGNED, -1, 1, "int2", False),
        (SIGNED, -128, 127, "int8", True),
        (SIGNED, -127, 127, "int8", False),
        (SIGNED, 0, 15, "uint4", True),
        (SIGNED, -6, 7, "int8", False),
        (SIGNED, -8, 8, "int8", False),
        (SIGNED, 0, 0, "int8", False),
        (UNSIGNED, 0, 15, "uint4", True),
        (UNSIGNED, 0, 1, "uint1", True),
        (UNSIGNED, 1, 15, "uint8", False),
        (UNSIGNED, 0, 14, "uint8", False),
    ],
)
def test_narrowed(stored: QType, low: int, high: int, name: str, whole: bool) -> None:
    assert narrowed(stored, low, high) == (QType.parse(name), whole)


def clipped_network(
    path: Path, dtype: np.dtype, bounds: tuple[int, int], weights: tuple[int, int], relu: bool = False
) -> Path:
    """float -> int8 -> conv with clipped weights -> clipped integers -> conv -> clipped integers."""
    model = Model(np.random.default_rng(4))

    def clip(x: str, low: int, high: int, dtype: np.dtype) -> str:
        return model.node("Clip", [x, model.constant(low, dtype), model.constant(high, dtype)], f"{x}_clip")

    def weight(shape: tuple[int, ...]) -> str:
        values = model.constant(model.rng.integers(-128, 128, shape), INT8)
        scale = model.constant(model.rng.uniform(0.02, 0.05, shape[0]), np.float32)
        return model.dequantize(clip(values, *weights, INT8), [scale, model.constant(np.zeros(shape[0]), INT8)], axis=0)

    encoding = model.encoding(0.04, 0, INT8)
    x = model.dequantize(model.quantize(model.input("x", (1, 3, 9, 9)), encoding), encoding)
    for number, depth in enumerate((3, 5)):
        y = model.node("Conv", [x, weight((5, depth, 3, 3))], f"c{number}")
        y = model.node("Relu", [y], f"r{number}") if relu else y
        to = model.encoding(0.3, 0, dtype)
        x = model.dequantize(clip(model.quantize(y, to), *bounds, dtype), to)
    return model.save(path, x)


@pytest.mark.parametrize(
    ("dtype", "bounds", "weights", "names"),
    [
        (INT8, (-8, 7), (-7, 7), ("int4", "int4")),
        (INT8, (-7, 7), (-2, 1), ("int4", "int2")),
        (UINT8, (0, 15), (-8, 7), ("uint4", "int4")),
        (INT8, (-5, 100), (-100, 100), ("int8", "int8")),
    ],
    ids=str,
)
@pytest.mark.parametrize("relu", [False, True])
def test_integers_are_narrower_and_onnxruntimes(
    dtype: np.dtype,
    bounds: tuple[int, int],
    weights: tuple[int, int],
    names: tuple[str, str],
    relu: bool,
    tmp_path: Path,
) -> None:
    path = clipped_network(tmp_path / "net.onnx", dtype, bounds, weights, relu)
    graph = load_network(path)
    x = {"x": np.random.default_rng(0).normal(0, 3, (1, 3, 9, 9)).astype(np.float32)}
    seen, tensors = onnxruntime_tensors(path, x), execute(graph, x).tensors
    assert [node.kind for node in graph.nodes] == ["quantize", "conv", "conv", "dequantize"]
    compared = 0
    for node in graph.nodes:
        if isinstance(node.op, Conv):
            assert str(node.op.weight.qtype) == names[1]
            assert (node.op.weight.values.min(), node.op.weight.values.max()) == weights
            assert str(graph.tensors[node.output].qtype) == names[0]
            np.testing.assert_array_equal(tensors[node.output], seen.tensors[node.output])
            assert bounds[0] <= tensors[node.output].min() < tensors[node.output].max() <= bounds[1]
            compared += 1
    assert compared == 2


def test_integers_that_are_read_elsewhere_too_are_clipped_on_their_own(tmp_path: Path) -> None:
    model = Model()
    by = model.encoding(0.5, 0, INT8)
    q = model.quantize(model.input("x", (1, 40)), by)
    clipped = model.node("Clip", [q, model.constant(-7, INT8), model.constant(7, INT8)], "clipped")
    both = model.node("Add", [model.dequantize(q, by), model.dequantize(clipped, by)], "sum")
    path = model.save(tmp_path / "net.onnx", model.quantize(both, model.encoding(1.0, 0, INT8)))
    graph = load_network(path)
    assert [str(graph.tensors[name].qtype) for name in ("x_q", "clipped")] == ["int8", "int4"]
    assert [node.op for node in graph.nodes if node.kind == "requantize"] == [Requantize((-3.5, 3.5))]
    x = np.linspace(-10, 10, 40, dtype=np.float32)[None]
    tensors, seen = execute(graph, {"x": x}).tensors, onnxruntime_tensors(path, {"x": x}).tensors
    for name in ("x_q", "clipped", "sum_q"):
        np.testing.assert_array_equal(tensors[name], seen[name])


def test_an_unsigned_range_of_signed_integers(tmp_path: Path) -> None:
    """[0, 15] of int8 is uint4; the DequantizeLinear behind it still has an int8 zero point."""
    model = Model(opset=21, ir_version=10)
    by = model.encoding(0.5, 0, INT8)
    q = model.node(
        "Clip", [model.quantize(model.input("x", (40,)), by), model.constant(0, INT8), model.constant(15, INT8)], "q"
    )
    path = model.save(tmp_path / "net.onnx", model.dequantize(q, by))
    graph = load_network(path)
    assert str(graph.tensors["q"].qtype) == "uint4"
    x = np.linspace(-10, 10, 40, dtype=np.float32)
    assert execute(graph, {"x": x}).tensors["q"].tolist() == onnxruntime_tensors(path, {"x": x}).tensors["q"].tolist()
