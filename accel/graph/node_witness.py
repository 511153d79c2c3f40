"""onnxruntime as a witness of one node alone: a small model of it, fed with that node's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from accel.graph.ir import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dequantize,
    Graph,
    Linear,
    MaxPool,
    Node,
    Quantize,
    Requantize,
    Reshape,
    Tensor,
)
from accel.graph.onnx.session import run_with_all_outputs
from accel.graph.rebase import from_file, to_file
from accel.numerics.elementwise import Sum, sign
from accel.numerics.pool import Mean, pad

Array = npt.NDArray[Any]
_MICROSOFT = "com.microsoft"
_OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
"""21 is the first whose QuantizeLinear knows 16 bits."""
_IR_VERSION = 10
_INTEGER_KERNEL_BITS = 8
"""The widest operands that onnxruntime multiplies as integers."""


def onnxruntime_node(graph: Graph, node: Node, inputs: Sequence[Array]) -> Array | None:
    """What onnxruntime computes for ``node`` alone, in the graph's own integers; None where it refuses the node.

    It refuses what its integer kernels do not know, such as int8 activations that become uint8 ones; thresholds it does
    not know either. Integers of fewer
    than 8 bits go through its kernels for 8: clamping the rounded result once more is what a narrower type would have
    done. Products of more than 8 bits it computes in float32, see ``rounding_share``.

    Parameters
    ----------
    inputs
        The node's inputs as the graph holds them. Rebased activations go to the witness as the file's.
    """
    if isinstance(node.op, Conv | Linear) and node.op.thresholds is not None:
        return None
    sources = [graph.tensors[name] for name in node.inputs]
    out = graph.tensors[node.output]
    feeds = {f"x{index}": to_file(source, inputs[index]) for index, source in enumerate(sources)}
    if isinstance(node.op, Linear):
        feeds["x0"] = feeds["x0"].reshape(-1, sources[0].shape[-1])
    if isinstance(node.op, MaxPool):
        feeds["x0"] = pad(feeds["x0"], node.op.pads, np.iinfo(feeds["x0"].dtype).min)
        if feeds["x0"].dtype.itemsize > 1:  # its kernel takes 8 bits or float32, which holds 16
            feeds["x0"] = feeds["x0"].astype(np.float32)
    model = _Model(_common_storage(sources[0], out) if isinstance(node.op, Conv | Linear) else None)
    if model.storage is not None:
        feeds["x0"] = feeds["x0"].astype(model.storage)
    is_bipolar = out.qtype is not None and out.qtype.bipolar
    # The signs of a product or mean are those of the real numbers that it would be without its output's scale.
    reals = is_bipolar and isinstance(node.op, Conv | Linear | AveragePool)
    _describe(model, node, sources, replace(out, qtype=None) if reals else out)
    try:
        values = run_with_all_outputs(model.build(feeds), feeds)
    except Exception:  # onnxruntime raises a class of its own for each status code
        return None
    y = values["y"]
    if is_bipolar and y.dtype == np.float32:
        y = sign(y)
    elif out.qtype is not None:
        y = from_file(out, np.clip(y, out.qtype.min + out.file_offset, out.qtype.max + out.file_offset))
    if isinstance(node.op, Conv | Linear | Add | AveragePool) and node.op.clamp is not None:
        y = np.clip(y, *node.op.clamp)
    return y.reshape(out.shape)


def rounding_share(graph: Graph, node: Node) -> float:
    """The share of a node's results in which ``onnxruntime_node`` may be one off, because it adds up in float32.

    A sum of K products has a relative error of about sqrt(K) * 2^-24, and a result of b bits up to 2^b steps: that far
    from a tie, float32 may round to the other side. 0 where onnxruntime computes in integers.
    """
    if not isinstance(node.op, Conv | Linear) or not _is_wide(node.op, *_ends(graph, node)):
        return 0.0
    depth = int(node.op.weight.values[0].size)
    return min(1.0, 2.0 ** (_ends(graph, node)[1].bits - 24) * sqrt(depth))


def _ends(graph: Graph, node: Node) -> tuple[Tensor, Tensor]:
    return graph.tensors[node.inputs[0]], graph.tensors[node.output]


def _is_wide(op: Conv | Linear, source: Tensor, out: Tensor) -> bool:
    qtypes = [op.weight.qtype, source.qtype, out.qtype]
    return any(qtype is not None and qtype.bits > _INTEGER_KERNEL_BITS for qtype in qtypes)


@dataclass(slots=True)
class _Model:
    storage: np.dtype[Any] | None = None
    """Of all activations; None: each tensor's own."""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def encoding(self, tensor: Tensor) -> list[str]:
        """Scale and zero point of a tensor, as in the file."""
        zero = to_file(tensor, np.array(tensor.zero_point, tensor.encoding.qtype.dtype))
        return [self.constant(tensor.scale, np.float32), self.constant(zero, self.storage or zero.dtype)]

    def real(self, name: str, tensor: Tensor) -> str:
        """Dequantize the integers ``name``; the result's name."""
        self.add("DequantizeLinear", [name, *self.encoding(tensor)], f"{name}_real")
        return f"{name}_real"

    def quantize(self, real: str, out: Tensor) -> None:
        """Make y of a float32 tensor: integers, or, where a bipolar one comes of its signs, itself."""
        if out.encoding.qtype.bipolar:
            self.add("Identity", [real], "y")
        else:
            self.add("QuantizeLinear", [real, *self.encoding(out)], "y")

    def add(self, op_type: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op_type, inputs, [output], domain=domain, **attributes))

    def build(self, feeds: dict[str, Array]) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape)
            for name, values in feeds.items()
        ]
        graph = helper.make_graph(self.nodes, "node", inputs, [onnx.ValueInfoProto(name="y")], self.constants)
        return helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)


