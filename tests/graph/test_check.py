"""What must hold of a graph: one broken graph for each finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from accel.errors import AccelError
from accel.graph.check import check, check_integer
from accel.graph.ir import (
    Add,
    Conv,
    Dequantize,
    Graph,
    Linear,
    MaxPool,
    Node,
    Op,
    Quantize,
    Requantize,
    Reshape,
    Tensor,
    Weight,
)
from accel.numerics.qtype import QType

INT8 = QType(8, signed=True)


def conv(**changes: object) -> Conv:
    weight = Weight(np.ones((4, 3, 3, 3), np.int8), INT8, np.full(4, 0.5, np.float32))
    return replace(Conv(weight, np.zeros(4, np.int64)), **changes)


def graph(op: Op | None = None, **tensors: Tensor) -> Graph:
    """x -> quantize -> q -> conv (or ``op``) -> c -> dequantize -> y."""
    nodes = (
        Node("quantize", Quantize(), ("x",), "q"),
        Node("conv", op or conv(), ("q",), "c"),
        Node("dequantize", Dequantize(), ("c",), "y"),
    )
    known = {
        "x": Tensor("x", (1, 3, 8, 8), None),
        "q": Tensor("q", (1, 3, 8, 8), INT8, 0.5),
        "c": Tensor("c", (1, 4, 6, 6), INT8, 0.25, 3),
        "y": Tensor("y", (1, 4, 6, 6), None),
    }
    return Graph("net", "net.onnx", nodes, known | tensors, ("x",), ("y",))


def rewired(**changes: object) -> Graph:
    """The graph with its convolution's node changed."""
    good = graph()
    return replace(good, nodes=(good.nodes[0], replace(good.nodes[1], **changes), good.nodes[2]))


def scaled(scale: float) -> Graph:
    return graph(q=Tensor("q", (1, 3, 8, 8), INT8, scale))


def pool_to(tensor: Tensor) -> Graph:
    return graph(MaxPool((3, 3)), c=tensor, y=Tensor("y", tensor.shape, None))


WIDE = replace(conv().weight, values=np.full((4, 3, 3, 3), 9, np.int8), qtype=QType(4, signed=True))
THREE_SCALES = replace(conv().weight, scale=np.ones(3, np.float32))
HUGE = replace(conv().weight, scale=np.full(4, 3e38, np.float32))

