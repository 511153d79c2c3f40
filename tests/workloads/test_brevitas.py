"""Networks as Brevitas exports them: QONNX and QCDQ say the same, and both say what the qonnx executor computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel import api
from accel.gallery import workloads_dir
from accel.graph.execute import execute
from accel.graph.ir import Conv, Graph, Linear
from accel.graph.onnx import load_network
from accel.numerics.qtype import BIPOLAR
from tests.graph.qonnx_executor import executed, steps_apart
from tests.machines import machine

FOLDER = workloads_dir() / "brevitas"
FILES = sorted(path.name for path in FOLDER.glob("*.onnx"))
IMAGES = np.random.default_rng(11).normal(size=(20, 1, 3, 8, 8)).astype(np.float32)


def integers(graph: Graph, image: np.ndarray) -> list[np.ndarray]:
    """What every node but reshapes makes, in order."""
    tensors = execute(graph, {"input": image}).tensors
    return [tensors[node.output] for node in graph.nodes if node.kind != "reshape"]


def products(graph: Graph) -> list[Conv | Linear]:
    return [node.op for node in graph.nodes if isinstance(node.op, Conv | Linear)]


def test_files_are_there_and_small() -> None:
    assert FILES == ["bipolar_qonnx.onnx", "w2a2_qcdq.onnx", "w2a2_qonnx.onnx", "w4a4_qcdq.onnx", "w4a4_qonnx.onnx"]
    assert all((FOLDER / name).stat().st_size < 100_000 for name in FILES)


@pytest.mark.parametrize("name", ["w4a4", "w2a2"])
def test_both_exports_are_the_same_integers(name: str) -> None:
    one, other = (load_network(FOLDER / f"{name}_{form}.onnx") for form in ("qonnx", "qcdq"))
    assert [node.kind for node in one.nodes] == [node.kind for node in other.nodes]
    for a, b in zip(one.nodes, other.nodes, strict=True):
        made, same = one.tensors[a.output], other.tensors[b.output]
        assert (made.qtype, made.scale, made.zero_point) == (same.qtype, same.scale, same.zero_point)
    for image in IMAGES:
        for made, same in zip(integers(one, image), integers(other, image), strict=True):
            np.testing.assert_array_equal(made, same)


@pytest.mark.parametrize("name", ["w4a4", "w2a2", "bipolar"])
def test_integers_are_the_executors(name: str) -> None:
    path = FOLDER / f"{name}_qonnx.onnx"
    for seed in range(5):
        apart = steps_apart(path, seed)
        assert len(apart) >= 3
        for tensor, gap in apart.items():
            assert np.abs(gap).max() < 1e-3, tensor
    graph = load_network(path)
    made = execute(graph, {"input": IMAGES[0]}).tensors["logits"]
    np.testing.assert_allclose(made, executed(path, {"input": IMAGES[0]})["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "bits"), [("w4a4", 4), ("w2a2", 2)])
def test_types_and_thresholds(name: str, bits: int) -> None:
    """Two of three products are normalized, each by factors of both signs."""
    graph = load_network(FOLDER / f"{name}_qonnx.onnx")
    assert {str(op.weight.qtype) for op in products(graph)} == {f"int{bits}"}
    stem, left, classifier = products(graph)
    for op in (stem, left):
        assert op.thresholds is not None
        assert op.thresholds.levels == 2**bits - 1
        assert 0 < op.thresholds.falling.sum() < 8
    assert classifier.thresholds is None


def test_bipolar_needs_no_thresholds() -> None:
    """A sign has one threshold, and a bias says where it is."""
    graph = load_network(FOLDER / "bipolar_qonnx.onnx")
    assert all(op.thresholds is None and op.weight.qtype == BIPOLAR for op in products(graph))
    assert [op.bias is not None for op in products(graph)] == [True, True, False]
    inside = {str(tensor.qtype) for tensor in graph.tensors.values() if tensor.qtype is not None}
    assert inside == {"int8", "bipolar"}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("steps", [0, 15])
def test_machines_run_them(file: str, steps: int) -> None:
    found = api.verify(api.load_network(Path(FOLDER / file)), machine(weight="int4", threshold_steps=steps))
    assert found.passed
    assert found.doubt_end_to_end
    assert found.estimate_cycles == found.simulated_cycles > 0
