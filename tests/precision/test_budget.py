"""Budgets: what a user writes, and what it limits."""

from __future__ import annotations

import pytest

from accel.errors import AccelError
from accel.precision.budget import Budget
from accel.studies.cost_laws import Costs

BASE = Costs(bops=1000, aqt_linear=100, memory_bits=80, cycles=500, energy_pj=2e6)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("latency=0.7x", 350),
        ("latency=400", 400),
        ("energy=0.5X", 1e6),
        ("energy=1.5e6", 1.5e6),
        ("BOPs=1x", 1000),
        (" memory=0.25x ", 20),
    ],
)
def test_limits(text, limit) -> None:
    budget = Budget.parse(text)
    assert budget.limit(BASE) == pytest.approx(limit)
    assert budget.needs_machine == text.startswith(("latency", "energy"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latncy=0.7x", "--budget limits 'latncy'; did you mean 'latency'?"),
        ("accuracy=0.9x", "--budget limits 'accuracy'; legal are latency, energy, bops, memory"),
        (
            "energy=1e400",
            "--budget is 'energy=1e400', which is no finite number; write latency=0.7x (of 8 bits), latency=2000000 "
            "(cycles), energy=1e9 (pJ), bops=1e9 or memory=4e6 (bits)",
        ),
        (
            "latency=fast",
            "--budget is 'latency=fast'; write latency=0.7x (of 8 bits), latency=2000000 (cycles), energy=1e9 (pJ), "
            "bops=1e9 or memory=4e6 (bits)",
        ),
    ],
)
def test_what_is_no_budget(text, message) -> None:
    with pytest.raises(AccelError) as error:
        Budget.parse(text)
    assert str(error.value) == message


@pytest.mark.parametrize("text", ["latency", "=3", "latency=-1", "latency=0.7y", "latency = 3", ""])
def test_more_of_them(text) -> None:
    with pytest.raises(AccelError, match="--budget is"):
        Budget.parse(text)


def test_what_is_said_can_be_asked_for() -> None:
    assert Budget.parse("latency=0.1x").said(416.4, BASE) == "latency=0.833x"
    assert Budget.parse("latency=0.833x").limit(BASE) >= 416.4
    assert Budget.parse("latency=100").said(416.4, BASE) == "latency=416 cycles"


def test_an_unknown_cost() -> None:
    with pytest.raises(ValueError, match="cycles is unknown"):
        Budget.parse("latency=1x").limit(Costs(cycles=None))
