"""The networks that are made, not shipped: each name, and how its files come about."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from . import mobilenet
from .float_net import Tail
from .quantized import VARIANTS, quantize
from .resnet import RESNETS
from .seeded_net import SeededNet, natural_images

SEED = 2016
QUANTIZER_IMAGES = 4
FILES = ("float.onnx", *(variant.file for variant in VARIANTS), "input.npy")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network is made."""

    build: Callable[[SeededNet, Tail], onnx.ModelProto]
    size: int
    """Height and width of its RGB input."""
    calibration_images: int
    """How many images the batch norms are measured on; small images need more for as many samples."""


RECIPES: dict[str, Recipe] = {
    **{
        name: Recipe(net.build, 32, 8) if net.small_images else Recipe(net.build, 224, 2)
        for name, net in RESNETS.items()
    },
    "mobilenetv2": Recipe(mobilenet.build, 224, 2),
}


def build_float(name: str, tail: Tail = "pool", progress: Callable[[str], None] = lambda _: None) -> onnx.ModelProto:
    """The float network ``name`` of RECIPES, batch 1; the same bytes each time."""
    recipe = RECIPES[name]
    return recipe.build(SeededNet(name, recipe.size, SEED, recipe.calibration_images, progress), tail)


def make(name: str, folder: Path, tail: Tail = "pool", progress: Callable[[str], None] = lambda _: None) -> None:
    """Write FILES for ``name`` into ``folder``: the float network, its integer forms, one input image."""
    size = RECIPES[name].size
    onnx.save(build_float(name, tail, progress), os.fspath(folder / "float.onnx"))
    quantize(folder, natural_images(QUANTIZER_IMAGES, size, SEED + 2), progress)
    np.save(folder / "input.npy", natural_images(1, size, SEED + 3))
