"""What a machine's requantizer makes of a network's scales: which it cannot take, and how far off the others are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.errors import AccelError, listed
from accel.graph.ir import Conv, Graph, Linear
from accel.numerics.requantize import REQUANTIZERS, multiplier

_WORTH_SAYING = 1e-3
"""Relative error of a scale: at 8 bits, an eighth of a step."""


def check_scales(graph: Graph, machine: Machine) -> None:
    """Every scale is one that the machine's requantizer can encode.

    Raises
    ------
    AccelError
        Which layers have one that it cannot.
    """
    unit = REQUANTIZERS[machine.vector.requantizer]
    problems = [(name, unit.problem(scales)) for name, scales in _layers(graph)]
    found = [(name, problem) for name, problem in problems if problem]
    if found:
        (first, problem), *others = found
        more = f", and so it is with {listed([name for name, _ in others])}" if others else ""
        hint = "take a machine with another vector.requantizer, or other scales"
        raise AccelError(f"{first}: {problem}{more}", graph.path, hint)


def scale_notes(graph: Graph, machine: Machine) -> list[str]:
    """How far the scales that the machine works with are from the network's, where that is worth a word."""
    name = machine.vector.requantizer
    layers = [_Encoded.of(layer, scales, name) for layer, scales in _layers(graph)]
    notes = []
    inexact = [layer for layer in layers if layer.error > _WORTH_SAYING]
    if inexact:
        worst = max(inexact, key=lambda layer: layer.error)
        notes.append(
            f"{name} changes the scales of {len(inexact)} of {len(layers)} layers, by up to {100 * worst.error:.2g} % "
            f"({worst.name})"
        )
    silent = [layer for layer in layers if layer.zeros]
    if silent:
        worst = max(silent, key=lambda layer: layer.zeros)
        notes.append(
            f"{name} makes the scales of {sum(layer.zeros for layer in silent)} channels 0, {worst.zeros} of them in "
            f"{worst.name}: their outputs are constant"
        )
    return notes


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A layer's scales behind the requantizer's encoding."""

    name: str
    error: float
    """The largest relative one of a scale that is not 0."""
    zeros: int

    @classmethod
    def of(cls, name: str, scales: npt.NDArray[np.float32], requantizer: str) -> _Encoded:
        unit = REQUANTIZERS[requantizer]
        wanted = scales.astype(np.float64).ravel()
        found = unit.decode(unit.encode(wanted))
        kept = (found != 0) & (wanted != 0)
        errors = np.abs(found[kept] / wanted[kept] - 1)
        return cls(name, float(errors.max(initial=0.0)), int(np.count_nonzero((found == 0) & (wanted != 0))))


def _layers(graph: Graph) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Each layer whose sums are requantized, with a scale for each channel."""
    for node in graph.nodes:
        out = graph.tensors[node.output]
        if isinstance(node.op, Conv | Linear) and out.qtype is not None and node.op.thresholds is None:
            weight = node.op.weight
            scales = multiplier(graph.tensors[node.inputs[0]].scale, weight.scale, out.scale)
            yield node.name, np.broadcast_to(scales, len(weight.values))
