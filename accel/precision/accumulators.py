"""Accumulators of a network: what its sums need, what is proved, and what narrower ones cost.

Two runs of the golden model: one to see how wide sums get, one in which each layer's exact inputs also go through
every narrow accumulator. Then a run end to end for each of those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.graph.execute import Accumulation, layer_output, layer_sums
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.numerics.arithmetic import ONNXRUNTIME, Arithmetic
from accel.numerics.bounds import safe_widths
from accel.numerics.error import ErrorSums
from accel.numerics.mac import Accumulator, Folds, Int64Array, bits_for, fold_zero_point, saturate, wrap
from accel.precision.walk import SumsOf, chunks, classes_of, exact_sums, product_nodes, share, walk
from accel.precision.widths import check_widths
from accel.studies.accumulators import OVERFLOWS, AccumulatorStudy, LayerAccumulator, NarrowLayer, NarrowNetwork

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]

LEGAL_BITS = range(2, 65)
_WIDTHS_TRIED = 5
_STEP_BITS = 1


def one_by_one(_node: Node) -> tuple[Accumulator, None]:
    """One product after the other, in the order of the weights' memory, into one register."""
    return Accumulator(64, 64, "wrap"), None


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is studied: a network on data, perhaps on a machine."""

    name: str
    graph: Graph
    data: Array
    """Images as the file has them."""
    labels: npt.NDArray[np.int64] | None
    arithmetic: Arithmetic = ONNXRUNTIME
    machine: str = ""
    accumulation: Accumulation = one_by_one
    """The order in which products are added, by node; the accumulators' own widths do not count."""
    notes: tuple[str, ...] = ()


def study(subject: Subject, widths: Sequence[int] | None = None, progress: Progress | None = None) -> AccumulatorStudy:
    """Study every convolution and linear layer.

    Parameters
    ----------
    widths
        Narrow widths to try, in bits; None: from the most bits used downwards.

    Raises
    ------
    AccelError
        A width that is no accumulator's, or a network without products.
    """
    graph = subject.graph
    if not product_nodes(graph):
        raise AccelError("the network has no convolution and no linear layer", graph.path, "there is nothing to add up")
    if widths is not None:
        check_widths(widths, LEGAL_BITS, f"accumulators have {LEGAL_BITS[0]} to {LEGAL_BITS[-1]} bits")
    report = progress or (lambda text, done, total: None)
    report("exact sums", 0, 0)
    seen = _Seen(subject)
    for part_graph, part in chunks(graph, subject.data):
        seen.add(part_graph, walk(part_graph, part, subject.arithmetic, on_layer=seen.watch))
    tried = tuple(widths) if widths is not None else _widths_below(max(map(seen.bits_used, seen.low)))
    settings = [(bits, overflow) for bits in tried for overflow in OVERFLOWS]
    alone = _Alone(subject, settings, lambda name, done, total: report(f"{name} alone", done, total))
    for part_graph, part in chunks(graph, subject.data):
        walk(part_graph, part, subject.arithmetic, on_layer=alone.compare)
    layers = [
        _layer(graph, node, seen, alone.costs(node.name, settings))
        for node in graph.nodes
        if isinstance(node.op, Conv | Linear)
    ]
    end_to_end = []
    for done, (bits, overflow) in enumerate(settings):
        report(f"end to end, {bits} bits, {overflow.replace('_', ' ')}", done, len(settings))
        end_to_end.append(_end_to_end(subject, seen, bits, overflow))
    return AccumulatorStudy(
        network=subject.name,
        machine=subject.machine,
        images=len(subject.data),
        notes=subject.notes,
        widths=tried,
        wide_top1=share(seen.classes, subject.labels),
        layers=tuple(layers),
        end_to_end=tuple(end_to_end),
    )


def narrow_sums(subject: Subject, bits: int, overflow: str) -> SumsOf:
    """The rule by which an accumulator of ``bits`` bits adds a layer's products.

    Sums that wrap may wrap at any time: all that counts is the exact sum, cut to ``bits`` bits. Saturation at each
    addition depends on their order.
    """
    if overflow == "saturate":

        def saturating(node: Node) -> tuple[Accumulator, Folds | None]:
            accumulator, folds = subject.accumulation(node)
            return replace(accumulator, partial_sum_bits=bits, bits=bits, overflow="saturate"), folds

        return lambda graph, node, x: layer_sums(graph, node, x, saturating)[0]
    narrow = wrap if overflow == "wrap" else saturate
    return lambda graph, node, x: narrow(exact_sums(graph, node, x), bits)