CASES: dict[str, tuple[Callable[[], Graph], str]] = {
    "zero scale": (lambda: scaled(0.0), ":q: tensor 'q' has scale 0.0, and scales are positive, finite and float32"),
    "infinite scale": (
        lambda: scaled(np.inf),
        ":q: tensor 'q' has scale inf, and scales are positive, finite and float32",
    ),
    "float64 scale": (lambda: scaled(0.1), ":q: tensor 'q' has scale 0.1, and scales are positive, finite and float32"),
    "zero point": (
        lambda: graph(q=Tensor("q", (1, 3, 8, 8), INT8, 0.5, 128)),
        ":q: tensor 'q' has zero point 128, which int8 does not hold",
    ),
    "empty tensor": (lambda: graph(q=Tensor("q", (1, 0, 8, 8), INT8, 0.5)), ":q: tensor 'q' has shape [1, 0, 8, 8]"),
    "shape": (
        lambda: graph(c=Tensor("c", (1, 4, 7, 7), INT8, 0.25)),
        ":conv: it writes [1, 4, 7, 7], and its inputs make [1, 4, 6, 6]",
    ),
    "elementwise shape": (
        lambda: graph(Requantize()),
        ":conv: it writes [1, 4, 6, 6], and its inputs make [1, 3, 8, 8]",
    ),
    "reshape": (lambda: graph(Reshape()), ":conv: it writes [1, 4, 6, 6], and its inputs make [1, 3, 8, 8]"),
    "order": (
        lambda: replace(graph(), nodes=graph().nodes[1:]),
        ":conv: it reads 'q' before anything has made it",
    ),
    "made twice": (lambda: rewired(output="q"), ":conv: tensor 'q' is made twice"),
    "unknown tensor": (lambda: rewired(inputs=("nowhere",)), ":conv: tensor 'nowhere' is not in the graph"),
    "same name": (lambda: rewired(name="quantize"), ": two nodes are named 'quantize'"),
    "inputs": (lambda: rewired(inputs=("q", "q")), ":conv: it has 2 inputs"),
    "one operand": (lambda: graph(Add()), ":conv: it has 1 inputs"),
    "output": (lambda: replace(graph(), outputs=("z",)), ": output 'z' is made by no node"),
    "quantizes integers": (
        lambda: graph(x=Tensor("x", (1, 3, 8, 8), INT8, 0.5)),
        ":quantize: it quantizes something other than float32 to integers",
    ),
    "dequantizes to integers": (
        lambda: graph(y=Tensor("y", (1, 4, 6, 6), INT8, 0.5)),
        ":dequantize: it dequantizes something other than integers to float32",
    ),
    "pool changes scale": (
        lambda: pool_to(Tensor("c", (1, 3, 6, 6), INT8, 0.25)),
        ":conv: it changes what integers mean, and it only moves them",
    ),
    "weight range": (lambda: graph(conv(weight=WIDE)), ":conv: its weights run from 9 to 9, which int4 does not hold"),
    "weight scales": (
        lambda: graph(conv(weight=THREE_SCALES)),
        ":conv: its weights have 3 scales for 4 output channels",
    ),
    "bias": (lambda: graph(conv(bias=np.zeros(3, np.int64))), ":conv: its bias has shape [3] for 4 output channels"),
    "multiplier": (
        lambda: graph(conv(weight=HUGE)),
        ":conv: its input scale x weight scale / output scale is not finite",
    ),
    "clamp": (lambda: graph(conv(clamp=(0, 200))), ":conv: it clamps to (0, 200), which is not a range of int8"),
}


def test_a_good_graph_passes() -> None:
    check(graph())
    check_integer(graph())
    check(pool_to(Tensor("c", (1, 3, 6, 6), INT8, 0.5)))


@pytest.mark.parametrize("case", CASES)
def test_finding(case: str) -> None:
    build, expected = CASES[case]
    with pytest.raises(AccelError) as error:
        check(build())
    assert str(error.value) == f"net.onnx{expected}"


def test_float_inside_is_not_integer() -> None:
    inside = graph(c=Tensor("c", (1, 4, 6, 6), None))
    relu = replace(inside.nodes[2], op=Requantize((0.0, np.inf)))
    with pytest.raises(AccelError) as error:
        check_integer(replace(inside, nodes=(*inside.nodes[:2], relu)))
    assert str(error.value) == (
        "net.onnx: 2 nodes cannot be imported:\n"
        "  conv (conv): its float32 result 'c' is not only quantized: it is read by 'dequantize'\n"
        "  dequantize (requantize): it computes on 'c' in float32; \n"
        "float operations need quantized inputs and a result that only QuantizeLinear reads, or that is an output"
    )


def test_a_last_product_may_be_float() -> None:
    weight = Weight(np.ones((4, 3), np.int8), INT8, np.ones(1, np.float32))
    tensors = {"x": Tensor("x", (2, 3), INT8, 0.5), "y": Tensor("y", (2, 4), None)}
    net = Graph("net", "net.onnx", (Node("fc", Linear(weight, None), ("x",), "y"),), tensors, ("x",), ("y",))
    check(net)
    check_integer(net)
    image = {"x": Tensor("x", (1, 3, 8, 8), INT8, 0.5), "y": Tensor("y", (1, 4, 6, 6), None)}
    check_integer(replace(net, nodes=(Node("conv", conv(), ("x",), "y"),), tensors=image))
    with pytest.raises(AccelError, match="leaves the network as float32 without being quantized"):
        check_integer(replace(net, nodes=(Node("relu", Requantize(), ("x",), "y"),), tensors=image))
