"""Allocations: within the budget, no worse than uniform bits, ties, ends, and a file that the quantizer takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from accel.errors import AccelError
from accel.networks import companions
from accel.precision import allocation as allocating
from accel.precision.allocation import allocate
from accel.precision.budget import Budget
from accel.precision.sensitivity import FloatSubject
from accel.quantizer.layers_file import read_layers
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.quantize import quantize_network
from accel.studies.allocation import AllocatedLayer
from tests.machines import machine

DIGITS = companions("digits-resnet8")
IMAGES, LABELS = DIGITS.images[:6], DIGITS.labels[:6]
ARCH = machine(8, 8, weight="int8", activation="uint8", buffers=(4096, 8192, 8192))


def subject(arch=ARCH) -> FloatSubject:
    return FloatSubject("digits", DIGITS.float_path, IMAGES, "images", LABELS, arch)


@pytest.mark.parametrize("text", ["latency=0.985x", "energy=0.9x", "bops=0.3x", "memory=0.4x"])
def test_it_meets_its_budget_and_loses_no_more_than_uniform_bits(text) -> None:
    budget = Budget.parse(text)
    found = allocate(subject(), budget, (8, 4, 2))
    spent = budget.cost(found.allocated.costs)
    base = found.uniform[0]
    assert spent <= found.limit == pytest.approx(budget.limit(base.costs))
    for network in found.uniform:
        if budget.cost(network.costs) <= found.limit:
            assert found.allocated.quality.sqnr_db >= network.quality.sqnr_db
    assert [network.name for network in found.uniform] == ["8 bits", "4 bits", "2 bits"]
    assert found.allocated.quality.sqnr_db < base.quality.sqnr_db
    assert found.predicted_sqnr_db == pytest.approx(found.allocated.quality.sqnr_db, abs=3)


def test_layers_that_read_one_tensor_have_the_same_bits_and_ends_are_kept() -> None:
    found = allocate(subject(None), Budget.parse("bops=0.2x"), (8, 4, 2), first_last=8)
    bits = {layer.name: (layer.weight_bits, layer.activation_bits) for layer in found.layers}
    assert bits["stem"] == bits["fc"] == (8, 8)
    assert bits["stage2.conv1"] == bits["stage2.shortcut"]
    assert bits["stage3.conv1"] == bits["stage3.shortcut"]
    assert all(weights == activations for weights, activations in bits.values())
    assert found.allocated.costs.cycles is None


def test_a_budget_for_everything_keeps_8_bits() -> None:
    found = allocate(subject(None), Budget.parse("bops=1x"), (8, 4))
    assert {(layer.weight_bits, layer.activation_bits) for layer in found.layers} == {(8, 8)}
    assert found.allocated.quality == found.uniform[0].quality


def test_the_yaml_is_what_the_quantizer_takes(tmp_path: Path) -> None:
    found = allocate(subject(None), Budget.parse("memory=0.5x"), (8, 4))
    file = tmp_path / "layers.yaml"
    file.write_text(found.to_yaml())
    options = QuantizeOptions(layers=read_layers(file))
    record = quantize_network(DIGITS.float_path, IMAGES, "images", options, lambda *_: None).record
    # Every weight at its bits: what the quantizer packs is what the allocation counted.
    assert record.weight_bits == found.allocated.costs.memory_bits
    assert found.allocated.costs.memory_bits <= 0.5 * 8 * 77_072


def test_names_that_yaml_would_take_for_something_else(tmp_path: Path) -> None:
    found = allocate(subject(None), Budget.parse("bops=1x"), (8,))
    names = ("conv1", "a b", "yes", "3", "/layer1/Conv: x", "Null", "é", 'q"')
    odd = tuple(AllocatedLayer(name, 4, 8) for name in names)
    file = tmp_path / "layers.yaml"
    text = type(found).to_yaml(_with_layers(found, odd))
    file.write_text(text, encoding="utf-8")
    assert tuple(read_layers(file)) == names
    keys = [line.split(": {")[0] for line in text.splitlines()]
    assert keys == ["conv1", '"a b"', '"yes"', '"3"', '"/layer1/Conv: x"', '"Null"', '"\\u00e9"', '"q\\""']


def _with_layers(found, layers):
    from dataclasses import replace

    return replace(found, layers=layers)


def test_a_whole_that_costs_more_than_its_parts_gets_a_smaller_budget(monkeypatch) -> None:
    """A machine that charges 10 % more as soon as two groups are narrow."""
    honest = FloatSubject.costs

    def dearer(self, graph):
        from dataclasses import replace

        costs, problem = honest(self, graph)
        narrow = sum(node.op.weight.qtype.bits < 8 for node in graph.nodes if hasattr(node.op, "weight"))
        return (replace(costs, bops=int(costs.bops * 1.1)), problem) if narrow > 2 else (costs, problem)

    monkeypatch.setattr(FloatSubject, "costs", dearer)
    budget = Budget.parse("bops=0.6x")
    programs = []
    solve = allocating.best_choices
    monkeypatch.setattr(allocating, "best_choices", lambda *words: programs.append(words[2]) or solve(*words))
    found = allocate(subject(None), budget, (8, 4, 2))
    assert budget.cost(found.allocated.costs) <= found.limit
    assert len(programs) > 1
    assert programs == sorted(programs, reverse=True)


def test_a_budget_that_none_meets_names_the_closest_which_can_be_asked_for() -> None:
    with pytest.raises(AccelError) as error:
        allocate(subject(), Budget.parse("latency=0.1x"), (8, 4))
    message = str(error.value)
    assert message.startswith(f"{DIGITS.float_path}: no allocation meets latency=0.1x; the closest is latency=0.")
    assert message.endswith("x; ask for that, or offer fewer bits with --bits")
    closest = message.split("the closest is ")[1].split(";")[0]
    assert allocate(subject(), Budget.parse(closest), (8, 4)).budget == closest


@pytest.mark.parametrize(
    ("arch", "budget", "widths", "first_last", "message"),
    [
        (None, "latency=0.5x", (4,), None, "--budget limits the latency, which only a machine has; add --arch"),
        (ARCH, "bops=0.5x", (), None, "--bits has no width; legal are 1 to 16 bits"),
        (ARCH, "bops=0.5x", (4, 4), None, "--bits has 4 twice; name each width once"),
        (ARCH, "bops=0.5x", (17,), None, "--bits has a width of 17; legal are 1 to 16 bits"),
        (ARCH, "bops=0.5x", (4,), 0, "--first-last is 0; legal are 1 to 16 bits"),
        (
            machine(8, 8, weight="int4", activation="uint4", buffers=(4096, 8192, 8192)),
            "latency=0.5x",
            (4,),
            None,
            f"{DIGITS.float_path}: no cycles on test-8x8: stem has int8 weights, and the processing elements take "
            "int4, and 19 more; choose a machine that takes 8 bits and all of --bits",
        ),
    ],
)
def test_mistakes(arch, budget, widths, first_last, message) -> None:
    with pytest.raises(AccelError) as error:
        allocate(subject(arch), Budget.parse(budget), widths, first_last)
    assert str(error.value) == message
