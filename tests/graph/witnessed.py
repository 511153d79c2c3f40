"""The golden model against onnxruntime, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.graph.execute import execute
from accel.graph.ir import Graph
from accel.graph.node_witness import onnxruntime_node
from accel.graph.onnx import load_network
from accel.graph.witness import cpu_doubt, onnxruntime_tensors


def random_inputs(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal floats, or integers over the whole range."""
    feeds = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if tensor.qtype is None:
            feeds[name] = rng.normal(size=tensor.shape).astype(np.float32)
        else:
            feeds[name] = rng.integers(
                tensor.qtype.min, tensor.qtype.max, tensor.shape, tensor.qtype.dtype, endpoint=True
            )
    return feeds


def assert_like_onnxruntime(path: Path, rng: np.random.Generator) -> int:
    """Every tensor of the file equal, bit for bit, end to end; each node alone too. How many elements were compared."""
    graph = load_network(path)
    feeds = random_inputs(graph, rng)
    witness = onnxruntime_tensors(path, feeds)
    if cpu_doubt(["uint8 x int8"]):
        pytest.skip(cpu_doubt(["uint8 x int8"]))
    assert witness.trustworthy, witness.reason
    tensors = execute(graph, feeds).tensors
    compared = 0
    for name in tensors.keys() & witness.tensors.keys() - witness.ties:
        assert tensors[name].dtype == witness.tensors[name].dtype
        np.testing.assert_array_equal(tensors[name], witness.tensors[name], name)
        compared += tensors[name].size
    assert set(graph.outputs) <= witness.tensors.keys()
    for node in graph.nodes:
        alone = onnxruntime_node(graph, node, [tensors[name] for name in node.inputs])
        assert alone is not None, node.name
        np.testing.assert_array_equal(tensors[node.output], alone, node.name)
        compared += alone.size
    return compared
