"""Small integer networks made from the graph IR, for tests that need no ONNX file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from accel.graph.ir import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Graph,
    Linear,
    MaxPool,
    Node,
    Op,
    Requantize,
    Reshape,
    Tensor,
    Weight,
)
from accel.numerics.qtype import QType

INT8 = QType(8, signed=True)
UINT8 = QType(8, signed=False)


@dataclass
class Builder:
    """Adds nodes to a network one by one; every method returns the name of the tensor it made."""

    seed: int = 0
    qtype: QType = INT8
    weight_qtype: QType = INT8
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def input(self, *shape: int) -> str:
        return self._tensor("x", shape)

    def conv(
        self,
        source: str,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (1, 1, 1, 1),
        dilations: tuple[int, int] = (1, 1),
        groups: int = 1,
        clamp: tuple[int, int] | None = None,
    ) -> str:
        b, c, h, w = self.tensors[source].shape
        shape = (channels, c // groups, *kernel)
        sizes = tuple(
            (size + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1
            for axis, size in enumerate((h, w))
        )
        op = Conv(self._weight(shape), self._bias(channels), strides, dilations, pads, groups, clamp)
        return self._node("conv", op, (source,), (b, channels, *sizes))

    def linear(self, source: str, features: int) -> str:
        *rows, c = self.tensors[source].shape
        op = Linear(self._weight((features, c)), self._bias(features))
        return self._node("linear", op, (source,), (*rows, features))

    def add(self, left: str, right: str) -> str:
        return self._node("add", Add(), (left, right), self.tensors[left].shape)

    def max_pool(self, source: str, kernel: tuple[int, int], strides: tuple[int, int], pads=(0, 0, 0, 0)) -> str:
        return self._pool("maxpool", MaxPool(kernel, strides, (1, 1), pads), source, kernel, strides, pads)

    def average_pool(self, source: str, kernel: tuple[int, int], strides: tuple[int, int], pads=(0, 0, 0, 0)) -> str:
        return self._pool("avgpool", AveragePool(kernel, strides, pads), source, kernel, strides, pads)

    def global_pool(self, source: str) -> str:
        h, w = self.tensors[source].shape[2:]
        return self.average_pool(source, (h, w), (1, 1))

    def concat(self, *sources: str) -> str:
        b, _, h, w = self.tensors[sources[0]].shape
        channels = sum(self.tensors[source].shape[1] for source in sources)
        return self._node("concat", Concat(1), sources, (b, channels, h, w))

    def relu(self, source: str) -> str:
        return self._node("relu", Requantize((0.0, float("inf"))), (source,), self.tensors[source].shape)

    def flatten(self, source: str) -> str:
        b, *rest = self.tensors[source].shape
        return self._node("flatten", Reshape(), (source,), (b, int(np.prod(rest))), like=source)

    def graph(self, *outputs: str) -> Graph:
        name = "test"
        return Graph(name, f"{name}.onnx", tuple(self.nodes), dict(self.tensors), ("x",), outputs)

    def data(self, name: str = "x") -> np.ndarray:
        tensor = self.tensors[name]
        assert tensor.qtype is not None
        values = self.rng.integers(tensor.qtype.min, tensor.qtype.max, tensor.shape, endpoint=True)
        return values.astype(tensor.qtype.dtype)

    def _pool(self, label: str, op: Op, source: str, kernel, strides, pads) -> str:
        b, c, h, w = self.tensors[source].shape
        sizes = tuple(
            (size + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1 for axis, size in enumerate((h, w))
        )
        like = source if label == "maxpool" else None
        return self._node(label, op, (source,), (b, c, *sizes), like=like)

    def _node(
        self, label: str, op: Op, inputs: tuple[str, ...], shape: tuple[int, ...], like: str | None = None
    ) -> str:
        name = f"{label}{len(self.nodes)}"
        output = self._tensor(f"{name}_out", shape, like)
        self.nodes.append(Node(name, op, inputs, output, (name,)))
        return output

    def _tensor(self, name: str, shape: tuple[int, ...], like: str | None = None) -> str:
        if like is None:
            scale = float(np.float32(self.rng.uniform(0.01, 0.2)))
            zero_point = int(self.rng.integers(self.qtype.min, self.qtype.max, endpoint=True)) // 4
        else:
            scale, zero_point = self.tensors[like].scale, self.tensors[like].zero_point
        self.tensors[name] = Tensor(name, tuple(shape), self.qtype, scale, zero_point)
        return name

    def _weight(self, shape: tuple[int, ...]) -> Weight:
        qtype = self.weight_qtype
        values = self.rng.integers(qtype.min, qtype.max, shape, endpoint=True).astype(qtype.dtype)
        scale = self.rng.uniform(0.001, 0.01, shape[0]).astype(np.float32)
        return Weight(values, qtype, scale)

    def _bias(self, channels: int) -> np.ndarray:
        return self.rng.integers(-500, 500, channels).astype(np.int64)


def residual_network(
    seed: int = 0, batch: int = 1, size: int = 9, qtype: QType = INT8, weight_qtype: QType = INT8
) -> Builder:
    """Every kind of layer once: stem, pooling, a residual block with a projection, depthwise, concat, classifier."""
    net = Builder(seed, qtype, weight_qtype)
    clamp = (0, min(100, qtype.max))
    x = net.conv(net.input(batch, 3, size, size), 6, (3, 3), (1, 1), (1, 0, 1, 1), clamp=clamp)
    x = net.max_pool(x, (2, 2), (2, 2), (0, 1, 1, 0))
    left = net.conv(x, 8, (3, 3), (2, 2))
    left = net.relu(left)
    left = net.conv(left, 8, (1, 3), (1, 1), (0, 2, 0, 2), dilations=(1, 2))
    right = net.conv(x, 8, (1, 1), (2, 2), (0, 0, 0, 0))
    x = net.add(left, right)
    deep = net.conv(x, 8, (3, 3), groups=8)
    wide = net.conv(x, 4, (1, 1), pads=(0, 0, 0, 0), groups=2)
    x = net.concat(deep, wide)
    x = net.average_pool(x, (2, 2), (1, 1))
    x = net.flatten(net.global_pool(x))
    net.last = net.linear(x, 5)  # type: ignore[attr-defined]
    return net
