"""Which nodes compute, which only move integers, and which tensors are quantized between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from accel.arch.check import nearest
from accel.errors import AccelError
from accel.graph.onnx.source import Array, Source, SourceNode
from accel.quantizer.options import LayerBits, QuantizeOptions

_PRODUCTS = ("Conv", "Gemm", "MatMul")
_ARITHMETIC = ("Add", "AveragePool", "Concat", "GlobalAveragePool", "ReduceMean")
_CLAMPS = ("Clip", "Relu")
_MOVERS = ("Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Unsqueeze")
_SUPPORTED = ", ".join(sorted((*_PRODUCTS, *_ARITHMETIC, *_CLAMPS, *_MOVERS)))
_ACTIVATIONS = {"Add": 2, "Concat": None}
"""How many of an operator's inputs are activations, where it is not the first alone; None: all."""

Role = Literal["product", "arithmetic", "clamp", "mover"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node of the float network, and the Relu or Clip that it takes along."""

    node: SourceNode
    role: Role
    """``product`` has weights; ``arithmetic`` makes new values; ``clamp`` is a Relu or Clip that stands alone;
    ``mover`` hands values on as they are."""
    inputs: tuple[str, ...]
    """The activations that it reads."""
    clamp: SourceNode | None = None

    @property
    def name(self) -> str:
        """What layers.yaml and reports call it."""
        return self.node.name

    @property
    def output(self) -> str:
        """The float tensor that it makes, clamped where it clamps."""
        return (self.clamp or self.node).outputs[0]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The network's steps, and how wide what flows between them is."""

    source: Source
    steps: tuple[Step, ...]
    homes: dict[str, str]
    """For each activation, the one whose integers it has: itself, or what movers move."""
    real_output: str | None
    """The network's output, where a product makes it and nothing reads it: it stays float32."""
    reads: dict[str, LayerBits]
    """By step that computes: the width of what it reads, and of its weights."""
    stored: dict[str, int]
    """By home: the width it is stored in, the largest that anyone reads."""


def plan(source: Source, options: QuantizeOptions) -> Plan:
    """Decide what is quantized, and how wide.

    Raises
    ------
    AccelError
        Nodes that cannot be quantized: all of them at once. A name in ``options.layers`` that no layer has.
    """
    steps = _steps(source)
    _check_names(steps, source, options)
    homes = {source.inputs[0].name: source.inputs[0].name}
    for step in steps:
        homes[step.output] = homes[step.inputs[0]] if step.role == "mover" else step.output
    real_output = _real_output(source, steps)
    reads = _reads(steps, homes, source, options)
    stored = {home: 0 for home in homes.values() if home != real_output}
    for step in steps:
        if step.role != "mover":
            for name in step.inputs:
                stored[homes[name]] = max(stored[homes[name]], reads[step.name].activations or 0)
    return Plan(
        source, steps, homes, real_output, reads, {home: bits or options.activations for home, bits in stored.items()}
    )


def _steps(source: Source) -> tuple[Step, ...]:
    problems = [(node, reason) for node in source.nodes if (reason := _why_not(source, node))]
    if problems:
        lines = "".join(f"\n  {node.name} ({node.op_type}): {reason}" for node, reason in problems)
        count = f"{len(problems)} nodes" if len(problems) > 1 else "a node"
        raise AccelError(f"{count} cannot be quantized:{lines}", source.path, f"\nsupported are {_SUPPORTED}")
    taken: set[str] = set()
    steps = []
    for node in source.nodes:
        if node.name in taken:
            continue
        clamp = _clamp_behind(source, node) if node.op_type in (*_PRODUCTS, *_ARITHMETIC) else None
        if clamp is not None:
            taken.add(clamp.name)
        steps.append(Step(node, _role(node), _activations(node), clamp))
    return tuple(steps)


def _role(node: SourceNode) -> Role:
    if node.op_type in _PRODUCTS:
        return "product"
    if node.op_type in _ARITHMETIC:
        return "arithmetic"
    return "clamp" if node.op_type in _CLAMPS else "mover"


def _activations(node: SourceNode) -> tuple[str, ...]:
    return node.inputs[: _ACTIVATIONS.get(node.op_type, 1)]


def _constants(node: SourceNode) -> tuple[str, ...]:
    """The other inputs: bounds, axes, shapes, weights."""
    return tuple(filter(None, node.inputs[len(_activations(node)) :]))


def _why_not(source: Source, node: SourceNode) -> str:
    """Why a node cannot be quantized; empty where it can."""
    if node.domain or (_role(node) == "mover" and node.op_type not in _MOVERS):
        return "this operation has no integer form here"
    constant = next((name for name in _activations(node) if name in source.constants), None)
    if constant is not None:
        return f"it computes on the constant {constant!r}"
    varying = next((name for name in _constants(node) if name not in source.constants), None)
    if varying is not None and node.op_type not in _PRODUCTS:
        return f"its operand {varying!r} is not constant"
    if any(node.outputs[1:]):
        return "it has a second output that is used"
    if node.op_type not in _PRODUCTS:
        return ""
    weight = source.constants.get(node.input(1))
    if weight is None:
        return "it multiplies two activations"
    if weight.ndim != (4 if node.op_type == "Conv" else 2):
        return f"its weights have {weight.ndim} axes"
    if node.op_type == "Gemm" and node.integer("transA", 0):
        return "its transA is not 0"
    if not np.isfinite(weight).all():
        return "its weights hold NaN or infinity"
    return _why_not_bias(source, node, weight)


def _why_not_bias(source: Source, node: SourceNode, weight: Array) -> str:
    if not node.input(2):
        return ""
    bias = source.constants.get(node.input(2))
    if bias is None:
        return "its bias is not constant"
    channels = weight.shape[0 if node.op_type == "Conv" or node.integer("transB", 0) else 1]
    if bias.size not in (1, channels):
        return f"its bias has shape {list(bias.shape)} for {channels} output channels"
    return "" if np.isfinite(bias).all() else "its bias holds NaN or infinity"


def _clamp_behind(source: Source, node: SourceNode) -> SourceNode | None:
    """The Relu or Clip that alone reads what ``node`` makes."""
    output = node.outputs[0]
    readers = source.readers(output)
    alone = len(readers) == 1 and output not in source.outputs
    return readers[0] if alone and readers[0].op_type in _CLAMPS else None


def _real_output(source: Source, steps: tuple[Step, ...]) -> str | None:
    last = [step for step in steps if step.node.op_type in ("Gemm", "MatMul") and step.clamp is None]
    ends = [step.output for step in last if step.output in source.outputs and not source.readers(step.output)]
    return ends[0] if ends else None


def _reads(
    steps: tuple[Step, ...], homes: dict[str, str], source: Source, options: QuantizeOptions
) -> dict[str, LayerBits]:
    ends = _ends(steps, homes, source)
    reads = {}
    for step in steps:
        if step.role == "mover":
            continue
        own = options.layers.get(step.name, LayerBits())
        at_end = options.first_last if step.name in ends else None
        activations = own.activations or at_end or options.activations
        weights = (own.weights or at_end or options.weights) if step.role == "product" else None
        reads[step.name] = LayerBits(weights, activations)
    return reads


def _ends(steps: tuple[Step, ...], homes: dict[str, str], source: Source) -> set[str]:
    """Layers with weights that read the network's input, and those behind which there is no other."""
    products = [step for step in steps if step.role == "product"]
    first = {step.name for step in products if homes[step.inputs[0]] == source.inputs[0].name}
    behind: set[str] = set()
    last = set()
    for step in reversed(steps):
        if step.role == "product" and step.output not in behind:
            last.add(step.name)
        if step.role == "product" or step.output in behind:
            behind.update(step.inputs)
    return first | last


def _check_names(steps: tuple[Step, ...], source: Source, options: QuantizeOptions) -> None:
    """Every layer that widths are given for is there, and has those operands."""
    roles = {step.name: step.role for step in steps if step.role != "mover"}
    for name, bits in options.layers.items():
        if name not in roles:
            hint = nearest(name, roles) or f"its layers are {', '.join(list(roles)[:20])}"
            raise AccelError(f"{source.path} has no layer {name!r}", bits.where, hint)
        if bits.weights is not None and roles[name] != "product":
            raise AccelError(f"{name} has no weights", bits.where, "leave its weights out")
