"""The integer program: by hand, against all combinations, and HAWQ-V3's published bits of ResNet-18."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.precision.integer_program import best_choices


def test_by_hand() -> None:
    # The second item loses less by being cheap.
    assert best_choices([[0, 5], [0, 1]], [[8, 4], [8, 4]], 12) == (0, 1)
    assert best_choices([[0, 5], [0, 1]], [[8, 4], [8, 4]], 16) == (0, 0)
    assert best_choices([[0, 5], [0, 1]], [[8, 4], [8, 4]], 8) == (1, 1)
    assert best_choices([[0, 5], [0, 1]], [[8, 4], [8, 4]], 7.9) is None
    assert best_choices([[3.0]], [[0.0]], 0) == (0,)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 3), min_size=1, max_size=5), st.floats(0, 1))
def test_against_all_combinations(seed, sizes, share) -> None:
    rng = np.random.default_rng(seed)
    losses = [rng.integers(0, 1000, size).tolist() for size in sizes]
    costs = [rng.integers(-500, 1000, size).tolist() for size in sizes]
    low, high = (sum(pick(item) for item in costs) for pick in (min, max))
    limit = round(low + share * (high - low))

    def total(table, choices):
        return sum(item[choice] for item, choice in zip(table, choices, strict=True))

    legal = [c for c in product(*map(range, sizes)) if total(costs, c) <= limit]
    found = best_choices(losses, costs, limit)
    assert found in legal
    assert total(losses, found) == min(total(losses, choices) for choices in legal)
    assert best_choices(losses, costs, low - 1) is None


HESSIAN_TRACE = (
    0.06857826, 0.03162379, 0.03298575, 0.01205663, 0.02222431, 0.00596336, 0.06931772, 0.00807129, 0.00372905,
    0.00530698, 0.00209011, 0.00737569, 0.00210454, 0.00151197, 0.00158041, 0.00078146, 0.00451841, 0.00098745,
    0.00072944,
)  # fmt: skip
SQUARED_ERROR_8 = (
    0.0235, 0.0125, 0.0102, 0.0082, 0.0145, 0.0344, 0.0023, 0.0287, 0.0148, 0.0333, 0.0682, 0.0027, 0.0448, 0.0336,
    0.0576, 0.1130, 0.0102, 0.0947, 0.0532,
)  # fmt: skip
SQUARED_ERROR_4 = (
    6.7430, 3.9691, 3.3281, 2.6796, 4.7277, 10.5966, 0.6827, 9.0942, 4.8857, 10.7599, 21.7546, 0.8603, 14.5324, 10.9651,
    18.7706, 36.4044, 3.1572, 29.6994, 17.4016,
)  # fmt: skip
PARAMETERS = (
    36864, 36864, 36864, 36864, 73728, 147456, 8192, 147456, 147456, 294912, 589824, 32768, 589824, 589824, 1179648,
    2359296, 131072, 2359296, 2359296,
)  # fmt: skip
MACS = (
    115605504, 115605504, 115605504, 115605504, 57802752, 115605504, 6422528, 115605504, 115605504, 57802752, 115605504,
    6422528, 115605504, 115605504, 57802752, 115605504, 6422528, 115605504, 115605504,
)  # fmt: skip
LATENCY_8 = (
    0.36189111, 0.36211718, 0.31141909, 0.30454471, 0.19184896, 0.38948934, 0.0334169, 0.38904905, 0.3892859,
    0.19134735, 0.34307431, 0.02802354, 0.34313329, 0.34310756, 0.21117103, 0.37376585, 0.02896843, 0.37398187,
    0.37405185,
)  # fmt: skip
LATENCY_4 = (
    0.21094404, 0.21092674, 0.21104113, 0.21086851, 0.13642465, 0.19167506, 0.02532183, 0.19148203, 0.19142914,
    0.11395316, 0.20556011, 0.01917474, 0.20566918, 0.20566509, 0.13185102, 0.22287786, 0.01790088, 0.22304611,
    0.22286099,
)  # fmt: skip
"""Milliseconds on a T4."""
TIED = ((4, 6), (9, 11), (14, 16))
"""A down-sampling convolution and the main branch beside it."""

PUBLISHED = {
    ("memory", 0.75): {13, 18},
    ("memory", 0.5): {15, 17, 18},
    ("memory", 0.25): {14, 15, 16, 17, 18},
    ("bops", 0.75): {8, 13, 15, 18},
    ("bops", 0.5): {3, 8, 12, 13, 14, 15, 16, 17, 18},
    ("latency", 0.75): {8, 13, 15, 18},
}
"""(budget, r) -> layers at 4 bits; the others have 8."""


@pytest.mark.parametrize(("budget", "share"), PUBLISHED)
def test_hawqs_bits_of_resnet18(budget, share) -> None:
    """Data and results as published with Yao et al., "HAWQ-V3": ILP.ipynb and bit_config.py of its repository.

    The loss of a layer at b bits is its Hessian's mean trace times its squared weight error; the budget is c4 + r (c8 -
    c4). First and last layer keep 8 bits and do not count.
    """
    items = [(i,) for i in range(19) if not any(i in pair for pair in TIED)] + list(TIED)
    wide, narrow = {
        "memory": ([8 * n for n in PARAMETERS], [4 * n for n in PARAMETERS]),
        "bops": ([64 * n for n in MACS], [16 * n for n in MACS]),
        "latency": (LATENCY_8, LATENCY_4),
    }[budget]
    limit = sum(narrow) + share * (sum(wide) - sum(narrow))
    errors = (SQUARED_ERROR_8, SQUARED_ERROR_4)
    losses = [[sum(HESSIAN_TRACE[i] * error[i] for i in item) for error in errors] for item in items]
    costs = [[sum(table[i] for i in item) for table in (wide, narrow)] for item in items]
    found = best_choices(losses, costs, limit)
    assert found is not None
    assert {i for item, choice in zip(items, found, strict=True) if choice for i in item} == PUBLISHED[budget, share]


def test_a_limit_holds_below_the_solvers_tolerance() -> None:
    """0.04 of 50,000 is less than a millionth, which the solver takes for nothing; the limit itself is legal."""
    assert best_choices([[0, 1]], [[0, -50_000]], -0.04) == (1,)
    assert best_choices([[0, 1], [0, 2]], [[0.01, -50_000], [0, -40_000]], 0) == (1, 0)
    assert best_choices([[0]], [[0.1 + 0.2]], 0.3) == (0,)
    assert best_choices([[0]], [[50_000.01]], 50_000) is None
