"""From a path to a checked Graph."""

from __future__ import annotations

from pathlib import Path

from accel.graph.ir import Graph
from accel.graph.onnx.convert import convert
from accel.graph.onnx.file import read_model
from accel.graph.onnx.source import read_source
from accel.graph.passes import run_passes


def load_network(path: str | Path) -> Graph:
    """Import a quantized ONNX network.

    Parameters
    ----------
    path
        A QOperator or QDQ file as ``onnxruntime.quantization`` writes it: integers of 2, 4, 8 or 16 bits, weights with
        zero point 0, per tensor or per channel.

    Raises
    ------
    AccelError
        The file cannot be read, or holds nodes that have no integer meaning here: all of them at once.

    Examples
    --------
    >>> print(load_network("int8.onnx"))  # doctest: +SKIP
    """
    path = Path(path)
    source = read_source(read_model(path), str(path))
    return run_passes(convert(source), {node.name: node.op_type for node in source.nodes})
