"""Write this folder's networks: small, of random weights, exported by Brevitas as QONNX and, where it can, QCDQ.

Run from the repository's root, with the ``brevitas`` extra installed (torch, brevitas)::

    python -m workloads.brevitas.export [--out FOLDER]

Batch normalization stays where Brevitas leaves it, behind the convolutions, with factors of both signs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import brevitas.nn as qnn
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from torch import Tensor, nn

SEED = 4
SHAPE = (1, 3, 8, 8)
CHANNELS = 8
CALIBRATION_BATCHES = 6
QCDQ_OPSET = 13
BINARY = {"weight_quant": SignedBinaryWeightPerTensorConst, "weight_scaling_init": 0.1}


class Residual(nn.Module):
    """A stem, a residual block with a sum of two scales, a maximum and a classifier."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        quantized = {"bit_width": bits, "return_quant_tensor": True}
        product = {"bias": False, "weight_bit_width": bits, "return_quant_tensor": True}
        self.input = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.stem = qnn.QuantConv2d(3, CHANNELS, 3, padding=1, **product)
        self.stem_norm = nn.BatchNorm2d(CHANNELS)
        self.stem_relu = qnn.QuantReLU(**quantized)
        self.left = qnn.QuantConv2d(CHANNELS, CHANNELS, 3, padding=1, **product)
        self.left_norm = nn.BatchNorm2d(CHANNELS)
        self.share = qnn.QuantIdentity(**quantized)
        self.relu = qnn.QuantReLU(**quantized)
        self.pool = nn.MaxPool2d(2)
        self.classifier = qnn.QuantLinear(CHANNELS * 16, 10, bias=False, weight_bit_width=bits)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images."""
        stem = self.stem_relu(self.stem_norm(self.stem(self.input(images))))
        left = self.share(self.left_norm(self.left(stem)))
        total = self.relu(left + self.share(stem))
        return self.classifier(self.pool(total).flatten(1))


class Bipolar(nn.Sequential):
    """Two convolutions and a classifier of weights and activations that are -1 or +1; no padding, which would be 0."""

    def __init__(self) -> None:
        super().__init__(
            qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
            qnn.QuantConv2d(3, CHANNELS, 3, bias=False, **BINARY),
            nn.BatchNorm2d(CHANNELS),
            qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, scaling_init=1.0, return_quant_tensor=True),
            qnn.QuantConv2d(CHANNELS, CHANNELS, 3, bias=False, **BINARY),
            nn.BatchNorm2d(CHANNELS),
            qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, scaling_init=1.0, return_quant_tensor=True),
            nn.Flatten(),
            qnn.QuantLinear(CHANNELS * 16, 10, bias=False, **BINARY),
        )


def calibrated(network: nn.Module) -> nn.Module:
    """Draw factors of both signs, and let scales and statistics settle on random images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.5)
    network.train()
    with torch.no_grad():
        for _ in range(CALIBRATION_BATCHES):
            network(torch.randn(16, *SHAPE[1:]))
    return network.eval()


def main() -> None:
    """Write every network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    names = {"input_names": ["input"], "output_names": ["logits"], "dynamo": False}
    makers = {"w4a4": lambda: Residual(4), "w2a2": lambda: Residual(2), "bipolar": Bipolar}
    for name, make in makers.items():
        torch.manual_seed(SEED)
        network, images = calibrated(make()), torch.randn(SHAPE)
        export_qonnx(network, args=images, export_path=str(out / f"{name}_qonnx.onnx"), **names)
        if name != "bipolar":  # QuantizeLinear and Clip have no sign function
            path = str(out / f"{name}_qcdq.onnx")
            export_onnx_qcdq(network, args=images, export_path=path, opset_version=QCDQ_OPSET, **names)


if __name__ == "__main__":
    main()
