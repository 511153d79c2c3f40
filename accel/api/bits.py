"""What the widths of a quantized network's numbers allow and cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.api.network import Network, images_and_labels
from accel.api.progress import Progress
from accel.arch.spec import Machine
from accel.compile import compile_graph, fit_to_machine
from accel.precision.accumulators import Subject
from accel.precision.accumulators import study as study_accumulators
from accel.precision.cost_laws import study as study_cost_laws
from accel.precision.what_if import Widths
from accel.studies.accumulators import AccumulatorStudy
from accel.studies.cost_laws import CostLaws
from accel.witnessing import accumulation_of

Array = npt.NDArray[Any]


def accumulators(
    network: Network,
    arch: Machine | None = None,
    inputs: Array | Path | None = None,
    labels: npt.NDArray[np.int64] | Path | None = None,
    images: int | None = None,
    bits: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> AccumulatorStudy:
    """How wide a network's sums get, how wide they can never get, and what narrower accumulators cost.

    Parameters
    ----------
    arch
        Whose folds give the order of additions, and whose requantizer makes the integers; None: one product after
        the other.
    inputs, labels, images
        As for ``simulate``.
    bits
        Narrow widths to try; None: from the most bits used downwards.

    Raises
    ------
    AccelError
        As for ``simulate``, and a width that is no accumulator's.
    """
    data, truth, notes = images_and_labels(network, inputs, labels, images)
    if notes:
        notes = ["no input was given, so it is seeded random numbers; sums of real images may need more bits"]
    if arch is None:
        subject = Subject(network.name, network.graph, data, truth, notes=tuple(notes))
    else:
        graph = fit_to_machine(network.graph, arch)
        accumulation = accumulation_of(compile_graph(graph, arch), arch)
        units = arch.vector.arithmetic
        subject = Subject(network.name, graph, data, truth, units, arch.name, accumulation, tuple(notes))
    return study_accumulators(subject, bits, progress)


def cost_laws(network: Network, arch: Machine | None = None, widths: Widths | None = None) -> CostLaws:
    """BOPs, AQT's quadratic, linear and memory costs, beside a machine's cycles and energy, relative to 8 bits.

    Parameters
    ----------
    arch
        Estimates cycles and energy; None: the laws alone.
    widths
        What if the operands had these widths: types change, and no integer is computed.
    """
    return study_cost_laws(network.name, network.graph, arch, widths)
