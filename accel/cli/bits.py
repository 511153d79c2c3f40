"""Commands about widths: quantize, and what more or fewer bits cost and bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from accel.cli.options import ArchOrNone, Calibrate, Csv, Float, Images, Input, Json, Labels, Net, machine_names
from accel.cli.output import check_outputs, load_machine, note, progress_bar, say

commands = typer.Typer()


@commands.command()
def quantize(
    network: Annotated[
        str,
        typer.Argument(metavar="FLOAT", help="A float ONNX file, or a network of the gallery that ships."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The ONNX file to write.")],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            "-c",
            metavar="FILE",
            help="Images as .npy or .npz, float32, several along the first axis; a gallery network has its own.",
        ),
    ] = None,
    weights: Annotated[int, typer.Option("--weights", metavar="BITS", help="Bits of weights, 1 to 16.")] = 8,
    activations: Annotated[
        int, typer.Option("--activations", metavar="BITS", help="Bits of what layers read, 1 to 16.")
    ] = 8,
    first_last: Annotated[
        int | None,
        typer.Option("--first-last", metavar="BITS", help="Both widths of the first and last layers with weights."),
    ] = None,
    bits: Annotated[
        Path | None,
        typer.Option(
            "--bits", metavar="YAML", help="Widths of single layers: a line 'conv1: {weights: 4, activations: 8}' each."
        ),
    ] = None,
    ranges: Annotated[
        str,
        typer.Option(
            help="Of activations. asymmetric: unsigned with a zero point; symmetric: signed; unsigned: symmetric, "
            "unsigned where nothing is negative."
        ),
    ] = "asymmetric",
    bounds: Annotated[
        str, typer.Option(help="Where activations are clipped: max_abs, percentile, mse (least squared error) or aqt.")
    ] = "mse",
    weight_bounds: Annotated[str, typer.Option(help="The same for weights.")] = "mse",
    percentile: Annotated[
        float, typer.Option(help="With bounds percentile: how much is left unclipped, in percent.")
    ] = 99.99,
    granularity: Annotated[str, typer.Option(help="A weight scale per output channel, or per tensor.")] = "channel",
    rounding: Annotated[str, typer.Option(help="Of weights: half_even, half_up or floor.")] = "half_even",
    scales: Annotated[
        str,
        typer.Option(
            "--scales",
            "--requantizer",
            help="What the requantizer can represent: float32, q31, mantissa16, mantissa8, mantissa8_shared (LLSQ), "
            "power_of_two, or a machine's requantizer by its name; weight scales are moved until it does.",
        ),
    ] = "float32",
    bias_bits: Annotated[int, typer.Option(help="Bits of biases, 2 to 32; narrower ones saturate.")] = 32,
    bias_correction: Annotated[
        bool,
        typer.Option(
            "--bias-correction/--no-bias-correction",
            help="Take the mean error of weights rounded to 3 bits or more out of the biases.",
        ),
    ] = True,
    file_format: Annotated[
        str, typer.Option("--format", help="qdq, qonnx, or auto: QDQ where ONNX has all the types.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: Json = False,
) -> None:
    """Quantize a float network after training, at 1 to 16 bits by layer and operand.

    Writes standard ONNX that `accel run` and others read. Batch norms are folded, each Relu or Clip that saturation
    can do goes, and the network's output stays float32 where a fully connected layer makes it.

    Try: accel quantize digits-resnet8 --weights 4 --activations 8 --first-last 8 --out w4a8.onnx
    """
    from accel import api
    from accel.report.quantization import quantization_table

    names: Any = {
        "ranges": ranges,
        "bounds": bounds,
        "weight_bounds": weight_bounds,
        "granularity": granularity,
        "rounding": rounding,
        "scales": scales,
        "file_format": file_format,
    }
    options = api.QuantizeOptions(
        weights=weights,
        activations=activations,
        first_last=first_last,
        percentile=percentile,
        bias_bits=bias_bits,
        bias_correction=bias_correction,
        **names,
    )
    with progress_bar() as progress:
        record = api.quantize(network, out, calibrate, options, bits, overwrite, progress)
    say(record.to_json() + "\n" if json else quantization_table(record))


@commands.command()
def accumulators(
    network: Net,
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch",
            "-a",
            metavar="A",
            help="Add in the order of this machine's folds, and requantize as it does.",
            autocompletion=machine_names,
        ),
    ] = None,
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits", metavar="24,20,16", help="Narrow widths to try; from the most bits used down unless given."
        ),
    ] = None,
    input_file: Input = None,
    labels: Labels = None,
    images: Images = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Show how wide sums get, how wide they can never get, and what narrower accumulators cost.

    By layer: bits used on the data, and bits that never overflow by each of four arguments (types, A2Q, A2Q+, weights
    one by one). Then each narrower width with sums that wrap, saturate at every addition, or saturate once at the
    end: how many sums change, the SQNR of each layer alone, and the whole network's accuracy.
    """
    from accel import api

    check_outputs(None, False, json, csv)
    widths = None if bits is None else api.parse_widths(bits)
    net = api.load_network(network)
    machine = None if arch is None else load_machine(arch)
    with progress_bar() as progress:
        study = api.accumulators(net, machine, input_file, labels, images, widths, progress)
    if json:
        say(study.to_json() + "\n")
        return
    from accel.report.accumulators import accumulator_tables, accumulators_csv
    from accel.report.console import open_console

    if csv:
        say(accumulators_csv(study))
        return
    note(study.notes)
    say(accumulator_tables(study, open_console().width))


