"""Kernel, strides, dilations and pads of an ONNX node, with auto_pad and ceil_mode resolved."""

from __future__ import annotations

from dataclasses import dataclass

from accel.graph.onnx.source import SourceNode, Unsupported
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
    overhang: bool
    """Whether ceil_mode added a last window that reaches beyond the padded image; the pads cover it."""


@dataclass(frozen=True, slots=True)
class _Axis:
    before: int
    after: int
    out: int
    overhang: bool


def read_window(node: SourceNode, shape: tuple[int, ...], kernel: tuple[int, ...] | None = None) -> Window:
    """Resolve a node's window on an NCHW image of ``shape``; ``kernel`` from the weights, else from the node."""
    if len(shape) != 4:
        raise Unsupported(f"its input has {len(shape)} axes, and images (NCHW) are supported")
    stated = node.integers("kernel_shape", kernel or ())
    if len(stated) != 2:
        raise Unsupported(f"its kernel_shape is {list(stated)}, and two-dimensional kernels are supported")
    if kernel is not None and stated != kernel:
        raise Unsupported(f"its kernel_shape is {list(stated)}, and its weights' is {list(kernel)}")
    if min(stated) < 1:
        raise Unsupported(f"its kernel_shape is {list(stated)}, and sizes are 1 or more")
    strides = node.integers("strides", (1, 1))
    dilations = node.integers("dilations", (1, 1))
    pads = node.integers("pads", (0, 0, 0, 0))
    if len(pads) != 4 or len(strides) != 2 or len(dilations) != 2 or min(pads) < 0 or min(*strides, *dilations) < 1:
        raise Unsupported(f"its strides {strides}, dilations {dilations} or pads {pads} are not those of an image")
    rows, columns = (
        _resolve(node, shape[2 + axis], stated[axis], strides[axis], dilations[axis], (pads[axis], pads[2 + axis]))
        for axis in range(2)
    )
    if rows.out < 1 or columns.out < 1:
        raise Unsupported(f"its kernel {list(stated)} is larger than the padded image {list(shape[2:])}")
    return Window(
        (stated[0], stated[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (rows.before, columns.before, rows.after, columns.after),
        (rows.out, columns.out),
        rows.overhang or columns.overhang,
    )


def _resolve(node: SourceNode, size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> _Axis:
    """Padding and number of windows along one axis."""
    extent = dilation * (kernel - 1) + 1
    before, after = _padding(node.text("auto_pad", "NOTSET"), size, extent, stride, pads)
    out = output_size(size, kernel, stride, dilation, before + after)
    remainder = (size + before + after - extent) % stride
    # A window more, unless it would begin behind the image and its leading padding.
    if node.integer("ceil_mode", 0) and out > 0 and remainder and out * stride < size + before:
        return _Axis(before, after + stride - remainder, out + 1, overhang=True)
    return _Axis(before, after, out, overhang=False)


def _padding(auto_pad: str, size: int, extent: int, stride: int, pads: tuple[int, int]) -> tuple[int, int]:
    if auto_pad == "NOTSET":
        return pads
    if auto_pad == "VALID":
        return 0, 0
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"its auto_pad is {auto_pad!r}")
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    less, more = total // 2, total - total // 2
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)
