"""Moving integers by half their range and back."""

from __future__ import annotations

import numpy as np
import pytest

from accel.graph.ir import Add, Graph, Node, Requantize, Tensor
from accel.graph.rebase import from_file, rebase_activations, to_file
from accel.numerics.qtype import QType

INT8, UINT8, UINT4 = QType(8, signed=True), QType(8, signed=False), QType(4, signed=False)


def graph(qtype: QType, clamp: tuple[int, int]) -> Graph:
    tensors = {name: Tensor(name, (1, 4), qtype, 0.5, zero) for name, zero in (("a", 3), ("b", 0), ("c", 1), ("y", 2))}
    nodes = (Node("sum", Add(clamp), ("a", "b"), "c"), Node("relu", Requantize((0.0, 6.0)), ("c",), "y"))
    return Graph("net", "net.onnx", nodes, tensors, ("a", "b"), ("y",))


def test_unsigned_to_signed() -> None:
    rebased = rebase_activations(graph(UINT8, (1, 200)), signed=True)
    assert [str(rebased.tensors[name].qtype) for name in "abcy"] == ["int8"] * 4
    assert [rebased.tensors[name].zero_point for name in "abcy"] == [-125, -128, -127, -126]
    assert [rebased.tensors[name].file_offset for name in "abcy"] == [128] * 4
    assert rebased.nodes[0].op == Add((-127, 72))
    assert rebased.nodes[1].op == Requantize((0.0, 6.0))


def test_signed_to_unsigned() -> None:
    rebased = rebase_activations(graph(INT8, (1, 100)), signed=False)
    assert [rebased.tensors[name].zero_point for name in "abcy"] == [131, 128, 129, 130]
    assert [rebased.tensors[name].file_offset for name in "abcy"] == [-128] * 4
    assert rebased.nodes[0].op == Add((129, 228))


def test_the_right_sign_changes_nothing() -> None:
    for qtype in (INT8, UINT8):
        assert str(rebase_activations(graph(qtype, (1, 100)), qtype.signed)) == str(graph(qtype, (1, 100)))


def test_narrow_types_move_by_half_of_their_own_range() -> None:
    tensor = rebase_activations(graph(UINT4, (1, 9)), signed=True).tensors["a"]
    assert (str(tensor.qtype), tensor.zero_point, tensor.file_offset) == ("int4", -5, 8)


def test_floats_stay() -> None:
    real = Tensor("x", (2,), None)
    values = np.ones(2, np.float32)
    assert to_file(real, values) is values
    assert from_file(real, values) is values


@pytest.mark.parametrize("file", [INT8, UINT8])
def test_there_and_back(file: QType) -> None:
    values = np.arange(file.min, file.max + 1).astype(file.dtype)
    moved = rebase_activations(graph(file, (0, 1)), not file.signed).tensors["a"]
    inside = from_file(moved, values)
    assert inside.dtype == moved.qtype.dtype
    assert (inside[0], inside[-1]) == (moved.qtype.min, moved.qtype.max)
    back = to_file(moved, inside)
    assert back.dtype == file.dtype
    np.testing.assert_array_equal(back, values)
