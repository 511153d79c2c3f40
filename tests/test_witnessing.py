"""Verification of the shipped network; and of simulators, references and witnesses that are broken on purpose."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import onnx
import pytest

import accel.witnessing as room
from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.gallery import workloads_dir
from accel.graph.execute import execute
from accel.graph.ir import Conv, Graph, Linear
from accel.graph.onnx import load_network
from accel.graph.witness import Witness, onnxruntime_tensors
from accel.mapping.mapping import ArrayMapping, k_folds
from accel.networks import with_batch
from accel.numerics.adders import ADDERS
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.mac import Accumulator
from accel.numerics.requantize import REQUANTIZERS
from accel.result import Cycles
from accel.sim.layer import ArrayLayer
from accel.sim.simulate import run_clock
from accel.verification import Comparison, Verification
from accel.witnessing import reference_of, verify_program

DIGITS = workloads_dir() / "digits_resnet8"
with np.load(DIGITS / "images.npz") as _data:
    IMAGES = _data["images"]
KINDS = ("simulator_alone", "simulator_end_to_end", "witness_alone", "witness_end_to_end")


@pytest.fixture(autouse=True)
def any_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here does not depend on this machine's CPU: int8 files have no unsigned products."""
    monkeypatch.setattr(room, "cpu_doubt", lambda names: f"doubtful: {', '.join(names)}" if names else "")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_network(DIGITS / "int8.onnx")


@pytest.fixture(scope="module")
def edge() -> Machine:
    return load_arch("edge-32x32")


def verified(graph: Graph, machine: Machine, batch: np.ndarray = IMAGES[:1]) -> Verification:
    return verify_program("digits", graph, machine, batch)


def differing(verification: Verification, kind: str) -> list[str]:
    """Tensors that differ, in the network's order."""
    return [
        check.tensor
        for check in verification.checks
        if getattr(check, kind) is not None and getattr(check, kind).mismatches
    ]


def test_every_tensor_is_compared_whole(graph, edge) -> None:
    verification = verified(graph, edge)
    assert verification.passed
    assert (verification.network, verification.machine) == ("digits", "edge-32x32")
    assert (verification.doubt_alone, verification.doubt_end_to_end) == ("", "")
    makers = [node for node in graph.nodes if node.kind != "reshape"]
    assert [(check.layer, check.op, check.tensor) for check in verification.checks] == [
        (node.name, node.kind, node.output) for node in makers
    ]
    for check in verification.checks:
        size = graph.tensors[check.tensor].size
        assert check.simulator_alone == check.simulator_end_to_end == check.witness_alone == Comparison(0, size)
        assert check.witness_end_to_end in (None, Comparison(0, size))
    assert sum(check.witness_end_to_end is not None for check in verification.checks) > 0.8 * len(makers)
    assert verification.estimate_cycles == verification.simulated_cycles > 0


def test_a_batch_is_compared_whole(edge, tmp_path) -> None:
    path = tmp_path / "batch3.onnx"
    onnx.save(with_batch(onnx.load(DIGITS / "int8.onnx"), 3), path)
    graph = load_network(path)
    verification = verified(graph, edge, IMAGES[:3])
    assert verification.passed
    assert [check.simulator_alone.elements for check in verification.checks] == [
        graph.tensors[check.tensor].size for check in verification.checks
    ]


def test_float_outputs_are_compared_too(edge) -> None:
    graph = load_network(DIGITS / "int8_qdq.onnx")
    verification = verified(graph, edge)
    assert verification.passed
    last = verification.checks[-1]
    assert graph.tensors[last.tensor].qtype is None
    assert last.simulator_end_to_end == last.witness_alone == Comparison(0, 10)


@pytest.mark.parametrize(("file", "machine"), [("uint8.onnx", "edge-32x32"), ("int8.onnx", "edge-32x32-uint8")])
def test_activations_of_the_other_sign_meet_the_witness_as_the_file_has_them(file, machine, monkeypatch) -> None:
    monkeypatch.setattr(room, "cpu_doubt", lambda names: "")
    verification = verified(load_network(DIGITS / file), load_arch(machine))
    assert not any(differing(verification, kind) for kind in KINDS[:2])
    if not verification.doubt_end_to_end:
        assert verification.passed
        assert sum(check.witness_end_to_end is not None for check in verification.checks) > 5


