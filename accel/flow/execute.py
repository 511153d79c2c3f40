"""Runs the loops as they are written: an oracle that trusts nothing but the access maps.

Every point of the iteration space is visited through the maps (as index arrays), so memory grows with the number of
iterations: for tests and small layers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accel.flow.ir import Access, FlowOp
from accel.graph.ir import Conv, Linear

IntArray = npt.NDArray[np.int64]


def multiply_accumulate(op: FlowOp, x: npt.NDArray[np.generic], padding: int) -> IntArray:
    """Sums of products of a convolution or matrix multiplication, without bias.

    Parameters
    ----------
    x
        The input tensor, any shape that ``op.reads[0].shape`` describes.
    padding
        What the loops read outside the tensor (the input's zero point).

    Returns
    -------
    int64 array of ``op.write.shape``.
    """
    assert op.weight is not None
    assert isinstance(op.body, Conv | Linear)
    grid = _grid(op)
    activations = _gather(op.reads[0], x, grid, padding)
    weights = _gather(op.weight, op.body.weight.values, grid, 0)
    sums = np.zeros(op.write.shape, np.int64)
    index = tuple(np.broadcast_to(axis, activations.shape) for axis in _index(op.write, grid))
    np.add.at(sums, index, activations * weights)
    return sums


def window_values(op: FlowOp, x: npt.NDArray[np.generic], padding: int, part: int = 0) -> IntArray:
    """The values that each output of a vector nest reads, window loops last: (*output, kh * kw)."""
    grid = _grid(op)
    values = _gather(op.reads[part], x, grid, padding)
    outputs = tuple(dim.size for dim in op.dims if not dim.reduction)
    return values.reshape(*outputs, -1)


def _grid(op: FlowOp) -> dict[str, IntArray]:
    axes = np.meshgrid(*(np.arange(dim.size) for dim in op.dims), indexing="ij", sparse=True)
    return {dim.name: axis for dim, axis in zip(op.dims, axes, strict=True)}


def _index(access: Access, grid: dict[str, IntArray]) -> list[IntArray]:
    shape = np.broadcast_shapes(*(axis.shape for axis in grid.values()))
    base = np.zeros((1,) * len(shape), np.int64)
    return [
        base + expression.offset + sum((step * grid[name] for name, step in expression.terms), start=base)
        for expression in access.index
    ]


def _gather(access: Access, values: npt.NDArray[np.generic], grid: dict[str, IntArray], padding: int) -> IntArray:
    index = np.broadcast_arrays(*_index(access, grid), *grid.values())[:4]
    inside = np.ones(index[0].shape, bool)
    for axis, size in zip(index, access.shape, strict=True):
        inside &= (axis >= 0) & (axis < size)
    clipped = tuple(np.clip(axis, 0, size - 1) for axis, size in zip(index, access.shape, strict=True))
    picked = values.reshape(access.shape)[clipped].astype(np.int64)
    return np.where(inside, picked, padding)