def _describe(model: _Model, node: Node, sources: list[Tensor], out: Tensor) -> None:
    """Write the ONNX operation that ``node`` stands for, from x0, x1, ... to y."""
    op = node.op
    match op:
        case Conv() | Linear():
            _describe_product(model, op, sources[0], out)
        case Add(sum=Sum.OF_REALS):
            reals = [model.real(f"x{index}", sources[index]) for index in range(2)]
            model.add("Add", reals, "sum")
            model.quantize("sum", out)
        case Add():
            operands = [text for index in range(2) for text in (f"x{index}", *model.encoding(sources[index]))]
            model.add("QLinearAdd", [*operands, *model.encoding(out)], "y", _MICROSOFT)
        case Concat() if max(part.bits for part in (*sources, out)) > _INTEGER_KERNEL_BITS:
            reals = [model.real(f"x{index}", part) for index, part in enumerate(sources)]
            model.add("Concat", reals, "joined", axis=op.axis)
            model.quantize("joined", out)
        case Concat():
            parts = [text for index, part in enumerate(sources) for text in (f"x{index}", *model.encoding(part))]
            model.add("QLinearConcat", [*model.encoding(out), *parts], "y", _MICROSOFT, axis=op.axis)
        case MaxPool():
            # Padded already: onnxruntime refuses pads as large as the kernel, which ceil_mode and dilations can bring.
            window: dict[str, Any] = {"kernel_shape": op.kernel, "strides": op.strides, "dilations": op.dilations}
            model.add("MaxPool", ["x0"], "y", **window)
        case AveragePool():
            _describe_mean(model, op, sources[0], out)
        case Requantize():
            low, high = op.clamp or (-np.inf, np.inf)
            model.add("DequantizeLinear", ["x0", *model.encoding(sources[0])], "real")
            bounds = [model.constant(low, np.float32), model.constant(high, np.float32)]
            model.add("Clip", ["real", *bounds], "clamped")
            model.quantize("clamped", out)
        case Quantize():
            model.quantize("x0", out)
        case Dequantize():
            model.add("DequantizeLinear", ["x0", *model.encoding(sources[0])], "y")
        case Reshape():
            model.add("Reshape", ["x0", model.constant(out.shape, np.int64)], "y")
        case _:
            assert_never(op)


def _common_storage(source: Tensor, out: Tensor) -> np.dtype[Any] | None:
    """One byte that holds the file's integers of both tensors, which is what onnxruntime's products ask for."""
    both = [tensor for tensor in (source, out) if tensor.qtype is not None]
    low = min(tensor.encoding.qtype.min + tensor.file_offset for tensor in both)
    high = max(tensor.encoding.qtype.max + tensor.file_offset for tensor in both)
    limits = (np.iinfo(np.int8), np.iinfo(np.uint8))
    return next((np.dtype(limit.dtype) for limit in limits if limit.min <= low and high <= limit.max), None)


