"""Budgets as a user writes them: ``latency=0.7x``, ``bops=2e9``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import inf

from accel.errors import AccelError
from accel.studies.cost_laws import Costs

_FIELDS = {"latency": "cycles", "energy": "energy_pj", "bops": "bops", "memory": "memory_bits"}
_UNITS = {"latency": "cycles", "energy": "pJ", "bops": "bit operations", "memory": "bits of weights"}
_FORM = re.compile(r"([a-z]+)=(\d+(?:\.\d*)?(?:e\d+)?)(x?)", re.IGNORECASE)
_HINT = "write latency=0.7x (of 8 bits), latency=2000000 (cycles), energy=1e9 (pJ), bops=1e9 or memory=4e6 (bits)"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so much of one cost."""

    text: str
    quantity: str
    """``latency``, ``energy``, ``bops`` or ``memory``."""
    amount: float
    relative: bool
    """To the network at 8 bits."""

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read what a user wrote.

        Raises
        ------
        AccelError
            It is no budget.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise AccelError(f"--budget is '{text}'", "", _HINT)
        quantity = match[1].lower()
        if quantity not in _FIELDS:
            near = difflib.get_close_matches(quantity, _FIELDS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"legal are {', '.join(_FIELDS)}"
            raise AccelError(f"--budget limits '{quantity}'", "", hint)
        amount = float(match[2])
        if amount == inf:
            raise AccelError(f"--budget is '{text}', which is no finite number", "", _HINT)
        return cls(text.strip(), quantity, amount, bool(match[3]))

    @property
    def field(self) -> str:
        """The cost that it limits."""
        return _FIELDS[self.quantity]

    @property
    def needs_machine(self) -> bool:
        """Whether only a machine can tell."""
        return self.quantity in ("latency", "energy")

    def cost(self, costs: Costs) -> float:
        """What the network spends of it; ValueError where that is unknown."""
        value = getattr(costs, self.field)
        if value is None:
            raise ValueError(f"{self.field} is unknown")
        return float(value)

    def limit(self, base: Costs) -> float:
        """The most that may be spent."""
        return self.amount * self.cost(base) if self.relative else self.amount

    def said(self, spent: float, base: Costs) -> str:
        """An amount in the form of this budget: ``latency=0.83x``, rounded up so that it can be asked for."""
        if not self.relative:
            return f"{self.quantity}={spent:.0f} {_UNITS[self.quantity]}"
        return f"{self.quantity}={-(-spent * 1000 // self.cost(base)) / 1000:g}x"
