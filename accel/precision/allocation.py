"""Bits by layer within a budget: an integer program over what each layer's bits lose and what they cost.

Losses and costs are measured apart, all else at 8 bits, and taken to add up. The machine has the last word: if the
allocation as a whole costs more than its parts, the program gets a smaller budget and tries again. The same bits
everywhere, or in both operands of every layer, go before it where they meet the budget and lose less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf, log10

from accel.errors import AccelError
from accel.graph.ir import Graph
from accel.precision.budget import Budget
from accel.precision.choices import Choice, Measure, Offer, choices
from accel.precision.cost_laws import costs_of
from accel.precision.integer_program import best_choices
from accel.precision.quality import Judge
from accel.precision.sensitivity import LEGAL_BITS, FloatSubject
from accel.precision.variants import BASE_BITS, LayerWidths, Variants
from accel.precision.what_if import Widths, with_widths
from accel.precision.widths import check_widths
from accel.studies.allocation import AllocatedLayer, Allocation, Candidate
from accel.studies.cost_laws import Costs

Progress = Callable[[str, int, int], None]
Bits = Mapping[str, LayerWidths]
"""By layer."""
DEFAULT_WIDTHS = (8, 6, 4, 2)
_ATTEMPTS = 20


def allocate(
    subject: FloatSubject,
    budget: Budget,
    widths: Sequence[int] = DEFAULT_WIDTHS,
    first_last: int | None = None,
    equal: bool = False,
    progress: Progress | None = None,
) -> Allocation:
    """Choose bits for every layer.

    Parameters
    ----------
    widths
        To choose from, for weights and for what layers read; layers that read one tensor read it at the same bits.
    first_last
        Bits of the first and the last layer, whatever the budget; None: chosen as all others.
    equal
        A layer's weights and what it reads get the same bits.

    Raises
    ------
    AccelError
        No allocation meets the budget (the closest is named), the machine cannot tell, or what ``quantize`` raises.
    """
    legal = f"legal are {LEGAL_BITS[0]} to {LEGAL_BITS[-1]} bits"
    check_widths(widths, LEGAL_BITS, legal)
    if first_last is not None and first_last not in LEGAL_BITS:
        raise AccelError(f"--first-last is {first_last}", "", legal)
    if budget.needs_machine and subject.machine is None:
        raise AccelError(f"--budget limits the {budget.quantity}, which only a machine has", "", "add --arch")
    search = _Search(subject, budget, progress or (lambda text, done, total: None))
    layers = search.variants.layers
    ends = {} if first_last is None else {layers[0]: first_last, layers[-1]: first_last}
    found = search.solve([Offer(widths, ends, same) for same in ((True,) if equal else (False, True))])
    same_bits = {f"{bits} bits": dict.fromkeys(layers, LayerWidths(bits, bits)) for bits in (BASE_BITS, *widths)}
    uniform = [search.candidate(name, bits) for name, bits in same_bits.items() if not search.problem(bits)]
    return Allocation(
        network=subject.name,
        machine="" if subject.machine is None else subject.machine.name,
        images=len(subject.images),
        requantizer=subject.arithmetic.requantizer,
        budget=budget.text,
        cost=budget.field,
        limit=search.limit,
        notes=tuple(search.notes),
        widths=tuple(widths),
        float_top1=search.judge.float_top1,
        predicted_sqnr_db=_decibels(search.predicted_noise(found)),
        allocated=search.candidate("allocated", found),
        uniform=tuple(uniform),
        layers=tuple(AllocatedLayer(name, found[name].weights, found[name].activations) for name in layers),
    )


class _Search:
    """Everything that is measured, once, and the choice among it."""

    def __init__(self, subject: FloatSubject, budget: Budget, report: Progress) -> None:
        self.subject, self.budget, self.report = subject, budget, report
        self.variants = Variants(subject.path, subject.images, subject.where, subject.arithmetic.requantizer, report)
        self.groups = self.variants.readers_together()
        report("float network and base", 0, 0)
        self.judge = Judge(subject.path, self.variants.base, subject.images, subject.labels, subject.arithmetic)
        self.left_out: dict[str, str] = {}
        self._alone: dict[tuple[tuple[str, LayerWidths], ...], Choice] = {}
        self._layer_costs: dict[LayerWidths, dict[str, float]] = {}
        base = self.candidate("base", {})
        self.base_noise, self.base_costs = _noise(base), base.costs
        self.base_problem = subject.costs(self.variants.base)[1]
        self.limit = budget.limit(base.costs)

    def problem(self, bits: Bits) -> AccelError | None:
        """Why a network cannot have those bits, for want of scales; None if it can."""
        try:
            self.variants.graph(bits)
        except AccelError as error:
            named = (f"{name} ({each.weights}, {each.activations})" for name, each in bits.items())
            self.left_out[", ".join(named) if len(bits) < len(self.variants.layers) else "all layers"] = error.what
            return error
        return None

    @property
    def notes(self) -> list[str]:
        """That the machine has not 8 bits; and bits that were left out, the first by name."""
        notes = [self.base_problem] if self.base_problem else []
        if self.left_out:
            (first, reason), *others = self.left_out.items()
            more = f", and {len(others)} more" if others else ""
            notes.append(f"bits (of weights, of activations) are left out: {first}: {reason}{more}")
        return notes

    def costs(self, graph: Graph) -> Costs:
        """What a network costs.

        Raises
        ------
        AccelError
            The budget is in a unit of the machine, which has not such widths.
        """
        costs, problem = self.subject.costs(graph)
        if problem and self.budget.needs_machine:
            raise AccelError(problem, str(self.subject.path), "choose a machine that takes 8 bits and all of --bits")
        return costs

    def candidate(self, name: str, bits: Bits) -> Candidate:
        """A network with those bits, judged."""
        graph = self.variants.graph(bits)
        return Candidate(name, self.judge.quality(graph), self.costs(graph))

    def alone(self, bits: Bits) -> Choice:
        """What some bits lose and cost, all else as in the base."""
        if all(widths == LayerWidths() for widths in bits.values()):
            return Choice(bits, 0.0, 0.0)
        key = tuple(bits.items())
        if key not in self._alone:
            found = self.candidate("", bits)
            loss = max(_noise(found) - self.base_noise, 0.0)
            self._alone[key] = Choice(bits, loss, self.budget.cost(found.costs) - self.budget.cost(self.base_costs))
        return self._alone[key]

    def layer_cost(self, layer: str, widths: LayerWidths) -> float:
        """What a layer costs where all layers have those bits: of types, whatever the scales."""
        if widths not in self._layer_costs:
            graph = with_widths(self.variants.base, Widths(widths.weights, widths.activations))
            found = costs_of(self.subject.name, graph, self.subject.machine).layers
            self._layer_costs[widths] = {layer.name: self.budget.cost(layer.costs) for layer in found}
        return self._layer_costs[widths][layer]

    def predicted_noise(self, bits: Bits) -> float:
        """At the network's output, if losses add up."""
        reads = [{name: LayerWidths(activations=bits[name].activations) for name in group} for group in self.groups]
        weights = [{name: LayerWidths(weights=bits[name].weights)} for name in bits]
        return self.base_noise + sum(self.alone(part).loss for part in (*reads, *weights))

    def solve(self, offers: Sequence[Offer]) -> Bits:
        """The bits with the least loss that meet the budget, of each offer's program and the same bits everywhere.

        Raises
        ------
        AccelError
            None do; the closest is named.
        """
        tried: list[tuple[float, Bits]] = []
        for offer in offers:
            items = self._items(offer)
            tried += self._attempts(items)
            tried.append(self._spent(_together(min(options, key=lambda choice: choice.cost) for options in items)))
            same = [self._everywhere(offer, width) for width in offer.widths]
            tried += [self._spent(bits) for bits in same if not self.problem(bits)]
        legal = [bits for cost, bits in tried if cost <= self.limit]
        if not legal:
            closest = self.budget.said(min(cost for cost, _ in tried), self.base_costs)
            raise AccelError(
                f"no allocation meets {self.budget.text}",
                str(self.subject.path),
                f"the closest is {closest}; ask for that, or offer fewer bits with --bits",
            )
        different = [bits for number, bits in enumerate(legal) if bits not in legal[:number]]
        self.report("whole networks", 0, len(different))
        return max(different, key=lambda bits: self.judge.quality(self.variants.graph(bits)).sqnr_db)

    def _items(self, offer: Offer) -> list[list[Choice]]:
        """By group of layers that read one tensor, what it may have."""
        measure = Measure(self.problem, self.alone, self.layer_cost)
        items = []
        for done, group in enumerate(self.groups):
            self.report(f"bits of {group[0]}", done, len(self.groups))
            items.append(choices(group, offer, measure))
        return items

    def _everywhere(self, offer: Offer, width: int) -> Bits:
        """The same bits in every layer, but for those whose bits are given."""
        bits: dict[str, LayerWidths] = {}
        for group in self.groups:
            activations = offer.of_activations(group)[0] if set(group) & set(offer.ends) else width
            others = activations if offer.equal else width
            bits |= {name: LayerWidths(offer.ends.get(name, others), activations) for name in group}
        return bits

    def _attempts(self, items: list[list[Choice]]) -> Iterator[tuple[float, Bits]]:
        """Solutions of the program and what they cost, until one meets the budget as a whole.

        Each next one has to be cheaper by what the one before was too expensive.
        """
        losses = [[choice.loss for choice in options] for options in items]
        costs = [[choice.cost for choice in options] for options in items]
        room = self.limit - self.budget.cost(self.base_costs)
        for attempt in range(_ATTEMPTS):
            self.report("integer program", attempt, _ATTEMPTS)
            best = best_choices(losses, costs, room)
            if best is None:
                return
            chosen = [options[number] for options, number in zip(items, best, strict=True)]
            spent, bits = self._spent(_together(chosen))
            yield spent, bits
            if spent <= self.limit:
                return
            room = sum(choice.cost for choice in chosen) - max(spent - self.limit, 1.0)

    def _spent(self, bits: Bits) -> tuple[float, Bits]:
        return self.budget.cost(self.costs(self.variants.graph(bits))), bits


def _together(chosen: Iterable[Choice]) -> Bits:
    return {name: widths for choice in chosen for name, widths in choice.widths.items()}


def _noise(candidate: Candidate) -> float:
    """Noise / signal at the network's output."""
    return float(10 ** (-candidate.quality.sqnr_db / 10))


def _decibels(noise: float) -> float:
    return -10 * log10(noise) if noise else inf
