"""Which bits each group of layers may have, and what every choice loses and costs.

A layer's weights are tried alone, and so is what a group of layers reads; losses are taken to add up. So are costs, but
for what weights and activations save only together (cycles of a bit-serial multiplier, say): that is seen in the whole
network with such types everywhere, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from accel.errors import AccelError
from accel.precision.variants import BASE_BITS, LayerWidths


@dataclass(frozen=True, slots=True)
class Choice:
    """Bits for some layers."""

    widths: Mapping[str, LayerWidths]
    loss: float
    """Noise / signal that they add at the network's output."""
    cost: float
    """What they spend more than the base, in the budget's unit."""

    def __add__(self, other: Choice) -> Choice:
        """Both."""
        return Choice({**self.widths, **other.widths}, self.loss + other.loss, self.cost + other.cost)


def frontier(choices: Iterable[Choice]) -> list[Choice]:
    """Those that no other beats in loss and in cost, cheapest first: in a sum within a budget the others are useless.

    Examples
    --------
    >>> [choice.cost for choice in frontier([Choice({}, 1, 5), Choice({}, 3, 2), Choice({}, 3, 4)])]
    [2, 5]
    """
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.cost, choice.loss)):
        if not kept or choice.loss < kept[-1].loss:
            kept.append(choice)
    return kept


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to choose from."""

    widths: Sequence[int]
    """For weights, and for what layers read."""
    ends: Mapping[str, int]
    """Layers whose bits are given, and how many."""
    equal: bool
    """Whether a layer's weights and what it reads have the same bits."""

    def of_activations(self, group: Sequence[str]) -> Sequence[int]:
        """Widths for what the layers of a group read."""
        given = [self.ends[name] for name in group if name in self.ends]
        return given[:1] or self.widths

    def of_weights(self, layer: str, activations: int) -> Sequence[int]:
        """Widths for a layer's weights."""
        if self.equal:
            return (activations,)
        return (self.ends[layer],) if layer in self.ends else self.widths


@dataclass(frozen=True, slots=True)
class Measure:
    """Where losses and costs come from."""

    problem: Callable[[Mapping[str, LayerWidths]], AccelError | None]
    """Why the requantizer has no scales for those widths, all else as in the base; None if it has."""
    alone: Callable[[Mapping[str, LayerWidths]], Choice]
    """What they lose and cost then."""
    layer_cost: Callable[[str, LayerWidths], float]
    """What a layer costs where all layers have those widths."""

    def extra_cost(self, layer: str, widths: LayerWidths) -> float:
        """What both operands of a layer cost together beyond what each costs alone."""
        if BASE_BITS in (widths.weights, widths.activations):
            return 0.0
        weights, activations = LayerWidths(weights=widths.weights), LayerWidths(activations=widths.activations)
        alone = self.layer_cost(layer, weights) + self.layer_cost(layer, activations)
        return self.layer_cost(layer, widths) + self.layer_cost(layer, LayerWidths()) - alone


def choices(group: Sequence[str], offer: Offer, measure: Measure) -> list[Choice]:
    """What a group of layers that read one tensor may have, without what is never worth it.

    Raises
    ------
    AccelError
        The requantizer has no scales for any of it.
    """
    found: list[Choice] = []
    problems: list[AccelError] = []
    for bits in offer.of_activations(group):
        widths = {name: LayerWidths(activations=bits) for name in group}
        if problem := measure.problem(widths):
            problems.append(problem)
            continue
        options = [measure.alone(widths)]
        for layer in group:
            own = list(_of_weights(layer, bits, offer, measure, problems))
            options = frontier(one + other for one in options for other in own)
        found += options
    if not found:
        raise problems[-1]
    return frontier(found)


def _of_weights(
    layer: str, activations: int, offer: Offer, measure: Measure, problems: list[AccelError]
) -> Iterator[Choice]:
    """What a layer's weights may have beside activations of so many bits, and why they may not have the rest."""
    for bits in offer.of_weights(layer, activations):
        widths = LayerWidths(bits, activations)
        if problem := measure.problem({layer: widths}):
            problems.append(problem)
            continue
        alone = measure.alone({layer: LayerWidths(weights=bits)})
        yield Choice({layer: widths}, alone.loss, alone.cost + measure.extra_cost(layer, widths))
