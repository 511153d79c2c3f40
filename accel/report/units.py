"""Numbers as people read them: three significant digits and a prefix. The exact ones are in JSON and CSV."""

from __future__ import annotations

import math

_SI_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_PLAIN_BELOW = 10_000


def _scaled(value: float) -> tuple[str, str]:
    """``1.8141e9`` -> ``("1.81", "G")``; a value that rounds up to the next prefix takes that prefix."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}", ""
    exponent = int(f"{value:.2e}".split("e")[1])
    group = min(max(exponent // 3 * 3, min(_SI_PREFIXES)), max(_SI_PREFIXES))
    decimals = max(0, 2 - (exponent - group))
    return f"{value / 10.0**group:.{decimals}f}", _SI_PREFIXES[group]


def quantity(value: float, unit: str) -> str:
    """A value with its unit and an SI prefix.

    Examples
    --------
    >>> quantity(0.0018714, "J"), quantity(999.6, "Hz"), quantity(0, "W")
    ('1.87 mJ', '1.00 kHz', '0 W')
    """
    digits, prefix = _scaled(value)
    return f"{digits} {prefix}{unit}"


def energy(picojoules: float) -> str:
    """Energy in the prefix that suits it: ``energy(1.8714e9)`` -> ``1.87 mJ``."""
    return quantity(picojoules * 1e-12, "J")


def duration(milliseconds: float) -> str:
    """Time in the prefix that suits it: ``duration(0.0415)`` -> ``41.5 µs``."""
    return quantity(milliseconds * 1e-3, "s")


def count(value: int) -> str:
    """A count: exact below 10,000, then three digits and a prefix.

    Examples
    --------
    >>> count(9216), count(12544), count(1814073344)
    ('9216', '12.5k', '1.81G')
    """
    return str(value) if abs(value) < _PLAIN_BELOW else "".join(_scaled(value))


def size(size_bytes: int) -> str:
    """Bytes in binary units: ``size(1536)`` -> ``1.50 KiB``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    scaled = float(size_bytes)
    for unit in _BINARY_UNITS[1:-1]:
        scaled /= 1024
        digits = _three_digits(scaled)
        if float(digits) < 1024:
            return f"{digits} {unit}"
    return f"{_three_digits(scaled / 1024)} {_BINARY_UNITS[-1]}"


def percent(fraction: float) -> str:
    """A share, one decimal below 100; what is not quite nothing or not quite all does not look so.

    Examples
    --------
    >>> percent(0.4581), percent(1.0), percent(0.0), percent(0.0002), percent(0.9998)
    ('45.8%', '100%', '0%', '<0.1%', '>99.9%')
    """
    if fraction in (0.0, 1.0):
        return f"{fraction:.0%}"
    if 0 < fraction < 0.0005:
        return "<0.1%"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    return f"{fraction:.1%}"


def decibels(value: float) -> str:
    """Decibels, without the unit; two equal signals are infinitely many apart from noise: ``∞``."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.1f}"


def fixed(value: float) -> str:
    """At most five characters up to 99,999, for columns of one unit: ``1234``, ``12.3``, ``0.012``, ``<.001``."""
    if value == 0:
        return "0"
    if 0 < value < 0.0005:
        return "<.001"
    for bound, decimals in ((0.9995, 3), (9.995, 2), (99.95, 1)):
        if value < bound:
            return f"{value:.{decimals}f}"
    return f"{value:.0f}"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"
