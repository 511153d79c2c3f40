"""MobileNetV2 with seeded weights (Sandler et al., "Inverted Residuals and Linear Bottlenecks", CVPR 2018)."""

from __future__ import annotations

import onnx

from .float_net import Tail
from .seeded_net import SeededNet, Value

RESIDUAL_GAIN = 0.5

STAGES = (
    # expansion, channels, blocks, stride of the first block: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def build(net: SeededNet, tail: Tail) -> onnx.ModelProto:
    """Write MobileNetV2 of width 1.0 with 1000 classes into ``net``."""
    x = net.relu6("stem.relu6", net.conv("stem", net.input, 32, 3, stride=2))
    for number, (expansion, channels, blocks, first_stride) in enumerate(STAGES, start=1):
        net.progress(f"stage {number} of {len(STAGES)}: {blocks} blocks of {channels} channels")
        for block in range(1, blocks + 1):
            stride = first_stride if block == 1 else 1
            x = _inverted_residual(net, f"stage{number}.block{block}", x, expansion, channels, stride)
    x = net.relu6("head.relu6", net.conv("head", x, 1280, 1))
    return net.classify(x, 1000, tail)


def _inverted_residual(net: SeededNet, name: str, x: Value, expansion: int, channels: int, stride: int) -> Value:
    """Widen (1x1), filter each channel (depthwise 3x3), narrow (1x1) without an activation."""
    wide, joins = x.channels * expansion, stride == 1 and x.channels == channels
    y = x
    if expansion > 1:
        y = net.relu6(f"{name}.relu1", net.conv(f"{name}.expand", x, wide, 1))
    y = net.relu6(f"{name}.relu2", net.conv(f"{name}.depthwise", y, wide, 3, stride=stride, groups=wide))
    y = net.conv(f"{name}.project", y, channels, 1, gain=RESIDUAL_GAIN if joins else 1.0)
    return net.add(f"{name}.add", x, y) if joins else y
