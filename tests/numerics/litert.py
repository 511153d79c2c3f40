"""LiteRT on models of one operation: a convolution of 1 x 1, a fully connected layer, or an addition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from accel.numerics.encoding import Encoding

flatbuffers = pytest.importorskip("flatbuffers", reason="LiteRT's models are flatbuffers: pip install ai-edge-litert")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT: pip install ai-edge-litert")
schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

Array = npt.NDArray[Any]
Kind = Literal["convolution", "fully connected"]
KERNELS = {
    "reference": interpreter.OpResolverType.BUILTIN_REF,
    "optimized": interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "XNNPACK": interpreter.OpResolverType.AUTO,
}


def run(
    kind: Kind, kernels: str, x: Array, weight: Array, bias: Array, scale: Array, zero_points: tuple[int, int]
) -> Array:
    """Rows of int8 inputs -> rows of int8 outputs.

    Scales of input and output are 1, so that the weights' are what sums are multiplied with.

    Parameters
    ----------
    kernels
        A key of ``KERNELS``.
    x
        (rows, k)
    weight
        (n, k)
    scale
        (n,) for a convolution, (1,) for a fully connected layer.
    zero_points
        Of input and output.
    """
    model = _product_model(kind, len(x), weight, bias, scale, zero_points)
    return _invoke(kernels, model, x).reshape(len(x), len(weight))


def add(kernels: str, x: Array, y: Array, encodings: Sequence[Encoding]) -> Array:
    """The sums of two rows of integers.

    Parameters
    ----------
    kernels
        A key of ``KERNELS``.
    encodings
        Of both operands and of the result; int8, uint8 or int16, all the same.
    """
    kind = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8, "int16": schema.TensorType.INT16}
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor(name, (1, len(x)), kind[str(by.qtype)], 0, [by.scale], by.zero_point)
        for name, by in zip("xyz", encodings, strict=True)
    ]
    graph.inputs, graph.outputs = [0, 1], [2]
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode, code.version = schema.BuiltinOperator.ADD, 2
    options = schema.AddOptionsT()
    options.potScaleInt16 = False
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = options
    operator.inputs, operator.outputs = [0, 1], [2]
    return _invoke(kernels, _file(graph, code, operator, [b""]), x, y).ravel()


def _invoke(kernels: str, model: bytes, *inputs: Array) -> Array:
    runtime = interpreter.Interpreter(model_content=model, experimental_op_resolver_type=KERNELS[kernels])
    runtime.allocate_tensors()
    for source, values in zip(runtime.get_input_details(), inputs, strict=True):
        runtime.set_tensor(source["index"], values.reshape(source["shape"]))
    runtime.invoke()
    return runtime.get_tensor(runtime.get_output_details()[0]["index"])


def _product_model(
    kind: Kind, rows: int, weight: Array, bias: Array, scale: Array, zero_points: tuple[int, int]
) -> bytes:
    n, k = weight.shape
    buffers = [b"", weight.astype(np.int8).tobytes(), bias.astype("<i4").tobytes()]
    convolution = kind == "convolution"
    x_shape, w_shape, y_shape = (
        ((1, 1, rows, k), (n, 1, 1, k), (1, 1, rows, n)) if convolution else ((rows, k), (n, k), (rows, n))
    )
    int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor("x", x_shape, int8, 0, [1.0], zero_points[0]),
        _tensor("weight", w_shape, int8, 1, scale, 0),
        _tensor("bias", (n,), int32, 2, scale, 0),
        _tensor("y", y_shape, int8, 0, [1.0], zero_points[1]),
    ]
    graph.inputs, graph.outputs = [0], [3]
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    if convolution:
        code.builtinCode, code.version = schema.BuiltinOperator.CONV_2D, 3
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        options.padding = schema.Padding.VALID
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    else:
        code.builtinCode, code.version = schema.BuiltinOperator.FULLY_CONNECTED, 4
        options = schema.FullyConnectedOptionsT()
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = options
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    return _file(graph, code, operator, buffers)


def _file(graph: Any, code: Any, operator: Any, buffers: list[bytes]) -> bytes:
    code.deprecatedBuiltinCode = code.builtinCode
    graph.operators = [operator]
    model = schema.ModelT()
    model.version = 3
    model.subgraphs, model.operatorCodes = [graph], [code]
    model.buffers = [_buffer(content) for content in buffers]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(content: bytes) -> Any:
    buffer = schema.BufferT()
    if content:
        buffer.data = np.frombuffer(content, np.uint8)
    return buffer


def _tensor(name: str, shape: tuple[int, ...], kind: int, buffer: int, scale: Any, zero_point: int) -> Any:
    quantization = schema.QuantizationParametersT()
    quantization.scale = [float(value) for value in scale]
    quantization.zeroPoint = [zero_point] * len(quantization.scale)
    quantization.quantizedDimension = 0
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
    tensor.quantization = quantization
    return tensor
