"""Networks for the comparisons: those of the gallery, and the shapes of their layers."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import accel
from accel.graph.ir import Conv, Linear
from accel.networks import make

MADE = Path(__file__).parents[2] / "build" / "networks"


def options(description: str | None) -> argparse.ArgumentParser:
    """The command line that all scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, default=MADE, help="where networks are, or are to be made")
    return parser


def gallery_file(name: str, folder: Path) -> Path:
    """The int8 form of a network of the gallery, made if it is not there."""
    path = folder / name / "int8.onnx"
    if not path.exists():
        print(f"making {name}", file=sys.stderr)
        make(name, folder / name)
    return path


def gallery(name: str, folder: Path) -> accel.Network:
    """The same, loaded."""
    return accel.load_network(gallery_file(name, folder))


@dataclass(frozen=True, slots=True)
class ConvShape:
    """A convolution of a square image, or a fully connected layer."""

    name: str
    channels: int
    filters: int
    kernel: int
    stride: int
    side: int
    """Output rows, as many as columns."""

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.side**2

    @property
    def window(self) -> int:
        """Length of the reduction."""
        return self.channels * self.kernel**2

    @property
    def input_side(self) -> int:
        """Rows of an image without padding that has this output."""
        return (self.side - 1) * self.stride + self.kernel


def conv_shapes(network: accel.Network) -> list[ConvShape]:
    """The layers that multiply, in order."""
    shapes = []
    for node in network.graph.nodes:
        if isinstance(node.op, Conv):
            filters, channels, kernel, _ = node.op.weight.values.shape
            side = network.graph.tensors[node.output].shape[-1]
            shapes.append(ConvShape(node.name, channels, filters, kernel, node.op.strides[0], side))
        elif isinstance(node.op, Linear):
            filters, channels = node.op.weight.values.shape
            shapes.append(ConvShape(node.name, channels, filters, 1, 1, 1))
    return shapes
