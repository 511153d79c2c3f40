"""onnxruntime sessions with every tensor exposed.

numpy has no integers of 2 or 4 bits, so onnxruntime hands none over: such tensors leave as int8 or uint8.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

Array = npt.NDArray[Any]
_PROVIDERS = ["CPUExecutionProvider"]
_FATAL_ONLY = 4
"""Errors are raised as well as logged; whoever catches them says so in its own words."""
_STORED_AS = {
    number: stored
    for name, stored in {
        "INT2": TensorProto.INT8,
        "INT4": TensorProto.INT8,
        "UINT2": TensorProto.UINT8,
        "UINT4": TensorProto.UINT8,
    }.items()
    if (number := dict(TensorProto.DataType.items()).get(name)) is not None
}
"""What numpy has for the element types that it has not."""
_STORED = "/stored"
"""Ends the name of a narrow tensor's copy."""


def run_with_all_outputs(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run ``model`` as it is, without any optimization, and return all tensors that its nodes make."""
    return all_outputs(exposed_session(model), feeds)


def all_outputs(session: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run an ``exposed_session``."""
    outputs = [value.name for value in session.get_outputs()]
    names = {value.name.removesuffix(_STORED): value.name for value in session.get_inputs()}
    values = session.run(outputs, {names[name]: value for name, value in feeds.items()})
    return {name.removesuffix(_STORED): value for name, value in zip(outputs, values, strict=True)}


def exposed_session(model: onnx.ModelProto) -> Any:
    """A session of ``model`` as it is, without any optimization, that returns all tensors its nodes make."""
    import onnxruntime

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    made = dict.fromkeys(name for node in exposed.graph.node for name in node.output if name)
    made = dict.fromkeys([*(value.name for value in exposed.graph.output), *made])
    narrow = _narrow_tensors(exposed)
    kept = [value for value in exposed.graph.output if value.name not in narrow]
    known = {value.name for value in kept}
    del exposed.graph.output[:]
    exposed.graph.output.extend(kept)
    exposed.graph.output.extend(
        onnx.ValueInfoProto(name=name + _STORED if name in narrow else name) for name in made if name not in known
    )
    for name in made:
        if name in narrow:
            exposed.graph.node.append(helper.make_node("Cast", [name], [name + _STORED], to=_STORED_AS[narrow[name]]))
    _widen_inputs(exposed)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(exposed.SerializeToString(), options, providers=_PROVIDERS)


def _narrow_tensors(model: onnx.ModelProto) -> dict[str, int]:
    """The element types of the tensors that numpy cannot hold, by name."""
    constants = list(model.graph.initializer)
    constants += [entry.t for node in model.graph.node for entry in node.attribute if entry.HasField("t")]
    stated = [entry.i for node in model.graph.node for entry in node.attribute if entry.name == "output_dtype"]
    given = [value.type.tensor_type.elem_type for value in model.graph.input]
    if not any(number in _STORED_AS for number in (*(tensor.data_type for tensor in constants), *stated, *given)):
        return {}
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    return {name: number for name, number in types.items() if number in _STORED_AS}


def _widen_inputs(model: onnx.ModelProto) -> None:
    """Let each narrow input come in as int8 or uint8."""
    for value in model.graph.input:
        tensor = value.type.tensor_type
        if tensor.elem_type in _STORED_AS:
            cast = helper.make_node("Cast", [value.name + _STORED], [value.name], to=tensor.elem_type)
            model.graph.node.insert(0, cast)
            tensor.elem_type = _STORED_AS[tensor.elem_type]
            value.name += _STORED


def fused(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after onnxruntime's extended optimizations, which turn QDQ islands into integer operations."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "fused.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        options.optimized_model_filepath = str(saved)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=_PROVIDERS)
        return onnx.load(saved)
