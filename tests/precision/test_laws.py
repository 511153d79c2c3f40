"""Cost laws: by hand, and the figures that their authors published."""

from __future__ import annotations

from math import floor

import pytest

from accel.precision.laws import Load, aqt_linear, bops, memory_bits
from tests.precision.published import imagenet_resnet, loads

AQT_DEPTHS = {50: (3, 4, 6, 3), 29: (2, 2, 3, 2), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


def aqt_resnet(layers: int):
    return imagenet_resnet(AQT_DEPTHS[layers], bottleneck=True)


def total(law, network) -> int:
    return sum(law(load) for load in network)


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "linear_bits"),
    [(1, 1, 4), (4, 2, 4), (2, 5, 8), (8, 4, 8), (9, 1, 16), (16, 16, 16)],
)
def test_one_layer_by_hand(weight_bits, activation_bits, linear_bits) -> None:
    load = Load(1000, 10, weight_bits, activation_bits)
    assert bops(load) == 1000 * weight_bits * activation_bits
    assert aqt_linear(load) == 1000 * linear_bits
    assert memory_bits(load) == 10 * weight_bits


@pytest.mark.parametrize(
    ("layers", "macs", "weights"),
    [
        (50, 4_089_184_256, 25_502_912),
        (29, 2_560_622_592, 17_077_440),
        (101, 7_801_405_440, 44_442_816),
        (152, 11_513_626_624, 60_040_384),
        (200, 15_007_481_856, 64_496_832),
    ],
)
def test_counts_of_aqts_resnets(layers, macs, weights) -> None:
    """v1.5 bottlenecks; blocks by stage as in AQT's configurations. Convolutions and the dense layer, nothing else."""
    network = aqt_resnet(layers)
    assert sum(shape.macs for shape in network) == macs
    assert sum(shape.weights for shape in network) == weights
    # The law's unit is a product of single bits: at 1 x 1 bits it counts MACs, and at bfloat16 256 times as many.
    assert total(bops, loads(network, 1, 1)) == macs
    assert total(bops, loads(network, 16, 16)) == 256 * macs
    assert total(aqt_linear, loads(network, 16, 16)) == 16 * macs
    assert total(memory_bits, loads(network, 16, 16)) == 16 * weights


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "quadratic", "memory"),
    [
        (16, 16, 1_046_831_169_536, 408_046_592),
        (8, 16, 523_415_584_768, 204_023_296),
        (4, 16, 261_707_792_384, 102_011_648),
        (8, 8, 261_707_792_384, 204_023_296),
        (4, 4, 65_426_948_096, 102_011_648),
        (4, 2, 32_713_474_048, 102_011_648),
    ],
    ids=["bf16", "w8 only", "w4 only", "w8a8", "w4a4", "w4a2"],
)
def test_aqts_costs_of_resnet50(weight_bits, activation_bits, quadratic, memory) -> None:
    """Costs of AQT's ResNet-50 by aqt/jax/compute_cost_utils.py; weight-only rows keep bfloat16 activations."""
    network = loads(aqt_resnet(50), weight_bits, activation_bits)
    assert total(bops, network) == quadratic
    assert total(memory_bits, network) == memory


def test_aqts_resnet50_at_4_bits_with_ends_of_8() -> None:
    """The first convolution (118,013,952 MACs, 9,408 weights) and the dense layer (2,048,000 of both) at 8 x 8 bits."""
    network = loads(aqt_resnet(50), 4, 4, ends=8)
    ends = 118_013_952 + 2_048_000
    assert total(bops, network) == 16 * 4_089_184_256 + 48 * ends == 71_189_921_792
    assert total(aqt_linear, network) == 4 * 4_089_184_256 + 4 * ends == 16_836_984_832
    assert total(memory_bits, network) == 4 * 25_502_912 + 4 * (9_408 + 2_048_000) == 110_241_280


HAWQ = {
    "ResNet-18": (imagenet_resnet((2, 2, 2, 2), bottleneck=False), (1858, 116, 34)),
    "ResNet-50": (imagenet_resnet((3, 4, 6, 3), bottleneck=True, stride_at="1x1"), (3951, 247, 67)),
}
"""Giga BOPs at W32A32, W8A8 and W4A4 (Yao et al., "HAWQ-V3", ICML 2021, tables of ResNet-18 and ResNet-50)."""


@pytest.mark.parametrize("name", HAWQ)
def test_hawqs_bops(name) -> None:
    """All convolutions, shortcuts too, and the dense layer; float32 is 32 x 32 bits; W4A4 keeps both ends at 8 x 8.

    Every figure is rounded to the nearest, but for ResNet-18's 34, which is 34.7 cut.
    """
    shapes, published = HAWQ[name]
    networks = (loads(shapes, 32, 32), loads(shapes, 8, 8), loads(shapes, 4, 4, ends=8))
    found = [total(bops, network) / 1e9 for network in networks]
    if name == "ResNet-18":
        assert found[2] == pytest.approx(34.7, abs=0.05)
        found[2] = floor(found[2])
    assert tuple(round(giga) for giga in found) == published


@pytest.mark.parametrize(("absent", "rest"), [("fc", 1857), ("shortcut", 1838), ("stem", 1737)])
def test_which_layers_hawq_counts(absent, rest) -> None:
    """Without any kind of layer, ResNet-18's 1858 at float32 would not be met."""
    shapes = [shape for shape in HAWQ["ResNet-18"][0] if absent not in shape.name]
    assert round(total(bops, loads(shapes, 32, 32)) / 1e9) == rest


@pytest.mark.parametrize(("name", "megabytes"), [("ResNet-18", (44.6, 11.1, 5.8)), ("ResNet-50", (97.8, 24.5, 13.1))])
def test_hawqs_sizes(name, megabytes) -> None:
    """Megabytes of 2^20 bytes, within 1.5 %: HAWQ's sizes hold more than weights."""
    shapes, _ = HAWQ[name]
    networks = (loads(shapes, 32, 32), loads(shapes, 8, 8), loads(shapes, 4, 4, ends=8))
    found = [total(memory_bits, network) / 8 / 2**20 for network in networks]
    assert found == pytest.approx(megabytes, rel=0.015)
