"""Drawn operands: encodings with scales of every kind, tensors from a seed."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from accel.numerics.encoding import Encoding
from accel.numerics.qtype import QType

QTYPES = st.builds(QType, st.just(8), st.booleans())
SEEDS = st.integers(0, 2**32 - 1)


def scales() -> st.SearchStrategy[float]:
    """Positive float32 between 2^-10 and 2^4; powers of two among them, where ties are common."""
    powers = st.integers(-10, 3).map(lambda exponent: 2.0**exponent)
    return st.one_of(powers, st.floats(2**-10, 2**4, width=32))


@st.composite
def encodings(draw: st.DrawFn, qtypes: st.SearchStrategy[QType] = QTYPES) -> Encoding:
    qtype = draw(qtypes)
    return Encoding(qtype, draw(scales()), draw(st.integers(qtype.min, qtype.max)))


def integers(seed: int, shape: tuple[int, ...], qtype: QType) -> np.ndarray:
    """Uniform over the type's whole range."""
    rng = np.random.default_rng(seed)
    return rng.integers(qtype.min, qtype.max, shape, dtype=qtype.dtype, endpoint=True)
