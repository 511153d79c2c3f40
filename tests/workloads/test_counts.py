"""The networks are the published ones: multiply-accumulates, parameters and operators counted from the ONNX files."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import shape_inference

from accel.gallery import workloads_dir
from accel.networks import networks
from workloads.recipes import FILES, RECIPES, build_float
from workloads.resnet import RESNETS
from workloads.seeded_net import SeededNet

# Multiply-accumulates of convolutions and fully connected layers, one image.
# ResNet-20 by hand: the stem 3*9*16*32^2 = 442,368; stage 1 has 6 convolutions of 16*9*16*32^2 = 2,359,296; stages
# 2 and 3 have one of half as many (their inputs have half the channels) and 5 of as many; the classifier 64*10:
# 442,368 + 6 * 2,359,296 + 2 * (1,179,648 + 5 * 2,359,296) + 640 = 40,551,040.
# The others: HAWQ-V3's tables give 1858 and 3951 G BOPs at 32x32 bits, that is 1.814 and 3.858 G for ResNet-18 and
# ResNet-50 v1; AQT's cost for ResNet-50 v1.5 at 16x16 bits is 1,046,831,169,536, that is 4,089,184,256.
MACS = {
    "resnet18": 1_814_073_344,
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "resnet50-v1": 3_857_973_248,
    "resnet20": 40_551_040,
    "mobilenetv2": 300_774_272,
}
# Parameters as published (torchvision's model pages; He et al. give 0.27 M for ResNet-20): weights, two batch norm
# parameters for each channel of each convolution, and the classifier's biases.
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet50-v1": 25_557_032,
    "resnet20": 269_722,
    "mobilenetv2": 3_504_872,
}
OPERATORS = {
    "resnet18": {"Conv": 20, "Add": 8, "Relu": 17, "MaxPool": 1},
    "resnet34": {"Conv": 36, "Add": 16, "Relu": 33, "MaxPool": 1},
    "resnet50": {"Conv": 53, "Add": 16, "Relu": 49, "MaxPool": 1},
    "resnet50-v1": {"Conv": 53, "Add": 16, "Relu": 49, "MaxPool": 1},
    "resnet20": {"Conv": 21, "Add": 9, "Relu": 19, "MaxPool": 2, "Concat": 2},
    "mobilenetv2": {"Conv": 52, "Add": 10, "Clip": 35},
}
TAIL = {"GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}


def counts(model: onnx.ModelProto) -> tuple[int, int, int]:
    """Multiply-accumulates, weights, and output channels of convolutions."""
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    kernels = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    macs = weights = channels = 0
    for node in inferred.node:
        if node.op_type in ("Conv", "Gemm"):
            kernel = kernels[node.input[1]]
            macs += int(np.prod(kernel[1:])) * int(np.prod(shapes[node.output[0]]))
            weights += int(np.prod(kernel))
            channels += kernel[0] if node.op_type == "Conv" else 0
    return macs, weights, channels


@pytest.mark.parametrize("name", RECIPES)
def test_a_made_network_is_the_published_one(name: str) -> None:
    model = build_float(name)
    macs, weights, channels = counts(model)
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    assert macs == MACS[name]
    assert weights + 2 * channels + classes == PARAMETERS[name]
    assert Counter(node.op_type for node in model.graph.node) == Counter(OPERATORS[name] | TAIL)
    assert_gallery_states(name, model)


def test_the_shipped_network_is_the_one_in_the_gallery() -> None:
    assert_gallery_states("digits-resnet8", onnx.load(workloads_dir() / "digits_resnet8" / "float.onnx"))


def assert_gallery_states(name: str, model: onnx.ModelProto) -> None:
    info = next(info for info in networks() if info.name == name)
    assert counts(model)[:2] == (info.macs, info.weights)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert tuple(dim.dim_value for dim in dims) == info.input_shape
    assert tuple(file.name for file in info.files) == FILES[:-1]


def test_every_recipe_is_in_the_gallery() -> None:
    assert {info.name for info in networks() if info.folder is None} == set(RECIPES)


@pytest.mark.parametrize(("name", "strided"), [("resnet50", "conv2"), ("resnet50-v1", "conv1")])
def test_the_two_bottleneck_forms_differ_in_where_the_stride_is(name: str, strided: str) -> None:
    small = dataclasses.replace(RESNETS[name], depths=(1, 1), widths=(4, 4), classes=3)
    model = small.build(SeededNet("small", 32, seed=1, calibration_images=1), "pool")
    nodes = {node.name: node for node in model.graph.node}
    found = [
        part
        for part in ("conv1", "conv2", "conv3")
        for attribute in nodes[f"stage2.block1.{part}"].attribute
        if attribute.name == "strides" and list(attribute.ints) == [2, 2]
    ]
    assert found == [strided]
