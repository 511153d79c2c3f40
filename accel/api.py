"""The public face: load a machine and a network; estimate, simulate, verify; get frozen records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.graph.float_reference import FloatNetwork
from accel.graph.ir import Graph
from accel.graph.onnx import load_network as load_graph
from accel.graph.rebase import from_file, to_file
from accel.inputs import image_batches, input_images, read_labels
from accel.mapping.compile import compile_graph, fit_to_machine
from accel.mapping.scales import scale_notes
from accel.mapping.select import array_layers, select_array_layers
from accel.mapping.thresholds import threshold_notes
from accel.networks import companions, network_path
from accel.numerics.elementwise import dequantize
from accel.numerics.error import ErrorSums
from accel.precision.accumulators import Subject
from accel.precision.accumulators import study as study_accumulators
from accel.precision.allocation import DEFAULT_WIDTHS as ALLOCATION_WIDTHS
from accel.precision.allocation import allocate as allocate_bits
from accel.precision.budget import Budget
from accel.precision.cost_laws import study as study_cost_laws
from accel.precision.sensitivity import DEFAULT_WIDTHS, FloatSubject
from accel.precision.sensitivity import study as study_sensitivity
from accel.precision.what_if import Widths
from accel.precision.widths import parse_widths
from accel.quantization import Quantization
from accel.quantizer.images import read_images
from accel.quantizer.layers_file import read_layers
from accel.quantizer.options import LayerBits, QuantizeOptions
from accel.quantizer.quantize import quantize_network
from accel.quantizer.save import output_file, save
from accel.records import Observations, result_of
from accel.result import AccumulatorUse, Accuracy, Result, Verification
from accel.rtl.emit import emit
from accel.rtl.toolchain import find_verilator
from accel.rtl.waves import WaveRecorder, Waves
from accel.rtl.witness import compile_hardware, witness
from accel.sim.memory import Observer
from accel.sim.simulate import Simulated, Simulator, estimate_cycles
from accel.studies.accumulators import AccumulatorStudy
from accel.studies.allocation import Allocation
from accel.studies.cost_laws import CostLaws
from accel.studies.sensitivity import SensitivityStudy
from accel.synthesis import Synthesis
from accel.synthesizing import synthesize_machine
from accel.witnessing import accumulation_of, verify_program

__all__ = [
    "LayerBits",
    "Network",
    "QuantizeOptions",
    "Simulation",
    "Waves",
    "Widths",
    "accumulators",
    "allocate",
    "cost_laws",
    "emit_rtl",
    "estimate",
    "load_arch",
    "load_network",
    "lowered",
    "parse_widths",
    "quantize",
    "sensitivity",
    "simulate",
    "synthesize",
    "verify",
]

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]
"""Called as (what is being done, how much is done, how much there is)."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A quantized network, and what the gallery ships with it."""

    name: str
    graph: Graph
    float_path: Path | None = None
    images: Array | None = None
    """(images, *input shape without the batch axis)."""
    labels: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A simulation's record and its output integers."""

    result: Result
    outputs: dict[str, Array]
    """Output tensors as the network's file defines them, images along the first axis."""
    notes: tuple[str, ...]
    """What was assumed: where the input came from, say."""


def load_network(name_or_path: str | Path) -> Network:
    """Load a quantized ONNX file, or a network of the gallery.

    Raises
    ------
    AccelError
        What is wrong with the file, or every node that is not supported.
    """
    path = network_path(name_or_path)
    graph = load_graph(path)
    extras = companions(name_or_path)
    if extras is None:
        return Network(f"{path.absolute().parent.name}/{path.stem}", graph)
    return Network(str(name_or_path), graph, extras.float_path, extras.images, extras.labels)


def estimate(network: Network, arch: Machine) -> Result:
    """Cycles and energy by layer, without tensor data; the cycles are those of ``simulate``.

    Raises
    ------
    AccelError
        The network does not fit the machine: which layer, what, and by how much.
    """
    program = compile_graph(fit_to_machine(network.graph, arch), arch)
    return result_of(network.name, network.graph.batch, arch, program, estimate_cycles(program, arch), None)


def lowered(network: Network, arch: Machine) -> dict[str, str]:
    """What a network becomes on its way to a machine, as text: graph, flow, mapping, program."""
    graph = fit_to_machine(network.graph, arch)
    program = compile_graph(graph, arch)
    choices = [f"  {layer.op.name}: {layer.mapping or 'view'}" for layer in program.layers]
    mapping = "\n".join([f"mapping {network.name} on {arch.name}", *choices])
    return {"graph": str(graph), "flow": str(program.flow), "mapping": mapping, "program": str(program)}


