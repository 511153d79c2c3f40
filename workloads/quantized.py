"""Float ONNX to integer ONNX with onnxruntime's own static quantizer, in the four forms that the gallery has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Variant:
    """One integer form of a network; weights are int8 and symmetric, one scale for each output channel, in all."""

    file: str
    activations: str
    """``int8``: symmetric, zero point 0; ``uint8``: asymmetric."""
    form: str
    """``QOperator``: integer operators; ``QDQ``: float operators between DequantizeLinear and QuantizeLinear."""


VARIANTS = (
    Variant("int8.onnx", "int8", "QOperator"),
    Variant("int8_qdq.onnx", "int8", "QDQ"),
    Variant("uint8.onnx", "uint8", "QOperator"),
    Variant("uint8_qdq.onnx", "uint8", "QDQ"),
)


def quantize(
    folder: Path, calibration: npt.NDArray[np.float32], progress: Callable[[str], None] = lambda _: None
) -> None:
    """Write every variant of ``folder/float.onnx`` beside it.

    Parameters
    ----------
    folder
        Holds ``float.onnx``, whose one input is ``input`` with batch 1.
    calibration
        (images, channels, height, width); the least and the greatest value that each tensor takes on these
        images fix its scale and zero point.
    progress
        Called with one line before each variant.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images = iter(calibration)

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            image = next(self._images, None)
            return None if image is None else {"input": image[None]}

    for variant in VARIANTS:
        progress(f"quantizing {variant.file}: {variant.activations} activations, {variant.form}")
        symmetric = variant.activations == "int8"
        with _quiet():
            quantize_static(
                str(folder / "float.onnx"),
                str(folder / variant.file),
                Images(),
                quant_format=QuantFormat[variant.form],
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantizer's advice to fold batch norms first, which these networks have done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
