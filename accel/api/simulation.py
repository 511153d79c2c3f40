"""A network on a machine: estimate, simulate, verify, and what it becomes on its way there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.api.batches import Batches
from accel.api.network import Network, images_and_labels
from accel.api.progress import Progress, named, one_of
from accel.arch.spec import Machine
from accel.bottlenecks import study as find_bottlenecks
from accel.compile import compile_graph, fit_to_machine
from accel.graph.float_reference import FloatNetwork
from accel.graph.rebase import from_file
from accel.inputs import image_batches, input_images
from accel.mapping.program import in_words
from accel.mapping.scales import scale_notes
from accel.mapping.select import array_layers, select_array_layers
from accel.mapping.thresholds import threshold_notes
from accel.records import estimate_graph, result_of
from accel.result import Result
from accel.rtl.toolchain import find_verilator
from accel.rtl.waves import WaveRecorder, Waves
from accel.rtl.witness import compile_hardware, witness
from accel.sim.simulate import Simulator
from accel.studies.bottleneck import Bottleneck
from accel.verification import Verification
from accel.witnessing import verify_program

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A simulation's record and its output integers."""

    result: Result
    outputs: dict[str, Array]
    """Output tensors as the network's file defines them, images along the first axis."""
    notes: tuple[str, ...]
    """What was assumed: where the input came from, say."""


def estimate(network: Network, arch: Machine, mapping: Path | None = None) -> Result:
    """Cycles and energy by layer, without tensor data; the cycles are those of ``simulate``.

    Parameters
    ----------
    mapping
        A file of mappings, as ``search_mapping`` writes it; None: they are chosen.

    Raises
    ------
    AccelError
        The network does not fit the machine: which layer, what, and by how much.
    """
    return estimate_graph(network.name, fit_to_machine(network.graph, arch), arch, mapping)


def bottleneck(network: Network, arch: Machine, processes: int = 1, progress: Progress | None = None) -> Bottleneck:
    """What bounds each layer, how busy each unit is, and what more of each resource would bring.

    Every machine with twice as much of one thing (or half the latency) is mapped anew, or as it was where that is
    quicker.

    Parameters
    ----------
    processes
        How many estimate at a time, where it pays. The record does not depend on it; with more than one, the calling
        script must be importable, as Python's multiprocessing has it.

    Raises
    ------
    AccelError
        As for ``estimate``; what is wrong with one of the other machines is part of the record.
    """
    return find_bottlenecks(network.name, network.graph, arch, processes, progress)


def lowered(network: Network, arch: Machine, mapping: Path | None = None) -> dict[str, str]:
    """What a network becomes on its way to a machine, as text: graph, flow, mapping, program."""
    graph = fit_to_machine(network.graph, arch)
    program = compile_graph(graph, arch, mapping)
    choices = [
        f"  {layer.op.name}: {in_words(layer.mapping, position, program.flow, program.residency)}"
        for position, layer in enumerate(program.layers)
    ]
    mappings = "\n".join([f"mapping {network.name} on {arch.name}", *choices])
    return {"graph": str(graph), "flow": str(program.flow), "mapping": mappings, "program": str(program)}


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
    mapping: Path | None = None,
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
    mapping
        As for ``estimate``.

    Returns
    -------
    Simulation
        Cycles and energy are those of one batch of the file's size; error and accuracy are over all images.
    """
    graph = fit_to_machine(network.graph, arch)
    data, truth, notes = images_and_labels(network, inputs, labels, images)
    if inputs is None:
        float_model = float_model or network.float_path
    simulator = Simulator(compile_graph(graph, arch, mapping), arch)
    recorder = None if waves is None else WaveRecorder(simulator, waves)
    job = Batches(graph, simulator, None if float_model is None else FloatNetwork(float_model, graph))
    batches = image_batches(graph, data)
    for number, batch in enumerate(batches):
        observer = recorder.observer if recorder is not None and number == 0 else None
        job.run(batch, activity and number == 0, one_of(progress, number, len(batches)), observer)
    if recorder is not None:
        recorder.write(named(progress, f"registers of layer {recorder.waves.layer}"))
    if job.float_network is not None and not job.errors:
        notes.append(
            f"no tensor of {job.float_network.path} is named like one of this network: no layer shows an error"
        )
    result = result_of(network.name, graph.batch, arch, simulator.program, simulator.clock, job.observations(truth))
    return Simulation(result, job.outputs(), (*notes, *scale_notes(graph, arch), *threshold_notes(network.graph, arch)))


def verify(
    network: Network,
    arch: Machine,
    inputs: Array | Path | None = None,
    progress: Progress | None = None,
    rtl: bool = False,
    layers: str | None = None,
    mapping: Path | None = None,
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
    mapping
        As for ``estimate``.

    Raises
    ------
    AccelError
        As for ``simulate``, and what keeps the RTL from running here; a difference is no error but part of the record.
    """
    data, _ = input_images(network.graph, inputs, network.images)
    batch = image_batches(network.graph, data)[0]
    if not rtl:
        return verify_program(network.name, network.graph, arch, batch, progress, mapping)
    # What can fail for want of a tool fails before the long work.
    report = progress or (lambda text, done, total: None)
    graph = fit_to_machine(network.graph, arch)
    program = compile_graph(graph, arch, mapping)
    positions = array_layers(program) if layers is None else select_array_layers(program, layers)
    hardware = compile_hardware(program, arch, positions, report)
    verification = verify_program(network.name, network.graph, arch, batch, progress, mapping)
    source = graph.inputs[0]
    simulator = Simulator(program, arch)
    checks = witness(program, simulator, hardware, {source: from_file(graph.tensors[source], batch)}, positions, report)
    return replace(verification, rtl=checks, rtl_witness=find_verilator().version)
