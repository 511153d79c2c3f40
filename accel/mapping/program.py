"""The program: Load, Compute, Vector and Store instructions with their dependencies.

Each unit of the machine takes its own instructions in order of ``Program.issue`` and waits for the ones named in
``waits``. A Load that waits for a Compute waits until its operands are consumed; everybody else waits for results.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.arch.spec import BufferSpec
from accel.flow.ir import Flow, FlowOp, Range, Region
from accel.mapping.layout import Place, Runs
from accel.mapping.mapping import ArrayTile, NestMapping
from accel.mapping.residency import Residency
from accel.result import Actions


@dataclass(frozen=True, slots=True)
class PortCycles:
    """For how many cycles an instruction's data pass through the port of each buffer."""

    weight: int = 0
    activation: int = 0
    accumulator: int = 0

    @property
    def slowest(self) -> tuple[str, int]:
        """The buffer whose port takes longest, and how long."""
        cycles = {"weight": self.weight, "activation": self.activation, "accumulator": self.accumulator}
        return max(cycles.items(), key=lambda entry: entry[1])


@dataclass(frozen=True, slots=True)
class Load:
    """DRAM -> the weight or activation buffer."""

    index: int
    layer: int
    waits: tuple[int, ...]
    buffer: str
    """``weight`` or ``activation``."""
    offset: int
    """Of the tile in the buffer, all its operands together."""
    held_bytes: int
    """Of the tile in the buffer."""
    part: int
    """Which operand of the tile (an Add loads two)."""
    tensor: str
    box: Region | tuple[Range, Range, Range]
    """Activations: (b, c, h, w); weights: (g, n, k)."""
    runs: Runs
    """Where that lies in DRAM."""
    size_bytes: int
    """Whole bursts."""

    def __str__(self) -> str:
        return f"load    {self.buffer}[{self.offset}] <- {self.tensor}{_box(self.box)} {self.size_bytes} B"


@dataclass(frozen=True, slots=True)
class Compute:
    """One tile through the array: ``folds`` folds, each streaming operands for ``stream`` cycles."""

    index: int
    layer: int
    waits: tuple[int, ...]
    tile: ArrayTile
    first: bool
    """The first k tile overwrites the accumulators, later ones add."""
    last: bool
    weight_offset: int
    activation_offset: int | None
    """None: the activations stay on chip, and are read where they lie."""
    image: Region
    """The activations that it reads, (b, c, h, w)."""
    accumulator_slot: int
    weight_load: int
    activation_load: int | None
    """The Load that brings the activations, or, where they stay on chip, what ended the layer before."""
    room: int | None
    """What frees the accumulator slot, if it was in use: a Store, or the Vector of a tile that stays on chip."""
    folds: int
    stream: int
    ports: PortCycles

    @property
    def port(self) -> str:
        """The buffer whose port takes longest."""
        return self.ports.slowest[0]

    @property
    def port_cycles(self) -> int:
        """Cycles that the narrowest buffer port needs for the tile's operands and sums."""
        return self.ports.slowest[1]

    def __str__(self) -> str:
        sign = "=" if self.first else "+="
        return (
            f"compute accumulator[{self.accumulator_slot}] {sign} {_operands(self.activation_offset)} "
            f"* weight[{self.weight_offset}] {self.tile} {self.folds} folds x {self.stream}"
        )


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector unit: finish an accumulator tile, or work on activations; a Store takes the result, or it stays."""

    index: int
    layer: int
    waits: tuple[int, ...]
    activation_offset: int | None
    """None: no operand was loaded; the source is the accumulator slot itself, or activations that stay on chip."""
    operands: tuple[Region, ...]
    """The activations that it reads, a box of each; empty: it reads the accumulator slot."""
    accumulator_slot: int
    box: Region
    """The output's part that it makes."""
    stays: bool
    """The result goes straight to its tensor's place in the activation buffer."""
    ports: PortCycles
    lanes_cycles: int
    """What its lanes need; where a buffer port is too narrow, ``cycles`` are more."""
    cycles: int

    def __str__(self) -> str:
        source = _operands(self.activation_offset) if self.operands else f"accumulator[{self.accumulator_slot}]"
        target = "on chip" if self.stays else f"accumulator[{self.accumulator_slot}]"
        return f"vector  {target} <- {source} {_box(self.box)} {self.cycles} cycles"


