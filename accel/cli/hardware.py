"""Commands about the hardware itself: SystemVerilog, and its synthesis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accel.cli.options import Json, MachineArgument, machine_names
from accel.cli.output import compile_kernels, progress_bar, say

commands = typer.Typer()


@commands.command()
def rtl(
    arch: MachineArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write: new, empty, or an earlier one.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier call wrote.")] = False,
) -> None:
    """Write the machine's arrays and requantizer as SystemVerilog, with testbenches and a README.

    Parameterised modules that Verilator, Icarus Verilog and yosys read; ports, parameters and timing in the README.
    """
    from accel import api

    machine = api.load_arch(arch)
    compile_kernels()
    say(*(f"{path}\n" for path in api.emit_rtl(machine, out, overwrite)))


@commands.command()
def synth(
    arch: Annotated[
        str,
        typer.Argument(metavar="A", help="A machine's YAML file, or one of the gallery.", autocompletion=machine_names),
    ],
    json: Json = False,
) -> None:
    """Synthesize a machine's RTL with yosys: cells, NAND2 equivalents and area beside the cost model's figures."""
    from accel.arch.load import load_arch
    from accel.report.console import open_console
    from accel.report.synthesis import synthesis_table
    from accel.synthesizing import synthesize_machine

    machine = load_arch(arch)
    with progress_bar() as progress:
        synthesis = synthesize_machine(machine, progress)
    say(synthesis.to_json() + "\n" if json else synthesis_table(synthesis, open_console().width))
