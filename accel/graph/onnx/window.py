"""Kernel, strides, dilations and pads of an ONNX node, with auto_pad and ceil_mode resolved."""

from __future__ import annotations

from dataclasses import dataclass

from accel.graph.onnx.builder import Unsupported
from accel.graph.onnx.source import SourceNode
from accel.numerics.pool import output_size


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel walks over an image."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    """top, left, bottom, right."""
    out: tuple[int, int]
    """Output height and width."""
    padded: bool
    """Whether the node asks for padding, overhang aside."""
    overhang: bool
    """Whether ceil_mode added a last window that reaches beyond the padded image."""


def read_window(node: SourceNode, shape: tuple[int, ...], kernel: tuple[int, ...] | None = None) -> Window:
    """Resolve a node's window on an NCHW image of ``shape``; ``kernel`` from the weights, else from the node."""
    if len(shape) != 4:
        raise Unsupported(f"its input has {len(shape)} axes, and images (NCHW) are supported")
    stated = tuple(node.attributes.get("kernel_shape", kernel or ()))
    if len(stated) != 2 or (kernel is not None and stated != kernel):
        raise Unsupported(f"its kernel_shape is {list(stated)}, and two-dimensional kernels are supported")
    strides = tuple(node.attributes.get("strides", (1, 1)))
    dilations = tuple(node.attributes.get("dilations", (1, 1)))
    auto_pad = node.attributes.get("auto_pad", b"NOTSET").decode()
    ceil_mode = bool(node.attributes.get("ceil_mode", 0))
    begin, end, out = [0, 0], [0, 0], [0, 0]
    padded = overhang = False
    pads = tuple(node.attributes.get("pads", (0, 0, 0, 0)))
    if len(pads) != 4 or len(strides) != 2 or len(dilations) != 2 or min(pads) < 0 or min(*strides, *dilations) < 1:
        raise Unsupported(f"its strides {strides}, dilations {dilations} or pads {pads} are not those of an image")
    for axis in range(2):
        size, stride, dilation = shape[2 + axis], strides[axis], dilations[axis]
        extent = dilation * (stated[axis] - 1) + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            total = max(0, (-(-size // stride) - 1) * stride + extent - size)
            less, more = total // 2, total - total // 2
            begin[axis], end[axis] = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
        elif auto_pad == "NOTSET":
            begin[axis], end[axis] = pads[axis], pads[axis + 2]
        padded = padded or begin[axis] + end[axis] > 0
        total_size = size + begin[axis] + end[axis]
        out[axis] = output_size(size, stated[axis], stride, dilation, begin[axis] + end[axis])
        if ceil_mode and (total_size - extent) % stride and out[axis] * stride < size + begin[axis]:
            end[axis] += out[axis] * stride + extent - total_size
            out[axis] += 1
            overhang = True
        if out[axis] < 1:
            raise Unsupported(f"its kernel {list(stated)} is larger than the padded image {list(shape[2:])}")
    return Window(
        (stated[0], stated[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (begin[0], begin[1], end[0], end[1]),
        (out[0], out[1]),
        padded,
        overhang,
    )
