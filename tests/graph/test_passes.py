"""Each pass on a graph of its own: what becomes what, and that results stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.graph.check import check
from accel.graph.execute import execute
from accel.graph.ir import (
    Add,
    Conv,
    Dequantize,
    Graph,
    MaxPool,
    Node,
    Op,
    Quantize,
    Requantize,
    Reshape,
    Tensor,
    Weight,
)
from accel.graph.onnx import load_network
from accel.graph.passes import (
    PASSES,
    drop_identities,
    fuse_float_outputs,
    fuse_islands,
    merge_duplicates,
    merge_reshapes,
    remove_dead,
    run_passes,
    sink_clamps,
    sink_dequantize,
)
from accel.numerics.qtype import QType
from tests.graph.models import INT8, UINT8, Model
from tests.graph.witnessed import assert_like_onnxruntime

SIGNED, UNSIGNED = QType(8, signed=True), QType(8, signed=False)
INFINITY = float("inf")


def chain(*steps: tuple[str, Op, Tensor], source: Tensor | None = None) -> Graph:
    """x, then one node after another; each reads what the one before wrote."""
    source = source or Tensor("x", (1, 2, 4, 4), SIGNED, 0.5, 3)
    tensors, nodes, last = {source.name: source}, [], source.name
    for name, op, out in steps:
        nodes.append(Node(name, op, (last,), out.name, (name,)))
        tensors[out.name] = out
        last = out.name
    graph = Graph("net", "net.onnx", tuple(nodes), tensors, (source.name,), (last,))
    check(graph)
    return graph


def real(name: str, shape: tuple[int, ...] = (1, 2, 4, 4)) -> Tensor:
    return Tensor(name, shape, None)


def integer(name: str, scale: float = 0.5, zero_point: int = 3, shape: tuple[int, ...] = (1, 2, 4, 4)) -> Tensor:
    return Tensor(name, shape, SIGNED, scale, zero_point)


def summary(graph: Graph) -> list[str]:
    return [f"{node.output} = {node.kind}({', '.join(node.inputs)})" for node in graph.nodes]


def test_sink_dequantize() -> None:
    graph = chain(
        ("dq", Dequantize(), real("a")),
        ("pool", MaxPool((2, 2)), real("b", (1, 2, 3, 3))),
        ("flat", Reshape(), real("c", (1, 18))),
        ("q", Quantize(), integer("y", 0.25, 0, (1, 18))),
    )
    sunk = sink_dequantize(graph)
    check(sunk)
    assert summary(sunk) == [
        "b_quantized = max_pool(x)",
        "c_quantized = reshape(b_quantized)",
        "c = dequantize(c_quantized)",
        "y = quantize(c)",
    ]
    assert sunk.tensors["c_quantized"].encoding == graph.tensors["x"].encoding


@pytest.mark.parametrize(
    ("clamp", "sinks"),
    [
        ((0.0, INFINITY), True),
        ((-INFINITY, 10.0), True),
        ((-1.5, 2.0), True),
        ((0.0, 6.25), False),
        ((0.1, INFINITY), False),
        ((-1000.0, 1000.0), True),
    ],
)
def test_sink_clamps_only_where_integers_can_say_it(clamp: tuple[float, float], sinks: bool) -> None:
    graph = chain(("dq", Dequantize(), real("a")), ("relu", Requantize(clamp), real("b")))
    sunk = sink_clamps(graph)
    check(sunk)
    expected = ["b_quantized = requantize(x)", "b = dequantize(b_quantized)"]
    assert summary(sunk) == (expected if sinks else ["a = dequantize(x)", "b = requantize(a)"])
    if sinks:
        x = np.arange(-128, 128, 8, dtype=np.int8).reshape(1, 2, 4, 4)
        reals = np.clip((x.astype(np.float32) - 3) * 0.5, *clamp)
        np.testing.assert_array_equal(execute(sunk, {"x": x}).tensors["b"], reals)


def conv() -> Conv:
    weight = Weight(np.ones((2, 2, 1, 1), np.int8), SIGNED, np.ones(1, np.float32))
    return Conv(weight, np.array([1, -1]))


def test_fuse_a_convolution_with_its_clamps() -> None:
    graph = chain(
        ("dq", Dequantize(), real("a")),
        ("conv", conv(), real("b")),
        ("relu", Requantize((0.0, INFINITY)), real("c")),
        ("clip", Requantize((-5.0, 6.0)), real("d")),
        ("pool", MaxPool((2, 2)), real("e", (1, 2, 3, 3))),
        ("q", Quantize(), integer("y", 0.25, -10, (1, 2, 3, 3))),
    )
    fused = fuse_islands(graph)
    check(fused)
    assert summary(fused) == ["b_quantized = conv(x)", "y = max_pool(b_quantized)"]
    assert fused.nodes[0].op.clamp == (-10, 14)
    assert fused.nodes[1].origin == ("dq", "conv", "relu", "clip", "pool", "q")


def test_a_clamp_that_the_type_already_does_is_none() -> None:
    graph = chain(
        ("dq", Dequantize(), real("a")),
        ("conv", conv(), real("b")),
        ("relu", Requantize((0.0, INFINITY)), real("c")),
        ("q", Quantize(), integer("y", 0.25, -128)),
    )
    assert fuse_islands(graph).nodes[0].op.clamp is None


def test_clamps_apply_one_after_the_other() -> None:
    graph = chain(
        ("dq", Dequantize(), real("a")),
        ("low", Requantize((2.0, 3.0)), real("b")),
        ("high", Requantize((4.0, 5.0)), real("c")),
        ("q", Quantize(), integer("y", 0.25, 0)),
    )
    fused = fuse_islands(graph)
    assert summary(fused) == ["y = requantize(x)"]
    assert (fused.nodes[0].op.clamp, fused.nodes[0].name) == ((4.0, 4.0), "high")


def test_a_clamp_before_a_pool_keeps_its_name() -> None:
    graph = chain(
        ("dq", Dequantize(), real("a")),
        ("relu", Requantize((0.0, INFINITY)), real("b")),
        ("pool", MaxPool((2, 2)), real("c", (1, 2, 3, 3))),
        ("q", Quantize(), integer("y", 0.25, 0, (1, 2, 3, 3))),
    )
    fused = fuse_islands(graph)
    check(fused)
    assert summary(fused) == ["b_quantized = requantize(x)", "y = max_pool(b_quantized)"]
    assert [node.name for node in fused.nodes] == ["relu", "pool"]


def test_views_of_the_float_input_come_after_quantize() -> None:
    graph = chain(
        ("flat", Reshape(), real("a", (1, 32))),
        ("q", Quantize(), integer("y", 0.25, 0, (1, 32))),
        source=real("x"),
    )
    fused = fuse_islands(graph)
    check(fused)
    assert summary(fused) == ["y_quantized = quantize(x)", "y = reshape(y_quantized)"]


def test_a_float_value_with_two_readers_stays() -> None:
    graph = chain(("dq", Dequantize(), real("a")), ("conv", conv(), real("b")), ("q", Quantize(), integer("y")))
    graph = Graph("net", "net.onnx", graph.nodes, graph.tensors, ("x",), ("y", "b"))
    assert summary(fuse_islands(graph)) == summary(graph)


def test_merge_duplicates() -> None:
    first = chain(("q", Quantize(), integer("a")), source=real("x"))
    nodes = (*first.nodes, Node("again", Quantize(), ("x",), "b"), Node("other", Quantize(), ("x",), "c"))
    nodes += (Node("sum", Add(), ("a", "b"), "d"), Node("sum2", Add(), ("d", "c"), "y"))
    tensors = first.tensors | {"b": integer("b"), "c": integer("c", 0.25), "d": integer("d"), "y": integer("y")}
    merged = merge_duplicates(Graph("net", "net.onnx", nodes, tensors, ("x",), ("y",)))
    check(merged)
    assert summary(merged) == ["a = quantize(x)", "c = quantize(x)", "d = add(a, a)", "y = add(d, c)"]


def test_merge_reshapes_and_drop_identities() -> None:
    graph = chain(
        ("one", Reshape(), integer("a", shape=(1, 32))),
        ("two", Reshape(), integer("b", shape=(2, 16))),
        ("three", Reshape(), integer("c", shape=(4, 8))),
        ("same", Requantize(), integer("d", shape=(4, 8))),
        ("rescale", Requantize(), integer("e", 0.25, shape=(4, 8))),
        ("view", Reshape(), integer("y", 0.25, shape=(4, 8))),
    )
    short = drop_identities(merge_reshapes(graph))
    check(short)
    assert summary(short) == ["d = reshape(x)", "y = requantize(d)"]
    assert short.nodes[0].origin == ("one", "two", "three", "same")


def test_an_identity_between_input_and_output_stays() -> None:
    graph = chain(("same", Reshape(), integer("y")))
    assert summary(drop_identities(graph)) == ["y = reshape(x)"]


def test_an_identity_of_a_tensor_with_other_readers_is_bypassed() -> None:
    base = chain(("rescale", Requantize(), integer("a", 0.25)), ("same", Reshape(), integer("b", 0.25)))
    nodes = (*base.nodes, Node("sum", Add(), ("a", "b"), "y"))
    graph = Graph("net", "net.onnx", nodes, base.tensors | {"y": integer("y")}, ("x",), ("y",))
    assert summary(drop_identities(graph)) == ["a = requantize(x)", "y = add(a, a)"]


def test_remove_dead() -> None:
    base = chain(("rescale", Requantize(), integer("y", 0.25)))
    graph = Graph(
        "net",
        "net.onnx",
        (*base.nodes, Node("dead", Reshape(), ("x",), "z")),
        base.tensors | {"z": integer("z")},
        ("x",),
        ("y",),
    )
    short = remove_dead(graph)
    assert summary(short) == ["y = requantize(x)"]
    assert set(short.tensors) == {"x", "y"}


def test_a_linear_layer_at_the_end_reads_integers() -> None:
    from accel.graph.ir import Linear

    weight = Weight(np.ones((5, 4), np.int8), SIGNED, np.ones(1, np.float32))
    graph = chain(("dq", Dequantize(), real("a", (1, 2, 4, 4))), ("fc", Linear(weight, None), real("y", (1, 2, 4, 5))))
    fused = fuse_float_outputs(graph)
    assert summary(fused) == ["y = linear(x)"]
    assert fused.nodes[0].origin == ("dq", "fc")


def test_passes_leave_a_finished_graph_alone() -> None:
    graph = chain(
        ("rescale", Requantize((0.0, 1.5)), integer("a", 0.25)),
        ("pool", MaxPool((4, 4)), integer("y", 0.25, shape=(1, 2, 1, 1))),
    )
    for run in PASSES:
        assert summary(run(graph)) == summary(graph)
    assert str(run_passes(graph)) == str(graph)


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
def test_two_readers_of_one_float_sum(dtype: np.dtype, tmp_path: Path) -> None:
    """A residual sum whose Relu is quantized for two consumers separately: DedicatedQDQPair's habit."""
    model = Model(np.random.default_rng(0))
    encodings = [model.random_encoding(dtype, 0.1) for _ in range(2)]
    a = model.dequantize(model.input("a", (1, 4, 6, 6), dtype), encodings[0])
    pooled = model.node("MaxPool", [a], "pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    for name in ("p", "q"):
        model.node("QuantizeLinear", [pooled, *encodings[1]], name)
    one, two = (model.dequantize(name, encodings[1]) for name in ("p", "q"))
    out = model.quantize(model.node("Add", [one, two], "s"), encodings[0])
    path = model.save(tmp_path / "two.onnx", out)
    assert [node.kind for node in load_network(path).nodes] == ["max_pool", "requantize", "add"]
    assert assert_like_onnxruntime(path, np.random.default_rng(1)) > 0
