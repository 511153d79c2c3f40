"""The network as written: integer tensors, and nodes that make one from others.

A ``Graph`` holds what a quantized ONNX file says, after its float islands between DequantizeLinear and
QuantizeLinear have become integer operations. Images are NCHW, matrices (rows, features), weights (out, in, ...).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
import numpy.typing as npt

from accel.numerics.elementwise import Sum
from accel.numerics.encoding import Encoding, FloatArray, IntArray
from accel.numerics.pool import Mean
from accel.numerics.qtype import QType
from accel.numerics.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that flows between nodes: ``real = scale * (integer - zero_point)``, or float32 itself.

    ``file_offset`` is what a pass has subtracted from the integers of the file: the file's integer is
    ``integer + file_offset``.
    """

    name: str
    shape: tuple[int, ...]
    qtype: QType | None
    """None: a float32 tensor (a network's float input or output)."""
    scale: float = 1.0
    """Exactly a float32."""
    zero_point: int = 0
    file_offset: int = 0

    @property
    def bits(self) -> int:
        """Bits of one element in memory."""
        return 32 if self.qtype is None else self.qtype.bits

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the array that holds it."""
        return np.dtype(np.float32) if self.qtype is None else self.qtype.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def encoding(self) -> Encoding:
        """What the integers mean; ValueError for a float32 tensor."""
        if self.qtype is None:
            raise ValueError(f"{self.name} is float32: it has no encoding")
        return Encoding(self.qtype, self.scale, self.zero_point, self.file_offset)

    def __str__(self) -> str:
        dims = "x".join(map(str, self.shape))
        if self.qtype is None:
            return f"{self.name}: float32[{dims}]"
        return f"{self.name}: {self.qtype}[{dims}] scale={self.scale:.6g} zero_point={self.zero_point}"


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A constant operand with weight zero point 0; ``scale`` has one value, or one for each output channel."""

    values: IntArray
    qtype: QType
    scale: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Normalization:
    """What happens to a product's real results, per output channel, before they become integers."""

    factor: FloatArray
    shift: FloatArray
    """Results become ``x * factor + shift``, each step rounded to float32."""
    thresholds: FloatArray | None = None
    """(channels or 1, levels): then each is ``lowest + stride`` times how many of them it has reached, instead of
    rounded to a multiple of the output's scale."""
    lowest: int = 0
    stride: int = 1

    def apply(self, reals: FloatArray) -> FloatArray:
        """The normalized results; the channels are the first axis."""
        shape = (-1, *(1,) * (reals.ndim - 1))
        return np.asarray(reals * self.factor.reshape(shape) + self.shift.reshape(shape), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A layer's constants with its normalization in them, biases rounded: what it runs without its thresholds."""

    weight: Weight
    bias: npt.NDArray[np.int64]
    clamp: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """Two-dimensional convolution; padding stands for the input's zero point."""

    weight: Weight
    """(out channels, in channels / groups, kernel height, kernel width)."""
    bias: npt.NDArray[np.int64] | None
    """Per output channel, in units of input scale x weight scale, as in the file (no zero point folded in)."""
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """top, left, bottom, right."""
    groups: int = 1
    clamp: tuple[int, int] | None = None
    """Inclusive output bounds from a fused Relu or Clip, narrower than the output type's."""
    normalization: Normalization | None = None
    """Only until the passes have taken it in."""
    thresholds: Thresholds | None = None
    """What final sums become, clamp included, instead of being scaled and rounded."""
    folded: Folded | None = None
    """What takes the thresholds' place on a machine that has no units for them; None: nothing can."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """``y = x w^T + bias`` over the last axis; leading axes are rows."""

    weight: Weight
    """(out features, in features)."""
    bias: npt.NDArray[np.int64] | None
    clamp: tuple[int, int] | None = None
    normalization: Normalization | None = None
    thresholds: Thresholds | None = None
    folded: Folded | None = None


@dataclass(frozen=True, slots=True)
class Add:
    """Elementwise sum of two tensors of one shape, each with its own scale and zero point."""

    clamp: tuple[int, int] | None = None
    sum: Sum = Sum.FUSED
    """How two integers become the output's."""


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum over a window; padding never wins."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Mean over a window, requantized to the output's scale; a global pool has the image as its window."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    count_include_pad: bool = False
    clamp: tuple[int, int] | None = None
    mean: Mean = Mean.SCALED
    """How the exact sum becomes the output's integer."""


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors side by side along ``axis``, each requantized to the output's scale."""

    axis: int


@dataclass(frozen=True, slots=True)
class Requantize:
    """Elementwise change of scale with an optional clamp: DequantizeLinear, Relu or Clip, QuantizeLinear."""

    clamp: tuple[float, float] | None = None
    """Bounds in real values (float32), applied between dequantizing and quantizing."""


@dataclass(frozen=True, slots=True)
class Quantize:
    """float32 to integer."""


@dataclass(frozen=True, slots=True)
class Dequantize:
    """Integer to float32."""


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements in the same order under another shape (Flatten, Reshape, Squeeze, Identity)."""


Op = Conv | Linear | Add | MaxPool | AveragePool | Concat | Requantize | Quantize | Dequantize | Reshape


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: reads ``inputs`` (tensor names), writes ``output``."""

    name: str
    """The name of the ONNX node it came from (the one that computes, where several were fused)."""
    op: Op
    inputs: tuple[str, ...]
    output: str
    origin: tuple[str, ...] = ()
    """Every ONNX node that became part of this one."""

    @property
    def kind(self) -> str:
        """What tables and errors call it: conv, depthwise, linear, add, max_pool, ..."""
        if isinstance(self.op, Conv) and self.op.groups > 1:
            weights = self.op.weight.values
            return "depthwise" if weights.shape[1] == 1 else "grouped_conv"
        return _KINDS[type(self.op)]


_KINDS: dict[type, str] = {
    Conv: "conv",
    Linear: "linear",
    Add: "add",
    MaxPool: "max_pool",
    AveragePool: "average_pool",
    Concat: "concat",
    Requantize: "requantize",
    Quantize: "quantize",
    Dequantize: "dequantize",
    Reshape: "reshape",
}


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network: nodes in an order in which every input is made before it is read."""

    name: str
    path: str
    """The file it came from; errors name it."""
    nodes: tuple[Node, ...]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    """What a reader should know: which conventions the file follows, what was assumed."""

    @property
    def batch(self) -> int:
        """Size of the first input's first axis."""
        return self.tensors[self.inputs[0]].shape[0]

    def digraph(self) -> nx.DiGraph[str]:
        """The nodes as a networkx graph; each edge carries ``tensor``, the name of what flows along it."""
        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        makers = {node.output: node.name for node in self.nodes}
        for node in self.nodes:
            graph.add_node(node.name, node=node)
        for node in self.nodes:
            for tensor in node.inputs:
                if tensor in makers:
                    graph.add_edge(makers[tensor], node.name, tensor=tensor)
        return graph

    def consumers(self, tensor: str) -> Iterator[Node]:
        """The nodes that read ``tensor``."""
        return (node for node in self.nodes if tensor in node.inputs)

    def __str__(self) -> str:
        lines = [f"graph {self.name}"]
        lines += [f"  input  {self.tensors[name]}" for name in self.inputs]
        for node in self.nodes:
            lines.append(f"  {self.tensors[node.output]} = {node.kind}({', '.join(node.inputs)})  # {node.name}")
        lines += [f"  output {self.tensors[name].name}" for name in self.outputs]
        return "\n".join(lines)
