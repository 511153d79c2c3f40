"""Published networks as a list of layers: all that cost laws need to know."""

from __future__ import annotations

from dataclasses import dataclass

from accel.precision.laws import Load


@dataclass(frozen=True)
class Shape:
    """A convolution or (1 x 1 on one pixel) a fully connected layer."""

    name: str
    channels_in: int
    channels_out: int
    kernel: int
    size_out: int

    @property
    def weights(self) -> int:
        return self.channels_in * self.channels_out * self.kernel**2

    @property
    def macs(self) -> int:
        return self.weights * self.size_out**2


def imagenet_resnet(depths: tuple[int, ...], bottleneck: bool, stride_at: str = "3x3") -> list[Shape]:
    """ResNet for 224 x 224 images (He et al., CVPR 2016, table 1).

    ``stride_at``: a down-sampling bottleneck strides in its first 1x1 (He's, v1), or in its 3x3 (v1.5).
    """
    shapes = [Shape("stem", 3, 64, 7, 112)]
    channels, size = 64, 56
    for stage, depth in enumerate(depths):
        width, out = 64 << stage, (256 if bottleneck else 64) << stage
        for block in range(depth):
            before, size = size, size // 2 if stage and not block else size
            name = f"stage{stage + 1}.block{block + 1}"
            if bottleneck:
                first = size if stride_at == "1x1" else before
                shapes.append(Shape(f"{name}.conv1", channels, width, 1, first))
                shapes.append(Shape(f"{name}.conv2", width, width, 3, size))
                shapes.append(Shape(f"{name}.conv3", width, out, 1, size))
            else:
                shapes.append(Shape(f"{name}.conv1", channels, width, 3, size))
                shapes.append(Shape(f"{name}.conv2", width, width, 3, size))
            if channels != out:
                shapes.append(Shape(f"{name}.shortcut", channels, out, 1, size))
            channels = out
    return [*shapes, Shape("fc", channels, 1000, 1, 1)]


def loads(shapes: list[Shape], weight_bits: int, activation_bits: int, ends: int | None = None) -> list[Load]:
    """What the laws see of a network at uniform widths, first and last layer at ``ends`` bits."""
    narrow = [Load(shape.macs, shape.weights, weight_bits, activation_bits) for shape in shapes]
    if ends is None:
        return narrow
    wide = [Load(shape.macs, shape.weights, ends, ends) for shape in shapes]
    return [wide[0], *narrow[1:-1], wide[-1]]
