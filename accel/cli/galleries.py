"""Commands that list, show and make what ships: machines and networks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from accel.cli.options import Json, MachineArgument, network_names, one_of
from accel.cli.output import print_rows, progress_bar, say

commands = typer.Typer()
networks_app = typer.Typer(
    help="The gallery of networks, with MACs, weights and precision.", invoke_without_command=True
)
commands.add_typer(networks_app, name="networks")


class Tail(StrEnum):
    """How a made network takes its mean over the image, as the two PyTorch exporters write it."""

    POOL = "pool"
    MEAN = "mean"


@commands.command()
def machines(json: Json = False) -> None:
    """List the gallery of machines, with the main figures of each."""
    from accel.catalog import machine_rows

    print_rows("machines", machine_rows(), json)


@commands.command()
def drams(json: Json = False) -> None:
    """List the gallery of DRAM devices; a machine names one as 'dram: {device: {preset: NAME}}'."""
    from accel.catalog import dram_rows

    print_rows("drams", dram_rows(), json)


@commands.command()
def show(
    arch: MachineArgument,
    json: Json = False,
) -> None:
    """Show one machine: every field with its unit and default, peak figures and area."""
    from accel.arch.describe import describe_machine
    from accel.arch.load import load_arch
    from accel.catalog import machine_figures
    from accel.report.console import open_console
    from accel.report.machine import machine_page

    machine = load_arch(arch)
    if json:
        say(machine.model_dump_json(indent=2) + "\n")
        return
    say(machine_page(describe_machine(machine), machine_figures(machine), open_console().width))


@commands.command()
def schema() -> None:
    """Print the JSON Schema of machine files; editors complete and check YAML with it."""
    from accel.arch.describe import machine_schema_text

    say(machine_schema_text())


@networks_app.callback()
def networks(context: typer.Context, json: Json = False) -> None:
    """List the gallery of networks, with MACs, weights and precision."""
    if context.invoked_subcommand is not None:
        return
    from accel.catalog import network_rows

    print_rows("networks", network_rows(), json)


@networks_app.command("make")
def make_network(
    name: Annotated[
        str, typer.Argument(help="A network of the gallery, such as resnet50.", autocompletion=network_names)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    tail: Annotated[
        Tail, one_of(Tail, "--tail", help="pool: GlobalAveragePool + Flatten; mean: ReduceMean + Reshape.")
    ] = Tail.POOL,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Build a network of the gallery: float.onnx, int8 and uint8 files, an input; the same bytes every time."""
    from accel.networks import make

    with progress_bar() as progress:
        files = make(name, out, tail=tail.value, progress=lambda text: progress(text, 0, 0), overwrite=overwrite)
    say(*(f"{path}\n" for path in files))