def simulate(
    network: Network,
    arch: Machine,
    inputs: Array | Path | None = None,
    labels: npt.NDArray[np.int64] | Path | None = None,
    float_model: Path | None = None,
    images: int | None = None,
    activity: bool = False,
    progress: Progress | None = None,
    waves: Waves | None = None,
) -> Simulation:
    """Simulate with data, register by register.

    Parameters
    ----------
    inputs
        The network's input, several batches along the first axis; an array or a .npy file. None: the network's own
        images from the gallery, or else seeded random numbers.
    labels
        Class of each image; gives accuracy.
    float_model
        The float network; gives the error of each layer. None: the gallery's, where there is one.
    images
        Take only the first so many images.
    activity
        Count the bits that toggle in the array, in the first batch.
    progress
        Told what is being done.
    waves
        Write the array's registers in one layer, cycle by cycle, as a waveform; of the first batch.

    Returns
    -------
    Simulation
        Cycles and energy are those of one batch of the file's size; error and accuracy are over all images.
    """
    graph = fit_to_machine(network.graph, arch)
    data, truth, notes = _images_and_labels(network, inputs, labels, images)
    if inputs is None:
        float_model = float_model or network.float_path
    simulator = Simulator(compile_graph(graph, arch), arch)
    recorder = None if waves is None else WaveRecorder(simulator, waves)
    job = _Job(graph, simulator, None if float_model is None else FloatNetwork(float_model, graph))
    batches = image_batches(graph, data)
    for number, batch in enumerate(batches):
        observer = recorder.observer if recorder is not None and number == 0 else None
        job.run(batch, activity and number == 0, _one_of(progress, number, len(batches)), observer)
    if recorder is not None:
        recorder.write(_named(progress, f"registers of layer {recorder.waves.layer}"))
    result = result_of(network.name, graph.batch, arch, simulator.program, simulator.cycles, job.observations(truth))
    return Simulation(result, job.outputs(), (*notes, *scale_notes(graph, arch), *threshold_notes(network.graph, arch)))


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
    data, truth, notes = _images_and_labels(network, inputs, labels, images)
    if notes:
        notes = ["no input was given, so it is seeded random numbers; sums of real images may need more bits"]
    if arch is None:
        subject = Subject(network.name, network.graph, data, truth, notes=tuple(notes))
    else:
        graph = fit_to_machine(network.graph, arch)
        accumulation = accumulation_of(compile_graph(graph, arch), arch)
        unit = arch.vector.requantizer
        subject = Subject(network.name, graph, data, truth, unit, arch.name, accumulation, tuple(notes))
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


def sensitivity(
    network: str | Path,
    calibration: Array | Path | None = None,
    labels: npt.NDArray[np.int64] | Path | None = None,
    images: int | None = None,
    arch: Machine | None = None,
    bits: Sequence[int] = DEFAULT_WIDTHS,
    progress: Progress | None = None,
) -> SensitivityStudy:
    """What each layer of a float network loses and saves when its weights, or what it reads, get fewer bits.

    Parameters
    ----------
    network
        A float ONNX file, or a network of the gallery that ships.
    calibration
        The images to calibrate on and to judge by, as for ``quantize``.
    labels
        Class of each image; gives accuracy. None: the gallery's, where there are.
    images
        Take only the first so many.
    arch
        Estimates cycles and energy.
    bits
        Widths to try; all else has 8.

    Raises
    ------
    AccelError
        As for ``quantize``, and widths that are not legal.
    """
    subject = _float_subject(network, calibration, labels, images, arch)
    return study_sensitivity(subject, bits, progress)


