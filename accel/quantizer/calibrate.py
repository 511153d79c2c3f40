"""The float network on the calibration images, one batch after another; of each tensor only statistics stay."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import onnx

from accel.errors import AccelError
from accel.numerics.encoding import FloatArray
from accel.quantizer.statistics import Statistics

_FATAL_ONLY = 4


def calibrate(
    model: onnx.ModelProto,
    source: str,
    tensors: Collection[str],
    batches: list[FloatArray],
    where: str,
    progress: Callable[[str, int, int], None],
) -> dict[str, Statistics]:
    """Statistics of float tensors, by name.

    Parameters
    ----------
    model
        The float network.
    source
        Its input.
    tensors
        Which to look at.
    batches
        Inputs.
    where
        The network's file, for errors.

    Raises
    ------
    AccelError
        onnxruntime cannot run the network, or a tensor becomes NaN or infinite.
    """
    names = [name for name in tensors if name != source]
    session = _session(model, names, where) if names else None
    seen = {name: Statistics() for name in tensors}
    for number, batch in enumerate(batches):
        progress("calibrating", number, len(batches))
        try:
            values = session.run(names, {source: batch}) if session is not None else []
        except Exception as error:  # onnxruntime raises a class of its own for each status code
            raise AccelError(f"onnxruntime cannot run it: {' '.join(str(error).split())}", where) from error
        for name, tensor in [(source, batch), *zip(names, values, strict=True)]:
            if name in seen:
                _check_finite(tensor, name, number, where)
                seen[name].add(tensor)
    return seen


def _check_finite(values: FloatArray, name: str, number: int, where: str) -> None:
    if not np.isfinite([values.min(), values.max()]).all():
        raise AccelError(
            f"tensor {name} becomes NaN or infinite on calibration batch {number + 1}",
            where,
            "give the images as the network was trained with",
        )


def _session(model: onnx.ModelProto, names: list[str], where: str) -> Any:
    import onnxruntime

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    try:
        return onnxruntime.InferenceSession(exposed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each status code
        raise AccelError(f"onnxruntime cannot load it: {' '.join(str(error).split())}", where) from error
