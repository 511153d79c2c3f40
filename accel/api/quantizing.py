"""From a float network to integers: quantize it, see what each layer loses, choose widths for a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.api.progress import Progress
from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.inputs import read_labels
from accel.networks import companions, network_path
from accel.precision.allocation import DEFAULT_WIDTHS as ALLOCATION_WIDTHS
from accel.precision.allocation import allocate as allocate_bits
from accel.precision.budget import Budget
from accel.precision.sensitivity import DEFAULT_WIDTHS, FloatSubject
from accel.precision.sensitivity import study as study_sensitivity
from accel.quantization import Quantization
from accel.quantizer.images import read_images
from accel.quantizer.layers_file import read_layers
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.quantize import quantize_network
from accel.quantizer.save import output_file, save
from accel.studies.allocation import Allocation
from accel.studies.sensitivity import SensitivityStudy

Array = npt.NDArray[Any]


def quantize(
    network: str | Path,
    out: Path,
    images: Array | Path | None = None,
    options: QuantizeOptions | None = None,
    layers: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Quantization:
    """Quantize a float network after training: integers of 1 to 16 bits, by layer and operand.

    Parameters
    ----------
    network
        A float ONNX file, or a network of the gallery that ships.
    out
        The ONNX file to write, which ``load_network`` reads: QDQ or QONNX.
    images
        For calibration: float32, images along the first axis; an array, a .npy file, or a .npz file with one array or
        one that is called ``images``. None: the gallery's own.
    options
        Widths, bounds, rounding, scales; None: 8 bits everywhere.
    layers
        A YAML file of widths by layer, ``conv1: {weights: 4, activations: 8}``; they go before all others.
    overwrite
        Replace ``out`` if it exists.

    Raises
    ------
    AccelError
        What is wrong with the network, the images or the options; nothing is written then.

    Examples
    --------
    >>> options = QuantizeOptions(weights=4, activations=8, first_last=8)
    >>> quantize("digits-resnet8", Path("w4a8.onnx"), options=options).weight_bits  # doctest: +SKIP
    """
    extras = companions(network)
    path = network_path(network) if extras is None or "/" in str(network) else extras.float_path
    data = extras.images if images is None and extras is not None else images
    if data is None:
        raise AccelError("there are no calibration images", str(path), "give some with --calibrate images.npz")
    chosen = options or QuantizeOptions()
    if layers is not None:
        chosen = replace(chosen, layers={**chosen.layers, **read_layers(layers)})
    where = str(data) if isinstance(data, Path) else "the calibration images"
    with output_file(out, overwrite) as partial:
        report = progress or (lambda text, done, total: None)
        quantized = quantize_network(path, read_images(data), where, chosen, report)
        save(quantized.model, partial, out)
    return replace(quantized.record, path=str(out))


def sensitivity(
    network: str | Path,
    calibration: Array | Path | None = None,
    labels: npt.NDArray[np.int64] | Path | None = None,
    images: int | None = None,
    arch: Machine | None = None,
    bits: Sequence[int] = DEFAULT_WIDTHS,
    progress: Progress | None = None,
) -> SensitivityStudy:
    """What each layer of a float network loses and saves when its weights, or what it reads, get fewer bits.

    Parameters
    ----------
    network
        A float ONNX file, or a network of the gallery that ships.
    calibration
        The images to calibrate on and to judge by, as for ``quantize``.
    labels
        Class of each image; gives accuracy. None: the gallery's, where there are.
    images
        Take only the first so many.
    arch
        Estimates cycles and energy; scales are those that its requantizer has.
    bits
        Widths to try; all else has 8.

    Raises
    ------
    AccelError
        As for ``quantize``, and widths that are not legal.
    """
    subject = _float_subject(network, calibration, labels, images, arch)
    return study_sensitivity(subject, bits, progress)


def allocate(
    network: str | Path,
    budget: str,
    arch: Machine | None = None,
    calibration: Array | Path | None = None,
    labels: npt.NDArray[np.int64] | Path | None = None,
    images: int | None = None,
    bits: Sequence[int] = ALLOCATION_WIDTHS,
    first_last: int | None = None,
    equal: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Allocation:
    """Bits for every layer of a float network that meet a budget and lose the least.

    Parameters
    ----------
    network, calibration, labels, images
        As for ``sensitivity``.
    budget
        ``latency=0.7x``: of the network at 8 bits; or in cycles, ``latency=2000000``. The same for ``energy`` (pJ),
        ``bops`` and ``memory`` (bits of weights).
    arch
        Tells cycles and energy; scales are those that its requantizer has.
    bits
        To choose from.
    first_last
        Bits of the first and the last layer, whatever the budget.
    equal
        A layer's weights and what it reads get the same bits.
    out, overwrite
        The YAML file to write, which ``quantize`` takes as ``layers``; and whether it may replace another.

    Raises
    ------
    AccelError
        No allocation meets the budget (the closest is named), or as for ``sensitivity``.
    """
    limit = Budget.parse(budget)
    subject = _float_subject(network, calibration, labels, images, arch)
    if out is None:
        return allocate_bits(subject, limit, bits, first_last, equal, progress)
    with output_file(out, overwrite, "YAML") as partial:
        allocation = allocate_bits(subject, limit, bits, first_last, equal, progress)
        partial.write_text(allocation.to_yaml(), encoding="utf-8")
    return allocation


def _float_subject(
    network: str | Path,
    calibration: Array | Path | None,
    labels: npt.NDArray[np.int64] | Path | None,
    limit: int | None,
    arch: Machine | None,
) -> FloatSubject:
    """A float network with its images and labels, checked."""
    extras = companions(network)
    path = network_path(network) if extras is None or "/" in str(network) else extras.float_path
    given = extras.images if calibration is None and extras is not None else calibration
    if given is None:
        raise AccelError("there are no calibration images", str(path), "give some with --calibrate images.npz")
    data = read_images(given)
    where = str(given) if isinstance(given, Path) else "the calibration images"
    if limit is not None and limit > len(data):
        raise AccelError(
            f"{limit} images are asked for, and there are {len(data)}", where, f"ask for up to {len(data)}"
        )
    data = data[:limit]
    truth = None
    if labels is not None:
        truth = read_labels(labels, len(data), np.iinfo(np.int64).max)
    elif calibration is None and extras is not None:
        truth = extras.labels[: len(data)]
    name = str(network) if extras is not None else f"{path.absolute().parent.name}/{path.stem}"
    return FloatSubject(name, path, data, where, truth, arch)
