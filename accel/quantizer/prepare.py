"""A float network made ready: one input of fixed shape, constants folded, no BatchNormalization left."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, version_converter

from accel.errors import AccelError
from accel.graph.onnx.file import read_model
from accel.graph.onnx.source import Source, read_source

_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "Quant", "BipolarQuant", "Trunc", "MultiThreshold")
_OLDEST_OPSET = 13
"""From here on, QuantizeLinear knows a scale for each channel."""
_FATAL_ONLY = 4


@dataclass(frozen=True, slots=True, eq=False)
class FloatModel:
    """The network to quantize, twice: as ONNX and as nodes in order."""

    model: onnx.ModelProto
    source: Source
    notes: tuple[str, ...]


def prepare(path: Path, opset: int, image_shape: tuple[int, ...]) -> FloatModel:
    """Read a float network and simplify it.

    onnxruntime's basic optimizations fold constants and merge BatchNormalization, Mul, Add and Pad into convolutions.
    A BatchNormalization that stands alone becomes the depthwise 1x1 convolution that it is.

    Parameters
    ----------
    opset
        At least that; older files are converted.
    image_shape
        (channels, height, width) of the calibration images, which fix axes that the file leaves free.

    Raises
    ------
    AccelError
        The file cannot be read, is quantized already, has several inputs, or onnxruntime does not load it.
    """
    file = read_model(path)
    where = str(path)
    quantized = next((node for node in file.graph.node if _is_quantized(node)), None)
    if quantized is not None:
        raise AccelError(
            f"this network is quantized already ({quantized.op_type})", where, "give the float network it was made from"
        )
    notes = _fix_input(file, where, image_shape)
    model = _simplified(file, where)
    _replace_batch_norms(model, where)
    wanted = max(opset, _OLDEST_OPSET)
    if _opset(model) < wanted:
        model = _converted(model, wanted, where)
    return FloatModel(model, read_source(model, where), notes)


def _is_quantized(node: onnx.NodeProto) -> bool:
    return node.op_type in _QUANTIZED or node.op_type.startswith(("QLinear", "QGemm"))


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _fix_input(model: onnx.ModelProto, where: str, image_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Free axes of the one input become 1 (the batch) or what the images have."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise AccelError(
            f"the network has {len(inputs)} inputs ({names})", where, "networks with one input can be quantized"
        )
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise AccelError(f"its input {inputs[0].name} is {kind}", where, "networks with a float32 input are quantized")
    axes = tensor.shape.dim
    if len(axes) != 1 + len(image_shape):
        return ()
    free = [axis for axis in axes if axis.dim_value <= 0]
    for axis, size in zip(axes, (1, *image_shape), strict=True):
        if axis.dim_value <= 0:
            axis.dim_value = size
    if not free:
        return ()
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    shape = "x".join(str(axis.dim_value) for axis in axes)
    return (f"the input {inputs[0].name} had free axes; it is {shape} now",)


def _simplified(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "simplified.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(saved)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for each status code
            raise AccelError(f"onnxruntime cannot load it: {' '.join(str(error).split())}", where) from error
        return onnx.load(saved)


def _replace_batch_norms(model: onnx.ModelProto, where: str) -> None:
    """``gamma * (x - mean) / sqrt(var + eps) + beta`` is a depthwise 1x1 convolution with a bias."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        if node.op_type != "BatchNormalization":
            continue
        missing = [name for name in node.input[1:5] if name not in constants]
        if missing:
            raise AccelError(f"its operand {missing[0]!r} is not constant", f"{where}:{node.name}")
        gamma, beta, mean, variance = (
            numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[1:5]
        )
        epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), 1e-5)
        gain = gamma / np.sqrt(variance + epsilon)
        name = node.name or node.output[0]
        operands = {f"{name}.weight": gain.reshape(-1, 1, 1, 1), f"{name}.bias": beta - gain * mean}
        for key, values in operands.items():
            model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), key))
        convolution = onnx.helper.make_node(
            "Conv", [node.input[0], *operands], [node.output[0]], name, group=len(gain), kernel_shape=[1, 1]
        )
        model.graph.node[index].CopyFrom(convolution)


def _converted(model: onnx.ModelProto, opset: int, where: str) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(model, opset)
    except Exception as error:  # The converter is C++ and raises RuntimeError and classes of its own.
        raise AccelError(
            f"it cannot be converted to opset {opset}: {' '.join(str(error).split())}",
            where,
            f"export it with opset {opset}, or ask for --format qonnx",
        ) from error
