"""One array layer at work: its constants in the machine's form, and what a Compute and a Vector do to its tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import cpu_count
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.multiplier import Step, in_array
from accel.arch.spec import Machine
from accel.arch.timing import ArrayTiming
from accel.flow.ir import FlowOp, Range, Region
from accel.graph.execute import bipolar_output
from accel.graph.ir import Conv, Linear, Tensor
from accel.mapping.mapping import ArrayMapping, ArrayTile, cut, k_folds
from accel.mapping.program import Compute, Layer
from accel.numerics.digits import Digit
from accel.numerics.encoding import IntArray
from accel.numerics.mac import bits_for, fold_zero_point, safe_bits, safe_bits_in_passes, saturate, wrap
from accel.numerics.requantize import Requantizer, multiplier
from accel.result import AccumulatorUse, Activity
from accel.sim.activity import OperandWidths, tile_activity
from accel.sim.array import LineLayout, Sums, compute_tile, moving_layout
from accel.sim.im2col import Window, image_lines, image_matrix
from accel.sim.side_by_side import apart, block_diagonal, side_by_side
from accel.sim.vector import finish

Array = npt.NDArray[Any]

_THREADS = cpu_count() or 1


@dataclass
class Seen:
    """What a run saw of a layer's sums."""

    low: int = 0
    high: int = 0
    overflows: int = 0
    pe_cycles_stepped: int = 0
    activity: Activity | None = None
    """None: toggles are not counted."""

    def add(self, sums: Array) -> None:
        """Take note of final sums."""
        self.low = min(self.low, int(sums.min(initial=0)))
        self.high = max(self.high, int(sums.max(initial=0)))


