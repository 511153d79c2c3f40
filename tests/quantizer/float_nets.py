"""Small float networks and images, seeded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from workloads.float_net import FloatNet

SHAPE = (1, 3, 6, 6)


def images(count: int = 4, seed: int = 1) -> np.ndarray:
    """Of both signs."""
    return np.random.default_rng(seed).normal(0.2, 1, (count, *SHAPE[1:])).astype(np.float32)


def residual(path: Path, seed: int = 0, gain: Callable[[np.ndarray], np.ndarray] = lambda weight: weight) -> Path:
    """A stem, a residual block with a projection, concat, pools, a clip, a classifier: every kind of layer once."""
    rng = np.random.default_rng(seed)
    net = FloatNet("small", SHAPE)

    def conv(name: str, x: str, outs: int, ins: int, size: int = 3, groups: int = 1, stride: int = 1) -> str:
        weight = gain(rng.normal(0, 0.4, (outs, ins // groups, size, size)).astype(np.float32))
        bias = rng.normal(0, 0.3, outs).astype(np.float32)
        return net.conv(name, x, weight, bias, stride=stride, pad=size // 2, groups=groups)

    x = net.max_pool("pool", net.relu("stem.relu", conv("stem", "input", 8, 3)), kernel=2, stride=1)
    y = net.relu("one.relu", conv("one", x, 8, 8))
    y = conv("two", y, 8, 8)
    x = net.relu("add.relu", net.add("add", y, conv("project", x, 8, 8, 1)))
    x = net.concat("join", net.relu6("deep.clip", conv("deep", x, 8, 8, groups=8)), conv("wide", x, 4, 8, 1, groups=2))
    x = net.global_mean("mean", x, 12)
    x = net.linear("fc", x, rng.normal(0, 0.5, (5, 12)).astype(np.float32), rng.normal(0, 1, 5).astype(np.float32))
    onnx.save(net.model(x, 5), path)
    return path


def one_layer(
    path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: tuple[int, ...] = SHAPE
) -> Path:
    """Any nodes from ``input`` to ``y``."""
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
