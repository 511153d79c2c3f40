"""The vector unit on one tile: a node's operation on what the buffer holds of each operand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from accel.flow.ir import FlowOp, Region
from accel.graph.execute import vector_operation
from accel.graph.ir import AveragePool, Concat, Conv, Linear, MaxPool, Requantize, Tensor
from accel.numerics import elementwise
from accel.numerics.arithmetic import Arithmetic

Array = npt.NDArray[np.generic]


def vector_work_on(
    op: FlowOp,
    parts: dict[int, Array],
    boxes: dict[int, Region],
    box: Region,
    tensors: dict[str, Tensor],
    arithmetic: Arithmetic,
) -> list[Array]:
    """``box`` of the op's output, from the boxes of its inputs that an activation slot holds; see ``finish``."""
    sources = [tensors[read.tensor] for read in op.reads]
    body = op.body
    assert not isinstance(body, Conv | Linear)
    if isinstance(body, MaxPool | AveragePool):
        body = replace(body, pads=_pads_here(op, boxes[0], box))
    elif isinstance(body, Concat):
        body = Requantize()  # one of its inputs at a time; the nest's write says where it goes
    operands = [parts[part] for part in range(len(sources))]
    values = vector_operation(body, operands, sources, tensors[op.node.output], arithmetic)
    return finish(op, values, tensors, arithmetic)


def finish(op: FlowOp, values: Array, tensors: dict[str, Tensor], arithmetic: Arithmetic) -> list[Array]:
    """Apply the requantizations that ride along with a nest: its own result, then each one's; the last is written."""
    made = [values]
    by = tensors[op.node.output]
    for node in op.epilogue:
        to = tensors[node.output]
        assert isinstance(node.op, Requantize)
        unit = arithmetic.rescaler
        made.append(elementwise.requantize(made[-1], by.encoding, to.encoding, node.op.clamp, unit))
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
