"""onnxruntime sessions with every tensor exposed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

Array = npt.NDArray[Any]
_PROVIDERS = ["CPUExecutionProvider"]
_FATAL_ONLY = 4
"""Errors are raised as well as logged; whoever catches them says so in its own words."""


def run_with_all_outputs(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run ``model`` as it is, without any optimization, and return all tensors that its nodes make."""
    return all_outputs(exposed_session(model), feeds)


def all_outputs(session: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run an ``exposed_session``."""
    outputs = [value.name for value in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, dict(feeds)), strict=True))


def exposed_session(model: onnx.ModelProto) -> Any:
    """A session of ``model`` as it is, without any optimization, that returns all tensors its nodes make."""
    import onnxruntime

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {value.name for value in exposed.graph.output}
    names = dict.fromkeys(name for node in exposed.graph.node for name in node.output if name)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(exposed.SerializeToString(), options, providers=_PROVIDERS)


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
