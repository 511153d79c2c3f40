"""BinaryDuo's identity: a ternary activation is two binary ones, and a convolution cannot tell.

Kim, Kim, Kim and Kim, "BinaryDuo: Reducing Gradient Mismatch in Binary Activation Network by Coupling Binary
Activations", ICLR 2020: a network with activations {0, 1/2, 1} is decoupled into one with activations {0, 1}, each
channel becoming two whose BatchNorm biases differ by +-1/4, and whose weights are the same. Integers here are in units
of 1/2 (activations) and of 2^-SHIFT (BatchNorm's outputs), so that everything is exact.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accel.numerics.mac import Accumulator, accumulate

SHIFT = 6
HALF, QUARTER = 1 << SHIFT - 1, 1 << SHIFT - 2
OUTPUTS = st.lists(st.integers(-2 << SHIFT, 2 << SHIFT), min_size=1, max_size=40).map(np.array)


def binary(y: np.ndarray) -> np.ndarray:
    """0 or 1: the nearer one, 1 at one half."""
    return (y >= HALF).astype(np.int8)


def ternary(y: np.ndarray) -> np.ndarray:
    """0, 1 or 2 halves: the nearest one to y clipped to [0, 1], half a step going up."""
    return np.clip((y + QUARTER) >> SHIFT - 1, 0, 2).astype(np.int8)


@given(OUTPUTS)
def test_a_ternary_activation_is_the_sum_of_two_binary_ones(y) -> None:
    np.testing.assert_array_equal(binary(y + QUARTER) + binary(y - QUARTER), ternary(y))


def test_every_tie() -> None:
    """One quarter and three quarters are as near to one step as to the next: both sides go up."""
    y = np.array([QUARTER - 1, QUARTER, 3 * QUARTER - 1, 3 * QUARTER, 1 << SHIFT])
    assert ternary(y).tolist() == [0, 1, 1, 2, 2]
    assert (binary(y + QUARTER) + binary(y - QUARTER)).tolist() == [0, 1, 1, 2, 2]


def test_half_to_even_breaks_it() -> None:
    """At three quarters, 3/2 halves go to 2, but the second binary channel is at 1/2, which goes to 0."""
    y = np.array([0.75])
    decoupled = np.rint(np.clip(y + 0.25, 0, 1)) + np.rint(np.clip(y - 0.25, 0, 1))
    assert (np.rint(2 * y), decoupled) == (2, 1)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(2, 24),
    st.sampled_from(["wrap", None]),
)
def test_the_next_layer_cannot_tell(seed, products, channels, bits, overflow) -> None:
    """Duplicated weights on twice the inputs give the same sums, and the same again in an accumulator that wraps."""
    rng = np.random.default_rng(seed)
    y = rng.integers(-2 << SHIFT, 2 << SHIFT, (3, products), endpoint=True)
    weight = rng.choice([-1, 1], (products, channels))
    bias = rng.integers(-9, 9, channels)
    accumulator = None if overflow is None else Accumulator(bits, bits, overflow)
    coupled, _ = accumulate(ternary(y), weight, bias, accumulator)
    twice = np.concatenate([binary(y + QUARTER), binary(y - QUARTER)], axis=1)
    decoupled, _ = accumulate(twice, np.concatenate([weight, weight]), bias, accumulator)
    np.testing.assert_array_equal(coupled, decoupled)


def vgg7_weights(widths: tuple[int, ...], copies: int) -> int:
    """Four 3x3 convolutions, then a fully connected layer on 4 x 4 pixels and two more; ``copies`` of binary inputs.

    The image is not binary, nor is what the classifier reads.
    """
    one, two, three, four, five, six = widths
    convolutions = 9 * (3 * one + copies * (one * two + two * three + three * four))
    return convolutions + copies * (16 * four * five + five * six) + six * 10


def test_weights_of_its_vgg7() -> None:
    """Decoupled from 45, 45, 90, 90, 336 and 512 channels, the network is about as large as the baseline."""
    coupled, baseline = (45, 45, 90, 90, 336, 512), (64, 64, 128, 128, 512, 512)
    assert vgg7_weights(coupled, 1) == 789_782
    assert vgg7_weights(coupled, 2) == 1_573_229
    assert vgg7_weights(baseline, 1) == 1_575_616
