"""Quantities with units, read exactly and written back."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.arch.units import BANDWIDTH, BURST, CAPACITY, CLOCK, LATENCY, WIDTH, Quantity

GHZ = 1e9


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (CLOCK, "1 GHz", 10**9),
        (CLOCK, "1GHz", 10**9),
        (CLOCK, "700 MHz", 7 * 10**8),
        (CLOCK, "0.7 GHz", 7 * 10**8),
        (CLOCK, "+2.5e2 megahertz", 25 * 10**7),
        (CAPACITY, "128 KiB", 131072),
        (CAPACITY, "128 kB", 128000),
        (CAPACITY, "1 MiB", 2**20),
        (CAPACITY, "1.5 KiB", 1536),
        (CAPACITY, "8 bit", 1),
        (CAPACITY, "1 byte", 1),
        (WIDTH, "32 B/cycle", 32),
        (WIDTH, "32 bytes/cycle", 32),
        (WIDTH, "4 bits/cycle", Fraction(1, 2)),
        (BANDWIDTH, "16 B/cycle", 16),
        (LATENCY, "100 cycles", 100),
        (LATENCY, "1 cycle", 1),
        (BURST, "64 B", 64),
    ],
)
def test_reads(quantity: Quantity, text: str, value: int) -> None:
    assert quantity.read(text) == value


@pytest.mark.parametrize(
    ("text", "clock_hz", "cycles"),
    [
        ("80 ns", 1 * GHZ, 80),  # exactly; binary fractions would make it 80.00000000000001, and so 81
        ("80 ns", 0.7 * GHZ, 56),
        ("0.1 ns", 1 * GHZ, 1),  # rounded up
        ("1 us", 333e6, 333),
        ("1 µs", 333e6, 333),
        ("0 s", 1 * GHZ, 0),
    ],
)
def test_time_becomes_cycles_rounded_up(text: str, clock_hz: float, cycles: int) -> None:
    assert LATENCY.read(text, clock_hz) == cycles


@pytest.mark.parametrize(
    ("text", "clock_hz", "bytes_per_cycle"),
    [
        ("12.8 GB/s", 1 * GHZ, 12.8),
        ("34 GB/s", 0.7 * GHZ, 34 / 0.7),
        ("1 GiB/s", 1 * GHZ, 2**30 / 1e9),
        ("8 Gbit/s", GHZ, 1),
    ],
)
def test_bandwidth_is_divided_by_the_clock(text: str, clock_hz: float, bytes_per_cycle: float) -> None:
    assert float(BANDWIDTH.read(text, clock_hz)) == pytest.approx(bytes_per_cycle, rel=1e-15)


@pytest.mark.parametrize("quantity", [CLOCK, CAPACITY, WIDTH, BANDWIDTH, LATENCY, BURST])
def test_bounds_and_examples_are_legal(quantity: Quantity) -> None:
    for text in (quantity.low, quantity.high, *quantity.examples):
        quantity.read(text, GHZ)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (CLOCK, "999 Hz"),
        (CLOCK, "100.000001 GHz"),
        (CAPACITY, "0 B"),
        (CAPACITY, "1.0001 TiB"),
        (CAPACITY, "12 bit"),
        (WIDTH, "0.124 B/cycle"),
        (LATENCY, "-1 cycles"),
        (LATENCY, "2.5 cycles"),
        (LATENCY, "80 ns"),  # without a clock there is nothing to say
        (BURST, "65537 B"),
        (CLOCK, ""),
        (CLOCK, "GHz"),
        (CLOCK, "1e999999999 GHz"),
        (CLOCK, "1 GHz 2"),
        (CLOCK, "1 GHz/"),
        (CLOCK, "(1) GHz"),
        (CLOCK, "1 __import__"),
    ],
)
def test_refuses(quantity: Quantity, text: str) -> None:
    with pytest.raises(ValueError):
        quantity.read(text)


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (CLOCK, 1e9, "1 GHz"),
        (CLOCK, 7e8, "700 MHz"),
        (CLOCK, 1.25e9, "1.25 GHz"),
        (CAPACITY, 131072, "128 KiB"),
        (CAPACITY, 25165824, "24 MiB"),
        (CAPACITY, 1000, "1000 B"),
        (WIDTH, 32.0, "32 B/cycle"),
        (LATENCY, 0, "0 cycles"),
    ],
)
def test_writes_as_a_person_would(quantity: Quantity, value: float, text: str) -> None:
    assert quantity.write(value) == text


@given(st.floats(1e3, 1e11))
def test_any_clock_survives(value: float) -> None:
    assert float(CLOCK.read(CLOCK.write(value))) == value


@given(st.integers(1, 2**40))
def test_any_capacity_survives(value: int) -> None:
    assert CAPACITY.read(CAPACITY.write(value)) == value


@given(st.integers(0, 10**5), st.integers(1, 10**4))
def test_latency_is_the_least_number_of_cycles_that_lasts_as_long(nanoseconds: int, megahertz: int) -> None:
    cycles = LATENCY.read(f"{nanoseconds} ns", megahertz * 1e6)
    assert cycles == math.ceil(Fraction(nanoseconds * megahertz, 1000))
