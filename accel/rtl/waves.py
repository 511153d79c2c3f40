"""The registers of the simulated array as a waveform, under the names that the RTL's own dump has for them.

One list of signals in a viewer serves both files, and what differs between them is found by name and cycle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel.arch.timing import ArrayTiming
from accel.errors import AccelError
from accel.mapping.mapping import ArrayMapping, in_the_array
from accel.mapping.program import Compute
from accel.mapping.select import select_array_layers
from accel.rtl.design import Design, check_pes, design_of
from accel.rtl.fst import FstWriter
from accel.rtl.record import LayerRecord, Recorder, first_cycle, ready_cycles
from accel.rtl.stimulus import FoldPlace, Tile, fold_places, held_operand
from accel.rtl.vcd import VcdWriter
from accel.rtl.wave_file import check_wave_file, wave_file
from accel.rtl.waveform import Values, lane_type
from accel.sim.registers import Family, FoldOperands, FoldPlan, Measures, SteppedLayer
from accel.sim.registers.families import single
from accel.sim.simulate import Simulator

Progress = Callable[[int, int], None]
"""Called as (cycles stepped, cycles to step)."""

ROOT = "TOP.dut.core"
"""Scope of the array in a dump of the replay harness."""
LARGEST_BYTES = 1 << 31
_WRITERS: dict[str, type[FstWriter] | type[VcdWriter]] = {".fst": FstWriter, ".vcd": VcdWriter}


@dataclass(frozen=True, slots=True)
class Waves:
    """A waveform to be written."""

    path: Path
    """``.fst`` or ``.vcd``."""
    layer: int | str
    """Its number in a report's table, or its name."""
    cycles: tuple[int, int] | None = None
    """The first cycle and the one after the last, counted from the layer's first work on the array; None: all."""
    overwrite: bool = False


def parse_cycles(text: str) -> tuple[int, int]:
    """``0:400`` -> (0, 400): cycles 0 to 399.

    Raises
    ------
    AccelError
        This is no range, or an empty one.
    """
    first, colon, end = (part.strip() for part in text.partition(":"))
    if not (colon and all(re.fullmatch(r"[0-9]{1,18}", part) for part in (first, end))):
        raise AccelError(f'"{text}" is no range of cycles', hint="write FROM:TO, such as 0:400 for the first 400")
    if int(first) >= int(end):
        raise AccelError(f"the range of cycles {text} is empty", hint="TO is the cycle after the last: 0:400 has 400")
    return int(first), int(end)


def stepped_layer(design: Design, tiles: Sequence[Tile]) -> SteppedLayer:
    """The tiles of a layer on the array of a design, in the cycles in which the replay harness runs them on its RTL."""
    measures = Measures.of(design.machine, design.dataflow)
    places: list[FoldPlace] = []
    plans: list[FoldPlan] = []
    for number, tile in enumerate(tiles):
        here = fold_places(design, number, tile.shape)
        places += here
        ready = (tile.load_ready, tile.stream_ready)
        plans += _plans(measures.timing, len(here), here[0].length, ready, tile.stretch)
    return SteppedLayer(
        measures,
        plans,
        lambda fold: _operands(design, tiles[places[fold].tile], places[fold]),
    )


def _plans(timing: ArrayTiming, folds: int, length: int, ready: tuple[int, int], stretch: int) -> list[FoldPlan]:
    """The folds of a tile; a port that is too narrow makes the last of them wait."""
    first = held_operand(timing, length) == 0
    waits = (stretch, 0) if first else (0, stretch)
    return [FoldPlan(length, *ready)] * (folds - 1) + [FoldPlan(length, *ready, *waits)]


def _operands(design: Design, tile: Tile, place: FoldPlace) -> FoldOperands:
    moving, other = tile.by_roles(design, place.group)
    array = design.machine.array
    rows = slice(place.row, place.row + array.rows)
    columns = slice(place.column, place.column + array.columns)
    if design.output_stationary:
        return FoldOperands(moving[:, rows].T, other[:, columns])
    return FoldOperands(moving[rows], other[rows, columns])


