"""The qonnx package's own executor, node by node in float32: what a QONNX file means."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import qonnx.core.onnx_exec
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

from accel.graph.execute import execute
from accel.graph.ir import Graph
from accel.graph.onnx import load_network
from accel.numerics.elementwise import dequantize
from tests.graph.witnessed import random_inputs

_IR_VERSION = 10
"""onnx writes a newer one by default than its contemporary onnxruntime reads."""


def executed(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor by name, in float32."""
    model = ModelWrapper(onnx.load(str(path))).transform(InferShapes())
    with mock.patch.object(qonnx.core.onnx_exec, "qonnx_make_model", partial(qonnx_make_model, ir_version=_IR_VERSION)):
        return qonnx.core.onnx_exec.execute_onnx(model, feeds, return_full_exec_context=True)


def steps_apart(path: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """How many steps of its scale each integer tensor of the golden model is away from the executor's value."""
    graph = load_network(path)
    feeds = random_inputs(graph, np.random.default_rng(seed))
    values, truth = execute(graph, feeds).tensors, executed(path, feeds)
    apart = {}
    for name in values:
        tensor, real = graph.tensors[name], truth.get(name.removesuffix("_quantized"))
        if tensor.qtype is not None and real is not None:
            apart[name] = (dequantize(values[name], tensor.encoding) - real) / tensor.scale
    return apart


def assert_like_the_executor(path: Path, least: int, seed: int = 0) -> Graph:
    """Every integer tensor is the executor's, and there are at least so many of them."""
    apart = steps_apart(path, seed)
    assert len(apart) >= least
    for name, gap in apart.items():
        assert np.abs(gap).max() < 1e-3, f"{name}: {np.count_nonzero(np.abs(gap) > 1e-3)} of {gap.size} differ"
    return load_network(path)
