"""``sum * factor / 2^shift``, exactly, and rounded: integers throughout, whatever their size."""

from __future__ import annotations

from enum import Enum
from typing import assert_never

import numpy as np
import numpy.typing as npt

from accel.numerics.encoding import IntArray
from accel.numerics.mac import Int64Array

FIRST_SHIFT = 31
"""Places of the first of two shifts."""
_BEYOND_BITS = 20
"""An integer of that magnitude is beyond every output type, with every zero point."""
_LIMB_BITS = 32


class Rounding(Enum):
    """What becomes of what is shifted out."""

    FLOOR = "floor"
    HALF_UP = "half up"
    HALF_AWAY = "half away from zero"
    HALF_EVEN = "half to even"


def shift_right(values: Int64Array, places: Int64Array, rounding: Rounding) -> Int64Array:
    """``values / 2^places`` as integers, rounded.

    Parameters
    ----------
    values
        At most 2^62 in magnitude.
    places
        0 to 63; broadcast with ``values``.

    Examples
    --------
    >>> values = np.array([-3, -2, -1, 1, 2, 3, 6])
    >>> {mode.value: shift_right(values, np.int64(2), mode).tolist() for mode in Rounding}
    {'floor': [-1, -1, -1, 0, 0, 0, 1], 'half up': [-1, 0, 0, 0, 1, 1, 2], \
'half away from zero': [-1, -1, 0, 0, 1, 1, 2], 'half to even': [-1, 0, 0, 0, 0, 1, 2]}
    """
    if rounding is Rounding.FLOOR:
        return values >> places
    moves = places > 0
    half = np.where(moves, np.int64(1) << np.maximum(places - 1, 0), 0)
    match rounding:
        case Rounding.HALF_UP:
            ties_go_down: npt.NDArray[np.bool_] = np.zeros((), np.bool_)
        case Rounding.HALF_AWAY:
            ties_go_down = values < 0
        case Rounding.HALF_EVEN:
            ties_go_down = (values >> places) & 1 == 0
        case _:
            assert_never(rounding)
    rounded: Int64Array = (values + (half - (moves & ties_go_down))) >> places
    return rounded


def scale(
    acc: IntArray, factor: Int64Array, shift: Int64Array, rounding: Rounding, twice: bool, least_factor: int
) -> Int64Array:
    """``acc * factor / 2^shift``, rounded; exact, except that what is beyond 2^17 may be some other number beyond it.

    Parameters
    ----------
    acc
        Sums, of up to 64 bits.
    factor
        Below 2^31, and 0 or at least ``least_factor``.
    shift
        0 to 63; at most 62 where ``twice``.
    rounding
        Of the shift; of the second one where there are two.
    twice
        First shift by as much as 31 places, rounding half up, then by what is left of ``shift``.
    """
    if acc.dtype.itemsize > 4 and acc.size and not -(1 << 31) <= int(acc.min()) <= int(acc.max()) < 1 << 31:
        return _scale_wide(acc.astype(np.int64), factor, shift, rounding, twice, least_factor)
    product = acc.astype(np.int64) * factor
    if not twice:
        return shift_right(product, shift, rounding)
    first = np.minimum(shift, FIRST_SHIFT)
    return shift_right(shift_right(product, first, Rounding.HALF_UP), shift - first, rounding)


def _scale_wide(
    acc: Int64Array, factor: Int64Array, shift: Int64Array, rounding: Rounding, twice: bool, least_factor: int
) -> Int64Array:
    """``scale`` for sums whose products 64 bits do not hold."""
    # A sum beyond this becomes an integer beyond every output type; with it, products are below 2^(shift + 27).
    limit_bits = np.maximum(_BEYOND_BITS + shift - (least_factor.bit_length() - 1), 0)
    limit = np.where(limit_bits < 63, np.int64(1) << np.minimum(limit_bits, 62), np.iinfo(np.int64).max)
    near = np.clip(acc, -limit, limit)
    if not twice:
        dropped = np.maximum(shift - 34, 0)
        top, rest = _product_above(near, factor, dropped)
        # The lowest bit says whether anything was dropped, as all that matters below half a step is whether it is 0.
        return shift_right(top | (rest != 0), shift - dropped, rounding)
    first = np.minimum(shift, FIRST_SHIFT)
    # Half up depends on nothing below the half.
    dropped = np.where(first == FIRST_SHIFT, FIRST_SHIFT - 1, 0)
    top, _ = _product_above(near, factor, dropped)
    return shift_right(shift_right(top, first - dropped, Rounding.HALF_UP), shift - first, rounding)


def _product_above(acc: Int64Array, factor: Int64Array, places: Int64Array) -> tuple[Int64Array, Int64Array]:
    """``acc * factor`` shifted right by up to 31 places, rounded down, and what was shifted out."""
    high = (acc >> _LIMB_BITS) * factor
    low = (acc & ((1 << _LIMB_BITS) - 1)) * factor
    return (high << (_LIMB_BITS - places)) + (low >> places), low & ((np.int64(1) << places) - 1)