class _Seen:
    """What the exact run shows: extremes of every layer's sums, and the network's output."""

    def __init__(self, subject: Subject) -> None:
        names = product_nodes(subject.graph)
        self.low, self.high = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
        self.count = dict.fromkeys(names, 0)
        self.outputs: list[Array] = []
        self.graph = subject.graph

    def watch(self, _graph: Graph, node: Node, _x: Array, sums: Int64Array, _output: Array) -> None:
        self.low[node.name] = min(self.low[node.name], int(sums.min(initial=0)))
        self.high[node.name] = max(self.high[node.name], int(sums.max(initial=0)))
        self.count[node.name] += sums.size

    def add(self, graph: Graph, tensors: Mapping[str, Array]) -> None:
        self.outputs.append(tensors[graph.outputs[0]])

    def bits_used(self, name: str) -> int:
        return bits_for(self.low[name], self.high[name])

    @property
    def classes(self) -> npt.NDArray[np.int64] | None:
        return classes_of(self.graph, np.concatenate(self.outputs))


class _Alone:
    """Each layer alone: the exact run's inputs, through every narrow accumulator."""

    def __init__(self, subject: Subject, settings: Sequence[tuple[int, str]], progress: Progress) -> None:
        self.subject, self.settings, self.progress = subject, settings, progress
        self.changed: dict[tuple[str, int, str], int] = {}
        self.errors: dict[tuple[str, int, str], ErrorSums] = {}
        images = len(subject.data) // subject.graph.batch
        self.done, self.total = 0, images * len(product_nodes(subject.graph))

    def compare(self, graph: Graph, node: Node, x: Array, sums: Int64Array, output: Array) -> None:
        wide = _centred(graph, node.output, output)
        for bits, overflow in self.settings:
            key = (node.name, bits, overflow)
            error = self.errors.setdefault(key, ErrorSums())
            narrow = self._narrow(graph, node, x, sums, bits, overflow)
            changed = int(np.count_nonzero(narrow != sums))
            self.changed[key] = self.changed.get(key, 0) + changed
            values = layer_output(graph, node, narrow, self.subject.arithmetic) if changed else output
            error.add(_centred(graph, node.output, values), None, wide)
        self.done += graph.batch // self.subject.graph.batch
        self.progress(node.name, self.done, self.total)

    def _narrow(self, graph: Graph, node: Node, x: Array, sums: Int64Array, bits: int, overflow: str) -> Int64Array:
        if overflow == "saturate":
            return narrow_sums(self.subject, bits, overflow)(graph, node, x)
        return wrap(sums, bits) if overflow == "wrap" else saturate(sums, bits)

    def costs(self, name: str, settings: Sequence[tuple[int, str]]) -> tuple[NarrowLayer, ...]:
        return tuple(
            NarrowLayer(
                bits, overflow, self.changed[name, bits, overflow], self.errors[name, bits, overflow].error().sqnr_db
            )
            for bits, overflow in settings
        )


def _layer(graph: Graph, node: Node, seen: _Seen, narrower: tuple[NarrowLayer, ...]) -> LayerAccumulator:
    op, source = node.op, graph.tensors[node.inputs[0]]
    assert isinstance(op, Conv | Linear)
    assert source.qtype is not None
    weight = op.weight
    bias = fold_zero_point(weight.values, op.bias, source.zero_point)
    safe = safe_widths(weight.values, weight.qtype, bias, source.qtype)
    return LayerAccumulator(
        name=node.name,
        op=node.kind,
        products=prod(weight.values.shape[1:]),
        weight=str(weight.qtype),
        activation=str(source.qtype),
        sums=seen.count[node.name],
        bits_used=seen.bits_used(node.name),
        bits_data_type=safe.data_type,
        bits_a2q=safe.a2q,
        bits_a2q_plus=safe.a2q_plus,
        zero_centred=safe.zero_centred,
        bits_tightest=safe.tightest,
        narrower=narrower,
    )


def _end_to_end(subject: Subject, seen: _Seen, bits: int, overflow: str) -> NarrowNetwork:
    graph = subject.graph
    name = graph.outputs[0]
    rule = narrow_sums(subject, bits, overflow)
    outputs = [
        walk(part_graph, part, subject.arithmetic, rule)[name] for part_graph, part in chunks(graph, subject.data)
    ]
    error = ErrorSums()
    for values, wide in zip(outputs, seen.outputs, strict=True):
        error.add(_centred(graph, name, values), None, _centred(graph, name, wide))
    chosen = classes_of(graph, np.concatenate(outputs))
    return NarrowNetwork(
        bits=bits,
        overflow=overflow,
        sqnr_db=error.error().sqnr_db,
        agreement=share(chosen, seen.classes),
        top1=share(chosen, subject.labels),
    )


def _centred(graph: Graph, tensor: str, values: Array) -> Array:
    """Values in steps of the tensor's scale; an SQNR does not depend on the size of a step."""
    return values.astype(np.float64) - graph.tensors[tensor].zero_point


def _widths_below(bits_used: int) -> tuple[int, ...]:
    widths = range(bits_used, bits_used - _WIDTHS_TRIED * _STEP_BITS, -_STEP_BITS)
    return tuple(width for width in widths if width in LEGAL_BITS)