def allocate(
    network: str | Path,
    budget: str,
    arch: Machine | None = None,
    calibration: Array | Path | None = None,
    labels: npt.NDArray[np.int64] | Path | None = None,
    images: int | None = None,
    bits: Sequence[int] = ALLOCATION_WIDTHS,
    first_last: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Allocation:
    """Bits for every layer of a float network that meet a budget and lose the least.

    Parameters
    ----------
    network, calibration, labels, images
        As for ``sensitivity``.
    budget
        ``latency=0.7x``: of the network at 8 bits; or in cycles, ``latency=2000000``. The same for ``energy`` (pJ),
        ``bops`` and ``memory`` (bits of weights).
    arch
        Tells cycles and energy.
    bits
        To choose from.
    first_last
        Bits of the first and the last layer, whatever the budget.
    out, overwrite
        The YAML file to write, which ``quantize`` takes as ``layers``; and whether it may replace another.

    Raises
    ------
    AccelError
        No allocation meets the budget (the closest is named), or as for ``sensitivity``.
    """
    limit = Budget.parse(budget)
    subject = _float_subject(network, calibration, labels, images, arch)
    if out is None:
        return allocate_bits(subject, limit, bits, first_last, progress)
    if out.is_dir():
        raise AccelError("this is a folder, not a file", str(out), "name the YAML file to write")
    with output_file(out, overwrite) as partial:
        allocation = allocate_bits(subject, limit, bits, first_last, progress)
        partial.write_text(allocation.to_yaml(), encoding="utf-8")
    return allocation


def _float_subject(
    network: str | Path,
    calibration: Array | Path | None,
    labels: npt.NDArray[np.int64] | Path | None,
    limit: int | None,
    arch: Machine | None,
) -> FloatSubject:
    """A float network with its images and labels, checked."""
    extras = companions(network)
    path = network_path(network) if extras is None or "/" in str(network) else extras.float_path
    given = extras.images if calibration is None and extras is not None else calibration
    if given is None:
        raise AccelError("there are no calibration images", str(path), "give some with --calibrate images.npz")
    data = read_images(given)
    where = str(given) if isinstance(given, Path) else "the calibration images"
    if limit is not None and limit > len(data):
        raise AccelError(
            f"{limit} images are asked for, and there are {len(data)}", where, f"ask for up to {len(data)}"
        )
    data = data[:limit]
    truth = None
    if labels is not None:
        truth = read_labels(labels, len(data), np.iinfo(np.int64).max)
    elif calibration is None and extras is not None:
        truth = extras.labels[: len(data)]
    name = str(network) if extras is not None else f"{path.absolute().parent.name}/{path.stem}"
    return FloatSubject(name, path, data, where, truth, arch)


def _images_and_labels(
    network: Network,
    inputs: Array | Path | None,
    labels: npt.NDArray[np.int64] | Path | None,
    images: int | None,
) -> tuple[Array, npt.NDArray[np.int64] | None, list[str]]:
    """The images to run, the class of each where it is known, and what was assumed."""
    data, notes = input_images(network.graph, inputs, network.images, images)
    if labels is not None and inputs is None and network.images is None:
        raise AccelError("labels are given without images", network.graph.path, "give the images with --input")
    graph = network.graph
    classes = graph.tensors[graph.outputs[0]].size // graph.batch
    truth = None if labels is None else read_labels(labels, len(data), classes)
    if truth is None and inputs is None and network.labels is not None:
        truth = network.labels[: len(data)]
    return data, truth, notes


def verify(
    network: Network,
    arch: Machine,
    inputs: Array | Path | None = None,
    progress: Progress | None = None,
    rtl: bool = False,
    layers: str | None = None,
) -> Verification:
    """Compare simulator, numpy reference and onnxruntime on one batch, tensor by tensor.

    Parameters
    ----------
    inputs
        As for ``simulate``; the first batch is used.
    rtl
        Replay the array's work on the machine's RTL as well: every sum, every requantized integer, every cycle.
    layers
        Of the RTL: only these, by number or name with commas between, as ``mapping.select`` has it.

    Raises
    ------
    AccelError
        As for ``simulate``, and what keeps the RTL from running here; a difference is no error but part of the record.
    """
    data, _ = input_images(network.graph, inputs, network.images)
    batch = image_batches(network.graph, data)[0]
    if not rtl:
        return verify_program(network.name, network.graph, arch, batch, progress)
    # What can fail for want of a tool fails before the long work.
    report = progress or (lambda text, done, total: None)
    graph = fit_to_machine(network.graph, arch)
    program = compile_graph(graph, arch)
    positions = array_layers(program) if layers is None else select_array_layers(program, layers)
    hardware = compile_hardware(program, arch, positions, report)
    verification = verify_program(network.name, network.graph, arch, batch, progress)
    source = graph.inputs[0]
    simulator = Simulator(program, arch)
    checks = witness(program, simulator, hardware, {source: from_file(graph.tensors[source], batch)}, positions, report)
    return replace(verification, rtl=checks, rtl_witness=find_verilator().version)


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


def quantize(
    network: str | Path,
    out: Path,
    images: Array | Path | None = None,
    options: QuantizeOptions | None = None,
    layers: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Quantization:
    """Quantize a float network after training: integers of 1 to 16 bits, by layer and operand.

    Parameters
    ----------
    network
        A float ONNX file, or a network of the gallery that ships.
    out
        The ONNX file to write, which ``load_network`` reads: QDQ or QONNX.
    images
        For calibration: float32, images along the first axis; an array, a .npy file, or a .npz file with one array or
        one that is called ``images``. None: the gallery's own.
    options
        Widths, bounds, rounding, scales; None: 8 bits everywhere.
    layers
        A YAML file of widths by layer, ``conv1: {weights: 4, activations: 8}``; they go before all others.
    overwrite
        Replace ``out`` if it exists.

    Raises
    ------
    AccelError
        What is wrong with the network, the images or the options; nothing is written then.

    Examples
    --------
    >>> options = QuantizeOptions(weights=4, activations=8, first_last=8)
    >>> quantize("digits-resnet8", Path("w4a8.onnx"), options=options).weight_bits  # doctest: +SKIP
    """
    extras = companions(network)
    path = network_path(network) if extras is None or "/" in str(network) else extras.float_path
    data = extras.images if images is None and extras is not None else images
    if data is None:
        raise AccelError("there are no calibration images", str(path), "give some with --calibrate images.npz")
    chosen = options or QuantizeOptions()
    if layers is not None:
        chosen = replace(chosen, layers={**chosen.layers, **read_layers(layers)})
    where = str(data) if isinstance(data, Path) else "the calibration images"
    with output_file(out, overwrite) as partial:
        report = progress or (lambda text, done, total: None)
        quantized = quantize_network(path, read_images(data), where, chosen, report)
        save(quantized.model, partial, out)
    return replace(quantized.record, path=str(out))


@dataclass
class _Job:
    """Batches through one program, and what they leave behind."""

    graph: Graph
    simulator: Simulator
    float_network: FloatNetwork | None
    runs: list[Simulated] = field(default_factory=list)
    errors: dict[str, ErrorSums] = field(default_factory=dict)
    float_outputs: list[Array] = field(default_factory=list)

    def run(self, batch: Array, activity: bool, progress: Progress | None, observer: Observer | None) -> None:
        """Simulate one batch, and compare each tensor with the float network's as soon as it is stored."""
        name = self.graph.inputs[0]
        inputs = {name: from_file(self.graph.tensors[name], batch)}
        reals = {} if self.float_network is None else self._reals(self.float_network, inputs[name])
        if self.graph.outputs[0] in reals:
            self.float_outputs.append(reals[self.graph.outputs[0]])

        def compare(tensor: str, values: Array) -> None:
            if tensor in reals:
                made = self.graph.tensors[tensor]
                encoding = None if made.qtype is None else made.encoding
                self.errors.setdefault(tensor, ErrorSums()).add(values, encoding, reals[tensor])

        run = self.simulator.run(inputs, activity=activity, on_tensor=compare, progress=progress, observer=observer)
        self.runs.append(run)

    def _reals(self, network: FloatNetwork, batch: Array) -> dict[str, Array]:
        """What the float network makes of the batch, by the names of this network's tensors."""
        source = self.graph.tensors[self.graph.inputs[0]]
        reals = network.tensors(batch if source.qtype is None else dequantize(batch, source.encoding))
        for name, values in reals.items():
            if values.size != self.graph.tensors[name].size:
                found, wanted = ("x".join(map(str, shape)) for shape in (values.shape, self.graph.tensors[name].shape))
                raise AccelError(
                    f"{name} is {found} there and {wanted} in the integer network",
                    network.path,
                    "give the float network that the integer one was made from",
                )
        return reals

    def outputs(self) -> dict[str, Array]:
        """The network's outputs as the file has them, batches joined."""
        return {
            name: np.concatenate([to_file(self.graph.tensors[name], run.tensors[name]) for run in self.runs])
            for name in self.graph.outputs
        }

    def observations(self, truth: npt.NDArray[np.int64] | None) -> Observations:
        """What the data showed, over all batches."""
        uses: dict[int, AccumulatorUse] = {}
        for run in self.runs:
            for position, use in run.accumulators.items():
                uses[position] = use if position not in uses else uses[position].merged(use)
        outputs = self.outputs()
        return Observations(
            accumulators=uses,
            activity=self.runs[0].activity,
            errors={name: sums.error() for name, sums in self.errors.items()},
            outputs=outputs,
            accuracy=None if truth is None else self._accuracy(outputs[self.graph.outputs[0]], truth),
        )

    def _accuracy(self, logits: Array, truth: npt.NDArray[np.int64]) -> Accuracy:
        chosen = logits.reshape(len(truth), -1).argmax(axis=1)
        if not self.float_outputs:
            return Accuracy(len(truth), None, float((chosen == truth).mean()), None)
        wanted = np.concatenate(self.float_outputs).reshape(len(truth), -1).argmax(axis=1)
        return Accuracy(
            images=len(truth),
            float_top1=float((wanted == truth).mean()),
            integer_top1=float((chosen == truth).mean()),
            agreement=float((chosen == wanted).mean()),
        )


def _one_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one batch among several, as a part of the whole."""
    if progress is None or count == 1:
        return progress
    return lambda text, done, total: progress(f"image {number + 1} of {count}", number * total + done, count * total)


def _named(progress: Progress | None, text: str) -> Callable[[int, int], None] | None:
    """Progress of something that has one name from its beginning to its end."""
    return None if progress is None else lambda done, total: progress(text, done, total)
