"""A machine as hardware: its RTL, and what that makes in cells."""

from __future__ import annotations

from pathlib import Path

from accel.api.progress import Progress
from accel.arch.spec import Machine
from accel.rtl.emit import emit
from accel.synthesis import Synthesis
from accel.synthesizing import synthesize_machine


def emit_rtl(arch: Machine, out: Path, overwrite: bool = False) -> list[Path]:
    """Write the machine's arrays and requantizer as SystemVerilog, with testbenches, file lists and a README.

    Parameters
    ----------
    out
        The folder: new, empty, or, with ``overwrite``, one that an earlier call wrote.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    AccelError
        The machine asks for something that the RTL does not cover, or ``out`` cannot be written.
    """
    return emit(arch, out, overwrite)


def synthesize(arch: Machine, progress: Progress | None = None) -> Synthesis:
    """Synthesize the pieces of a machine's arrays and vector unit with yosys, beside the cost model's areas.

    Raises
    ------
    AccelError
        Yosys or its cell library is missing, or fails; the RTL does not cover the machine.
    """
    return synthesize_machine(arch, progress)