def _describe_product(model: _Model, op: Conv | Linear, source: Tensor, out: Tensor) -> None:
    if _is_wide(op, source, out):
        _describe_island(model, op, source, out)
        return
    weight = op.weight
    operands = ["x0", *model.encoding(source), model.constant(weight.values, weight.qtype.dtype)]
    scale = weight.scale if weight.scale.size > 1 else weight.scale.reshape(())
    operands += [model.constant(scale, np.float32), model.constant(np.zeros(scale.shape), weight.qtype.dtype)]
    bias = [""] if op.bias is None else [model.constant(op.bias, np.int32)]
    if isinstance(op, Conv):
        walk: dict[str, Any] = {"strides": op.strides, "dilations": op.dilations, "pads": op.pads}
        if out.qtype is None:
            _describe_float_convolution(model, op, source, walk)
        else:
            model.add("QLinearConv", [*operands, *model.encoding(out), *bias], "y", group=op.groups, **walk)
        return
    result = [] if out.qtype is None else model.encoding(out)
    model.add("QGemm", [*operands, *bias, *result], "y", _MICROSOFT, transB=1)


def _describe_island(model: _Model, op: Conv | Linear, source: Tensor, out: Tensor) -> None:
    """The product of dequantized operands, in float32."""
    weight, rows = op.weight, len(op.weight.values)
    scale = np.broadcast_to(weight.scale, rows)
    real = scale.reshape(-1, *(1,) * (weight.values.ndim - 1)) * weight.values.astype(np.float32)
    operands = [model.real("x0", source), model.constant(real, np.float32)]
    if op.bias is not None:
        operands.append(model.constant(op.bias.astype(np.float32) * (np.float32(source.scale) * scale), np.float32))
    product = "y" if out.qtype is None else "product"
    if isinstance(op, Conv):
        walk: dict[str, Any] = {"strides": op.strides, "dilations": op.dilations, "pads": op.pads}
        model.add("Conv", operands, product, group=op.groups, **walk)
    else:
        model.add("Gemm", operands, product, transB=1)
    if out.qtype is not None:
        model.add("QuantizeLinear", [product, *model.encoding(out)], "y")


def _describe_float_convolution(model: _Model, op: Conv, source: Tensor, walk: dict[str, Any]) -> None:
    """Sums in integers, then one multiplication: what QGemm does where it has no output scale."""
    weight, channels = op.weight, len(op.weight.values)
    zero = model.encoding(source)[1]
    kernel = model.constant(weight.values, weight.qtype.dtype)
    model.add("ConvInteger", ["x0", kernel, zero], "sums", group=op.groups, **walk)
    bias = np.zeros(channels) if op.bias is None else op.bias
    model.add("Add", ["sums", model.constant(bias.reshape(-1, 1, 1), np.int32)], "totals")
    model.add("Cast", ["totals"], "steps", to=onnx.TensorProto.FLOAT)
    scale = np.broadcast_to(np.float32(source.scale) * weight.scale, channels)
    model.add("Mul", ["steps", model.constant(scale.reshape(-1, 1, 1), np.float32)], "y")


def _describe_mean(model: _Model, op: AveragePool, source: Tensor, out: Tensor) -> None:
    window: dict[str, Any] = {
        "kernel_shape": op.kernel,
        "strides": op.strides,
        "pads": op.pads,
        "count_include_pad": int(op.count_include_pad),
    }
    if out.qtype is None:
        model.add("DequantizeLinear", ["x0", *model.encoding(source)], "real")
        model.add("AveragePool", ["real"], "y", **window)
        return
    encodings = [*model.encoding(source), *model.encoding(out)]
    match op.mean:
        case Mean.SCALED:
            model.add("QLinearGlobalAveragePool", ["x0", *encodings], "y", _MICROSOFT)
        case Mean.OF_REALS:
            model.add("QLinearAveragePool", ["x0", *encodings], "y", _MICROSOFT, **window)
        case Mean.UNROUNDED:
            model.add("DequantizeLinear", ["x0", *encodings[:2]], "real")
            model.add("AveragePool", ["real"], "mean", **window)
            model.quantize("mean", out)
        case _:
            assert_never(op.mean)
