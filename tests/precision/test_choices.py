"""Choices of a group: what is never worth it goes, what both operands save together counts, and the best stays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import AccelError
from accel.precision.choices import Choice, Measure, Offer, choices, frontier
from accel.precision.integer_program import best_choices
from accel.precision.variants import LayerWidths

Bits = Mapping[str, LayerWidths]


class Table:
    """A network of figures: losses of each operand drawn, costs of a multiplier that is serial in both operands."""

    def __init__(self, seed: int, layers: list[str]) -> None:
        rng = np.random.default_rng(seed)
        self.macs = {layer: int(rng.integers(1, 1000)) for layer in layers}
        self.weights = {layer: int(rng.integers(1, 1000)) for layer in layers}
        self.step = {(layer, operand): rng.uniform(0.1, 10) for layer in layers for operand in ("w", "a")}

    def loss(self, layer: str, widths: LayerWidths) -> float:
        parts = (("w", widths.weights), ("a", widths.activations))
        return sum(self.step[layer, operand] * (4.0**-bits - 4.0**-8) for operand, bits in parts if bits != 8)

    def cost(self, layer: str, widths: LayerWidths) -> float:
        return self.macs[layer] * widths.weights * widths.activations + self.weights[layer] * widths.weights

    def alone(self, bits: Bits) -> Choice:
        extra = [self.cost(layer, widths) - self.cost(layer, LayerWidths()) for layer, widths in bits.items()]
        return Choice(bits, sum(self.loss(*item) for item in bits.items()), sum(extra))

    def measure(self, problem=lambda bits: None) -> Measure:
        return Measure(problem, self.alone, self.cost)


def everything(group: list[str], offer: Offer) -> list[dict[str, LayerWidths]]:
    """All there is to choose from, one by one."""
    found = []
    for activations in offer.of_activations(group):
        for weights in product(*(offer.of_weights(layer, activations) for layer in group)):
            found.append({n: LayerWidths(w, activations) for n, w in zip(group, weights, strict=True)})
    return found


def test_the_frontier_by_hand() -> None:
    costs = [(5, 1), (2, 3), (4, 3), (6, 1), (3, 2), (2, 4), (2, 3)]
    kept = frontier(Choice({}, loss, cost) for cost, loss in costs)
    assert [(choice.cost, choice.loss) for choice in kept] == [(2, 3), (3, 2), (5, 1)]


@pytest.mark.parametrize("equal", [False, True])
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 2), min_size=1, max_size=2), st.floats(0, 1), st.booleans())
def test_the_program_over_choices_is_the_best_of_all_allocations(equal, seed, sizes, share, ends) -> None:
    """Every allocation of up to four layers, one by one: none within the budget loses less."""
    names = iter("abcd")
    groups = [[next(names) for _ in range(size)] for size in sizes]
    layers = [layer for group in groups for layer in group]
    table = Table(seed, layers)
    offer = Offer((8, 4, 2), {layers[0]: 8} if ends else {}, equal)
    items = [choices(group, offer, table.measure()) for group in groups]
    every = [
        table.alone({name: widths for part in parts for name, widths in part.items()})
        for parts in product(*(everything(group, offer) for group in groups))
    ]
    low, high = (pick(choice.cost for choice in every) for pick in (min, max))
    limit = low + share * (high - low) + 0.5
    found = best_choices(*([[getattr(c, field) for c in item] for item in items] for field in ("loss", "cost")), limit)
    assert found is not None
    chosen = [item[number] for item, number in zip(items, found, strict=True)]
    bits = {name: widths for choice in chosen for name, widths in choice.widths.items()}
    assert list(bits) == layers
    whole = table.alone(bits)
    # Parts add up to the whole, what both operands save together included.
    assert whole.cost == pytest.approx(sum(choice.cost for choice in chosen), abs=1e-6)
    assert whole.cost <= limit
    best = min(choice.loss for choice in every if choice.cost <= limit)
    assert whole.loss == pytest.approx(best, rel=1e-6, abs=1e-12)


def test_ends_have_the_bits_that_are_given() -> None:
    """What the other layers of the group read has them too."""
    found = choices(["a", "b"], Offer((4, 2), {"a": 8}, False), Table(1, ["a", "b"]).measure())
    assert {choice.widths["a"] for choice in found} == {LayerWidths(8, 8)}
    assert {choice.widths["b"] for choice in found} == {LayerWidths(4, 8), LayerWidths(2, 8)}


def test_bits_that_cost_the_same_are_not_narrowed() -> None:
    """Weights in memory alone: what a layer reads keeps its 8 bits."""
    table = Table(1, ["a"])
    table.macs["a"] = 0
    found = choices(["a"], Offer((8, 4, 2), {}, False), table.measure())
    assert [choice.widths["a"] for choice in found] == [LayerWidths(bits, 8) for bits in (2, 4, 8)]


def test_what_the_scales_do_not_allow_is_left_out() -> None:
    def problem(bits: Bits) -> AccelError | None:
        narrow = [w for w in bits.values() if w.activations < 4 or (w.weights, w.activations) == (2, 4)]
        return AccelError("its scale is 2", "net:a") if narrow else None

    table = Table(2, ["a", "b"])
    found = choices(["a", "b"], Offer((8, 4, 2), {}, False), table.measure(problem))
    assert {choice.widths["a"].activations for choice in found} == {8, 4}
    assert {choice.widths["b"].weights for choice in found} == {8, 4, 2}
    assert LayerWidths(2, 4) not in {choice.widths[layer] for choice in found for layer in "ab"}
    with pytest.raises(AccelError, match="net:a: its scale is 2"):
        choices(["a", "b"], Offer((2,), {}, False), table.measure(problem))


def test_the_program_of_a_network_like_resnet50_takes_seconds(capfd) -> None:
    """54 layers, four pairs that read one tensor, both operands from four widths: 5 s on any machine, not 5 minutes."""
    layers = [f"layer{number}" for number in range(54)]
    groups = [layers[2 * number : 2 * number + 2] for number in range(4)] + [[layer] for layer in layers[8:]]
    table = Table(6, layers)
    started = time.perf_counter()
    items = [choices(group, Offer((8, 6, 4, 2), {}, False), table.measure()) for group in groups]
    losses, costs = ([[getattr(choice, field) for choice in item] for item in items] for field in ("loss", "cost"))
    low, high = sum(map(min, costs)), sum(map(max, costs))
    for share in (0.1, 0.3, 0.5, 0.8):
        assert best_choices(losses, costs, low + share * (high - low)) is not None
    assert time.perf_counter() - started < 4 * 5
    assert capfd.readouterr() == ("", "")
