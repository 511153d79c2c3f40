"""What a machine's vector unit makes of a network's scales: which it cannot take, and how far off the others are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.errors import AccelError, listed
from accel.graph.ir import Add, AveragePool, Concat, Conv, Graph, Linear, Node, Requantize
from accel.numerics.elementwise import change_of_scale
from accel.numerics.encoding import Encoding
from accel.numerics.pool import mean_scale, window_counts
from accel.numerics.requantize import Requantizer, multiplier

_WORTH_SAYING = 1e-3
"""Relative error of a scale: at 8 bits, an eighth of a step."""

Scales = npt.NDArray[np.float32]


def check_scales(graph: Graph, machine: Machine) -> None:
    """Every scale is one that the machine's requantizer can encode, and its adder every pair of them.

    Raises
    ------
    AccelError
        Which layers have one that they cannot.
    """
    arithmetic = machine.vector.arithmetic
    unit, adder = arithmetic.unit, arithmetic.integer_adder
    wrong = {
        "requantizer": [
            (name, problem) for name, scales in _scaled(graph, machine) if (problem := _problem(unit, scales))
        ],
        "adder": [
            (node.name, problem)
            for node in _additions(graph, machine)
            if adder is not None and (problem := adder.problem(*_encodings(graph, node)))
        ],
    }
    fields = [f"vector.{field}" for field, found in wrong.items() if found]
    if fields:
        raise AccelError(
            "; ".join(_summed_up(found) for found in wrong.values() if found),
            graph.path,
            f"take a machine with another {' and another '.join(fields)}, or other scales",
        )


def scale_notes(graph: Graph, machine: Machine) -> list[str]:
    """How far the scales that the machine works with are from the network's, where that is worth a word."""
    name, unit = machine.vector.requantizer, machine.vector.arithmetic.unit
    layers = [_Made.of_scales(layer, scales, unit) for layer, scales in _scaled(graph, machine)]
    notes = [*_inexact(name, "scales", "layers", layers)]
    silent = [layer for layer in layers if layer.zeros]
    if silent:
        worst = max(silent, key=lambda layer: layer.zeros)
        notes.append(
            f"{name} makes the scales of {sum(layer.zeros for layer in silent)} channels 0, {worst.zeros} of them in "
            f"{worst.name}: their outputs are constant"
        )
    return notes + _addition_notes(graph, machine)


def _addition_notes(graph: Graph, machine: Machine) -> list[str]:
    adder = machine.vector.arithmetic.integer_adder
    if adder is None:
        return []
    additions = []
    for node in _additions(graph, machine):
        a, b, to = _encodings(graph, node)
        wanted = np.array([change_of_scale(a, to), change_of_scale(b, to)])
        additions.append(_Made.of(node.name, wanted, np.array(adder.ratios(a, b, to))))
    notes = [*_inexact(adder.name, "ratios of scales", "additions", additions)]
    silent = [addition.name for addition in additions if addition.zeros]
    if silent:
        notes.append(
            f"{adder.name} makes the scale of an operand 0 in {len(silent)} of {len(additions)} additions "
            f"({silent[0]} first): only the other one counts"
        )
    return notes


@dataclass(frozen=True, slots=True)
class _Made:
    """A layer's scales as the machine has them."""

    name: str
    error: float
    """The largest relative one of a scale that is not 0."""
    zeros: int

    @classmethod
    def of(cls, name: str, wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> _Made:
        kept = (found != 0) & (wanted != 0)
        errors = np.abs(found[kept] / wanted[kept] - 1)
        return cls(name, float(errors.max(initial=0.0)), int(np.count_nonzero((found == 0) & (wanted != 0))))

    @classmethod
    def of_scales(cls, name: str, scales: list[Scales], unit: Requantizer) -> _Made:
        wanted = [each.astype(np.float64).ravel() for each in scales]
        found = [unit.decode(unit.encode(each)) for each in wanted]
        return cls.of(name, np.concatenate(wanted), np.concatenate(found))


def _inexact(unit: str, what: str, where: str, made: list[_Made]) -> Iterator[str]:
    inexact = [one for one in made if one.error > _WORTH_SAYING]
    if inexact:
        worst = max(inexact, key=lambda one: one.error)
        yield (
            f"{unit} changes the {what} of {len(inexact)} of {len(made)} {where}, by up to {100 * worst.error:.2g} % "
            f"({worst.name})"
        )


def _summed_up(found: list[tuple[str, str]]) -> str:
    """The first of some problems by layer, and where the others are."""
    (first, problem), *others = found
    more = f", and so it is with {listed([name for name, _ in others])}" if others else ""
    return f"{first}: {problem}{more}"


def _problem(unit: Requantizer, scales: list[Scales]) -> str:
    return next((problem for each in scales if (problem := unit.problem(each))), "")


def _scaled(graph: Graph, machine: Machine) -> Iterator[tuple[str, list[Scales]]]:
    """Each layer that the machine requantizes, with its scales, those together that are encoded together."""
    for node in graph.nodes:
        out = graph.tensors[node.output]
        if out.qtype is None:
            continue
        if isinstance(node.op, Conv | Linear) and node.op.thresholds is None:
            weight = node.op.weight
            scales = multiplier(graph.tensors[node.inputs[0]].scale, weight.scale, out.scale)
            yield node.name, [np.broadcast_to(scales, len(weight.values))]
        elif machine.vector.arithmetic.rescaler is not None and not out.qtype.bipolar:
            elementwise = _elementwise_scales(graph, node, out.encoding)
            if elementwise:
                yield node.name, [np.array([scale], np.float32) for scale in elementwise]


def _elementwise_scales(graph: Graph, node: Node, to: Encoding) -> list[float]:
    """Of a mean, a concatenation or a change of scale; activations that keep theirs are not scaled."""
    match node.op:
        case AveragePool() as op:
            source = graph.tensors[node.inputs[0]]
            counts = window_counts(source.shape[2:], op.kernel, op.strides, op.pads, op.count_include_pad)
            return [float(scale) for scale in mean_scale(source.encoding, to, np.unique(counts))]
        case Concat() | Requantize():
            ratios = [change_of_scale(graph.tensors[name].encoding, to) for name in node.inputs]
            return [ratio for ratio in ratios if ratio != 1]
    return []


def _additions(graph: Graph, machine: Machine) -> Iterator[Node]:
    """Those that the machine's adder makes, if it has one in integers."""
    if machine.vector.arithmetic.integer_adder is not None:
        yield from (node for node in graph.nodes if isinstance(node.op, Add))


def _encodings(graph: Graph, node: Node) -> tuple[Encoding, Encoding, Encoding]:
    a, b = (graph.tensors[name].encoding for name in node.inputs)
    return a, b, graph.tensors[node.output].encoding
