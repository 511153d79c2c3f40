"""ResNets with seeded weights (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx

from .float_net import Tail
from .seeded_net import SeededNet, Value

RESIDUAL_GAIN = 0.5
"""Deviation of what a block adds to its shortcut: small beside it, as in trained networks, so depth adds up gently."""


@dataclass(frozen=True, slots=True)
class ResNet:
    """The shape of one ResNet."""

    depths: tuple[int, ...]
    """Residual blocks in each stage."""
    widths: tuple[int, ...]
    """Channels of the 3x3 convolutions in each stage."""
    block: Literal["basic", "bottleneck"]
    stride_at: Literal["3x3", "1x1"] = "3x3"
    """Which convolution of a bottleneck has the stride: the 3x3 (v1.5, as in torchvision), or the first 1x1 (v1)."""
    small_images: bool = False
    """The CIFAR form: a 3x3 stem without pooling, and shortcuts without weights where the shape changes."""
    classes: int = 1000

    def build(self, net: SeededNet, tail: Tail) -> onnx.ModelProto:
        """Write the network into ``net``."""
        x = self._stem(net)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), start=1):
            net.progress(f"stage {stage} of {len(self.depths)}: {depth} blocks of {width} channels")
            for block in range(1, depth + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = self._residual(net, f"stage{stage}.block{block}", x, width, stride)
        return net.classify(x, self.classes, tail)

    def _stem(self, net: SeededNet) -> Value:
        if self.small_images:
            return net.relu("stem.relu", net.conv("stem", net.input, self.widths[0], 3))
        x = net.relu("stem.relu", net.conv("stem", net.input, self.widths[0], 7, stride=2))
        return net.max_pool("stem.pool", x, kernel=3, stride=2)

    def _residual(self, net: SeededNet, name: str, x: Value, width: int, stride: int) -> Value:
        if self.block == "bottleneck":
            first, second = (stride, 1) if self.stride_at == "1x1" else (1, stride)
            y = net.relu(f"{name}.relu1", net.conv(f"{name}.conv1", x, width, 1, stride=first))
            y = net.relu(f"{name}.relu2", net.conv(f"{name}.conv2", y, width, 3, stride=second))
            y = net.conv(f"{name}.conv3", y, 4 * width, 1, gain=RESIDUAL_GAIN)
            return self._join(net, name, x, y, stride)
        y = net.relu(f"{name}.relu1", net.conv(f"{name}.conv1", x, width, 3, stride=stride))
        if self.small_images and stride > 1:
            return self._join_unweighted(net, name, x, y, stride)
        return self._join(net, name, x, net.conv(f"{name}.conv2", y, width, 3, gain=RESIDUAL_GAIN), stride)

    def _join(self, net: SeededNet, name: str, x: Value, y: Value, stride: int) -> Value:
        if x.channels != y.channels or stride > 1:
            x = net.conv(f"{name}.shortcut", x, y.channels, 1, stride=stride)
        return net.relu(f"{name}.relu", net.add(f"{name}.add", y, x))

    def _join_unweighted(self, net: SeededNet, name: str, x: Value, y: Value, stride: int) -> Value:
        """He's option A: every second pixel of x, and zeros for the channels that x lacks.

        Adding zeros changes nothing, so the block's second convolution is written in two halves, and only the
        half that x reaches meets it: the same numbers, multiply-accumulates and weights, and no constant tensors.
        """
        near = net.conv(f"{name}.conv2a", y, x.channels, 3, gain=RESIDUAL_GAIN)
        far = net.conv(f"{name}.conv2b", y, y.channels - x.channels, 3, gain=RESIDUAL_GAIN)
        sampled = net.max_pool(f"{name}.shortcut", x, kernel=1, stride=stride)
        both = net.concat(f"{name}.concat", net.add(f"{name}.add", near, sampled), far)
        return net.relu(f"{name}.relu", both)


_IMAGENET_WIDTHS = (64, 128, 256, 512)

RESNETS = {
    "resnet18": ResNet((2, 2, 2, 2), _IMAGENET_WIDTHS, "basic"),
    "resnet34": ResNet((3, 4, 6, 3), _IMAGENET_WIDTHS, "basic"),
    "resnet50": ResNet((3, 4, 6, 3), _IMAGENET_WIDTHS, "bottleneck"),
    "resnet50-v1": ResNet((3, 4, 6, 3), _IMAGENET_WIDTHS, "bottleneck", stride_at="1x1"),
    "resnet20": ResNet((3, 3, 3), (16, 32, 64), "basic", small_images=True, classes=10),
}
