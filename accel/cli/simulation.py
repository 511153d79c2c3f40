"""Commands that put a network on a machine: estimate, run, verify, bottleneck, lower."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel.cli.options import Arch, Csv, Input, Json, MappingFile, Net, Out, Overwrite, Processes, one_of
from accel.cli.output import (
    check_outputs,
    compile_kernels,
    load_machine,
    note,
    progress_bar,
    say,
    show_result,
    write_folder,
)
from accel.errors import AccelError

if TYPE_CHECKING:
    from accel.api import Waves

commands = typer.Typer()


class Stage(StrEnum):
    """What `accel lower` prints."""

    GRAPH = "graph"
    FLOW = "flow"
    MAPPING = "mapping"
    PROGRAM = "program"
    ALL = "all"


@commands.command()
def estimate(
    network: Net,
    arch: Arch,
    mapping: MappingFile = None,
    json: Json = False,
    csv: Csv = False,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Cycles and energy by layer, without tensor data: the same cycles as `run`, in a fraction of the time."""
    from accel import api

    check_outputs(out, overwrite, json, csv)
    result = api.estimate(api.load_network(network), load_machine(arch), mapping)
    show_result(result, json, csv, out, overwrite)


@commands.command()
def run(
    network: Net,
    arch: Arch,
    input_file: Input = None,
    mapping: MappingFile = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Class of each image as .npy; gives accuracy.")
    ] = None,
    float_model: Annotated[
        Path | None, typer.Option("--float", help="The float ONNX network; gives the error of each layer.")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Take only the first N images of the input.")
    ] = None,
    activity: Annotated[
        bool, typer.Option("--activity", help="Count the bits that toggle in the array (slower), and their energy.")
    ] = False,
    waves: Annotated[
        Path | None,
        typer.Option(
            "--waves",
            metavar="FILE",
            help="Write the array's registers in one layer as .fst or .vcd, for GTKWave or Surfer.",
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="N", help="With --waves: the layer, by number or name.")
    ] = None,
    cycles: Annotated[
        str | None,
        typer.Option("--cycles", metavar="A:B", help="With --waves: cycles A to B - 1 of the layer; all unless given."),
    ] = None,
    json: Json = False,
    csv: Csv = False,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate with data: cycles, energy, output integers, error against float, accuracy.

    A gallery network brings its own images, labels and float network. Without --input, another network gets seeded
    random numbers, and the report says so.
    """
    from accel import api

    check_outputs(out, overwrite, json, csv)
    asked = _waves(waves, layer, cycles, out, overwrite)
    net, machine = api.load_network(network), load_machine(arch)
    compile_kernels()
    with progress_bar() as progress:
        simulation = api.simulate(
            net,
            machine,
            inputs=input_file,
            labels=labels,
            float_model=float_model,
            images=images,
            activity=activity,
            progress=progress,
            waves=asked,
            mapping=mapping,
        )
    if not (json or csv):
        note(simulation.notes)
    show_result(simulation.result, json, csv, out, overwrite, simulation.outputs)
    if waves is not None:
        print(waves, file=sys.stderr)


@commands.command()
def verify(
    network: Net,
    arch: Arch,
    input_file: Input = None,
    mapping: MappingFile = None,
    rtl: Annotated[
        bool,
        typer.Option(
            "--rtl", help="Replay the array's work on the machine's RTL too, under Verilator: every sum, every cycle."
        ),
    ] = False,
    layers: Annotated[
        str | None, typer.Option("--layers", metavar="3,7", help="With --rtl: only these layers, by number or name.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare the simulator with the numpy reference and onnxruntime, tensor by tensor.

    Each layer is compared alone (fed with the reference's inputs) and end to end. With --rtl the machine's hardware
    itself is a witness. Exit code 1 if anything differs.
    """
    from accel import api
    from accel.report.verification import verification_table

    if layers is not None and not rtl:
        raise AccelError("--layers picks the layers that --rtl replays", hint="add --rtl, or leave --layers out")
    net, machine = api.load_network(network), load_machine(arch)
    compile_kernels()
    with progress_bar() as progress:
        verification = api.verify(net, machine, input_file, progress, rtl, layers, mapping)
    say(verification.to_json() + "\n" if json else verification_table(verification))
    if not verification.passed:
        raise typer.Exit(1)


@commands.command()
def bottleneck(
    network: Net,
    arch: Arch,
    processes: Processes = None,
    json: Json = False,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Show what bounds each layer, how busy each unit is, and what more of each resource would bring.

    Layers that lose most cycles come first. Then the machine with twice the DRAM bandwidth, half its latency, twice
    each buffer's capacity and width, the rows, the columns, the vector lanes: each mapped anew, or as it was where that
    is quicker. --out writes the estimate's folder, with the roofline and the buffers over time.
    """
    from accel import api

    check_outputs(out, overwrite, json, csv=False)
    net, machine = api.load_network(network), load_machine(arch)
    with progress_bar() as progress:
        study = api.bottleneck(net, machine, processes or os.cpu_count() or 1, progress)
    if json:
        say(study.to_json() + "\n")
    else:
        from accel.report.bottleneck import bottleneck_tables
        from accel.report.console import open_console

        say(bottleneck_tables(study, open_console().width))
    write_folder(study.result, out, overwrite)


@commands.command()
def lower(
    network: Net,
    arch: Arch,
    stage: Annotated[Stage, one_of(Stage, "--stage", "-s", help="Which form to print.")] = Stage.ALL,
    mapping: MappingFile = None,
) -> None:
    """Print what a network becomes on its way to a machine: graph, flow, mapping, program."""
    from accel import api

    texts = api.lowered(api.load_network(network), api.load_arch(arch), mapping)
    say(*(f"{text}\n" for name, text in texts.items() if stage in (Stage.ALL, name)))


def _waves(path: Path | None, layer: str | None, cycles: str | None, out: Path | None, overwrite: bool) -> Waves | None:
    """What --waves, --layer and --cycles ask for together."""
    if path is None:
        if layer is None and cycles is None:
            return None
        given = "--cycles" if layer is None else "--layer"
        raise AccelError(f"{given} says what --waves shows, which is not there", hint="add --waves FILE.fst")
    if layer is None:
        raise AccelError("--waves shows the array in one layer", hint="add --layer N, as the report's table numbers it")
    if out is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out)):
        what = "this is in the folder of the results, which holds nothing else"
        raise AccelError(what, str(path), "name a file elsewhere")
    from accel.rtl.waves import Waves, parse_cycles

    return Waves(path, layer, None if cycles is None else parse_cycles(cycles), overwrite)
