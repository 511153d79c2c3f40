"""The RTL as a witness: array work replayed on the emitted hardware, every integer and every cycle compared.

Each layer is a replay of its own. The hardware gets the operands that the simulated array got, each tile's in the
cycle in which the simulated machine had them in its buffers; when folds begin and when results are out is the
hardware's own affair, and so is every sum.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import cpu_count
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Dataflow, Machine
from accel.errors import AccelError
from accel.graph.ir import Conv, Linear
from accel.mapping.mapping import ArrayMapping, Block, in_the_array
from accel.mapping.program import Compute, Program
from accel.numerics.compare import mismatch
from accel.numerics.qtype import QType
from accel.rtl.build import Model, compile_model, model_of
from accel.rtl.compare import Place, compare_stamps, compare_sums
from accel.rtl.design import Design, check_covered, design_of
from accel.rtl.diagnose import Diagnosis, diagnose
from accel.rtl.record import LayerRecord, Recorder
from accel.rtl.replay import Response, expected_stamps, replay
from accel.rtl.requantize import RequantizerInput, requantize, requantizer_model
from accel.rtl.stimulus import Int64Array, Stimulus, rows_needed, stimulus_of
from accel.sim.side_by_side import apart
from accel.sim.simulate import Simulator
from accel.verification import Comparison, RtlCheck

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Hardware:
    """What a program needs of a machine's RTL, compiled."""

    designs: Mapping[Dataflow, Design]
    arrays: Mapping[Dataflow, Path]
    requantizers: Mapping[tuple[int, bool], Path]
    """By the output's bits, and whether they are -1 and +1."""


def compile_hardware(program: Program, machine: Machine, layers: Collection[int], progress: Progress) -> Hardware:
    """Compile the RTL that ``layers`` of a program run on; what was compiled before comes from the cache.

    Raises
    ------
    AccelError
        The RTL does not cover the machine, or it cannot be compiled here.
    """
    check_covered(machine)
    designs = _designs(program, machine, layers)
    outputs = {program.flow.tensors[program.layers[position].op.node.output].qtype for position in layers}
    made = {_form(qtype): qtype for qtype in outputs if qtype is not None}
    forms = sorted(made)
    models: list[tuple[str, Model]] = [(design.name, model_of(design)) for design in designs.values()]
    models += [(f"requantizer to {form[0]} bits", requantizer_model(machine, made[form])) for form in forms]
    paths = []
    for number, (name, model) in enumerate(models):
        progress(f"compiling {name}", number, len(models))
        paths.append(compile_model(model))
    arrays = dict(zip(designs, paths, strict=False))
    return Hardware(designs, arrays, dict(zip(forms, paths[len(designs) :], strict=True)))


def _form(made: QType) -> tuple[int, bool]:
    """What two types have in common that the same requantizer makes."""
    return made.bits, made.bipolar


def witness(
    program: Program,
    simulator: Simulator,
    hardware: Hardware,
    inputs: dict[str, Array],
    layers: Collection[int],
    progress: Progress,
    folder: Path = Path("rtl-difference"),
) -> tuple[RtlCheck, ...]:
    """Simulate a network, and replay the array work of ``layers`` beside it.

    Parameters
    ----------
    layers
        Positions in the program.
    progress
        Told of each layer that is through.
    folder
        Where waveforms go if the two differ; made only then.
    """
    workers = cpu_count() or 1
    # A layer's operands stay in memory until its replay is through.
    room = Semaphore(workers + 1)
    futures: list[Future[RtlCheck]] = []
    checker = _Checker(simulator, hardware, folder)

    def check(record: LayerRecord) -> RtlCheck:
        try:
            return checker.check(record)
        finally:
            room.release()

    with ThreadPoolExecutor(workers, thread_name_prefix="rtl") as pool:

        def submit(record: LayerRecord) -> None:
            room.acquire()
            futures.append(pool.submit(check, record))
            progress(program.layers[record.position].op.name, len(futures) - 1, len(layers))

        recorder = Recorder(simulator, layers, submit)
        simulator.run(inputs, observer=recorder)
        recorder.close()
        return tuple(future.result() for future in futures)


