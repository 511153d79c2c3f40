"""Sums through the requantizer's RTL."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS, FixedPoint, Rounding
from accel.numerics.thresholds import Thresholds
from accel.rtl.build import Model
from accel.rtl.sources import harness, modules, modules_under
from accel.rtl.thresholds import comparisons_of, signs

LANES = 16
"""Of the model that is compiled: all lanes are alike."""
BIAS_BITS = 32
_MAGIC = int.from_bytes(b"AREQL3", "little")
_TOP = "sa_requantizer"
_ROUNDING = {Rounding.FLOOR: 0, Rounding.HALF_UP: 1, Rounding.HALF_AWAY: 2, Rounding.HALF_EVEN: 3}


@dataclass(frozen=True, slots=True, eq=False)
class RequantizerInput:
    """Sums of one layer, and how they become integers; arrays of one length."""

    sums: npt.NDArray[np.int64]
    biases: npt.NDArray[np.int64]
    scales: npt.NDArray[np.int64]
    """Words of the machine's requantizer."""
    zero_point: int
    qtype: QType
    clamp: tuple[int, int] | None
    thresholds: Thresholds | None
    """What the sums are compared with instead of being scaled; None: nothing, or 0 where outputs are -1 and +1."""
    channels: npt.NDArray[np.int64]
    """Of the layer."""

    @property
    def compares(self) -> bool:
        """Whether the scales play no part."""
        return self.thresholds is not None or self.qtype.bipolar


def lane_parameters(machine: Machine, made: QType) -> dict[str, int | bool]:
    """Parameters of ``sa_requantizer_lane``, in its order, for outputs of one type; -1 and +1 take a comparison."""
    pe, unit = machine.pe, REQUANTIZERS[machine.vector.requantizer]
    rounding, twice = (unit.rounding, unit.twice) if isinstance(unit, FixedPoint) else (Rounding.HALF_EVEN, False)
    return {
        "ACCUMULATOR_BITS": pe.accumulator_bits,
        "BIAS_BITS": BIAS_BITS,
        "TOTAL_BITS": pe.delivered_sum_bits,
        "SCALE_BITS": unit.word_bits,
        "VALUE_BITS": made.bits,
        "SATURATE": pe.overflow == "saturate",
        "FLOAT32": not isinstance(unit, FixedPoint),
        "ROUNDING": _ROUNDING[rounding],
        "TWICE": twice,
        "THRESHOLDS": max(machine.vector.threshold_steps, int(made.bipolar)),
    }


def requantizer_model(machine: Machine, made: QType) -> Model:
    """The requantizer of a machine, for outputs as wide as this type's."""
    return Model(
        top=_TOP,
        sources={f"{name}.sv": modules()[name] for name in modules_under(_TOP)},
        harness=harness("requantize.cpp"),
        parameters={"LANES": LANES, **lane_parameters(machine, made)},
    )


def requantize(executable: Path, machine: Machine, given: RequantizerInput, layer: str) -> tuple[npt.NDArray[Any], int]:
    """The output integers, and how many additions of a bias did not fit.

    Raises
    ------
    AccelError
        A bias is wider than the hardware's port.
    """
    limit = 1 << (BIAS_BITS - 1)
    low, high = int(given.biases.min(initial=0)), int(given.biases.max(initial=0))
    if low < -limit or high >= limit:
        raise AccelError(
            f"{layer}: with the input's zero point folded in, a bias is {low if low < -limit else high}; "
            f"the requantizer's port has {BIAS_BITS} bits",
            hint="verify this layer without --rtl, or quantize it with a zero point of 0",
        )
    with tempfile.TemporaryDirectory(prefix="accel-rtl-") as folder:
        stimulus, response = Path(folder, "stimulus"), Path(folder, "response")
        stimulus.write_bytes(_stimulus(machine, given))
        run = subprocess.run([executable, stimulus, response], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise AccelError(
                f"the RTL of the requantizer ended with exit code {run.returncode}: "
                f"{run.stderr.strip() or 'no message'}",
                hint=f"is the disk under {tempfile.gettempdir()} full?",
            )
        content = response.read_bytes()
    values = np.frombuffer(content[:-8], np.int32).astype(np.int64)
    if given.qtype.bipolar:
        values = 2 * (values & 1) - 1
    elif not given.qtype.signed:
        values &= (1 << given.qtype.bits) - 1
    return values, int(np.frombuffer(content[-8:], np.int64)[0])


def _stimulus(machine: Machine, given: RequantizerInput) -> bytes:
    """What ``requantize.cpp`` reads."""
    qtype = given.qtype
    parameters = {name: int(value) for name, value in lane_parameters(machine, qtype).items()}
    widths = [parameters[name] for name in ("ACCUMULATOR_BITS", "TOTAL_BITS", "SCALE_BITS", "VALUE_BITS", "THRESHOLDS")]
    low, high = (qtype.min, qtype.max) if given.clamp is None else given.clamp
    scales = given.scales
    table: list[npt.NDArray[Any]] = []
    channels = 0
    if given.compares:
        thresholds = given.thresholds or signs(given.clamp)
        compared = comparisons_of(thresholds, qtype, parameters["TOTAL_BITS"], parameters["THRESHOLDS"])
        channels, low, high = len(compared.words), compared.lowest, compared.lowest
        in_table = np.minimum(given.channels, channels - 1).astype(np.int32)
        table = [in_table, compared.words, compared.beyond.astype(np.int32), compared.falling.astype(np.int32)]
        scales = np.zeros(scales.shape, np.int64)
    settings = [_MAGIC, given.sums.size, LANES, *widths, given.zero_point, low, high, channels]
    header = np.array(settings, np.int64)
    elements: list[npt.NDArray[Any]] = [
        given.sums.astype(np.int64),
        given.biases.astype(np.int32),
        scales.astype(np.int64),
    ]
    return b"".join(part.tobytes() for part in [header, *elements, *table])
