"""DRAM and buffers with data in them: what each instruction does to tensors.

Instructions are performed in the order in which the clock completes them. Data really passes through the places that
the program names, and a tile that is loaded destroys what lay there, so a wrong dependency or a tile that misses its
halo is an error or gives wrong integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from accel.flow.ir import FlowOp, Region, Shape4, elements
from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector
from accel.numerics.arithmetic import Arithmetic
from accel.result import Activity
from accel.sim.layer import ArrayLayer, Seen
from accel.sim.vector import vector_work_on
from accel.sim.window import Window

Array = npt.NDArray[np.generic]
_NO_TOGGLES = Activity(0, 0, 0, 0, 0, 0)


class Observer(Protocol):
    """Sees what passes through the array and what becomes of its sums."""

    def computed(self, compute: Compute, image: ActivationTile, weights: Array, sums: Array, overflows: int) -> None:
        """A Compute has left ``sums`` (groups, pixels, channels); so many additions did not fit."""

    def finished(self, vector: Vector, sums: Array, values: Array, overflows: int) -> None:
        """A Vector has made ``values``, a box of an array layer's own output, from ``sums``."""


@dataclass
class ActivationTile:
    """Operands in the activation buffer: a box of each, and where the boxes lie in their tensors."""

    parts: dict[int, Array] = field(default_factory=dict)
    boxes: dict[int, Region] = field(default_factory=dict)
    streams: dict[object, Array] = field(default_factory=dict)
    """What the address generator makes of the content, kept as long as that."""
    layer: int | None = None
    """That loaded it."""


