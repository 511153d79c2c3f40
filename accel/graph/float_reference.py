"""The float network beside the integer one: its tensors, which of them belong together, and how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from accel.errors import AccelError
from accel.graph.ir import Graph, Tensor
from accel.graph.onnx.file import read_model
from accel.graph.onnx.session import run_with_all_outputs
from accel.numerics.compare import cosine, lsb_error, sqnr_db
from accel.numerics.elementwise import dequantize
from accel.numerics.encoding import FloatArray, IntArray
from accel.result import NumericError

_SUFFIXES = ("_QuantizeLinear_Output", "_quantized")
"""What onnxruntime's quantizer appends to a float tensor's name."""


def float_tensors(path: str | Path, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    """Every float32 tensor of a float ONNX network, run by onnxruntime.

    Parameters
    ----------
    path
        The float network.
    inputs
        Its inputs by name; where it has only one, the name does not matter.

    Raises
    ------
    AccelError
        The file cannot be read or run, or the inputs do not fit it.
    """
    model = read_model(Path(path))
    constants = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in constants]
    given = dict(inputs)
    if len(names) == len(given) == 1:
        given = {names[0]: next(iter(given.values()))}
    missing = [name for name in names if name not in given]
    if missing:
        raise AccelError(f"the float network needs the input {missing[0]!r}", str(path))
    feeds = {name: np.asarray(given[name], np.float32) for name in names}
    try:
        tensors = run_with_all_outputs(model, feeds)
    except Exception as error:  # onnxruntime raises a class of its own for each status code
        raise AccelError(f"onnxruntime cannot run it: {error}", str(path)) from error
    return {name: values for name, values in (feeds | tensors).items() if values.dtype == np.float32}


def pair_tensors(graph: Graph, float_path: str | Path) -> dict[str, str]:
    """Which float tensor each integer tensor of ``graph`` stands for, by the names that the quantizer leaves.

    A tensor without a partner is absent. Where the quantizer dropped a Relu or Clip, because saturation does its work,
    the partner is what follows it.
    """
    model = read_model(Path(float_path)).graph
    made = {name for node in model.node for name in node.output} | {value.name for value in model.input}
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items() if tensor.qtype is not None}
    stems = {name: _stem(name) for name in shapes}
    pairs = {name: stem for name, stem in stems.items() if stem in made}
    makers = {node.output: node for node in graph.nodes}
    outputs = {node.name: node.output[0] for node in model.node if node.name}
    for name in shapes.keys() - pairs.keys():
        for origin in reversed(makers[name].origin if name in makers else ()):
            stem = origin.removesuffix("_quant")
            if stem in outputs:
                pairs[name] = outputs[stem]
                break
    taken = set(pairs.values())
    return {name: _after_clamps(model, partner, taken) for name, partner in sorted(pairs.items())}


def numeric_error(tensor: Tensor, values: IntArray, reference: FloatArray) -> NumericError:
    """The error of a tensor's integers against the float network's values.

    Raises
    ------
    ValueError
        The tensor is float32, or the shapes differ.
    """
    if values.shape != reference.shape:
        raise ValueError(f"{tensor.name}: shapes {values.shape} and {reference.shape} differ")
    reals = dequantize(values, tensor.encoding)
    largest, mean = lsb_error(reals, reference, tensor.scale)
    return NumericError(sqnr_db(reals, reference), cosine(reals, reference), largest, mean)


def _stem(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _after_clamps(model: onnx.GraphProto, name: str, taken: set[str]) -> str:
    """Follow Relu and Clip nodes that have no integer tensor of their own."""
    while True:
        readers: list[Any] = [node for node in model.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in ("Relu", "Clip") or readers[0].output[0] in taken:
            return name
        name = readers[0].output[0]
