"""The record of a verification: what should be equal, compared, and where it first differs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arrays of integers that should be equal."""

    mismatches: int
    elements: int
    first: str = ""
    """Where they first differ and both values; empty when they are equal."""
    largest: float = 0.0
    """The largest absolute difference."""


@dataclass(frozen=True, slots=True)
class TensorCheck:
    """One tensor of the network, compared every way there is; None where a comparison is not possible."""

    layer: str
    op: str
    tensor: str
    simulator_alone: Comparison | None
    """Simulator against the numpy reference, the layer fed with the reference's inputs."""
    simulator_end_to_end: Comparison | None
    witness_alone: Comparison | None
    """numpy reference against onnxruntime, the layer fed with the reference's inputs."""
    witness_end_to_end: Comparison | None
    witness_note: str = ""
    """Why a difference from the witness proves nothing for this tensor; empty where it does."""
    witness_share: float = 0.0
    """Share of the elements in which the witness alone may be one off, because it computes in float32; 0: none."""

    @property
    def witness_rounds(self) -> bool:
        """Whether the witness alone differs no more than ``witness_share`` (and one element) allows."""
        alone = self.witness_alone
        if alone is None or not self.witness_share:
            return False
        return alone.largest <= 1 and alone.mismatches <= 1 + self.witness_share * alone.elements


@dataclass(frozen=True, slots=True)
class RtlCheck:
    """One array layer on the machine's RTL, against the simulator."""

    position: int
    """Of the layer in the program."""
    layer: str
    op: str
    design: str
    """Which of the machine's arrays: its name ends in the dataflow's letters."""
    tiles: int
    folds: int
    sums: Comparison
    """Every accumulator after every tile."""
    integers: Comparison | None
    """Every requantized integer; None if the layer's output is float."""
    stamps: Comparison
    """Of every fold the cycle of its first operand, first result and last result."""
    simulated_cycles: int
    """From the layer's first operand to its last result, waits for data included."""
    rtl_cycles: int
    simulated_overflows: int
    rtl_overflows: int
    difference: str = ""
    """Where the two first differ; empty when they do not."""
    waveforms: tuple[str, ...] = ()
    """Files that show both around that place."""

    @property
    def passed(self) -> bool:
        """Nothing differs."""
        comparisons = [self.sums, self.stamps, *([] if self.integers is None else [self.integers])]
        return (
            not any(comparison.mismatches for comparison in comparisons)
            and self.simulated_cycles == self.rtl_cycles
            and self.simulated_overflows == self.rtl_overflows
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """Simulator, numpy reference and onnxruntime on the same input, tensor by tensor."""

    network: str
    machine: str
    checks: tuple[TensorCheck, ...]
    estimate_cycles: int
    simulated_cycles: int
    witness: str
    """Which onnxruntime."""
    requantizer: str = "float32_rne"
    """The machine's."""
    adder: str = "float32"
    """The machine's."""
    doubt_alone: str = ""
    """Why onnxruntime is no witness of single layers here; empty where it is."""
    doubt_end_to_end: str = ""
    """Why it is no witness of the whole network; empty where it is."""
    rtl: tuple[RtlCheck, ...] = ()
    """The array layers that were replayed on the machine's RTL."""
    rtl_witness: str = ""
    """Which Verilator ran it; empty if it was not asked for."""

    @property
    def passed(self) -> bool:
        """Nothing differs: not the simulator, not the cycles, not a trusted witness, not the RTL."""
        same = self.first_difference is None and self.estimate_cycles == self.simulated_cycles
        return same and all(check.passed for check in self.rtl)

    @property
    def first_difference(self) -> tuple[TensorCheck, str, Comparison] | None:
        """The first tensor that differs, in which comparison, and where; an untrusted witness does not count."""
        kinds = ["simulator_alone", "simulator_end_to_end"]
        kinds += [] if self.doubt_alone else ["witness_alone"]
        kinds += [] if self.doubt_end_to_end else ["witness_end_to_end"]
        for check in self.checks:
            for kind in kinds:
                comparison = getattr(check, kind)
                if comparison is None or not comparison.mismatches:
                    continue
                excused = check.witness_note and kind.startswith("witness")
                rounded = kind == "witness_alone" and check.witness_rounds
                if not excused and not rounded:
                    return check, kind, comparison
        return None

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON, with ``passed``."""
        return json.dumps({"passed": self.passed, **dataclasses.asdict(self)}, indent=indent)
