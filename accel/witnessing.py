"""Simulator, numpy reference and onnxruntime on the same input, tensor by tensor.

A difference of one LSB grows through a deep network, so each layer is also compared alone, fed with the reference's
inputs: end to end hides where it began.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.compile import compile_graph, fit_to_machine
from accel.flow.ir import Range
from accel.graph.execute import Accumulation, Execution, execute
from accel.graph.ir import Add, AveragePool, Concat, Conv, Graph, Linear, Node, Requantize, Reshape
from accel.graph.node_witness import onnxruntime_node, rounding_share
from accel.graph.rebase import from_file, to_file
from accel.graph.witness import Witness, cpu_doubt, onnxruntime_tensors
from accel.mapping.mapping import ArrayMapping, k_tiles, layer_step
from accel.mapping.program import Program
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.compare import mismatch
from accel.numerics.digits import Pass, PassFold
from accel.numerics.mac import Accumulator, Folds
from accel.numerics.requantize import Float32
from accel.sim.simulate import Simulator, run_clock
from accel.verification import Comparison, TensorCheck, Verification

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]


def reference_of(graph: Graph, program: Program, machine: Machine, inputs: Mapping[str, Array]) -> Execution:
    """The golden model with the machine's accumulators, adding in the order of the program's folds."""
    return execute(graph, inputs, accumulation_of(program, machine), machine.vector.arithmetic)


def accumulation_of(program: Program, machine: Machine) -> Accumulation:
    """How the machine adds each layer's products: its accumulators, in the order of the program's folds."""
    pe = machine.pe
    plans: dict[str, tuple[Accumulator, Folds]] = {}
    for layer in program.layers:
        if isinstance(layer.mapping, ArrayMapping):
            step = layer_step(layer.op, program.flow.tensors, machine)
            accumulator = Accumulator(
                pe.partial_sum_bits, pe.accumulator_bits, pe.overflow, step.products, pe.final_sum_bits
            )
            tiles = k_tiles(layer.op, layer.mapping, machine.array.rows * step.products)
            plans[layer.op.node.name] = accumulator, _in_order(tiles, step.passes)
    return lambda node: plans[node.name]


def _in_order(tiles: Sequence[Sequence[Range]], turns: Sequence[Pass]) -> Folds:
    """The folds of each tile; of operands that go through in passes, those of each pass of the tile."""
    if not turns:
        return [np.arange(*fold) for tile in tiles for fold in tile]
    return [PassFold(np.arange(*fold), turn) for tile in tiles for turn in turns for fold in tile]


def verify_program(
    name: str,
    file_graph: Graph,
    machine: Machine,
    batch: Array,
    progress: Progress | None = None,
    mapping: Path | None = None,
) -> Verification:
    """Compare everything with everything on one batch.

    Parameters
    ----------
    name
        Of the network, for the record.
    file_graph
        As loaded; its file is what onnxruntime runs.
    batch
        The network's input as the file has it.
    mapping
        A file of mappings; None: they are chosen.
    """
    report = progress or (lambda text, done, total: None)
    graph = fit_to_machine(file_graph, machine)
    program = compile_graph(graph, machine, mapping)
    source = graph.inputs[0]
    inputs = {source: from_file(graph.tensors[source], batch)}
    report("numpy reference", 0, 4)
    reference = reference_of(graph, program, machine, inputs)
    report("simulator end to end", 1, 4)
    simulator = Simulator(program, machine)
    end_to_end = _simulate(simulator, inputs, reference, fed=False)
    report("simulator, each layer alone", 2, 4)
    alone = _simulate(simulator, inputs, reference, fed=True)
    report("onnxruntime", 3, 4)
    witness = onnxruntime_tensors(graph.path, {source: batch})
    overflows = sum(use.overflows for use in reference.accumulators.values())
    doubt = f"the machine's accumulators overflow {overflows} times, onnxruntime's do not" if overflows else ""
    arithmetic = machine.vector.arithmetic
    others = [rule for node in graph.nodes if (rule := _other_rule(graph, node, arithmetic))]
    checks = tuple(
        TensorCheck(
            layer=node.name,
            op=node.kind,
            tensor=node.output,
            witness_share=rounding_share(graph, node),
            simulator_alone=alone.get(node.output),
            simulator_end_to_end=end_to_end.get(node.output),
            witness_alone=_witness_alone(graph, node, inputs, reference),
            witness_end_to_end=_witness_end_to_end(graph, node, reference, witness),
            witness_note=_other_rule(graph, node, arithmetic) or _note(graph, node, witness),
        )
        for node in graph.nodes
        if not isinstance(node.op, Reshape)
    )
    report("done", 4, 4)
    return Verification(
        network=name,
        machine=machine.name,
        checks=checks,
        estimate_cycles=sum(spent.total for spent in run_clock(program, machine).cycles),
        simulated_cycles=sum(spent.total for spent in simulator.clock.cycles),
        witness=_witness_name(),
        requantizer=machine.vector.requantizer,
        adder=machine.vector.adder,
        doubt_alone=doubt or cpu_doubt(_unsigned_products(file_graph)),
        doubt_end_to_end=doubt or "; ".join(dict.fromkeys(others)) or witness.reason,
    )


def _simulate(simulator: Simulator, inputs: dict[str, Array], reference: Execution, fed: bool) -> dict[str, Comparison]:
    """Compare each tensor when it is made; ``fed``: layers read the reference's in its place."""
    found: dict[str, Comparison] = {}

    def compare(name: str, values: Array) -> None:
        found[name] = _compare(values, reference.tensors[name], "simulator", "reference")

    simulator.run(inputs, on_tensor=compare, fed=reference.tensors if fed else None)
    return found


