"""The command line: parse, call, print. Everything else lives in the rooms below; imports wait until needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel.errors import AccelError

if TYPE_CHECKING:
    from accel.api import Progress, Waves
    from accel.result import Result

app = typer.Typer(
    name="accel",
    help="""Bring a quantized ONNX network and a machine written in YAML; leave with cycles, energy and exact integers.

NET is an ONNX file or a network of the gallery, A a YAML file or a machine of the gallery.

Try: accel run digits-resnet8 --arch edge-32x32""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
networks_app = typer.Typer(
    help="The gallery of networks, with MACs, weights and precision.", invoke_without_command=True
)
app.add_typer(networks_app, name="networks")


def _machine_names(incomplete: str) -> list[str]:
    """For shell completion."""
    from accel.gallery import machines

    return [path.stem for path in machines() if path.stem.startswith(incomplete)]


def _network_names(incomplete: str) -> list[str]:
    """For shell completion."""
    from accel.networks import networks

    return [info.name for info in networks() if info.name.startswith(incomplete)]


Net = Annotated[
    str,
    typer.Argument(metavar="NET", help="An ONNX file, or a network of the gallery.", autocompletion=_network_names),
]
Arch = Annotated[
    str,
    typer.Option(
        "--arch", "-a", metavar="A", help="A machine's YAML file, or one of the gallery.", autocompletion=_machine_names
    ),
]
MachineArgument = Annotated[
    str,
    typer.Argument(metavar="A", help="A machine's YAML file, or one of the gallery.", autocompletion=_machine_names),
]
_BROKEN_PIPE = 128 + 13
"""What a shell reports of a program that SIGPIPE ended."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print one CSV row for each layer and nothing else.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write result.json, layers.csv and plots into this folder."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run has written.")]
Input = Annotated[
    Path | None,
    typer.Option("--input", "-i", help="The network's input as .npy; several images along the first axis."),
]

ArchOrNone = Annotated[
    str | None,
    typer.Option(
        "--arch",
        "-a",
        metavar="A",
        help="A machine's YAML file, or one of the gallery: gives cycles and energy.",
        autocompletion=_machine_names,
    ),
]
Float = Annotated[
    str, typer.Argument(metavar="FLOAT", help="A float ONNX file, or a network of the gallery that ships.")
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        "-c",
        metavar="FILE",
        help="Images as .npy or .npz, float32, several along the first axis; a gallery network has its own.",
    ),
]
Labels = Annotated[Path | None, typer.Option("--labels", help="Class of each image as .npy; gives accuracy.")]
Images = Annotated[int | None, typer.Option("--images", min=1, help="Take only the first N images.")]


class Tail(StrEnum):
    """How a made network takes its mean over the image, as the two PyTorch exporters write it."""

    POOL = "pool"
    MEAN = "mean"


class Stage(StrEnum):
    """What `accel lower` prints."""

    GRAPH = "graph"
    FLOW = "flow"
    MAPPING = "mapping"
    PROGRAM = "program"
    ALL = "all"


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with _orderly_end():
            app()
    except AccelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let what ends a program at once unwind it: temporary folders and programs that it has started go with it."""
    import signal

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _say(*parts: Any) -> None:
    """Write text or tables to standard output, all of it, or say why not; a reader that has gone ends the program."""
    from accel.report.console import open_console

    console = open_console()
    try:
        for part in parts:
            if isinstance(part, str):
                sys.stdout.write(part)
                continue
            with console.capture() as captured:
                console.print(part)
            sys.stdout.write(captured.get())
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise AccelError(f"standard output cannot be written ({error.strerror})") from None


