"""The network as loops: each op is an iteration space, access maps and a body.

Convolution, matrix multiplication, pooling and elementwise work are one kind of thing here. The access maps answer
"which data does this tile touch?", halo included; mapping and simulation ask them and nothing else.

Every tensor is seen with four axes (b, c, h, w): images as they are, matrices as (rows, features, 1, 1). An access says
how it sees its tensor; the elements lie in memory in C order in either view.

An op prints as its loop nest, reduction loops marked with ``+``::

    conv1: conv  b:1 g:1 n:64 oh:56 ow:56 +kh:3 +kw:3 +c:64
      y[b, 64*g + n, oh, ow] += x[b, 64*g + c, oh + kh - 1, ow + kw - 1] * weight[64*g + n, c, kh, kw]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from accel.graph.ir import Conv, Linear, Node, Op, Tensor

Range = tuple[int, int]
"""Half-open: first, one past the last."""
Shape4 = tuple[int, int, int, int]
Region = tuple[Range, Range, Range, Range]


def canonical_shape(shape: tuple[int, ...]) -> Shape4:
    """See a tensor with four axes: (2, 10) -> (2, 10, 1, 1); (2, 5, 10) -> (10, 10, 1, 1); images unchanged."""
    if len(shape) == 4:
        return shape
    return (prod(shape[:-1]), shape[-1] if shape else 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Dim:
    """One loop."""

    name: str
    size: int
    reduction: bool = False

    def __str__(self) -> str:
        return f"{'+' if self.reduction else ''}{self.name}:{self.size}"


@dataclass(frozen=True, slots=True)
class Affine:
    """A sum of loop variables times constants, plus an offset: ``2*oh + kh - 1``."""

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def span(self, tile: Mapping[str, Range]) -> Range:
        """The range of values that the expression takes while its variables run over ``tile``."""
        low = high = self.offset
        for name, step in self.terms:
            first, end = tile[name]
            low += step * first
            high += step * (end - 1)
        return low, high + 1

    def __str__(self) -> str:
        text = " + ".join(name if step == 1 else f"{step}*{name}" for name, step in self.terms)
        if not text:
            return str(self.offset)
        return text if self.offset == 0 else f"{text} {'-' if self.offset < 0 else '+'} {abs(self.offset)}"


@dataclass(frozen=True, slots=True)
class Access:
    """Which element of ``tensor`` an iteration touches. Outside the tensor means padding."""

    tensor: str
    shape: Shape4
    index: tuple[Affine, Affine, Affine, Affine]

    def region(self, tile: Mapping[str, Range]) -> Region:
        """The box that ``tile`` touches, cut to the tensor (padding occupies no memory)."""
        box = []
        for expression, size in zip(self.index, self.shape, strict=True):
            low, high = expression.span(tile)
            if low < 0 or high > size or high < low:
                low = min(max(low, 0), size)
                high = min(max(high, low), size)
            box.append((low, high))
        return (box[0], box[1], box[2], box[3])

    def __str__(self) -> str:
        return f"{self.tensor}[{', '.join(map(str, self.index))}]"


def elements(region: Region) -> int:
    """Number of elements in a box."""
    return prod(high - low for low, high in region)


@dataclass(frozen=True, slots=True, eq=False)
class FlowOp:
    """One loop nest; ``body`` is what the innermost iteration does."""

    name: str
    node: Node
    """Where it came from."""
    dims: tuple[Dim, ...]
    reads: tuple[Access, ...]
    write: Access
    weight: Access | None = None
    part: int = 0
    """Which input of a Concat this nest copies."""
    epilogue: tuple[Node, ...] = ()
    """Requantizations applied to each result before it is written; ``write`` names the last one's output."""

    @property
    def body(self) -> Op:
        """The operation and its constants."""
        return self.node.op

    @property
    def kind(self) -> str:
        """As the graph names it."""
        return self.node.kind

    @property
    def sizes(self) -> dict[str, int]:
        """Loop sizes by name."""
        return {dim.name: dim.size for dim in self.dims}

    @property
    def on_array(self) -> bool:
        """True for multiply-accumulate nests; the rest is vector work."""
        return self.weight is not None

    @property
    def weight_bits(self) -> int:
        """Bits of one weight in memory."""
        assert isinstance(self.body, Conv | Linear)
        return self.body.weight.qtype.bits

    @property
    def is_view(self) -> bool:
        """True where no data moves."""
        return not self.dims

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the nest."""
        return prod(dim.size for dim in self.dims) if self.on_array else 0

    @property
    def whole(self) -> dict[str, Range]:
        """The tile that is the whole iteration space."""
        return {dim.name: (0, dim.size) for dim in self.dims}

    def __str__(self) -> str:
        head = f"{self.name}: {self.kind}  {' '.join(map(str, self.dims)) or 'view'}"
        if self.is_view:
            return f"{head}\n  {self.write.tensor} = {self.reads[0].tensor}"
        operands = [str(access) for access in self.reads]
        then = "".join(f", then {node.name}" for node in self.epilogue)
        if self.weight is not None:
            return f"{head}\n  {self.write} += {operands[0]} * {self.weight}{then}"
        reduces = any(dim.reduction for dim in self.dims)
        return f"{head}\n  {self.write} {'<-' if reduces else '='} {self.kind}({', '.join(operands)}){then}"


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """All loop nests of a network, in execution order."""

    name: str
    path: str
    """The file it came from; errors name it."""
    ops: tuple[FlowOp, ...]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"flow {self.name}", *(f"  {line}" for op in self.ops for line in str(op).split("\n"))])
