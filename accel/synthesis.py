"""The record of a synthesis: a machine's hardware as cells of a library, beside the cost model's figures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A module of the RTL as synthesized once, and how often the machine has it."""

    part: str
    """Of the machine: the array under one of its dataflows, or the vector unit."""
    name: str
    module: str
    parameters: dict[str, int]
    count: int
    cells: int
    """Of one, as are the figures that follow."""
    flip_flops: int
    nand2: float
    """Area in NAND gates of two inputs."""
    area_um2: float
    """In the cell library."""
    model_um2: float | None
    """By the cost model, in the machine's technology; None for what it leaves out."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What yosys made of a machine's array and vector unit.

    The library and the technology are of different ages, so their square micrometres are not compared. What is, are
    areas relative to one and the same PE, ``reference``, in the library and in the cost model.
    """

    machine: str
    technology: str
    """Of the cost model's figures."""
    library: str
    yosys: str
    """Its version."""
    reference: Block
    """A plain weight-stationary PE of int8 x int8 with sums of 32 bits that wrap, and one register for its weight."""
    blocks: tuple[Block, ...]

    @property
    def parts(self) -> dict[str, tuple[Block, ...]]:
        """Blocks by the part of the machine that they belong to."""
        names = dict.fromkeys(block.part for block in self.blocks)
        return {name: tuple(block for block in self.blocks if block.part == name) for name in names}

    def in_reference_pes(self, blocks: Iterable[Block]) -> float:
        """Area of blocks, as often as the machine has them, in PEs of the reference."""
        return sum(block.count * block.area_um2 for block in blocks) / self.reference.area_um2

    def model_in_reference_pes(self, blocks: Iterable[Block]) -> float | None:
        """The same by the cost model; None if it has no figure for any of the blocks."""
        assert self.reference.model_um2 is not None
        figures = [block.count * block.model_um2 for block in blocks if block.model_um2 is not None]
        return sum(figures) / self.reference.model_um2 if figures else None

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON, every block with its share of the comparison."""
        blocks = [
            dataclasses.asdict(block)
            | {
                "total_nand2": block.count * block.nand2,
                "total_area_um2": block.count * block.area_um2,
                "reference_pes": self.in_reference_pes([block]),
                "model_reference_pes": self.model_in_reference_pes([block]),
            }
            for block in self.blocks
        ]
        return json.dumps(dataclasses.asdict(self) | {"blocks": blocks}, indent=indent)
