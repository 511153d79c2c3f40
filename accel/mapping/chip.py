"""The chip while a program is written for it: where tiles lie, what frees their places, and the instructions so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from math import ceil

from accel.arch.spec import Dataflow, Machine
from accel.flow.ir import Access, Flow, Range, Region
from accel.mapping.layout import Layout, Runs, runs_of
from accel.mapping.program import Instruction, Load, PortCycles, Store
from accel.mapping.residency import Residency
from accel.mapping.ring import Held, Ring

TILES_AHEAD = 2
"""How many tiles before their own one operands are asked for: one under way, the next one's there."""


class Chip:
    """What the layers of a program share."""

    def __init__(self, flow: Flow, machine: Machine, residency: Residency) -> None:
        self.flow = flow
        self.machine = machine
        self.residency = residency
        self.layout = Layout(flow, machine.dram.burst_bytes, residency.kept)
        self.instructions: list[Instruction] = []
        buffers = machine.buffers
        self.weights = Ring(buffers.weight.capacity_bytes, buffers.weight.double_buffered)
        self.activations = Ring(buffers.activation.capacity_bytes, buffers.activation.double_buffered)
        self.slots = buffers.accumulator.slots
        """Of the accumulator buffer, for each layer of a stage."""
        self.freed: list[tuple[int, ...]] = [()] * self.slots
        """By slot, the instruction that took its last result away."""
        self.barrier: tuple[int, ...] = ()
        """What ended the layers before."""
        self.last_compute: tuple[int | None, Dataflow | None] = (None, None)
        """And its dataflow."""
        self._ports = [
            (f"{name}_buffer_read_bytes", f"{name}_buffer_write_bytes", b) for name, b in buffers.by_name.items()
        ]
        self.work: deque[int] = deque(maxlen=TILES_AHEAD)
        """The last instructions that worked on tiles of operands."""
        self._earliest: dict[int, int] = {}
        """Where a Load is issued at the earliest."""

    def begin_stage(self, layers: int, activation_bytes: int, weight_bytes: int) -> None:
        """One layer, or two that take turns.

        Tiles of activations of the layer before are of no more use; weights make room for this stage's. Two layers
        halve the accumulator buffer.

        Parameters
        ----------
        activation_bytes
            For tiles of operands that are loaded.
        weight_bytes
            Of tiles that are read again and again.
        """
        self.activations.limit(activation_bytes)
        self.weights.room_for(weight_bytes)
        if len(self.freed) != layers * self.slots:
            self.freed = [self.barrier[-1:]] * (layers * self.slots)

    def end_stage(self, outputs: Iterable[int]) -> None:
        """What comes later waits for the last outputs."""
        self.barrier = tuple(outputs)

    def add(self, instruction: Instruction) -> None:
        """The next instruction; its index is its place."""
        self.instructions.append(instruction)

    def load(
        self,
        layer: int,
        buffer: str,
        held: Held,
        part: int,
        tensor: str,
        box: Region | tuple[Range, Range, Range],
        runs: Runs,
        waits: tuple[int, ...],
        ahead: int,
    ) -> Load:
        """Bring one operand of a tile, asked for behind instruction ``ahead``."""
        index = len(self.instructions)
        self._earliest[index] = max(ahead, *waits, -1)
        load = Load(
            index, layer, waits, buffer, held.offset, held.size_bytes, part, tensor, box, runs, self.bursts(runs)
        )
        self.instructions.append(load)
        return load

    def runs(self, access: Access, box: Region) -> Runs:
        """Where a box of a tensor lies in DRAM."""
        return runs_of(self.layout.places[access.tensor], access.shape, self.flow.tensors[access.tensor].bits, box)

    def bursts(self, runs: Runs) -> int:
        """Bytes of the whole bursts that are moved."""
        burst = self.machine.dram.burst_bytes
        return runs.bursts(burst) * burst

    def port_cycles(self, actions: Mapping[str, int]) -> PortCycles:
        """A bank's two ports read and write at a time; its only one does either."""
        cycles = []
        for read, write, buffer in self._ports:
            read_bytes, written = actions.get(read, 0), actions.get(write, 0)
            moved = max(read_bytes, written) if buffer.ports == 2 else read_bytes + written
            cycles.append(ceil(moved / buffer.width_bytes_per_cycle))
        return PortCycles(*cycles)

    def issue(self) -> tuple[int, ...]:
        """The order of issue."""
        return tuple(sorted(range(len(self.instructions)), key=self._issue_place))

    def _issue_place(self, index: int) -> int:
        """Tile by tile, but every transfer as early as may be: right behind the last of what it waits for.

        A transfer that is not ready holds up those behind it. So a Store comes right behind its Vector, and Loads run
        ahead of their tiles as far as there is room, but no further than hides their latency.
        """
        instruction = self.instructions[index]
        if isinstance(instruction, Load):
            return self._earliest[index]
        return max(instruction.waits) if isinstance(instruction, Store) else index