@dataclass(frozen=True, slots=True, eq=False)
class ArrayLayer:
    """A multiply-accumulate nest with its constants laid out for one machine; any number of runs share it."""

    op: FlowOp
    machine: Machine
    timing: ArrayTiming
    step: Step
    sums: Sums
    weights: IntArray
    """(groups, k, n), k running over (kh, kw, c)."""
    bias: npt.NDArray[np.int64]
    """(groups, n), the input's zero point folded in."""
    scale: npt.NDArray[Any]
    """(groups, n): words of the requantizer, or, for a float output, float32 input scale x weight scale."""
    source: Tensor
    tensors: dict[str, Tensor]
    bits_safe: int
    safe: bool
    """No input can overflow any addition."""
    groups_at_once: int = 1
    """That lie side by side in the array."""

    @classmethod
    def of(cls, layer: Layer, tensors: dict[str, Tensor], machine: Machine) -> ArrayLayer:
        """Prepare a layer of a program."""
        op, mapping, body = layer.op, layer.mapping, layer.op.body
        assert isinstance(body, Conv | Linear)
        assert isinstance(mapping, ArrayMapping)
        source, made = tensors[op.reads[0].tensor], tensors[op.node.output]
        assert source.qtype is not None
        values = body.weight.values
        bias = fold_zero_point(values, body.bias, source.zero_point)
        scale: npt.NDArray[Any] = np.broadcast_to(body.weight.scale, bias.shape)
        if made.qtype is None:
            scale = np.float32(source.scale) * scale
        elif body.thresholds is None:
            scale = machine.vector.arithmetic.unit.encode(multiplier(source.scale, scale, made.scale))
        rows = _rows_along_k(values)
        groups = op.sizes["g"]
        pe, domain = machine.pe, source.qtype
        step = pe.step(body.weight.qtype, domain)
        bits_safe = safe_total = safe_bits(rows, bias, domain.min, domain.max)
        # A bound on any sum of any of the products covers every fold's; only if it is too wide are folds looked at.
        safe_folds = safe_bits(rows, None, domain.min, domain.max)
        if step.passes:
            safe_folds, safe_total = safe_bits_in_passes(rows, bias, step.passes)
        elif safe_folds > pe.partial_sum_bits:
            folds = k_folds(op, mapping, machine.array.rows * step.products)
            safe_folds = max(safe_bits(rows[:, low:high], None, domain.min, domain.max) for low, high in folds)
        return cls(
            op=op,
            machine=machine,
            timing=ArrayTiming.of(machine.array, mapping.dataflow),
            step=step,
            sums=Sums(pe.partial_sum_bits, pe.accumulator_bits, pe.overflow),
            weights=np.ascontiguousarray(rows.reshape(groups, -1, rows.shape[1]).transpose(0, 2, 1)),
            bias=bias.reshape(groups, -1),
            scale=scale.reshape(groups, -1),
            source=source,
            tensors=tensors,
            bits_safe=bits_safe,
            safe=safe_total <= pe.accumulator_bits and safe_folds <= pe.partial_sum_bits,
            groups_at_once=mapping.groups_at_once,
        )

    def fresh_accumulators(self, tile: ArrayTile) -> Array:
        """(groups, pixels, channels) accumulators whose contents do not count yet."""
        dtype = np.int32 if self.machine.pe.accumulator_bits <= 32 else np.int64
        return np.zeros((tile.groups, tile.pixels, tile.channels), dtype)

    def compute(
        self,
        compute: Compute,
        image: IntArray,
        box: Region,
        streams: dict[object, Array],
        weights: IntArray,
        sums: Array,
        seen: Seen,
    ) -> None:
        """Step one tile through the array: ``sums`` (groups, pixels, channels) takes the results.

        Parameters
        ----------
        image, box
            What the activation slot holds, and where in the tensor it lies.
        streams
            The slot's address-generator results so far; taken from and added to.
        weights
            (groups, k, n) of the tile.
        """
        tile = compute.tile
        wide = side_by_side(sums, self.groups_at_once)
        for block, groups in enumerate(cut(tile.groups, self.groups_at_once)):
            held_weights = block_diagonal(weights[slice(*groups)], self.op.sizes["c"])
            accumulators = np.ascontiguousarray(wide[block, :, : held_weights.shape[1]])
            for number, turn in enumerate(self.step.passes or (None,)):
                digit = None if turn is None else turn.activation
                key = (groups, digit, tile.k, tile.b, tile.oh, tile.ow)
                if key not in streams:
                    streams[key] = self._activation_operand(tile, groups, image, box, digit)
                activations, held = streams[key], held_weights if turn is None else turn.weight.of(held_weights)
                if self.timing.dataflow == "input_stationary":
                    activations, held = self._layout(tile, groups).fill(held), activations
                counts = compute_tile(
                    self.timing,
                    self.sums,
                    activations,
                    held,
                    accumulators,
                    first=compute.first and number == 0,
                    safe=self.safe,
                    threads=_THREADS,
                    products=self.step.products,
                    shift=0 if turn is None else turn.shift,
                )
                seen.overflows += counts.overflows
                seen.pe_cycles_stepped += counts.pe_cycles_stepped
            wide[block, :, : held_weights.shape[1]] = accumulators
            if seen.activity is not None:
                seen.activity += self._toggles(tile, groups, image, box, held_weights)
        if wide is not sums:
            sums[...] = apart(wide, self.groups_at_once, tile.groups)

    def _activation_operand(
        self, tile: ArrayTile, groups: Range, image: IntArray, box: Region, digit: Digit | None
    ) -> Array:
        """The tile's activations as the array takes them: lines that move right, or a (k, pixels) matrix that stays."""
        part, window = self._channels_of(groups, tile, image, box), self._window(tile, box)
        if digit is not None:
            part, window = digit.of(part), replace(window, padding=digit.of(np.array(window.padding)).item())
        k = _along(groups, tile)
        if self.timing.dataflow == "input_stationary":
            return image_matrix(part, window, k)
        return image_lines(part, window, k, self._layout(tile, groups), self.timing.dataflow)

    def _layout(self, tile: ArrayTile, groups: Range) -> LineLayout:
        beside = groups[1] - groups[0]
        return moving_layout(self.timing, tile.pixels, beside * tile.depth, beside * tile.channels, self.step.products)

    def activation_matrix(self, tile: ArrayTile, groups: Range, image: IntArray, box: Region) -> IntArray:
        """Activations of the tile's groups ``groups``, side by side, as a matrix (k, pixels).

        Zeros stand for groups behind the tile's last one.
        """
        part = self._channels_of((groups[0], min(groups[1], tile.groups)), tile, image, box)
        missing = (groups[1] - groups[0]) * self.op.sizes["c"] - part.shape[1]
        if missing:
            part = np.pad(part, ((0, 0), (0, missing), (0, 0), (0, 0)))
        return image_matrix(part, self._window(tile, box), _along(groups, tile))

    def _toggles(self, tile: ArrayTile, groups: Range, image: IntArray, box: Region, weights: IntArray) -> Activity:
        """What the groups' data makes of the array's registers.

        Products with the zeros between groups never toggle, and are not counted as possible either.
        """
        pe = self.machine.pe
        activations = self.activation_matrix(tile, groups, image, box)
        widths = OperandWidths(activation=in_array(pe.activation).bits, weight=in_array(pe.weight).bits)
        seen = tile_activity(self.machine.array, self.timing.dataflow, self.sums, widths, activations, weights)
        return replace(seen, product_bits_possible=seen.product_bits_possible // (groups[1] - groups[0]))

    def _channels_of(self, groups: Range, tile: ArrayTile, image: IntArray, box: Region) -> IntArray:
        channels = self.op.sizes["c"]
        first, last = ((tile.g[0] + group) * channels - box[1][0] for group in groups)
        return image[:, first:last]

    def _window(self, tile: ArrayTile, box: Region) -> Window:
        body = self.op.body
        kernel = (self.op.sizes["kh"], self.op.sizes["kw"])
        strides, dilations = (body.strides, body.dilations) if isinstance(body, Conv) else ((1, 1), (1, 1))
        spans = {name: (low, low + 1) for name, (low, _) in zip(("oh", "ow"), (tile.oh, tile.ow), strict=True)}
        corner = self.op.whole | spans | {"kh": (0, 1), "kw": (0, 1)}
        tops = [self.op.reads[0].index[axis].span(corner)[0] - box[axis][0] for axis in (2, 3)]
        return Window(
            kernel=kernel,
            strides=strides,
            dilations=dilations,
            corner=(tops[0], tops[1]),
            outputs=(tile.oh[1] - tile.oh[0], tile.ow[1] - tile.ow[0]),
            padding=self.source.zero_point,
        )

    def finish(self, sums: Array, box: Region, seen: Seen) -> list[Array]:
        """Bias, requantization and what rides along: (groups, pixels, channels) sums -> ``box`` of each result."""
        (b0, b1), (c0, c1), (h0, h1), (w0, w1) = box
        groups, _, channels = sums.shape
        bias, scale = self.constants(box, groups, channels)
        totals = self._add_bias(sums, bias, seen)
        seen.add(totals)
        made, body = self.tensors[self.op.node.output], self.op.body
        assert isinstance(body, Conv | Linear)
        values: Array
        if made.qtype is not None and body.thresholds is not None:
            n = self.op.sizes["n"]
            firsts = [(c0 // n + group) * n + c0 % n for group in range(groups)]
            units = [body.thresholds.part(slice(first, first + channels)) for first in firsts]
            values = np.stack([unit.apply(part, made.qtype) for unit, part in zip(units, totals, strict=True)])
        elif made.qtype is not None and made.qtype.bipolar:
            values = bipolar_output(body, totals)
        elif made.qtype is None:
            values = totals.astype(np.float32) * scale
        else:
            values = np.stack(
                [
                    self.requantizer.apply(part, by, made.zero_point, made.qtype, body.clamp)
                    for part, by in zip(totals, scale, strict=True)
                ]
            )
        image = values.reshape(groups, b1 - b0, h1 - h0, w1 - w0, channels).transpose(1, 0, 4, 2, 3)
        image = np.ascontiguousarray(image).reshape(b1 - b0, c1 - c0, h1 - h0, w1 - w0)
        return finish(self.op, image, self.tensors, self.machine.vector.arithmetic)

    @property
    def requantizer(self) -> Requantizer:
        """The machine's."""
        return self.machine.vector.arithmetic.unit

    def constants(self, box: Region, groups: int, channels: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Bias and scale of ``box``, each (groups, 1, channels)."""
        first = box[1][0] // self.op.sizes["n"]
        n = slice(box[1][0] - first * self.op.sizes["n"], None)
        here = (slice(first, first + groups), n)
        return self.bias[here][:, None, :channels], self.scale[here][:, None, :channels]

    def _add_bias(self, sums: Array, bias: npt.NDArray[np.int64], seen: Seen) -> Array:
        if self.safe and self.bits_safe <= self.machine.pe.delivered_sum_bits:
            safe_totals: Array = sums + bias.astype(sums.dtype)
            return safe_totals
        exact = sums.astype(np.int64) + bias
        narrow = wrap if self.sums.overflow == "wrap" else saturate
        totals = narrow(exact, self.sums.accumulator_bits)
        final = saturate(totals, self.machine.pe.delivered_sum_bits)
        seen.overflows += int(np.count_nonzero(totals != exact)) + int(np.count_nonzero(final != totals))
        return final

    def accumulator_use(self, seen: Seen) -> AccumulatorUse:
        """How wide the sums of a run were."""
        return AccumulatorUse(bits_for(seen.low, seen.high), self.bits_safe, seen.overflows)


def _along(groups: Range, tile: ArrayTile) -> Range:
    """The reduction of groups side by side: of one, that of the tile; several share a tile only whole."""
    beside = groups[1] - groups[0]
    return beside * tile.k[0], beside * tile.k[1]


def _rows_along_k(values: IntArray) -> IntArray:
    """(out channels, k): convolution weights with channels innermost, as the address generator walks them."""
    if values.ndim == 2:
        return values
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).reshape(len(values), -1)