class Memory:
    """The machine's state during a simulation.

    Parameters
    ----------
    layers
        The array layers' constants, by position in the program.
    arithmetic
        The vector unit's.
    inputs
        The network's input tensors by name, in the shapes of the flow's tensors.
    keep
        Names of tensors to keep to the end; others are dropped after their last reader.
    activity
        Count the bits that toggle in the array.
    on_tensor
        Called with (name, values) when a layer has made all of a tensor, and before that for tensors that never leave
        the vector unit.
    fed
        Tensors by name that take the place of what layers make, for those that read them.
    observer
        Sees the array's operands and sums.
    """

    def __init__(
        self,
        program: Program,
        layers: Mapping[int, ArrayLayer],
        arithmetic: Arithmetic,
        inputs: dict[str, Array],
        keep: Iterable[str] = (),
        activity: bool = False,
        on_tensor: Callable[[str, Array], object] | None = None,
        fed: Mapping[str, Array] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self.program = program
        self.layers = layers
        self.arithmetic = arithmetic
        self.seen = {position: Seen(activity=_NO_TOGGLES if activity else None) for position in layers}
        self.tensors = program.flow.tensors
        self.whole = dict(inputs)
        """Whole tensors, in DRAM or where they stay on chip."""
        self.windows = {window.tensor: Window(window) for window in program.residency.windows}
        """Tensors of which there are a few rows at a time."""
        self.made: dict[str, Array] = {}
        """Whole tensors as their layers made them, where somebody looks at them and they are not in ``whole``."""
        self.fed = fed or {}
        self.keep = {*keep, *program.flow.outputs}
        self.on_tensor = on_tensor
        self.weights: dict[int, Array] = {}
        self.activations: dict[int, ActivationTile] = {}
        self.ends: dict[tuple[str, int], int] = {}
        """By buffer and offset of each tile, one past its last byte."""
        self.in_place: dict[tuple[int, Region], ActivationTile] = {}
        """What the array reads of a tensor that stays on chip, by layer and box."""
        self.accumulators: dict[int, Array] = {}
        self.inner: dict[str, Array] = {}
        self.last_write = {
            i.layer: i.index
            for i in program.instructions
            if isinstance(i, Store) or (isinstance(i, Vector) and i.stays)
        }
        self.stages = program.stages
        self.unfinished: dict[int, set[int]] = {}
        """By stage, layers that have outputs to come."""
        for layer in self.last_write:
            self.unfinished.setdefault(self.stages[layer], set()).add(layer)
        self.storage = _storage(program)
        self.last_writer = {layer.op.write.tensor: position for position, layer in enumerate(program.layers)}
        self.last_reader = {
            self._place(read.tensor): position
            for position, layer in enumerate(program.layers)
            for read in layer.op.reads
        }
        self.kept_places = {self._place(name) for name in self.keep}

    def tensor(self, name: str) -> Array:
        """A whole tensor, in the network's own shape."""
        return self.whole[self._place(name)].reshape(self.tensors[name].shape)

    def _place(self, name: str) -> str:
        """The tensor in whose memory ``name`` lies: views have none of their own."""
        return self.storage.get(name, name)

    def perform(self, instruction: Instruction) -> None:
        """Make the effect of one instruction visible."""
        match instruction:
            case Load(buffer="weight"):
                self._load_weights(instruction)
            case Load():
                self._load_activations(instruction)
            case Compute():
                self._compute(instruction)
            case Vector():
                self._vector(instruction)
            case Store():
                self._store(instruction)

    def _load_weights(self, load: Load) -> None:
        g, n, k = load.box[0], load.box[1], load.box[2]
        values = self.layers[load.layer].weights[g[0] : g[1], k[0] : k[1], n[0] : n[1]].copy()
        self._forget(load, self.weights)
        self.weights[load.offset] = values

    def _load_activations(self, load: Load) -> None:
        if not load.held_bytes:
            return  # All padding; what lies at its offset stays there.
        tile = self.activations.get(load.offset)
        if tile is None or tile.layer != load.layer or load.part in tile.parts:
            self._forget(load, self.activations)
            tile = self.activations[load.offset] = ActivationTile(layer=load.layer)
        box = (load.box[0], load.box[1], load.box[2], load.box[3])  # type: ignore[misc]
        tile.parts[load.part], tile.boxes[load.part] = self._part(load.layer, load.part, box).copy(), box

    def _forget(self, load: Load, tiles: dict[int, Any]) -> None:
        """Drop what lies where a tile is loaded."""
        end = load.offset + load.held_bytes
        for offset in [offset for offset in tiles if offset < end and load.offset < self.ends[load.buffer, offset]]:
            del tiles[offset]
        self.ends[load.buffer, load.offset] = end

    def _part(self, layer: int, part: int, box: Region) -> Array:
        """A box of an operand, where it lies."""
        read = self.program.layers[layer].op.reads[part]
        if read.tensor in self.windows:
            return self.windows[read.tensor].read(box)
        return self.whole[self._place(read.tensor)].reshape(read.shape)[_at(box)]

    def _compute(self, compute: Compute) -> None:
        layer = self.layers[compute.layer]
        if compute.first:
            self.accumulators[compute.accumulator_slot] = layer.fresh_accumulators(compute.tile)
        image = self._image(compute)
        weights, sums = self.weights[compute.weight_offset], self.accumulators[compute.accumulator_slot]
        seen = self.seen[compute.layer]
        overflows = seen.overflows
        layer.compute(compute, image.parts[0], image.boxes[0], image.streams, weights, sums, seen)
        if self.observer is not None:
            self.observer.computed(compute, image, weights, sums, seen.overflows - overflows)

    def _image(self, compute: Compute) -> ActivationTile:
        if compute.activation_offset is not None and elements(compute.image):
            return self.activations[compute.activation_offset]
        key = compute.layer, compute.image
        if key not in self.in_place:
            part = np.ascontiguousarray(self._part(compute.layer, 0, compute.image))
            self.in_place[key] = ActivationTile({0: part}, {0: compute.image})
        return self.in_place[key]

    def _vector(self, vector: Vector) -> None:
        op = self.program.layers[vector.layer].op
        if vector.operands:
            parts, boxes = self._operands(vector)
            made = vector_work_on(op, parts, boxes, vector.box, self.tensors, self.arithmetic)
        else:
            layer, sums = self.layers[vector.layer], self.accumulators[vector.accumulator_slot]
            seen = self.seen[vector.layer]
            overflows = seen.overflows
            made = layer.finish(sums, vector.box, seen)
            if self.observer is not None:
                self.observer.finished(vector, sums, made[0], seen.overflows - overflows)
        if self.on_tensor is not None and len(made) > 1:
            for name, values in zip(_inner_names(op), made, strict=False):
                self._space(name, self.inner, op.write.shape)[_at(vector.box)] = values
        if vector.stays:
            self._write(vector.index, vector.layer, op.write.tensor, vector.box, made[-1])
        else:
            self.accumulators[vector.accumulator_slot] = made[-1]

    def _operands(self, vector: Vector) -> tuple[dict[int, Array], dict[int, Region]]:
        """Those that were loaded, and those that stay on chip."""
        tile = ActivationTile() if vector.activation_offset is None else self.activations[vector.activation_offset]
        boxes = dict(enumerate(vector.operands))
        kept, reads = self.program.residency.kept, self.program.layers[vector.layer].op.reads
        parts = {
            part: tile.parts[part] if read.tensor not in kept and elements(box) else self._part(vector.layer, part, box)
            for (part, box), read in zip(boxes.items(), reads, strict=True)
        }
        return parts, boxes

    def _space(self, name: str, space: dict[str, Array], shape: Shape4) -> Array:
        """The whole of a tensor in ``space``, as its writer sees it, made when it is first written."""
        if name not in space:
            space[name] = np.empty(shape, self.tensors[name].dtype)
        return space[name]

    def _store(self, store: Store) -> None:
        self._write(store.index, store.layer, store.tensor, store.box, self.accumulators[store.accumulator_slot])

    def _write(self, index: int, layer: int, tensor: str, box: Region, values: Array) -> None:
        """A box of a layer's output has reached its place."""
        shape = self.program.layers[layer].op.write.shape
        stored = self.fed[tensor].reshape(shape)[_at(box)] if tensor in self.fed else values
        window = self.windows.get(tensor)
        if window is None:
            self._space(tensor, self.whole, shape)[_at(box)] = stored
        else:
            window.write(box, stored, shape, self.tensors[tensor])
            stale = [key for key in self.in_place if key[0] == window.reader and window.overlap(key[1], box)]
            for key in stale:
                del self.in_place[key]
        watched = self.on_tensor is not None or tensor in self.keep
        if watched and (window is not None or tensor in self.fed):
            self._space(tensor, self.made, shape)[_at(box)] = values
        if index == self.last_write[layer]:
            self._end_layer(layer)

    def _end_layer(self, position: int) -> None:
        """After a layer's last output: hand its tensor out, and forget what nobody reads again."""
        op = self.program.layers[position].op
        name = op.write.tensor
        if position == self.last_writer[name]:
            self._hand_out(op, name)
        stage = self.stages[position]
        self.unfinished[stage].remove(position)
        if not self.unfinished[stage]:
            self._end_stage(stage)

    def _hand_out(self, op: FlowOp, name: str) -> None:
        """A tensor is complete: show it as it was made, and what it was made of."""
        made = self.made.pop(name, None)
        if self.on_tensor is not None:
            for inner in [inner for inner in _inner_names(op) if inner in self.inner]:
                self.on_tensor(inner, self.inner.pop(inner).reshape(self.tensors[inner].shape))
            self.on_tensor(name, self.tensor(name) if made is None else made.reshape(self.tensors[name].shape))
        if made is not None and name in self.windows and name in self.kept_places:
            self.whole[name] = made

    def _end_stage(self, stage: int) -> None:
        """Nobody needs tiles of activations any more, nor tensors that no later layer reads."""
        self.activations, self.in_place = {}, {}
        for position, layer in enumerate(self.program.layers):
            if self.stages[position] == stage:
                for place in {self._place(read.tensor) for read in layer.op.reads}:
                    if self.last_reader[place] == position and place not in self.kept_places:
                        self.whole.pop(place, None)


def _inner_names(op: FlowOp) -> list[str]:
    """Tensors that a nest makes on the way to its output."""
    return [op.node.output, *(node.output for node in op.epilogue)][:-1]


def _at(box: Region) -> tuple[slice, ...]:
    return tuple(slice(*side) for side in box)


def _storage(program: Program) -> dict[str, str]:
    """View -> the tensor whose memory it shows."""
    storage: dict[str, str] = {}
    for layer in program.layers:
        if layer.op.is_view:
            source = layer.op.reads[0].tensor
            storage[layer.op.write.tensor] = storage.get(source, source)
    return storage