def write_waves(
    path: Path,
    layer: SteppedLayer,
    cycles: tuple[int, int],
    origin: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write what the signals of a layer carry in ``cycles`` (the first one, and the one after the last).

    Parameters
    ----------
    path
        ``.fst`` or ``.vcd``.
    origin
        The layer's cycle that is 0 in the file; a cycle lasts a nanosecond.

    Raises
    ------
    AccelError
        The file is there already and may not be replaced, or cannot be written; then nothing is left behind.
    """
    families = {"cycle": single("cycle", 32), **layer.families()}
    kind = _WRITERS[path.suffix.lower()]
    cycle_bytes = sum(values.nbytes for values in _block(families, 1).values())
    block_cycles = max(1, kind.block_bytes // cycle_bytes)
    steps = layer.steps(cycles, progress)
    with wave_file(path, overwrite) as file:
        writer = kind(file, list(families.values()), ROOT)
        for first in range(cycles[0], cycles[1], block_cycles):
            after = min(first + block_cycles, cycles[1])
            block = _block(families, after - first)
            for row in range(after - first):
                for key, values in next(steps).items():
                    if key in block:
                        # Of a number that is wider the lowest bits are kept, as the RTL's wires do.
                        block[key][row] = values.reshape(block[key].shape[1:])
                block["cycle"][row] = first + row - origin
            end = after - origin if after == cycles[1] else None
            writer.write(first - origin, list(block.values()), end)
        writer.close()


def _block(families: dict[str, Family], cycles: int) -> dict[str, Values]:
    return {
        key: np.empty((cycles, family.count, family.lanes), lane_type(family.bits)) for key, family in families.items()
    }


def check_size(path: Path, layer: SteppedLayer, cycles: int) -> None:
    """Refuse a file that would be larger than ``LARGEST_BYTES`` if every signal changed in every cycle.

    Raises
    ------
    AccelError
        How large it would be, and how many cycles are possible.
    """
    # A change takes the cycles since the last one or the signal's short name, and the value.
    text = path.suffix.lower() == ".vcd"
    each = [
        family.count * (family.width + 6 if text else 1 + -(-family.width // 8)) for family in layer.families().values()
    ]
    size_bytes = cycles * sum(each)
    if size_bytes <= LARGEST_BYTES:
        return
    spec = layer.measures.spec
    most = LARGEST_BYTES // sum(each)
    raise AccelError(
        f"{cycles:,} cycles of {spec.rows} x {spec.columns} PEs make a file of up to {size_bytes / 1e9:.1f} GB",
        str(path),
        f"take at most {most} cycles: --cycles FROM:TO" if most else "take a smaller array: not even one cycle fits",
    )


class WaveRecorder:
    """Sees a layer's operands go by in a simulation, and writes the waveform afterwards.

    Attributes
    ----------
    observer
        For the simulation.

    Raises
    ------
    AccelError
        Before anything runs: a layer that is not there or not on the array, cycles beyond its end, a file that may
        not be written or would be too large.
    """

    def __init__(self, simulator: Simulator, waves: Waves) -> None:
        check_pes(simulator.machine)
        check_wave_file(waves.path, tuple(_WRITERS), waves.overwrite)
        self.waves = waves
        self.position = _one_layer(simulator, str(waves.layer))
        mapping = simulator.program.layers[self.position].mapping
        assert isinstance(mapping, ArrayMapping)
        machine = simulator.layers[self.position].machine
        self._design = design_of(machine, mapping.dataflow)
        self._places: list[FoldPlace] = []
        measures = Measures.of(machine, mapping.dataflow)
        self.layer = SteppedLayer(measures, self._plan(simulator, measures.timing), self._operands)
        self.cycles = self._window()
        check_size(waves.path, self.layer, self.cycles[1] - self.cycles[0])
        self._tiles: list[Tile] = []
        self.observer = Recorder(simulator, {self.position}, self._take)

    def write(self, progress: Progress | None = None) -> None:
        """Write the file, the simulation being through."""
        self.observer.close()
        waves, origin = self.waves, self.layer.first_cycle
        write_waves(waves.path, self.layer, self.cycles, origin, waves.overwrite, progress)

    def _plan(self, simulator: Simulator, timing: ArrayTiming) -> list[FoldPlan]:
        """The layer's folds, from the program and its clock alone."""
        plans: list[FoldPlan] = []
        program = simulator.program
        computes = [i for i in program.instructions if isinstance(i, Compute) and i.layer == self.position]
        start = first_cycle(simulator, computes[0])
        for number, compute in enumerate(computes):
            product = in_the_array(compute.tile, simulator.layers[self.position].groups_at_once)
            shape = (product.groups, product.pixels, product.depth, product.channels)
            self._places += fold_places(self._design, number, shape)
            ready, stretch = ready_cycles(simulator, compute, start), simulator.timeline.stretch[compute.index]
            plans += _plans(timing, compute.folds, compute.stream, ready, stretch)
        return plans

    def _take(self, record: LayerRecord) -> None:
        self._tiles = record.tiles

    def _operands(self, fold: int) -> FoldOperands:
        place = self._places[fold]
        return _operands(self._design, self._tiles[place.tile], place)

    def _window(self) -> tuple[int, int]:
        """The cycles to show, as the layer counts them."""
        origin, last = self.layer.first_cycle, self.layer.last_cycle
        first, end = self.waves.cycles or (0, last + 1 - origin)
        if end > last + 1 - origin:
            raise AccelError(
                f"the cycles {first}:{end} reach beyond the end of layer {self.waves.layer}, "
                f"whose last cycle on the array is {last - origin}",
                str(self.waves.path),
                f"the whole layer is 0:{last + 1 - origin}",
            )
        return first + origin, end + origin


def _one_layer(simulator: Simulator, wanted: str) -> int:
    positions = select_array_layers(simulator.program, wanted)
    if len(positions) > 1:
        raise AccelError(f"a waveform shows one layer, not {wanted}", simulator.program.flow.name, "give one")
    return positions[0]