def test_the_cpu_is_asked_about_the_files_unsigned_products(edge) -> None:
    """The machine's own sign is another matter: the witness runs the file."""
    graph = load_network(DIGITS / "uint8.onnx")
    products = [node.name for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    assert verified(graph, edge).doubt_alone == f"doubtful: {', '.join(products)}"
    assert verified(load_network(DIGITS / "int8.onnx"), load_arch("edge-32x32-uint8")).doubt_alone == ""


def test_a_broken_layer_is_the_only_one_alone_and_the_first_end_to_end(graph, edge, monkeypatch) -> None:
    honest = ArrayLayer.finish

    def broken(self, sums, box, seen):
        moved = sums.copy()
        moved[..., :1] += 5000 * (self.op.name == "stage2.conv2_quant")
        return honest(self, moved, box, seen)

    monkeypatch.setattr(ArrayLayer, "finish", broken)
    verification = verified(graph, edge)
    wrong = next(node.output for node in graph.nodes if node.name == "stage2.conv2_quant")
    assert differing(verification, "simulator_alone") == [wrong]
    assert differing(verification, "simulator_end_to_end")[0] == wrong
    assert len(differing(verification, "simulator_end_to_end")) > 1
    assert not differing(verification, "witness_alone")
    assert not differing(verification, "witness_end_to_end")
    check, kind, comparison = verification.first_difference
    assert (check.tensor, kind) == (wrong, "simulator_alone")
    assert 1 < comparison.mismatches < comparison.elements
    assert comparison.first.startswith("at [0, ")
    assert " the simulator has " in comparison.first
    assert ", the reference " in comparison.first


def test_where_and_what_differs_is_said(graph, edge, monkeypatch) -> None:
    """A simulator that adds 1 to one pixel of the image's first convolution."""
    honest = ArrayLayer.finish
    stem = next(node for node in graph.nodes if isinstance(node.op, Conv))
    seen = {}

    def broken(self, sums, box, use):
        made = honest(self, sums, box, use)
        if self.op.name == stem.name and box[2][0] == 0 and box[1][0] == 0:
            seen[self.op.write.tensor] = int(made[-1][0, 1, 0, 2])
            made[-1][0, 1, 0, 2] += 1
        return made

    monkeypatch.setattr(ArrayLayer, "finish", broken)
    verification = verified(graph, edge)
    check, _, comparison = verification.first_difference
    ((tensor, value),) = seen.items()
    assert check.tensor == tensor
    assert comparison.mismatches == 1
    assert comparison.first == f"at [0, 1, 0, 2] the simulator has {value + 1}, the reference {value}"


def test_a_broken_reference_disagrees_with_both_others(graph, edge, monkeypatch) -> None:
    """Off by one at one layer's output; what follows the reference computes from the right values."""
    wrong = next(node for node in graph.nodes if node.name == "stage1.conv1_quant")

    def broken(*words):
        reference = execute(*words)
        reference.tensors[wrong.output] = reference.tensors[wrong.output] ^ 1
        return reference

    monkeypatch.setattr(room, "execute", broken)
    verification = verified(graph, edge)
    for kind in KINDS:
        assert differing(verification, kind)[0] == wrong.output
    size = graph.tensors[wrong.output].size
    assert {check.witness_alone.mismatches for check in verification.checks if check.tensor == wrong.output} == {size}
    assert verification.first_difference[0].layer == wrong.name


def lying(difference: int, tensor: str, **fields):
    def tensors(path, inputs) -> Witness:
        honest = onnxruntime_tensors(path, inputs)
        moved = {name: values + np.int8(difference * (name == tensor)) for name, values in honest.tensors.items()}
        return dataclasses.replace(honest, tensors=moved, **fields)

    return tensors


def test_a_witness_counts_as_far_as_it_is_trusted(graph, edge, monkeypatch) -> None:
    wrong = next(node.output for node in graph.nodes if node.name == "stage1.conv1_quant")
    monkeypatch.setattr(room, "onnxruntime_tensors", lying(1, wrong))
    verification = verified(graph, edge)
    assert not verification.passed
    assert verification.first_difference[1] == "witness_end_to_end"
    assert verification.first_difference[2].first.count("the reference has") == 1
    monkeypatch.setattr(room, "onnxruntime_tensors", lying(1, wrong, trustworthy=False, reason="float islands"))
    doubted = verified(graph, edge)
    assert doubted.passed
    assert (doubted.doubt_alone, doubted.doubt_end_to_end) == ("", "float islands")
    assert differing(doubted, "witness_end_to_end") == [wrong]
    monkeypatch.setattr(room, "onnxruntime_tensors", lying(1, wrong, ties=frozenset([wrong])))
    tied = verified(graph, edge)
    assert tied.passed
    assert [check.tensor for check in tied.checks if check.witness_note] == [wrong]


def test_a_witness_that_cannot_run_is_no_witness_of_the_whole(graph, edge, monkeypatch) -> None:
    monkeypatch.setattr(room, "onnxruntime_tensors", lambda path, inputs: Witness({}, False, "it cannot run"))
    verification = verified(graph, edge)
    assert verification.passed
    assert verification.doubt_end_to_end == "it cannot run"
    assert all(check.witness_end_to_end is None and check.witness_alone is not None for check in verification.checks)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_sums_that_overflow_are_the_machines_own(graph, edge, overflow) -> None:
    """17 bits: the reference follows the machine, onnxruntime does not; and that is no failure."""
    pe = edge.pe.model_copy(update={"accumulator_bits": 17, "partial_sum_bits": 17, "overflow": overflow})
    verification = verified(graph, edge.model_copy(update={"pe": pe}))
    assert verification.passed
    assert differing(verification, "witness_alone")
    assert not differing(verification, "simulator_end_to_end")
    assert verification.doubt_alone == verification.doubt_end_to_end
    words = verification.doubt_alone.split()
    assert words[:4] == ["the", "machine's", "accumulators", "overflow"]
    assert int(words[4]) > 0


def test_the_reference_adds_in_the_order_of_the_array(graph, edge) -> None:
    """Saturating sums depend on the order: 32 rows of the array and 5 give other integers, each its simulator's.

    So does the order within a fold, row by row: backwards it gives other integers too.
    """
    pe = edge.pe.model_copy(update={"accumulator_bits": 17, "partial_sum_bits": 15, "overflow": "saturate"})
    narrow = edge.model_copy(update={"pe": pe})
    short = narrow.model_copy(update={"array": edge.array.model_copy(update={"rows": 5})})
    outputs = []
    for machine in (narrow, short):
        program = room.compile_graph(graph, machine)
        tensors = reference_of(graph, program, machine, {"input": IMAGES[:1]}).tensors
        outputs.append(np.concatenate([tensors[node.output].ravel() for node in graph.nodes]))
        assert verified(graph, machine).passed
    assert (outputs[0] != outputs[1]).any()
    accumulator = Accumulator(15, 17, "saturate")
    orders = {
        layer.op.node.name: [np.arange(*fold)[::-1] for fold in k_folds(layer.op, layer.mapping, 5)]
        for layer in program.layers
        if isinstance(layer.mapping, ArrayMapping)
    }
    backwards = execute(graph, {"input": IMAGES[:1]}, lambda node: (accumulator, orders[node.name])).tensors
    assert any((backwards[name] != tensors[name]).any() for name in backwards)


def test_the_reference_takes_the_machines_requantizer(graph, edge, monkeypatch) -> None:
    asked = []

    def remember(graph, inputs, accumulators, arithmetic):
        asked.append(arithmetic)
        return execute(graph, inputs, accumulators, arithmetic)

    monkeypatch.setattr(room, "execute", remember)
    monkeypatch.setitem(REQUANTIZERS, "another", REQUANTIZERS["float32_rne"])
    vector = edge.vector.model_copy(update={"requantizer": "another"})
    assert verified(graph, edge.model_copy(update={"vector": vector})).passed
    assert asked == [Arithmetic("another")]


@pytest.mark.parametrize("requantizer", ["q31_double_rounding", "shift_rne", "shared_exponent8"])
def test_onnxruntime_is_no_witness_of_another_requantizer(graph, edge, requantizer) -> None:
    """What differs is counted, and is no failure; the layers that it can judge it still judges."""
    vector = edge.vector.model_copy(update={"requantizer": requantizer})
    verification = verified(graph, edge.model_copy(update={"vector": vector}))
    assert verification.passed
    assert verification.requantizer == requantizer
    reason = f"it requantizes in float32, the machine by {requantizer}"
    assert verification.doubt_end_to_end == reason
    products = [check for check in verification.checks if check.op in ("conv", "linear")]
    assert {check.witness_note for check in products} == {reason}
    wrong = [check.witness_alone for check in products if check.witness_alone.mismatches]
    assert wrong
    assert all(comparison.largest >= 1 for comparison in wrong)
    others = [check for check in verification.checks if check not in products and check.witness_alone is not None]
    assert not any(check.witness_alone.mismatches for check in others)


def with_units(edge: Machine, **names: str) -> Machine:
    return edge.model_copy(update={"vector": edge.vector.model_copy(update=names)})


def notes_by_op(verification: Verification) -> dict[str, set[str]]:
    ops = {check.op for check in verification.checks}
    return {op: {check.witness_note for check in verification.checks if check.op == op} for op in ops}


@pytest.mark.parametrize("adder", ADDERS)
def test_onnxruntime_is_no_witness_of_another_adder(graph, edge, adder) -> None:
    """Of the additions alone; it judges the rest of a machine whose requantizer is in float32."""
    verification = verified(graph, with_units(edge, adder=adder), IMAGES[:1])
    assert verification.passed
    assert (verification.requantizer, verification.adder) == ("float32_rne", adder)
    reason = f"it adds in float32, the machine by {adder}"
    assert verification.doubt_end_to_end == reason
    notes = notes_by_op(verification)
    assert notes.pop("add") == {reason}
    assert reason not in set().union(*notes.values())
    others = [check.witness_alone for check in verification.checks if check.op != "add" and check.witness_alone]
    assert others
    assert not any(comparison.mismatches for comparison in others)


def test_where_sums_and_means_are_the_machine_s_own(edge) -> None:
    graph = load_network(DIGITS / "int8.onnx")
    verification = verified(graph, with_units(edge, adder="mantissa16_half_away", requantizer="shared_exponent8"))
    assert verification.passed
    scaled, added = (
        "it requantizes in float32, the machine by shared_exponent8",
        "it adds in float32, the machine by mantissa16_half_away",
    )
    assert verification.doubt_end_to_end == f"{scaled}; {added}"
    notes = notes_by_op(verification)
    assert (notes["conv"], notes["average_pool"], notes["add"]) == ({scaled}, {scaled}, {added})
    means = [check.witness_alone for check in verification.checks if check.op == "average_pool"]
    assert any(comparison.mismatches for comparison in means)


def test_a_simulator_of_another_adder_fails(graph, edge, monkeypatch) -> None:
    monkeypatch.setattr(room, "execute", lambda graph, inputs, accumulators, _: execute(graph, inputs, accumulators))
    verification = verified(graph, with_units(edge, adder="mantissa16_half_away"))
    assert not verification.passed
    check, kind, _ = verification.first_difference
    assert (check.op, kind) == ("add", "simulator_alone")


def test_a_simulator_of_another_requantizer_fails(graph, edge, monkeypatch) -> None:
    """The reference takes the machine's requantizer; one that does not is found out."""
    vector = edge.vector.model_copy(update={"requantizer": "shift_floor"})
    monkeypatch.setattr(room, "execute", lambda graph, inputs, accumulators, _: execute(graph, inputs, accumulators))
    verification = verified(graph, edge.model_copy(update={"vector": vector}))
    assert not verification.passed
    check, kind, _ = verification.first_difference
    assert (check.op, kind) == ("conv", "simulator_alone")


def test_cycles_that_differ_fail(graph, edge, monkeypatch) -> None:
    slower = replace(run_clock(compile_graph(graph, edge), edge), cycles=(Cycles(compute=7), Cycles(vector=5)))
    monkeypatch.setattr(room, "run_clock", lambda program, machine: slower)
    verification = verified(graph, edge)
    assert verification.first_difference is None
    assert not verification.passed
    assert verification.estimate_cycles == 12


def test_progress_names_each_step(graph, edge) -> None:
    told: list[tuple[str, int, int]] = []
    verify_program("digits", graph, edge, IMAGES[:1], lambda *what: told.append(what))
    assert [(done, total) for _, done, total in told] == [(step, 4) for step in range(5)]
    assert told[0][0] == "numpy reference"
    assert told[-1][0] == "done"
