"""What each layer loses when its weights, or what it reads, get fewer bits, and what a machine saves by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.graph.ir import Graph
from accel.numerics.arithmetic import ONNXRUNTIME, Arithmetic
from accel.numerics.encoding import FloatArray
from accel.precision.cost_laws import costs_of
from accel.precision.quality import Judge
from accel.precision.variants import BASE_BITS, LayerWidths, Variants
from accel.precision.widths import check_widths
from accel.studies.cost_laws import Costs
from accel.studies.sensitivity import OPERANDS, Sensitivity, SensitivityStudy

Progress = Callable[[str, int, int], None]
DEFAULT_WIDTHS = (6, 4, 2)
LEGAL_BITS = range(1, 17)


@dataclass(frozen=True, slots=True, eq=False)
class FloatSubject:
    """A float network, the images that it is calibrated and judged on, and perhaps their classes and a machine."""

    name: str
    path: Path
    images: FloatArray
    where: str
    """Where the images come from, for errors."""
    labels: npt.NDArray[np.int64] | None = None
    machine: Machine | None = None

    @property
    def arithmetic(self) -> Arithmetic:
        """The machine's, or onnxruntime's; scales are chosen among those that its requantizer has."""
        return ONNXRUNTIME if self.machine is None else self.machine.vector.arithmetic

    def costs(self, graph: Graph) -> tuple[Costs, str]:
        """Of a variant, and why the machine has no cycles for it; empty where it has."""
        found = costs_of(self.name, graph, self.machine)
        return found.total, found.problem


def study(
    subject: FloatSubject, widths: Sequence[int] = DEFAULT_WIDTHS, progress: Progress | None = None
) -> SensitivityStudy:
    """Try every layer, operand and width, one at a time.

    Raises
    ------
    AccelError
        What is wrong with the network or the images; a width that is not legal.
    """
    check_widths(widths, LEGAL_BITS, f"legal are {LEGAL_BITS[0]} to {LEGAL_BITS[-1]} bits")
    report = progress or (lambda text, done, total: None)
    variants = Variants(subject.path, subject.images, subject.where, subject.arithmetic.requantizer, report)
    report("float network and base", 0, 0)
    judge = Judge(subject.path, variants.base, subject.images, subject.labels, subject.arithmetic)
    base_costs, problem = subject.costs(variants.base)
    tried = [(layer, operand, bits) for layer in variants.layers for operand in OPERANDS for bits in widths]
    rows = []
    notes = [problem] if problem else []
    for done, (layer, operand, bits) in enumerate(tried):
        report(f"{layer}: {operand} of {bits} bits", done, len(tried))
        try:
            graph = variants.graph({layer: LayerWidths(**{operand: bits})})
        except AccelError as error:
            notes.append(f"{layer}: {operand} of {bits} bits are left out: {error.what}")
            continue
        rows.append(Sensitivity(layer, operand, bits, judge.quality(graph), subject.costs(graph)[0]))
    return SensitivityStudy(
        network=subject.name,
        machine="" if subject.machine is None else subject.machine.name,
        images=len(subject.images),
        requantizer=subject.arithmetic.requantizer,
        notes=tuple(notes),
        base_bits=BASE_BITS,
        widths=tuple(widths),
        float_top1=judge.float_top1,
        base=judge.quality(variants.base),
        base_costs=base_costs,
        layers=variants.layers,
        rows=tuple(rows),
    )
