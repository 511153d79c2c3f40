"""What the vector unit does for a tile of outputs, and how long it takes.

Each of the unit's lanes does one step on one element a cycle: a bias addition with requantization is one step (the
requantizer is a pipeline), an operand of a residual addition in float32 one, a residual addition in integers one (its
adder is a pipeline that takes both operands), a window position one. A port that is too narrow
for the operands makes it slower.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from accel.arch.spec import Machine
from accel.flow.ir import FlowOp, Region, elements
from accel.graph.ir import Add, AveragePool, MaxPool, Tensor
from accel.mapping.mapping import Size, cycles_at, larger, parts
from accel.mapping.thresholds import levels
from accel.numerics.arithmetic import Arithmetic


@dataclass(frozen=True, slots=True)
class VectorWork:
    """Cycles of one Vector instruction, and its actions by the field names of ``accel.result.Actions``."""

    lanes_cycles: Size
    """Of its lanes."""
    cycles: Size
    """With the port that the operands come through."""
    actions: Counter[str]


def vector_work(op: FlowOp, box: Region, tensors: dict[str, Tensor], machine: Machine) -> VectorWork:
    """Count the work for ``box`` of the op's output."""
    return work_on(op, elements(box), tensors, machine)


def work_on(op: FlowOp, outputs: Size, tensors: dict[str, Tensor], machine: Machine) -> VectorWork:
    """Count the work for so many of the op's outputs; where they are an array, for each of its tiles."""
    buffers = machine.buffers
    actions: Counter[str] = Counter()
    if op.on_array:
        steps = 1
        source_bytes = parts(outputs * machine.pe.accumulator_bits, 8)
        actions["accumulator_buffer_read_bytes"] = source_bytes
        actions["vector_add"] = outputs
        actions["vector_compare"] = outputs * levels(op.node)
        actions["vector_requantize"] = 0 if levels(op.node) else outputs
        port = buffers.accumulator
    else:
        window = op.sizes.get("kh", 1) * op.sizes.get("kw", 1)
        steps, counts = _steps(op, window, machine.vector.arithmetic)
        source_bytes = parts(outputs * window * sum(tensors[read.tensor].bits for read in op.reads), 8)
        actions["activation_buffer_read_bytes"] = source_bytes
        for name, count in counts.items():
            actions[name] = outputs * count
        port = buffers.activation
    steps += len(op.epilogue)
    # No "+=": an array would change the outputs themselves.
    actions["vector_requantize"] = actions["vector_requantize"] + outputs * len(op.epilogue)
    lanes_cycles = parts(outputs, machine.vector.lanes) * steps
    port_cycles = cycles_at(port.width_bytes_per_cycle, source_bytes)
    return VectorWork(lanes_cycles, larger(lanes_cycles, port_cycles), actions)


def _steps(op: FlowOp, window: int, arithmetic: Arithmetic) -> tuple[int, dict[str, int]]:
    if isinstance(op.body, MaxPool):
        return window, {"vector_compare": window}
    if isinstance(op.body, AveragePool):
        return window + 1, {"vector_add": window, "vector_requantize": 1}
    if isinstance(op.body, Add) and arithmetic.integer_adder is not None:
        return 1, {"vector_scaled_add": 1}
    if isinstance(op.body, Add):
        return 2, {"vector_add": 1, "vector_requantize": 2}
    return 1, {"vector_requantize": 1}
