"""A second simulator for the RTL: Icarus Verilog, which compiles small arrays at once, and knows unknown values."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from accel.errors import AccelError
from accel.rtl.bench import bench_text, driver_text, numbers, stimulus_text
from accel.rtl.design import Design
from accel.rtl.replay import Response, decode
from accel.rtl.sources import modules, modules_under
from accel.rtl.stimulus import Stimulus
from accel.rtl.toolchain import find_iverilog
from accel.rtl.top import top_text

_PROGRAM = "testbench.vvp"


def bench_sources(design: Design) -> dict[str, str]:
    """File name -> SystemVerilog of a design, the modules under it, and the testbench around it."""
    sources = {f"{name}.sv": modules()[name] for name in modules_under(design.module)}
    sources |= {f"{design.name}.sv": top_text(design), "sa_testbench.sv": driver_text()}
    return sources | {f"{design.name}_testbench.sv": bench_text(design)}


def compile_icarus(sources: Mapping[str, str], folder: Path) -> Path:
    """Compile ``bench_sources``; the program lies in ``folder``, which is there already.

    Raises
    ------
    AccelError
        Icarus Verilog is missing, too old, or does not accept this.
    """
    compiler = find_iverilog()
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = [compiler.path, "-g2012", "-Wall", "-Wno-timescale", "-o", _PROGRAM, *sources]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    said = (ran.stderr + ran.stdout).strip()
    if ran.returncode != 0:
        raise AccelError(
            f"iverilog cannot compile {list(sources)[-1]}: {said.splitlines()[0] if said else 'no message'}"
        )
    return folder / _PROGRAM


def replay_icarus(program: Path, stimulus: Stimulus) -> Response:
    """Run what ``compile_icarus`` made; as ``replay`` does under Verilator.

    Raises
    ------
    AccelError
        The hardware came to a halt, or has unknown values where there must be none.
    """
    with tempfile.TemporaryDirectory(prefix="accel-rtl-") as folder:
        given, made = Path(folder, "stimulus.txt"), Path(folder, "results.txt")
        given.write_text(stimulus_text(stimulus), encoding="utf-8")
        command = ["vvp", "-n", str(program), f"+stimulus={given}", f"+results={made}"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if ran.returncode != 0:
            said = (ran.stdout + ran.stderr).strip().splitlines()
            raise AccelError(f"the RTL of {stimulus.design.name} under iverilog: {said[0] if said else 'no message'}")
        return decode(stimulus, numbers(made.read_text(encoding="utf-8")))