def _designs(program: Program, machine: Machine, layers: Collection[int]) -> dict[Dataflow, Design]:
    """The designs that ``layers`` use, with counters and an accumulator buffer large enough for them."""
    computes: dict[Dataflow, list[Compute]] = {}
    products: dict[Dataflow, list[Block]] = {}
    for instruction in program.instructions:
        if isinstance(instruction, Compute) and instruction.layer in layers:
            mapping = program.layers[instruction.layer].mapping
            assert isinstance(mapping, ArrayMapping)
            computes.setdefault(mapping.dataflow, []).append(instruction)
            product = in_the_array(instruction.tile, mapping.groups_at_once)
            products.setdefault(mapping.dataflow, []).append(product)
    designs = {}
    for dataflow, some in computes.items():
        plain = design_of(machine, dataflow)
        longest = max(compute.stream for compute in some)
        slots = max(compute.accumulator_slot for compute in some) + 1
        rows = slots * max(
            rows_needed(plain, product.groups, product.pixels, product.channels) for product in products[dataflow]
        )
        designs[dataflow] = design_of(machine, dataflow, longest, max(rows, 1 << plain.address_bits))
    return designs


class _Checker:
    """Replays one layer after another, from any thread."""

    def __init__(self, simulator: Simulator, hardware: Hardware, folder: Path) -> None:
        self.simulator = simulator
        self.hardware = hardware
        self.folder = folder

    def check(self, record: LayerRecord) -> RtlCheck:
        layer = self.simulator.program.layers[record.position]
        assert isinstance(layer.mapping, ArrayMapping)
        dataflow = layer.mapping.dataflow
        design = self.hardware.designs[dataflow]
        stimulus = stimulus_of(design, record.tiles)
        try:
            response = replay(self.hardware.arrays[dataflow], stimulus)
        except AccelError as error:
            where = f"layer {record.position + 1}, {layer.op.name}"
            raise AccelError(f"{where}: {error.what}", error.where, error.hint) from error
        expected = expected_stamps(design, record.tiles, stimulus.places, record.begins)
        sums, at_sum = compare_sums(stimulus, response, record.sums, partial(replay, self.hardware.arrays[dataflow]))
        stamps, at_stamp = compare_stamps(stimulus, response, expected)
        place = at_sum or at_stamp
        diagnosis = self._diagnose(stimulus, expected, place, record.position) if place else None
        integers, bias_overflows = self._integers(record, response)
        done = max(int(response.stamps[-1, 2]) + 1, record.consumed)
        begun = int(expected[0, 0])
        return RtlCheck(
            position=record.position,
            layer=layer.op.name,
            op=layer.op.node.kind,
            design=design.name,
            tiles=len(record.tiles),
            folds=len(stimulus.places),
            sums=sums,
            integers=integers,
            stamps=stamps,
            simulated_cycles=record.done - begun,
            rtl_cycles=done - begun,
            simulated_overflows=record.array_overflows + (record.bias_overflows if integers is not None else 0),
            rtl_overflows=response.overflows + bias_overflows,
            difference="" if place is None or diagnosis is None else f"{place.text}; {diagnosis.text}",
            waveforms=() if diagnosis is None else diagnosis.waveforms,
        )

    def _diagnose(self, stimulus: Stimulus, expected: Int64Array, place: Place, position: int) -> Diagnosis:
        return diagnose(stimulus, expected, place.fold, place.cycle, self.folder, f"layer{position + 1}")

    def _integers(self, record: LayerRecord, response: Response) -> tuple[Comparison | None, int]:
        """The layer's output integers, made by the hardware's requantizer from the hardware's sums."""
        if not record.requantized:
            return None, 0
        layer = self.simulator.layers[record.position]
        made, body = layer.tensors[layer.op.node.output], layer.op.body
        assert made.qtype is not None
        assert isinstance(body, Conv | Linear)
        parts = record.requantized
        given = RequantizerInput(
            sums=np.concatenate(
                [apart(response.sums[part.tile], layer.groups_at_once, len(part.values)).reshape(-1) for part in parts]
            ),
            biases=np.concatenate([part.biases.reshape(-1) for part in parts]),
            scales=np.concatenate([part.scales.reshape(-1) for part in parts]),
            zero_point=made.zero_point,
            qtype=made.qtype,
            clamp=body.clamp,
            thresholds=body.thresholds,
            channels=np.concatenate([part.channels.reshape(-1) for part in parts]),
        )
        executable = self.hardware.requantizers[_form(made.qtype)]
        values, overflows = requantize(executable, layer.machine, given, layer.op.name)
        expected = np.concatenate([part.values.reshape(-1) for part in parts]).astype(np.int64)
        difference = mismatch(values, expected)
        if difference is None:
            return Comparison(0, expected.size), overflows
        at = int(difference.first[0])
        how = f"thresholds of channel {given.channels[at]}"
        if not given.compares:
            scale = layer.requantizer.decode(given.scales[at])
            how = f"scale {scale:g}, zero point {given.zero_point}"
        text = (
            f"of the sum {given.sums[at]} the RTL's requantizer makes {values[at]}, the simulator {expected[at]} "
            f"(bias {given.biases[at]}, {how})"
        )
        return Comparison(difference.count, difference.size, text), overflows
