"""The vector unit on one tile: the formulas of ``accel.numerics`` on what the buffer holds of each operand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accel.flow.ir import FlowOp, Region
from accel.graph.ir import (
    Add,
    AveragePool,
    Concat,
    Dequantize,
    MaxPool,
    Quantize,
    Requantize,
    Tensor,
)
from accel.numerics import elementwise, pool

Array = npt.NDArray[np.generic]


def vector_work_on(
    op: FlowOp, parts: dict[int, Array], boxes: dict[int, Region], box: Region, tensors: dict[str, Tensor]
) -> list[Array]:
    """``box`` of the op's output, from the boxes of its inputs that an activation slot holds; see ``finish``."""
    inputs = [tensors[read.tensor] for read in op.reads]
    made = tensors[op.node.output]
    body, x = op.body, parts[0]
    values: Array
    match body:
        case Quantize():
            values = elementwise.quantize(x.astype(np.float32, copy=False), made.encoding)
        case Dequantize():
            values = elementwise.dequantize(x, inputs[0].encoding)
        case Requantize():
            values = elementwise.requantize(x, inputs[0].encoding, made.encoding, body.clamp)
        case Concat():
            values = elementwise.requantize(x, inputs[0].encoding, made.encoding)
        case Add():
            operands = [tensor.encoding for tensor in inputs]
            values = elementwise.add(x, parts[1], operands[0], operands[1], made.encoding, body.clamp)
        case MaxPool():
            pads = _pads_here(op, boxes[0], box)
            values = pool.max_pool(x, body.kernel, body.strides, body.dilations, pads)
        case AveragePool():
            pads = _pads_here(op, boxes[0], box)
            values = pool.average_pool(
                x,
                inputs[0].encoding,
                made.encoding,
                body.kernel,
                body.strides,
                pads,
                body.count_include_pad,
                body.clamp,
                body.mean,
            )
        case _:
            raise AssertionError(f"{op.name} is not vector work")
    return finish(op, values, tensors)


def finish(op: FlowOp, values: Array, tensors: dict[str, Tensor]) -> list[Array]:
    """Apply the requantizations that ride along with a nest: its own result, then each one's; the last is written."""
    made = [values]
    by = tensors[op.node.output]
    for node in op.epilogue:
        to = tensors[node.output]
        assert isinstance(node.op, Requantize)
        made.append(elementwise.requantize(made[-1], by.encoding, to.encoding, node.op.clamp))
        by = to
    return made


def _pads_here(op: FlowOp, held: Region, box: Region) -> tuple[int, int, int, int]:
    """How far the windows of ``box`` reach beyond what the tensor has: top, left, bottom, right."""
    tile = op.whole | dict(zip("bchw", box, strict=True))
    spans = [op.reads[0].index[axis].span(tile) for axis in (2, 3)]
    (top, bottom), (left, right) = (
        (low_held - low, high - high_held)
        for (low, high), (low_held, high_held) in zip(spans, (held[2], held[3]), strict=True)
    )
    return top, left, bottom, right