@commands.command(name="cost-laws")
def cost_laws(
    network: Net,
    arch: ArchOrNone = None,
    weights: Annotated[
        int | None, typer.Option("--weights", "-w", metavar="BITS", help="What if weights had so many bits.")
    ] = None,
    activations: Annotated[
        int | None, typer.Option("--activations", metavar="BITS", help="What if activations had so many bits.")
    ] = None,
    first_last: Annotated[
        int | None,
        typer.Option("--first-last", metavar="BITS", help="What if the first and the last layer's operands had."),
    ] = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Compare published cost laws (BOPs, AQT quadratic, linear, memory) with a machine's cycles and energy.

    By layer and in all, each beside the same network at 8 bits: what the same bits are worth to each law, and to the
    machine. With --weights, --activations or --first-last the types change and no integer is computed; a machine
    that has not those widths gives no cycles, and a note says so.
    """
    from accel import api

    check_outputs(None, False, json, csv)
    widths = api.Widths(weights, activations, first_last)
    net = api.load_network(network)
    study = api.cost_laws(net, None if arch is None else load_machine(arch), widths)
    if json:
        say(study.to_json() + "\n")
        return
    from accel.report.console import open_console
    from accel.report.cost_laws import cost_law_tables, cost_laws_csv

    if csv:
        say(cost_laws_csv(study))
        return
    note(study.notes)
    say(cost_law_tables(study, open_console().width))


@commands.command()
def sensitivity(
    network: Float,
    calibrate: Calibrate = None,
    labels: Labels = None,
    images: Images = None,
    arch: ArchOrNone = None,
    bits: Annotated[str, typer.Option("--bits", metavar="6,4,2", help="Widths to try; all else has 8 bits.")] = "6,4,2",
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Show what each layer loses and saves when its weights, or what it reads, get fewer bits.

    One layer, operand and width at a time, with all else at 8 bits: SQNR of the network's output against the float
    network's, accuracy, and, with --arch, cycles and energy. Scales are those that the machine's requantizer has.
    """
    from accel import api

    check_outputs(None, False, json, csv)
    widths = api.parse_widths(bits)
    machine = None if arch is None else load_machine(arch)
    with progress_bar() as progress:
        study = api.sensitivity(network, calibrate, labels, images, machine, widths, progress)
    if json:
        say(study.to_json() + "\n")
        return
    from accel.report.console import open_console
    from accel.report.sensitivity import sensitivity_csv, sensitivity_tables

    if csv:
        say(sensitivity_csv(study))
        return
    note(study.notes)
    say(sensitivity_tables(study, open_console().width))


@commands.command()
def allocate(
    network: Float,
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            metavar="latency=0.7x",
            help="latency, energy, bops or memory: a share of 8 bits, or cycles, pJ, bit operations, bits of weights.",
        ),
    ],
    arch: ArchOrNone = None,
    calibrate: Calibrate = None,
    labels: Labels = None,
    images: Images = None,
    bits: Annotated[str, typer.Option("--bits", metavar="8,6,4,2", help="Widths to choose from.")] = "8,6,4,2",
    first_last: Annotated[
        int | None, typer.Option("--first-last", metavar="BITS", help="Bits of the first and the last layer.")
    ] = None,
    equal: Annotated[
        bool, typer.Option("--equal", help="Give a layer's weights and what it reads the same bits.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="YAML", help="Write what 'accel quantize --bits' takes.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: Json = False,
) -> None:
    """Choose bits by layer: an integer program over what each layer loses and what a machine saves.

    Every layer's weights, and what it reads, are tried alone at every width; the program picks one for each, with the
    least noise at the network's output within the budget. Then the whole network is judged, beside the same bits
    everywhere. Scales are those that the machine's requantizer has.

    Try: accel allocate digits-resnet8 --arch edge-32x32-int4 --budget latency=0.5x --out layers.yaml
    """
    from accel import api

    widths = api.parse_widths(bits)
    machine = None if arch is None else load_machine(arch)
    with progress_bar() as progress:
        allocation = api.allocate(
            network, budget, machine, calibrate, labels, images, widths, first_last, equal, out, overwrite, progress
        )
    if json:
        say(allocation.to_json() + "\n")
    else:
        from accel.report.allocation import allocation_tables
        from accel.report.console import open_console

        note(allocation.notes)
        say(allocation_tables(allocation, open_console().width))
    if out is not None:
        print(out, file=sys.stderr)
