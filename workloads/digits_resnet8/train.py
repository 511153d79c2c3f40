"""Train digits-resnet8 on scikit-learn's handwritten digits and write every file of this folder's network.

Run from the repository's root, with the ``train`` extra installed (torch, scikit-learn)::

    python -m workloads.digits_resnet8.train [--out FOLDER]

The seeds are fixed, so one machine with one version of torch gives the same weights each time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from ..float_net import FloatNet
from ..quantized import VARIANTS, quantize

SEED = 8
TEST_IMAGES = 360
CALIBRATION_IMAGES = 128
EPOCHS = 40
BATCH = 64

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut_bn(self.shortcut(x))))


class DigitsResNet8(nn.Module):
    """A stem, three residual stages of 16, 32 and 64 channels, global average pooling, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, 1, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(16)
        self.stages = nn.ModuleList([Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)])
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 16, 16) pixels in 0 .. 1 to (N, 10) logits."""
        x = functional.relu(self.stem_bn(self.stem(x)))
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


def load_images() -> tuple[Images, Labels, Images, Labels]:
    """Training and test split: pixels in 0 .. 1, each of the 8x8 repeated 2x2, shuffled with a fixed seed."""
    digits = load_digits()
    pixels = (digits.images / 16).astype(np.float32).repeat(2, axis=1).repeat(2, axis=2)[:, None]
    order = np.random.default_rng(SEED).permutation(len(pixels))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    labels = digits.target.astype(np.int64)
    return pixels[train], labels[train], pixels[test], labels[test]


def train(images: Images, labels: Labels) -> DigitsResNet8:
    """Adam with a one-cycle learning rate; every image is shifted by up to one original pixel each time."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the sums keep one order, and waiting threads do not fight on a busy machine
    torch.use_deterministic_algorithms(True)
    network = DigitsResNet8()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    batches = len(x) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        losses = []
        for rows in torch.randperm(len(x))[: batches * BATCH].view(batches, BATCH):
            loss = functional.cross_entropy(network(_shifted(x[rows])), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1:2d} of {EPOCHS}: loss {np.mean(losses):.4f}")
    return network.eval()


def _shifted(images: Tensor) -> Tensor:
    """Each image moved by -2 .. 2 pixels both ways, zeros coming in."""
    padded = functional.pad(images, (2, 2, 2, 2))
    offsets = torch.randint(0, 5, (len(images), 2)).tolist()
    moved = [
        image[:, row : row + 16, column : column + 16] for image, (row, column) in zip(padded, offsets, strict=True)
    ]
    return torch.stack(moved)


def export(network: DigitsResNet8) -> onnx.ModelProto:
    """The network as float ONNX with batch 1, batch norms folded into the convolutions."""
    net = FloatNet("digits-resnet8", (1, 1, 16, 16))
    x = net.relu("stem.relu", net.conv("stem", "input", *_folded(network.stem, network.stem_bn), pad=1))
    for number, stage in enumerate(network.stages, start=1):
        assert isinstance(stage, Block)
        name, stride = f"stage{number}", stage.conv1.stride[0]
        y = net.conv(f"{name}.conv1", x, *_folded(stage.conv1, stage.bn1), stride=stride, pad=1)
        y = net.relu(f"{name}.relu1", y)
        y = net.conv(f"{name}.conv2", y, *_folded(stage.conv2, stage.bn2), pad=1)
        if stage.shortcut is not None:
            x = net.conv(f"{name}.shortcut", x, *_folded(stage.shortcut, stage.shortcut_bn), stride=stride)
        x = net.relu(f"{name}.relu2", net.add(f"{name}.add", y, x))
    x = net.global_mean("pool", x, 64)
    weight, bias = (parameter.detach().numpy() for parameter in (network.fc.weight, network.fc.bias))
    return net.model(net.linear("fc", x, weight, bias), classes=10)


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Images, Images]:
    """Weight and bias of ``norm(conv(x))`` written as one convolution."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = conv.weight * gain[:, None, None, None]
    bias = norm.bias - norm.running_mean * gain
    return weight.detach().numpy(), bias.detach().numpy()


def top1(model: Path, images: Images, labels: Labels) -> float:
    """Fraction of ``images`` that onnxruntime names rightly with ``model``."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    guesses = [session.run(None, {"input": image[None]})[0].argmax() for image in images]
    return float((np.array(guesses) == labels).mean())


def main() -> None:
    """Train, export, quantize, and print each file's accuracy."""
    parser = argparse.ArgumentParser(description="Train digits-resnet8 and write its files.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for the files")
    out: Path = parser.parse_args().out
    train_images, train_labels, test_images, test_labels = load_images()
    network = train(train_images, train_labels)
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(export(network), out / "float.onnx")
    quantize(out, train_images[:CALIBRATION_IMAGES], print)
    np.savez_compressed(out / "images.npz", images=test_images, labels=test_labels)
    for file in ("float.onnx", *(variant.file for variant in VARIANTS)):
        correct = top1(out / file, test_images, test_labels)
        print(f"{file:15s} top-1 {correct:.4f} on {TEST_IMAGES} test images")


if __name__ == "__main__":
    main()