def _show_version(wanted: bool) -> None:
    if wanted:
        from accel import __version__

        _say(f"accel {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def machines(json: Json = False) -> None:
    """List the gallery of machines, with the main figures of each."""
    from accel.catalog import machine_rows

    _print_rows("machines", machine_rows(), json)


@networks_app.callback()
def networks(context: typer.Context, json: Json = False) -> None:
    """List the gallery of networks, with MACs, weights and precision."""
    if context.invoked_subcommand is not None:
        return
    from accel.catalog import network_rows

    _print_rows("networks", network_rows(), json)


@networks_app.command("make")
def make_network(
    name: Annotated[
        str, typer.Argument(help="A network of the gallery, such as resnet50.", autocompletion=_network_names)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    tail: Annotated[
        Tail, typer.Option(help="pool: GlobalAveragePool + Flatten; mean: ReduceMean + Reshape.")
    ] = Tail.POOL,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Build a network of the gallery: float.onnx, int8 and uint8 files, an input; the same bytes every time."""
    from accel.networks import make

    with _progress() as progress:
        files = make(name, out, tail=tail.value, progress=lambda text: progress(text, 0, 0), overwrite=overwrite)
    _say(*(f"{path}\n" for path in files))


@app.command()
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
        _say(machine.model_dump_json(indent=2) + "\n")
        return
    _say(machine_page(describe_machine(machine), machine_figures(machine), open_console().width))


@app.command()
def schema() -> None:
    """Print the JSON Schema of machine files; editors complete and check YAML with it."""
    from accel.arch.describe import machine_schema_text

    _say(machine_schema_text())


@app.command()
def estimate(
    network: Net,
    arch: Arch,
    json: Json = False,
    csv: Csv = False,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Cycles and energy by layer, without tensor data: the same cycles as `run`, in a fraction of the time."""
    from accel import api

    _check_outputs(out, overwrite, json, csv)
    result = api.estimate(api.load_network(network), api.load_arch(arch))
    _report(result, json, csv, out, overwrite)


@app.command()
def run(
    network: Net,
    arch: Arch,
    input_file: Input = None,
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

    _check_outputs(out, overwrite, json, csv)
    asked = _waves(waves, layer, cycles, out, overwrite)
    net, machine = api.load_network(network), api.load_arch(arch)
    _compile_kernels()
    with _progress() as progress:
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
        )
    if not (json or csv):
        for note in simulation.notes:
            print(f"note: {note}", file=sys.stderr)
    _report(simulation.result, json, csv, out, overwrite, simulation.outputs)
    if waves is not None:
        print(waves, file=sys.stderr)


@app.command()
def verify(
    network: Net,
    arch: Arch,
    input_file: Input = None,
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
    net, machine = api.load_network(network), api.load_arch(arch)
    _compile_kernels()
    with _progress() as progress:
        verification = api.verify(net, machine, inputs=input_file, progress=progress, rtl=rtl, layers=layers)
    _say(verification.to_json() + "\n" if json else verification_table(verification))
    if not verification.passed:
        raise typer.Exit(1)


@app.command()
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
    with _progress() as progress:
        record = api.quantize(network, out, calibrate, options, bits, overwrite, progress)
    _say(record.to_json() + "\n" if json else quantization_table(record))


@app.command()
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
    _compile_kernels()
    _say(*(f"{path}\n" for path in api.emit_rtl(machine, out, overwrite)))


@app.command()
def synth(
    arch: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A machine's YAML file, or one of the gallery.", autocompletion=_machine_names
        ),
    ],
    json: Json = False,
) -> None:
    """Synthesize a machine's RTL with yosys: cells, NAND2 equivalents and area beside the cost model's figures."""
    from accel.arch.load import load_arch
    from accel.report.console import open_console
    from accel.report.synthesis import synthesis_table
    from accel.synthesizing import synthesize_machine

    machine = load_arch(arch)
    with _progress() as progress:
        synthesis = synthesize_machine(machine, progress)
    _say(synthesis.to_json() + "\n" if json else synthesis_table(synthesis, open_console().width))


@app.command()
def accumulators(
    network: Net,
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch",
            "-a",
            metavar="A",
            help="Add in the order of this machine's folds, and requantize as it does.",
            autocompletion=_machine_names,
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

    _check_outputs(None, False, json, csv)
    widths = None if bits is None else api.parse_widths(bits)
    net = api.load_network(network)
    machine = None if arch is None else api.load_arch(arch)
    with _progress() as progress:
        study = api.accumulators(net, machine, input_file, labels, images, widths, progress)
    if json:
        _say(study.to_json() + "\n")
        return
    from accel.report.accumulators import accumulator_tables, accumulators_csv
    from accel.report.console import open_console

    if csv:
        _say(accumulators_csv(study))
        return
    for note in study.notes:
        print(f"note: {note}", file=sys.stderr)
    _say(accumulator_tables(study, open_console().width))


@app.command(name="cost-laws")
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

    _check_outputs(None, False, json, csv)
    widths = api.Widths(weights, activations, first_last)
    net = api.load_network(network)
    study = api.cost_laws(net, None if arch is None else api.load_arch(arch), widths)
    if json:
        _say(study.to_json() + "\n")
        return
    from accel.report.console import open_console
    from accel.report.cost_laws import cost_law_tables, cost_laws_csv

    if csv:
        _say(cost_laws_csv(study))
        return
    for note in study.notes:
        print(f"note: {note}", file=sys.stderr)
    _say(cost_law_tables(study, open_console().width))


@app.command()
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
    network's, accuracy, and, with --arch, cycles and energy.
    """
    from accel import api

    _check_outputs(None, False, json, csv)
    widths = api.parse_widths(bits)
    machine = None if arch is None else api.load_arch(arch)
    with _progress() as progress:
        study = api.sensitivity(network, calibrate, labels, images, machine, widths, progress)
    if json:
        _say(study.to_json() + "\n")
        return
    from accel.report.console import open_console
    from accel.report.sensitivity import sensitivity_csv, sensitivity_tables

    if csv:
        _say(sensitivity_csv(study))
        return
    for note in study.notes:
        print(f"note: {note}", file=sys.stderr)
    _say(sensitivity_tables(study, open_console().width))


@app.command()
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
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="YAML", help="Write what 'accel quantize --bits' takes.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: Json = False,
) -> None:
    """Choose bits by layer: an integer program over what each layer loses and what a machine saves.

    Every group of layers that read one tensor is tried alone at every width; the program picks one for each, with the
    least noise at the network's output within the budget. Then the whole network is judged, beside the same bits
    everywhere.

    Try: accel allocate digits-resnet8 --arch edge-32x32 --budget latency=0.8x --out layers.yaml
    """
    from accel import api

    widths = api.parse_widths(bits)
    machine = None if arch is None else api.load_arch(arch)
    with _progress() as progress:
        allocation = api.allocate(
            network, budget, machine, calibrate, labels, images, widths, first_last, out, overwrite, progress
        )
    if json:
        _say(allocation.to_json() + "\n")
    else:
        from accel.report.allocation import allocation_tables
        from accel.report.console import open_console

        _say(allocation_tables(allocation, open_console().width))
    if out is not None:
        print(out, file=sys.stderr)


@app.command()
def lower(
    network: Net,
    arch: Arch,
    stage: Annotated[Stage, typer.Option("--stage", "-s", help="Which form to print.")] = Stage.ALL,
) -> None:
    """Print what a network becomes on its way to a machine: graph, flow, mapping, program."""
    from accel import api

    texts = api.lowered(api.load_network(network), api.load_arch(arch))
    _say(*(f"{text}\n" for name, text in texts.items() if stage in (Stage.ALL, name)))


def _compile_kernels() -> None:
    from accel.sim.warm_up import is_compiled, warm_up

    if not is_compiled():
        print("compiling the simulator's kernels, once; later runs take them from the disk", file=sys.stderr)
        warm_up()


def _check_outputs(out: Path | None, overwrite: bool, json: bool, csv: bool) -> None:
    """Refuse before a long run what would fail after it."""
    if json and csv:
        raise AccelError("--json and --csv both want standard output", hint="give one of them; --out writes both files")
    if out is not None:
        from accel.report.folder import check_writable

        check_writable(out, overwrite=overwrite)


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


def _report(
    result: Result,
    json: bool,
    csv: bool,
    out: Path | None,
    overwrite: bool,
    outputs: Mapping[str, Any] | None = None,
) -> None:
    if json:
        _say(result.to_json() + "\n")
    elif csv:
        from accel.report.csv import layers_csv

        _say(layers_csv(result))
    else:
        from accel.report.console import open_console
        from accel.report.tables import energy_table, layer_table, totals_table

        width = open_console().width
        _say(layer_table(result, width), energy_table(result, width), totals_table(result))
    if out is not None:
        from accel.report.folder import write_results

        for path in write_results(result, out, arrays=outputs, overwrite=overwrite):
            print(path, file=sys.stderr)


def _print_rows(name: str, rows: list[dict[str, object]], json: bool) -> None:
    """A gallery listing: one row each, the first column the name to use."""
    if json:
        import json as json_module

        _say(json_module.dumps({name: rows}, indent=2) + "\n")
        return
    from accel.report.listing import listing

    _say(listing(rows))


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr, where stderr is a terminal; ``progress(text, done, total)`` moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def move(text: str, done: int, total: int) -> None:
            bar.update(task, description=text, completed=done, total=total or None)

        yield move