@dataclass(frozen=True, slots=True)
class Store:
    """One accumulator slot's outputs -> DRAM; frees the slot."""

    index: int
    layer: int
    waits: tuple[int, ...]
    accumulator_slot: int
    tensor: str
    box: Region
    runs: Runs
    """Where that lies in DRAM."""
    size_bytes: int
    """Whole bursts."""

    def __str__(self) -> str:
        return f"store   {self.tensor}{_box(self.box)} <- accumulator[{self.accumulator_slot}] {self.size_bytes} B"


Instruction = Load | Compute | Vector | Store


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One loop nest of the flow with its mapping; instructions refer to it by position."""

    op: FlowOp
    mapping: NestMapping | None
    """None: a view; no instruction."""
    actions: Actions
    """Everything the layer's instructions do."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A network for one machine."""

    flow: Flow
    machine: str
    layers: tuple[Layer, ...]
    instructions: tuple[Instruction, ...]
    """Tile by tile; each one's ``index`` is its place here."""
    issue: tuple[int, ...]
    """The order in which they are issued: nothing before what it waits for. DMA serves its transfers in this order."""
    places: dict[str, Place]
    """Where tensors and layers' weights lie in DRAM."""
    residency: Residency
    """What stays on chip between layers."""

    @property
    def stages(self) -> list[int]:
        """Of each layer the stage: itself, or, if it takes turns with the one before, that one."""
        turns = self.residency.turns
        return [turns.get(layer, layer) for layer in range(len(self.layers))]

    def slot_bytes(self, layer: int, buffer: BufferSpec) -> int:
        """Of one place for a tile's sums; two layers that take turns have half of the accumulator buffer each."""
        turns = self.residency.turns
        return buffer.tile_bytes // (2 if layer in turns or layer in turns.values() else 1)

    def __str__(self) -> str:
        """Where everything lies, then layer by layer the instructions; layers have their numbers in the tables."""
        lines = [f"program {self.flow.name} on {self.machine}", *_in_dram(self.places), *_on_chip(self.residency)]
        layer = -1
        for instruction in self.instructions:
            if instruction.layer != layer:
                layer = instruction.layer
                mapping = in_words(self.layers[layer].mapping, layer, self.flow, self.residency)
                lines.append(f"  layer {layer + 1} {self.layers[layer].op.name}: {mapping}")
            waits = ",".join(map(str, instruction.waits))
            lines.append(f"    {instruction.index:5d} {instruction}{f'  after {waits}' if waits else ''}")
        return "\n".join(lines)


def in_words(mapping: NestMapping | None, layer: int, flow: Flow, residency: Residency) -> str:
    """A layer's mapping, with the layer that it takes turns with."""
    partner = residency.partner(layer)
    fused = "" if partner is None else f", fused with {flow.ops[partner].name}"
    return f"{mapping or 'view'}{fused}"


def _in_dram(places: dict[str, Place]) -> list[str]:
    width = max((len(str(place.size_bytes)) for place in places.values()), default=0)
    rows = [f"    {place.address:#010x}  {place.size_bytes:{width}d}  {name}" for name, place in places.items()]
    return ["  in DRAM: address, bytes, tensor or weights of a layer", *rows]


def _on_chip(residency: Residency) -> list[str]:
    """By the layer that makes it; its views lie where it lies."""
    kept = [place for name, place in residency.kept.items() if name == place.tensor]
    if not kept:
        return ["  on chip between layers: nothing"]
    width = max(len(str(place.offset + place.size_bytes)) for place in kept)
    rows = []
    for place in sorted(kept, key=lambda place: (place.first, place.offset)):
        layers = f"{place.first + 1}-{place.last + 1}"
        window = "" if place.rows is None else f", {place.rows} rows at a time"
        rows.append(f"    {place.offset:{width}d}  {place.size_bytes:{width}d}  {layers:>7}  {place.tensor}{window}")
    return ["  on chip between layers: offset in the activation buffer, bytes, layers from maker to last reader", *rows]


def _operands(offset: int | None) -> str:
    return "on chip" if offset is None else f"activation[{offset}]"


def _box(box: tuple[Range, ...]) -> str:
    return "[" + ", ".join(f"{low}:{high}" for low, high in box) + "]"
