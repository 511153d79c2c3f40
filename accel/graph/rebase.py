"""Signed activations for a signed array, unsigned ones for an unsigned array: a shift by half the range, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from accel.graph.ir import Add, AveragePool, Conv, Graph, Linear, Op, Tensor
from accel.numerics.encoding import IntArray
from accel.numerics.qtype import QType


def rebase_activations(graph: Graph, signed: bool) -> Graph:
    """The same network with all activations signed (or unsigned): values and zero points move by half the range.

    ``q - zero_point`` stays what it was, so every result is the same integer, moved. Weights and biases do not change.
    ``Tensor.file_offset`` says what to add to get the file's integers back. Bipolar tensors stay: an array of unsigned
    activations has no -1.
    """
    tensors = {name: _rebase(tensor, signed) for name, tensor in graph.tensors.items()}
    moved = {name: tensor.file_offset - graph.tensors[name].file_offset for name, tensor in tensors.items()}
    nodes = tuple(replace(node, op=_shift_result(node.op, moved[node.output])) for node in graph.nodes)
    return replace(graph, tensors=tensors, nodes=nodes)


def to_file(tensor: Tensor, values: IntArray) -> IntArray:
    """The integers as the file would hold them."""
    if tensor.qtype is None or tensor.file_offset == 0:
        return values
    return _move(values, tensor.file_offset, QType(tensor.qtype.bits, tensor.file_offset < 0))


def from_file(tensor: Tensor, values: IntArray) -> IntArray:
    """The file's integers as this graph holds them."""
    if tensor.qtype is None or tensor.file_offset == 0:
        return values
    return _move(values, -tensor.file_offset, tensor.qtype)


def _rebase(tensor: Tensor, signed: bool) -> Tensor:
    if tensor.qtype is None or tensor.qtype.signed == signed or tensor.qtype.bipolar:
        return tensor
    qtype = QType(tensor.qtype.bits, signed)
    offset = tensor.qtype.min - qtype.min
    return replace(tensor, qtype=qtype, zero_point=tensor.zero_point - offset, file_offset=tensor.file_offset + offset)


def _shift_result(op: Op, offset: int) -> Op:
    if offset and isinstance(op, Conv | Linear) and op.thresholds is not None:
        folded = op.folded
        if folded is not None and folded.clamp is not None:
            folded = replace(folded, clamp=(folded.clamp[0] - offset, folded.clamp[1] - offset))
        lowest = op.thresholds.lowest - offset
        return replace(op, thresholds=replace(op.thresholds, lowest=lowest), folded=folded)
    if offset == 0 or not isinstance(op, Conv | Linear | Add | AveragePool) or op.clamp is None:
        return op
    low, high = op.clamp
    return replace(op, clamp=(low - offset, high - offset))


def _move(values: IntArray, offset: int, qtype: QType) -> IntArray:
    moved: npt.NDArray[np.int64] = values.astype(np.int64) + offset
    return moved.astype(qtype.dtype)
