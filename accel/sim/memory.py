"""DRAM and buffers with data in them: what each instruction does to tensors.

Instructions are performed in the order in which the clock completes them. Data really passes through the slots that
the program names, so a wrong dependency or a tile that misses its halo gives wrong integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from accel.flow.ir import Region, Shape4
from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector
from accel.result import Activity
from accel.sim.layer import ArrayLayer, Seen
from accel.sim.vector import vector_work_on

Array = npt.NDArray[np.generic]
_NO_TOGGLES = Activity(0, 0, 0, 0, 0, 0)


class Observer(Protocol):
    """Sees what passes through the array and what becomes of its sums."""

    def computed(self, compute: Compute, image: ActivationSlot, weights: Array, sums: Array, overflows: int) -> None:
        """A Compute has left ``sums`` (groups, pixels, channels); so many additions did not fit."""

    def finished(self, vector: Vector, sums: Array, values: Array, overflows: int) -> None:
        """A Vector has made ``values``, a box of an array layer's own output, from ``sums``."""


@dataclass
class ActivationSlot:
    """One slot of the activation buffer: a box of each operand, and where the boxes lie in their tensors."""

    parts: dict[int, Array] = field(default_factory=dict)
    boxes: dict[int, Region] = field(default_factory=dict)
    streams: dict[object, Array] = field(default_factory=dict)
    """What the address generator makes of the slot's content, kept while the slot keeps it."""


class Memory:
    """The machine's state during a simulation.

    Parameters
    ----------
    layers
        The array layers' constants, by position in the program.
    inputs
        The network's input tensors by name, in the shapes of the flow's tensors.
    keep
        Names of tensors to keep to the end; others are dropped after their last reader.
    activity
        Count the bits that toggle in the array.
    on_tensor
        Called with (name, values) when a layer has stored a tensor, and before that for tensors that never leave
        the vector unit; what it returns for a stored one, if anything, replaces it.
    observer
        Sees the array's operands and sums.
    """

    def __init__(
        self,
        program: Program,
        layers: Mapping[int, ArrayLayer],
        inputs: dict[str, Array],
        keep: Iterable[str] = (),
        activity: bool = False,
        on_tensor: Callable[[str, Array], Array | None] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self.program = program
        self.layers = layers
        self.seen = {position: Seen(activity=_NO_TOGGLES if activity else None) for position in layers}
        self.tensors = program.flow.tensors
        self.dram = dict(inputs)
        self.keep = {*keep, *program.flow.outputs}
        self.on_tensor = on_tensor
        self.weights: dict[int, Array] = {}
        self.activations: dict[int, ActivationSlot] = {}
        self.accumulators: dict[int, Array] = {}
        self.inner: dict[str, Array] = {}
        self.last_store = {i.layer: i.index for i in program.instructions if isinstance(i, Store)}
        self.storage = _storage(program)
        self.last_writer = {layer.op.write.tensor: position for position, layer in enumerate(program.layers)}
        self.last_reader = {
            self._place(read.tensor): position
            for position, layer in enumerate(program.layers)
            for read in layer.op.reads
        }
        self.kept_places = {self._place(name) for name in self.keep}

    def tensor(self, name: str) -> Array:
        """A tensor that is in DRAM, in the network's own shape."""
        return self.dram[self._place(name)].reshape(self.tensors[name].shape)

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
        self.weights[load.slot] = self.layers[load.layer].weights[g[0] : g[1], k[0] : k[1], n[0] : n[1]].copy()

    def _load_activations(self, load: Load) -> None:
        if load.part == 0:
            self.activations[load.slot] = ActivationSlot()
        slot = self.activations[load.slot]
        box = (load.box[0], load.box[1], load.box[2], load.box[3])  # type: ignore[misc]
        seen_as = self.program.layers[load.layer].op.reads[load.part].shape
        slot.parts[load.part] = self.dram[self._place(load.tensor)].reshape(seen_as)[_at(box)].copy()
        slot.boxes[load.part] = box

    def _compute(self, compute: Compute) -> None:
        layer = self.layers[compute.layer]
        if compute.first:
            self.accumulators[compute.accumulator_slot] = layer.fresh_accumulators(compute.tile)
        slot = self.activations[compute.activation_slot]
        weights, sums = self.weights[compute.weight_slot], self.accumulators[compute.accumulator_slot]
        seen = self.seen[compute.layer]
        overflows = seen.overflows
        layer.compute(compute, slot.parts[0], slot.boxes[0], slot.streams, weights, sums, seen)
        if self.observer is not None:
            self.observer.computed(compute, slot, weights, sums, seen.overflows - overflows)

    def _vector(self, vector: Vector) -> None:
        op = self.program.layers[vector.layer].op
        if vector.activation_slot is None:
            layer, sums = self.layers[vector.layer], self.accumulators[vector.accumulator_slot]
            seen = self.seen[vector.layer]
            overflows = seen.overflows
            made = layer.finish(sums, vector.box, seen)
            if self.observer is not None:
                self.observer.finished(vector, sums, made[0], seen.overflows - overflows)
        else:
            slot = self.activations[vector.activation_slot]
            made = vector_work_on(op, slot.parts, slot.boxes, vector.box, self.tensors)
        self.accumulators[vector.accumulator_slot] = made[-1]
        if self.on_tensor is not None and len(made) > 1:
            names = [op.node.output, *(node.output for node in op.epilogue)]
            for name, values in zip(names[:-1], made, strict=False):
                self._space(name, self.inner, op.write.shape)[_at(vector.box)] = values

    def _space(self, name: str, space: dict[str, Array], shape: Shape4) -> Array:
        """The whole of a tensor in ``space``, as its writer sees it, made when it is first written."""
        if name not in space:
            tensor = self.tensors[name]
            dtype = np.dtype(np.float32) if tensor.qtype is None else tensor.qtype.dtype
            space[name] = np.empty(shape, dtype)
        return space[name]

    def _store(self, store: Store) -> None:
        space = self._space(store.tensor, self.dram, self.program.layers[store.layer].op.write.shape)
        space[_at(store.box)] = self.accumulators[store.accumulator_slot]
        if store.index == self.last_store[store.layer]:
            self._end_layer(store.layer)

    def _end_layer(self, position: int) -> None:
        """After a layer's last store: hand its tensor out, and forget what nobody reads again."""
        op = self.program.layers[position].op
        name = op.write.tensor
        if self.on_tensor is not None and position == self.last_writer[name]:
            for inner, values in self.inner.items():
                self.on_tensor(inner, values.reshape(self.tensors[inner].shape))
            self.inner = {}
            replacement = self.on_tensor(name, self.tensor(name))
            if replacement is not None:
                self.dram[name] = replacement
        for place in {self._place(read.tensor) for read in op.reads}:
            if self.last_reader[place] == position and place not in self.kept_places:
                del self.dram[place]


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
