import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.report.units import count, decibels, duration, energy, fixed, percent, quantity, size

SI = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "µ": 1e-6,
    "m": 1e-3,
    "": 1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
}
BINARY = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 J"),
        (1, "1.00 J"),
        (999.4, "999 J"),
        (999.5, "1.00 kJ"),  # rounds up into the next prefix, not to "1000 J"
        (999.6e-6, "1.00 mJ"),
        (0.0018714, "1.87 mJ"),
        (12.345e9, "12.3 GJ"),
        (-4.2e-7, "-420 nJ"),
        (1e-17, "0.0100 fJ"),
        (math.inf, "inf J"),
    ],
)
def test_quantity(value, text):
    assert quantity(value, "J") == text


@given(st.floats(1e-14, 1e17))
def test_quantity_reads_back_to_half_a_unit_of_its_third_digit(value):
    digits, prefix = re.fullmatch(r"([0-9.]+) (.?)J", quantity(value, "J")).groups()
    assert float(digits) * SI[prefix] == pytest.approx(value, rel=0.00501)
    assert 1 <= float(digits) < 1000
    assert len(digits.replace(".", "")) == 3


def test_energy_and_duration_convert():
    assert energy(1.8714e9) == "1.87 mJ"  # 1.8714e9 pJ x 1e-12 J/pJ
    assert energy(0) == "0 J"
    assert duration(0.0415) == "41.5 µs"


@given(st.integers(0, 10**17))
def test_count(value):
    text = count(value)
    if value < 10_000:
        assert text == str(value)
    else:
        digits, prefix = re.fullmatch(r"([0-9.]+)(.)", text).groups()
        assert float(digits) * SI[prefix] == pytest.approx(value, rel=0.00501)
        assert len(text) <= 5


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1023 * 1024, "1023 KiB"),
        (1024**2 - 1, "1.00 MiB"),
        (11_678_912, "11.1 MiB"),  # 11678912 / 1048576 = 11.138
    ],
)
def test_size(size_bytes, text):
    assert size(size_bytes) == text


@given(st.integers(0, 2**49))
def test_size_reads_back(size_bytes):
    digits, unit = size(size_bytes).split()
    assert float(digits) * BINARY[unit] == pytest.approx(size_bytes, rel=0.00501)
    assert float(digits) < 1024


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.4581, "45.8%"),
        (1e-9, "<0.1%"),
        (0.0005, "0.1%"),
        (0.9994, "99.9%"),
        (0.99951, ">99.9%"),
        (1.25, "125.0%"),
    ],
)
def test_percent(fraction, text):
    assert percent(fraction) == text


@given(st.floats(0, 99_999))
def test_fixed_is_narrow_and_true(value):
    text = fixed(value)
    assert len(text) <= 5
    if text == "<.001":
        assert 0 < value < 0.0005
    else:
        assert float(text) == pytest.approx(value, rel=0.00501, abs=0.0005)
        assert (float(text) == 0) == (value == 0)


def test_decibels():
    assert decibels(31.26) == "31.3"
    assert decibels(math.inf) == "∞"
    assert decibels(-math.inf) == "-∞"
