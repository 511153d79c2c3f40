"""A machine with each adder, tile by tile, against the numpy reference with the same one, on a residual network."""

from __future__ import annotations

import numpy as np
import pytest

from accel.arch.spec import Machine
from accel.compile import compile_graph, fit_to_machine
from accel.graph.execute import execute
from accel.graph.ir import Add, AveragePool, Concat, Graph, Node, Requantize, Tensor
from accel.numerics.adders import ADDERS
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.qtype import QType
from accel.sim.simulate import Simulator
from tests.machines import machine
from tests.networks import UINT8, Builder, residual_network

# Of those with a factor: two scales of the network are beyond what a shift to the right can do.
UNITS = ["float32_rne", "q31_double_rounding", "mantissa16_half_away", "shared_exponent8"]
ELEMENTWISE = Add | AveragePool | Concat | Requantize


def built(net: Builder) -> tuple[Graph, dict[str, np.ndarray]]:
    return net.graph(net.last), {"x": net.data()}  # type: ignore[attr-defined]


GRAPH, INPUTS = built(residual_network())


def differ(graph: Graph, inputs: dict[str, np.ndarray], given: Machine) -> list[str]:
    """Tensors that the simulator makes otherwise than the reference."""
    fitted = fit_to_machine(graph, given)
    expected = execute(fitted, inputs, arithmetic=given.vector.arithmetic).tensors
    simulator = Simulator(compile_graph(fitted, given), given)
    seen: dict[str, np.ndarray] = {}
    simulator.run(inputs, on_tensor=lambda name, values: seen.update({name: values.copy()}))
    assert {node.output for node in fitted.nodes if isinstance(node.op, ELEMENTWISE)} <= seen.keys()
    return [name for name, values in seen.items() if (values != expected[name]).any()]


@pytest.mark.parametrize("requantizer", UNITS)
@pytest.mark.parametrize("adder", ["float32", *ADDERS])
def test_simulator_and_reference_agree(adder: str, requantizer: str) -> None:
    assert differ(GRAPH, INPUTS, machine(adder=adder, requantizer=requantizer)) == []


@pytest.mark.parametrize("adder", ADDERS)
@pytest.mark.parametrize("bits", [4, 16])
def test_other_widths(adder: str, bits: int) -> None:
    qtype = QType(bits, signed=True)
    graph, inputs = built(residual_network(seed=2, qtype=qtype))
    given = machine(adder=adder, requantizer="q31_half_up", activation=str(qtype), accumulator_bits=48)
    assert differ(graph, inputs, given) == []


@pytest.mark.parametrize("adder", ADDERS)
def test_the_file_s_sign_does_not_matter(adder: str) -> None:
    """uint8 activations on a machine of int8 ones: the same integers, 128 lower."""
    graph, inputs = built(residual_network(seed=1, qtype=UINT8))
    arithmetic = Arithmetic("q31_half_up", adder)
    file = execute(graph, inputs, arithmetic=arithmetic).tensors
    fitted = fit_to_machine(graph, machine(adder=adder, requantizer="q31_half_up"))
    moved = {"x": (inputs["x"].astype(int) - 128).astype(np.int8)}
    for name, values in execute(fitted, moved, arithmetic=arithmetic).tensors.items():
        np.testing.assert_array_equal(values.astype(int) + 128, file[name])


def test_the_reference_takes_the_adder_where_activations_are_added() -> None:
    arithmetic = Arithmetic("float32_rne", "mantissa16_half_away")
    tensors = execute(GRAPH, INPUTS, arithmetic=arithmetic).tensors
    (addition,) = (node for node in GRAPH.nodes if isinstance(node.op, Add))
    a, b = addition.inputs
    by = [GRAPH.tensors[name].encoding for name in (a, b, addition.output)]
    found = ADDERS["mantissa16_half_away"].apply(tensors[a], tensors[b], *by)
    np.testing.assert_array_equal(tensors[addition.output], found)


def test_what_else_changes_with_the_adder() -> None:
    """With one in float32, or a requantizer in float32, means and changes of scale stay onnxruntime's."""

    def made(requantizer: str, adder: str) -> dict[type, bytes]:
        """What nodes without products make of the same inputs, by operation."""
        outputs: dict[type, bytes] = {}
        tensors = execute(GRAPH, INPUTS).tensors
        for node in GRAPH.nodes:
            if isinstance(node.op, ELEMENTWISE):
                part = Graph("part", "part.onnx", (node,), GRAPH.tensors, node.inputs, (node.output,))
                run = execute(part, tensors, arithmetic=Arithmetic(requantizer, adder))
                kind = type(node.op)
                outputs[kind] = outputs.get(kind, b"") + run.tensors[node.output].tobytes()
        return outputs

    plain = made("float32_rne", "float32")
    assert set(plain) == {Add, AveragePool, Concat, Requantize}
    assert made("shared_exponent8", "float32") == plain
    assert made("float32_rne", "mantissa16_half_away") == plain | {
        Add: made("shared_exponent8", "mantissa16_half_away")[Add]
    }
    coarse = made("shared_exponent8", "q21_half_up")
    assert {kind for kind in plain if coarse[kind] != plain[kind]} >= {AveragePool, Concat, Requantize}


def test_each_adder_has_integers_of_its_own() -> None:
    """Halves of sums tell the roundings apart, scales of many bits how many of them a factor keeps."""
    made: dict[str, tuple[bytes, ...]] = {}
    every = np.arange(-128, 128)
    pairs = {
        "x": np.repeat(every, 256).astype(np.int8).reshape(1, 1, 256, 256),
        "y": np.tile(every, 256).astype(np.int8).reshape(1, 1, 256, 256),
    }
    for adder in ["float32", *ADDERS]:
        outputs = []
        for x_scale, y_scale in ((1.0, 1.0), (1 - 2.0**-17, 0.5)):
            encodings = {"x": (x_scale, 0), "y": (y_scale, 3), "z": (2.0, -5)}
            shape, qtype = (1, 1, 256, 256), QType(8, signed=True)
            tensors = {name: Tensor(name, shape, qtype, *encoding) for name, encoding in encodings.items()}
            node = Node("add", Add(), ("x", "y"), "z")
            graph = Graph("pairs", "pairs.onnx", (node,), tensors, ("x", "y"), ("z",))
            given = machine(adder=adder, buffers=(512, 1 << 15, 1 << 15))
            program = compile_graph(fit_to_machine(graph, given), given)
            outputs.append(Simulator(program, given).run(pairs).tensors["z"].tobytes())
        made[adder] = tuple(outputs)
    assert len(set(made.values())) == len(made)
