"""One choice for each item, least loss within a budget: an integer program, solved exactly (HiGHS through scipy)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

_ROUNDING = 1e-12
"""Of a sum of costs, against the largest of them."""


def best_choices(
    losses: Sequence[Sequence[float]], costs: Sequence[Sequence[float]], limit: float
) -> tuple[int, ...] | None:
    """The choices with the least sum of losses whose costs add up to at most ``limit``; None if there are none.

    The form of Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021: one binary variable for each item
    and choice.

    Parameters
    ----------
    losses, costs
        By item and choice; each item has at least one choice.

    Examples
    --------
    >>> best_choices([[0, 5], [0, 1]], [[8, 4], [8, 4]], 12)
    (0, 1)
    """
    sizes = [len(choices) for choices in losses]
    loss, cost = (np.array([value for item in table for value in item], float) for table in (losses, costs))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    one_each = (owner == np.arange(len(sizes))[:, None]).astype(float)
    # Figures of any size as numbers near 1, as the solver's tolerances expect.
    loss /= np.abs(loss).max(initial=0.0) or 1.0
    scale = np.abs(cost).max(initial=0.0) or 1.0
    constraints = [LinearConstraint(one_each, 1, 1), LinearConstraint(cost[None] / scale, -np.inf, limit / scale)]
    while True:
        # Where HiGHS takes a presolved solution back it may print to standard output; here presolving saves no time.
        options = {"mip_rel_gap": 0.0, "presolve": False}
        found = milp(
            loss, integrality=np.ones(len(loss)), bounds=Bounds(0, 1), constraints=constraints, options=options
        )
        if found.x is None:
            return None
        taken = np.round(found.x)
        if cost @ taken <= limit + _ROUNDING * scale:
            break
        # Within the solver's tolerance and not within the limit: any choices but these.
        constraints.append(LinearConstraint(taken[None], -np.inf, len(sizes) - 1))
    starts = np.cumsum([0, *sizes[:-1]])
    return tuple(int(taken[start : start + size].argmax()) for start, size in zip(starts, sizes, strict=True))
