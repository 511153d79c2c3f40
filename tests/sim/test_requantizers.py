"""A machine with each requantizer, tile by tile, against the numpy reference with the same one."""

from __future__ import annotations

import numpy as np
import pytest

from accel.compile import compile_graph, fit_to_machine
from accel.graph.execute import execute
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.requantize import REQUANTIZERS
from accel.sim.simulate import Simulator
from tests.machines import machine
from tests.networks import residual_network

NETWORK = residual_network()
GRAPH, INPUTS = NETWORK.graph(NETWORK.last), {"x": NETWORK.data()}  # type: ignore[attr-defined]


def made_by(requantizer: str) -> dict[str, np.ndarray]:
    return execute(GRAPH, INPUTS, arithmetic=Arithmetic(requantizer)).tensors


@pytest.mark.parametrize("requantizer", REQUANTIZERS)
def test_simulator_and_reference_agree(requantizer: str) -> None:
    given = machine(requantizer=requantizer)
    graph = fit_to_machine(GRAPH, given)
    expected = execute(graph, INPUTS, arithmetic=Arithmetic(requantizer)).tensors
    found = Simulator(compile_graph(graph, given), given).run(INPUTS).tensors
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])


def test_each_requantizer_makes_its_own_integers() -> None:
    """But for those of 31 and 16 bits, whose products are too seldom near a tie."""
    outputs = {
        name: np.concatenate([values.ravel() for values in made_by(name).values()])
        for name in REQUANTIZERS
        if not name.startswith(("q31", "mantissa16"))
    }
    different = {values.tobytes() for values in outputs.values()}
    assert len(different) == len(outputs)
