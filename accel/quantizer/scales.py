"""Scales that a requantizer unit can represent."""

from __future__ import annotations

from math import frexp, ldexp


def power_of_two(scale: float) -> float:
    """The least power of two that is not below ``scale``: LLSQ's ``2^ceil(log2 a)``.

    Examples
    --------
    >>> power_of_two(0.3), power_of_two(0.25)
    (0.5, 0.25)
    """
    mantissa, exponent = frexp(scale)
    return ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)
