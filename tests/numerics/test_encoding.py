import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accel.numerics.elementwise import quantize
from accel.numerics.encoding import Encoding
from accel.numerics.qtype import QType
from tests.numerics.strategies import encodings

INT8 = QType(8, signed=True)
BOUNDS = st.floats(-300, 300, width=32)


@given(encodings(), BOUNDS, BOUNDS, st.lists(st.floats(-500, 500, width=32), min_size=1))
def test_clamping_integers_is_clamping_reals(encoding, one, other, reals):
    clamp = (min(one, other), max(one, other))
    values = np.array(reals, np.float32)
    low, high = encoding.bounds(clamp)
    clamped = quantize(np.clip(values, np.float32(clamp[0]), np.float32(clamp[1])), encoding)
    np.testing.assert_array_equal(np.clip(quantize(values, encoding), low, high), clamped)


def test_bounds_by_hand():
    encoding = Encoding(INT8, 0.5, -10)
    assert encoding.bounds(None) == (-128, 127)
    assert encoding.bounds((0.0, math.inf)) == (-10, 127)
    assert encoding.bounds((0.0, 6.0)) == (-10, 2)
    # 0.25 / 0.5 is half a step: to even, 0; 0.75 / 0.5 = 1.5 to 2.
    assert encoding.bounds((0.25, 0.75)) == (-10, -8)
    assert encoding.bounds((-1e30, 1e30)) == (-128, 127)
