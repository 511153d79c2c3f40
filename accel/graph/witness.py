"""onnxruntime as an outside witness, and when to believe it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from accel.graph.fusion_doubt import fusion_doubt
from accel.graph.onnx.file import read_model
from accel.graph.onnx.qonnx import DOMAINS as QONNX
from accel.graph.onnx.session import Array, fused, run_with_all_outputs

_INTEGER_PRODUCTS = ("QLinearConv", "QLinearMatMul", "QGemm")
_REAL_PRODUCTS = ("Conv", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul")
_REAL_MEANS = ("ReduceMean", "AveragePool", "GlobalAveragePool")
_REAL_SUMS = ("Add", "Concat")
_NAMED = 4
"""Nodes that a sentence names."""
_CPU_FLAGS = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """What onnxruntime computed. Integers are those of the file: see ``rebase.to_file``."""

    tensors: dict[str, Array]
    """By name; a fused operation keeps the name of its result only."""
    trustworthy: bool
    """Whether a difference means that the other side is wrong."""
    reason: str
    """Why not; empty where it is."""
    ties: frozenset[str] = frozenset()
    """Tensors behind a mean that onnxruntime adds up in float32, in an order of its own: where the exact result lies
    halfway between two integers, it may name the other one."""


def onnxruntime_tensors(path: str | Path, inputs: Mapping[str, Array]) -> Witness:
    """Run a quantized network in onnxruntime, all tensors exposed.

    A QOperator file runs as it is. A file with float islands runs as onnxruntime fuses it, because its unfused
    islands round differently; where it cannot run what it has fused, as with integers of 4 bits in a MaxPool, the file
    runs unfused. The witness is not trustworthy where

    - float convolutions, matrix products, additions or concatenations are left after fusing;
    - fusing changes what the file says: see ``fusion_doubt``;
    - activations are uint8, weights int8, and the CPU is an x86 without VNNI: there onnxruntime adds pairs of
      products in 16 bits and saturates;
    - the CPU is not an x86: QLinearAdd follows another formula there.

    Raises
    ------
    AccelError
        The file cannot be read.
    """
    file = read_model(Path(path))
    if any(node.domain in QONNX for node in file.graph.node):
        return Witness({}, False, "onnxruntime does not know the operators of QONNX")
    problem = ""
    for form in (fused, _as_it_is) if _has_islands(file) else (_as_it_is,):
        try:
            model = form(file)
            tensors = run_with_all_outputs(model, inputs)
        except Exception as error:  # onnxruntime raises a class of its own for each status code
            problem = problem or " ".join(str(error).split())
            continue
        reason = _distrust(model, tensors, dict(inputs)) or fusion_doubt(file, tensors.keys())
        return Witness(tensors, not reason, reason, _behind_real_means(model))
    return Witness({}, False, f"onnxruntime cannot run it: {problem}")


def has_vnni() -> bool | None:
    """Whether this CPU multiplies uint8 by int8 without saturating; None where the system does not tell."""
    try:
        flags = _CPU_FLAGS.read_text()
    except OSError:
        return None
    return "avx512_vnni" in flags or "avx_vnni" in flags


def _as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


def _has_islands(model: onnx.ModelProto) -> bool:
    """Whether anything computes on dequantized integers."""
    constants = {tensor.name for tensor in model.graph.initializer}
    made = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants
    }
    return any(name in made for node in model.graph.node for name in node.input)


def _distrust(model: onnx.ModelProto, tensors: Mapping[str, Array], inputs: Mapping[str, Array]) -> str:
    values = {**inputs, **tensors}
    floats = [
        node.name or node.output[0]
        for node in model.graph.node
        if node.op_type in _REAL_PRODUCTS + _REAL_SUMS and values[node.output[0]].dtype == np.float32
    ]
    if floats:
        named = ", ".join(floats[:_NAMED]) + (f" and {len(floats) - _NAMED} more" if len(floats) > _NAMED else "")
        return f"onnxruntime computes {named} in float32"
    return cpu_doubt(_unsigned_products(model, values))


def cpu_doubt(unsigned_products: Sequence[str]) -> str:
    """Why onnxruntime on this CPU is no witness; empty where it is.

    Parameters
    ----------
    unsigned_products
        Names of the nodes that multiply uint8 activations by int8 weights.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"onnxruntime's QLinearAdd follows another formula on {platform.machine()}"
    vnni = has_vnni() if unsigned_products else True
    if vnni is None:
        return (
            f"this system does not tell whether uint8 x int8 saturates in onnxruntime, from {unsigned_products[0]} on"
        )
    return "" if vnni else f"onnxruntime saturates uint8 x int8 on a CPU without VNNI, from {unsigned_products[0]} on"


def _unsigned_products(model: onnx.ModelProto, values: Mapping[str, Array]) -> list[str]:
    """Nodes that multiply uint8 activations by int8 weights."""
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return [
        node.name or node.output[0]
        for node in model.graph.node
        if node.op_type in _INTEGER_PRODUCTS
        and node.input[0] in values
        and values[node.input[0]].dtype == np.uint8
        and weights.get(node.input[3]) == onnx.TensorProto.INT8
    ]


def _behind_real_means(model: onnx.ModelProto) -> frozenset[str]:
    behind: set[str] = set()
    for node in model.graph.node:
        if node.op_type in _REAL_MEANS or behind.intersection(node.input):
            behind.update(node.output)
    return frozenset(behind)
