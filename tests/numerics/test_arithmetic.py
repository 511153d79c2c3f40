"""Which units a vector unit's names stand for."""

from __future__ import annotations

from accel.numerics.adders import ADDERS
from accel.numerics.arithmetic import ONNXRUNTIME, Arithmetic
from accel.numerics.requantize import REQUANTIZERS


def test_onnxruntime_has_no_unit_in_integers() -> None:
    assert ONNXRUNTIME.unit is REQUANTIZERS["float32_rne"]
    assert ONNXRUNTIME.integer_adder is None
    assert ONNXRUNTIME.rescaler is None


def test_units_by_their_names() -> None:
    for adder, unit in ADDERS.items():
        for name, requantizer in REQUANTIZERS.items():
            assert Arithmetic(name, adder).integer_adder is unit
            assert Arithmetic(name, adder).unit is requantizer
            assert Arithmetic(name, adder).rescaler is (None if name == "float32_rne" else requantizer)
            assert Arithmetic(name).rescaler is None
