"""Integer types: ranges, names, and what holds what."""

from __future__ import annotations

import numpy as np
import pytest

from accel.numerics.qtype import BIPOLAR, QType


def test_bipolar_is_minus_one_and_one() -> None:
    assert QType.parse("bipolar") == BIPOLAR
    assert (str(BIPOLAR), BIPOLAR.min, BIPOLAR.max, BIPOLAR.bits) == ("bipolar", -1, 1, 1)
    assert BIPOLAR.dtype == np.int8
    assert QType(1, signed=True) != BIPOLAR
    for bits, signed in ((2, True), (1, False)):
        with pytest.raises(ValueError, match="a bipolar QType has one bit and is signed"):
            QType(bits, signed, bipolar=True)


def test_what_holds_what() -> None:
    int2, int1 = QType(2, signed=True), QType(1, signed=True)
    assert int2.holds(BIPOLAR)
    assert BIPOLAR.holds(BIPOLAR)
    assert not BIPOLAR.holds(int1)  # it has a 0
    assert not int1.holds(BIPOLAR)
    assert not QType(8, signed=False).holds(BIPOLAR)
    assert QType(8, signed=True).holds(QType(7, signed=False))
    assert not QType(8, signed=True).holds(QType(8, signed=False))