def _witness_alone(graph: Graph, node: Node, inputs: Mapping[str, Array], reference: Execution) -> Comparison | None:
    tensors = {**inputs, **reference.tensors}
    values = onnxruntime_node(graph, node, [tensors[name] for name in node.inputs])
    return None if values is None else _compare(reference.tensors[node.output], values, "reference", "onnxruntime")


def _witness_end_to_end(graph: Graph, node: Node, reference: Execution, witness: Witness) -> Comparison | None:
    values = witness.tensors.get(node.output)
    tensor = graph.tensors[node.output]
    if values is None:
        return None
    expected = to_file(tensor, reference.tensors[node.output])
    if values.shape != expected.shape or values.dtype != expected.dtype:
        return None
    return _compare(expected, values, "reference", "onnxruntime")


def _compare(found: Array, expected: Array, who: str, whom: str) -> Comparison:
    difference = mismatch(found, expected)
    if difference is None:
        return Comparison(0, expected.size)
    place = ", ".join(map(str, difference.first))
    text = f"at [{place}] the {who} has {difference.found:g}, the {whom} {difference.expected:g}"
    return Comparison(difference.count, difference.size, text, difference.largest)


def _other_rule(graph: Graph, node: Node, arithmetic: Arithmetic) -> str:
    """That the machine makes this node's integers by another rule than onnxruntime; empty where it does not."""
    if graph.tensors[node.output].qtype is None:
        return ""
    match node.op:
        case Conv() | Linear():
            unit = None if isinstance(arithmetic.unit, Float32) else arithmetic.unit
        case AveragePool() | Concat() | Requantize():
            unit = arithmetic.rescaler
        case Add() if arithmetic.integer_adder is not None:
            return f"it adds in float32, the machine by {arithmetic.adder}"
        case _:
            return ""
    return "" if unit is None else f"it requantizes in float32, the machine by {unit.name}"


def _note(graph: Graph, node: Node, witness: Witness) -> str:
    if isinstance(node.op, AveragePool) and graph.tensors[node.output].qtype is None:
        return "a mean that onnxruntime takes in float32, in an order of its own; its last bits may differ"
    if node.output not in witness.ties:
        return ""
    return "behind a mean that onnxruntime takes in float32, in an order of its own; exact ties may round the other way"


def _unsigned_products(graph: Graph) -> list[str]:
    """Nodes that multiply unsigned activations of the file by signed weights."""
    return [
        node.name
        for node in graph.nodes
        if isinstance(node.op, Conv | Linear) and _is_unsigned(graph, node.inputs[0]) and node.op.weight.qtype.signed
    ]


def _is_unsigned(graph: Graph, tensor: str) -> bool:
    qtype = graph.tensors[tensor].qtype
    return qtype is not None and not qtype.signed


def _witness_name() -> str:
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"
