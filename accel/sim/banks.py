"""Buffers whose banks have a single port: what wants the same bank takes turns, in the order of issue."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from accel.arch.spec import BufferSpec, Machine
from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector

Bank = tuple[str, int]
Turn = tuple[int, int | None]


class Banks:
    """When each bank is free, and which instruction held it last.

    An instruction takes all banks that its tiles touch, for as many cycles as its data pass through the buffer's port:
    a Load what it writes, a Compute its operands and sums, a Vector what it reads and writes, a Store what it reads.
    """

    def __init__(self, program: Program, machine: Machine) -> None:
        self.program = program
        self.buffers: dict[str, BufferSpec] = {
            name: buffer for name, buffer in machine.buffers.by_name.items() if buffer.ports == 1
        }
        accumulator = machine.buffers.accumulator
        self.slot_bytes = [program.slot_bytes(layer, accumulator) for layer in range(len(program.layers))]
        self.free: dict[Bank, Turn] = {}

    def turn(self, instruction: Instruction) -> Turn:
        """When all banks that ``instruction`` needs are free, and of which instruction."""
        waits = [self.free[bank] for bank, _ in self._banks(instruction) if bank in self.free]
        return max(waits, key=lambda turn: turn[0], default=(0, None))

    def take(self, instruction: Instruction, begin: int) -> None:
        """Hold them from ``begin`` on."""
        for bank, cycles in self._banks(instruction):
            self.free[bank] = begin + cycles, instruction.index

    def _banks(self, instruction: Instruction) -> Iterator[tuple[Bank, int]]:
        """Each bank that is touched, and for how many cycles."""
        for name, offset, size_bytes, cycles in self._touched(instruction):
            buffer = self.buffers.get(name)
            if buffer is not None and cycles and size_bytes:
                bank_bytes = ceil(buffer.capacity_bytes / buffer.banks)
                for number in range(offset // bank_bytes, (offset + size_bytes - 1) // bank_bytes + 1):
                    yield (name, number), cycles

    def _touched(self, instruction: Instruction) -> Iterator[tuple[str, int, int, int]]:
        """(buffer, offset, bytes, cycles of its port)"""
        match instruction:
            case Load(buffer=name, offset=offset, held_bytes=size):
                yield name, offset, size, self._cycles(name, instruction.size_bytes)
            case Compute(ports=ports):
                yield self._tile("weight", instruction.weight_load, ports.weight)
                yield from self._operands(instruction, ports.activation)
                yield self._slot(instruction, ports.accumulator)
            case Vector(ports=ports):
                yield from self._operands(instruction, ports.activation)
                yield self._slot(instruction, ports.accumulator)
            case Store():
                yield self._slot(instruction, self._cycles("accumulator", instruction.size_bytes))

    def _slot(self, instruction: Compute | Vector | Store, cycles: int) -> tuple[str, int, int, int]:
        size_bytes = self.slot_bytes[instruction.layer]
        return "accumulator", instruction.accumulator_slot * size_bytes, size_bytes, cycles

    def _operands(self, instruction: Compute | Vector, cycles: int) -> Iterator[tuple[str, int, int, int]]:
        """Activations that were loaded, those that stay on chip, and results that stay there."""
        kept, op = self.program.residency.kept, self.program.layers[instruction.layer].op
        tensors = [read.tensor for read in op.reads]
        if isinstance(instruction, Vector):
            tensors = (tensors if instruction.operands else []) + ([op.write.tensor] if instruction.stays else [])
        for tensor in tensors:
            if tensor in kept:
                yield "activation", kept[tensor].offset, kept[tensor].size_bytes, cycles
        if instruction.activation_offset is not None:
            load = next(
                index
                for index in instruction.waits
                if isinstance(found := self.program.instructions[index], Load) and found.buffer == "activation"
            )
            yield self._tile("activation", load, cycles)

    def _tile(self, buffer: str, load: int, cycles: int) -> tuple[str, int, int, int]:
        found = self.program.instructions[load]
        assert isinstance(found, Load)
        return buffer, found.offset, found.held_bytes, cycles

    def _cycles(self, name: str, size_bytes: int) -> int:
        buffer = self.buffers.get(name)
        return 0 if buffer is None else ceil(size_bytes / buffer.width_bytes_per_cycle)
