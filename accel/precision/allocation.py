"""Bits by layer within a budget: an integer program over what each layer's bits lose and what they cost.

Losses and costs are measured one group of layers at a time, all else at 8 bits, and taken to add up. The machine has
the last word: if the allocation as a whole costs more than its parts, the program gets a smaller budget and tries
again. The same bits everywhere, where they meet the budget and lose less, go before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10

from accel.errors import AccelError
from accel.precision.budget import Budget
from accel.precision.integer_program import best_choices
from accel.precision.quality import Judge
from accel.precision.sensitivity import LEGAL_BITS, FloatSubject
from accel.precision.variants import BASE_BITS, LayerWidths, Variants
from accel.precision.widths import check_widths
from accel.studies.allocation import AllocatedLayer, Allocation, Candidate

Progress = Callable[[str, int, int], None]
DEFAULT_WIDTHS = (8, 6, 4, 2)
_ATTEMPTS = 20


def allocate(
    subject: FloatSubject,
    budget: Budget,
    widths: Sequence[int] = DEFAULT_WIDTHS,
    first_last: int | None = None,
    progress: Progress | None = None,
) -> Allocation:
    """Choose bits for every layer.

    Parameters
    ----------
    widths
        To choose from; a layer's weights and what it reads have the same, and so have layers that read one tensor.
    first_last
        Bits of the first and the last layer, whatever the budget; None: chosen as all others.

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
    items = search.items(widths, first_last)
    chosen, allocated = search.solve(items)
    got = _together(chosen)
    layers = search.variants.layers
    uniform = [
        search.candidate(f"{bits} bits", dict.fromkeys(layers, LayerWidths(bits, bits)))
        for bits in dict.fromkeys((BASE_BITS, *widths))
    ]
    return Allocation(
        network=subject.name,
        machine="" if subject.machine is None else subject.machine.name,
        images=len(subject.images),
        budget=budget.text,
        cost=budget.field,
        limit=search.limit,
        widths=tuple(widths),
        float_top1=search.judge.float_top1,
        predicted_sqnr_db=_decibels(search.base_noise + sum(option.loss for option in chosen)),
        allocated=allocated,
        uniform=tuple(uniform),
        layers=tuple(AllocatedLayer(name, got[name].weights, got[name].activations) for name in layers),
    )


@dataclass(frozen=True, slots=True)
class _Option:
    """Bits for a group of layers that go together."""

    widths: Mapping[str, LayerWidths]
    loss: float
    """Noise / signal that it adds at the network's output."""
    cost: float
    """What it spends more than the base, in the budget's unit."""


class _Search:
    """Everything that is measured, and the choice among it."""

    def __init__(self, subject: FloatSubject, budget: Budget, report: Progress) -> None:
        self.subject, self.budget, self.report = subject, budget, report
        self.variants = Variants(subject.path, subject.images, subject.where, report)
        report("float network and base", 0, 0)
        self.judge = Judge(subject.path, self.variants.base, subject.images, subject.labels, subject.requantizer)
        self.base = self.candidate("base", {})
        self.base_noise = _noise(self.base)
        self.limit = budget.limit(self.base.costs)

    def candidate(self, name: str, widths: Mapping[str, LayerWidths]) -> Candidate:
        """A network with those widths, judged.

        Raises
        ------
        AccelError
            The budget is in a unit of the machine, which has not such widths.
        """
        graph = self.variants.graph(widths)
        costs, problem = self.subject.costs(graph)
        if problem and self.budget.needs_machine:
            raise AccelError(problem, str(self.subject.path), "choose a machine that takes 8 bits and all of --bits")
        return Candidate(name, self.judge.quality(graph), costs)

    def items(self, widths: Sequence[int], first_last: int | None) -> list[list[_Option]]:
        """By group of layers that read one tensor, its options, measured alone."""
        layers = self.variants.layers
        groups = self.variants.readers_together()
        choices = [
            (first_last,) if first_last is not None and {layers[0], layers[-1]} & set(group) else tuple(widths)
            for group in groups
        ]
        total, done = sum(len(legal) for legal in choices), 0
        items: list[list[_Option]] = []
        for group, legal in zip(groups, choices, strict=True):
            items.append([])
            for bits in legal:
                self.report(f"{group[0]}: {bits} bits", done, total)
                items[-1].append(self._option(dict.fromkeys(group, LayerWidths(bits, bits))))
                done += 1
        return items

    def _option(self, widths: Mapping[str, LayerWidths]) -> _Option:
        found = self.candidate("", widths)
        loss = max(_noise(found) - self.base_noise, 0.0)
        return _Option(widths, loss, self.budget.cost(found.costs) - self.budget.cost(self.base.costs))

    def solve(self, items: list[list[_Option]]) -> tuple[list[_Option], Candidate]:
        """The options with the least loss that meet the budget together.

        Raises
        ------
        AccelError
            None do; the closest is named.
        """
        tried = list(self._attempts(items))
        tried += [self._tried([min(options, key=lambda option: option.cost) for options in items])]
        tried += [self._tried(list(same)) for same in zip(*_padded(items), strict=True)]
        spent = [self.budget.cost(found.costs) for _, found in tried]
        legal = [pair for pair, cost in zip(tried, spent, strict=True) if cost <= self.limit]
        if not legal:
            closest = self.budget.said(min(spent), self.base.costs)
            raise AccelError(
                f"no allocation meets {self.budget.text}",
                str(self.subject.path),
                f"the closest is {closest}; ask for that, or offer fewer bits with --bits",
            )
        return max(legal, key=lambda pair: pair[1].quality.sqnr_db)

    def _attempts(self, items: list[list[_Option]]) -> Iterator[tuple[list[_Option], Candidate]]:
        """Solutions of the program, until one meets the budget as a whole.

        Each next one has to be cheaper by what the one before was too expensive.
        """
        losses = [[option.loss for option in options] for options in items]
        costs = [[option.cost for option in options] for options in items]
        room = self.limit - self.budget.cost(self.base.costs)
        for attempt in range(_ATTEMPTS):
            self.report("integer program", attempt, _ATTEMPTS)
            best = best_choices(losses, costs, room)
            if best is None:
                return
            chosen, found = self._tried([options[choice] for options, choice in zip(items, best, strict=True)])
            yield chosen, found
            excess = self.budget.cost(found.costs) - self.limit
            if excess <= 0:
                return
            room = sum(option.cost for option in chosen) - max(excess, 1.0)

    def _tried(self, chosen: list[_Option]) -> tuple[list[_Option], Candidate]:
        return chosen, self.candidate("allocated", _together(chosen))


def _padded(items: list[list[_Option]]) -> list[list[_Option]]:
    """As many options for every group: one that has no choice has the same one again."""
    most = max(map(len, items))
    return [options * most if len(options) == 1 else options for options in items]


def _together(chosen: Sequence[_Option]) -> dict[str, LayerWidths]:
    return {name: asked for option in chosen for name, asked in option.widths.items()}


def _noise(candidate: Candidate) -> float:
    """Noise / signal at the network's output."""
    return float(10 ** (-candidate.quality.sqnr_db / 10))


def _decibels(noise: float) -> float:
    return -10 * log10(noise) if noise else inf
