"""Studies run the machine's arithmetic: the golden model's tensors, image by image or together."""

from __future__ import annotations

import numpy as np
import pytest

from accel.graph.execute import execute
from accel.numerics.arithmetic import Arithmetic
from accel.precision.walk import walk
from tests.networks import residual_network

NETWORK = residual_network(seed=3)
GRAPH, IMAGES = NETWORK.graph(NETWORK.last), NETWORK.data()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "arithmetic",
    [
        Arithmetic(),
        Arithmetic("shift_rne"),
        Arithmetic(adder="q21_half_up"),
        Arithmetic("shared_exponent8", "q21_half_up"),
    ],
    ids=str,
)
def test_every_tensor_is_the_golden_model_s(arithmetic: Arithmetic) -> None:
    expected = execute(GRAPH, {"x": IMAGES}, arithmetic=arithmetic).tensors
    found = walk(GRAPH, IMAGES, arithmetic)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
