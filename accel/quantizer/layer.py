"""One layer with weights: its weights, its bias, and scales that go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.numerics.encoding import Encoding, FloatArray
from accel.quantizer.options import WIDEST_BIAS_BITS, QuantizeOptions
from accel.quantizer.plan import Plan, Step
from accel.quantizer.scales import representable
from accel.quantizer.statistics import Statistics
from accel.quantizer.weights import QuantizedWeight, quantize_weight, weight_scale
from accel.quantizer.write import Operands

Encodings = Mapping[str, Mapping[int, Encoding]]
"""By home and width."""
_LEAST_CORRECTED_BITS = 3
"""With 1 or 2 bits, layers behind no longer read what the float network's do, whose means the correction rests on."""
_EXACT_STEPS = 1 << 22
_ROUNDS = 3
"""Until multiplying and dividing by the scale changes nothing more."""
_SMALLEST_NORMAL = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedProduct:
    """A layer's integers, and what there is to say about them."""

    operands: Operands
    sqnr_db: float | None
    """Of the weights; None where nothing was lost."""
    saturated_biases: int
    notes: tuple[str, ...]


def quantize_product(
    plan: Plan, step: Step, encodings: Encodings, seen: Mapping[str, Statistics], options: QuantizeOptions
) -> QuantizedProduct:
    """Quantize weights and bias of a layer.

    Raises
    ------
    AccelError
        Weights or a bias that no integers can stand for.
    """
    where = f"{plan.source.path}:{step.name}"
    real, bias = _operands(plan, step)
    reads = plan.reads[step.name]
    assert reads.weights is not None
    assert reads.activations is not None
    source = encodings[plan.homes[step.inputs[0]]][reads.activations]
    scale, zeros = weight_scale(real, reads.weights, options, where)
    if options.bias_bits == WIDEST_BIAS_BITS and bias is not None:
        scale = _room_for(bias, source.scale, scale)
    if step.output != plan.real_output:
        home = plan.homes[step.output]
        made = encodings[home][plan.stored[home]]
        scale = representable(scale, source.scale, made.scale, options.scales, where)
    weight = quantize_weight(real, reads.weights, scale, options)
    if options.bias_correction and reads.weights >= _LEAST_CORRECTED_BITS:
        shift = mean_error(weight, real, seen[step.inputs[0]].channel_means)
        bias = (-shift if bias is None else bias - shift).astype(np.float32)
    units = np.float32(source.scale) * weight.scale
    if not (np.isfinite(units).all() and units.min() >= _SMALLEST_NORMAL):
        raise AccelError(
            f"its input scale {source.scale:.3g} and weight scale {weight.scale.min():.3g} make a product that is no "
            "normal float32",
            where,
            "scale the network's input as in training",
        )
    integers, saturated = (None, 0) if bias is None else _quantize_bias(bias, units, options.bias_bits)
    notes = []
    if zeros:
        listed = ", ".join(map(str, zeros[:5])) + (", ..." if len(zeros) > 5 else "")
        notes.append(f"{step.name}: all weights of channel {listed} are zero")
    if saturated:
        notes.append(f"{step.name}: {saturated} of {len(units)} biases saturate at {options.bias_bits} bits")
    return QuantizedProduct(
        Operands(weight, integers, units, options.bias_bits), _sqnr_db(weight, real), saturated, tuple(notes)
    )


def mean_error(weight: QuantizedWeight, real: FloatArray, means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What rounded weights add to each output channel on average, padding left aside.

    ``sum over inputs of (quantized - float weight) * mean input``: the expected error of Nagel et al., "Data-Free
    Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2, with measured means.

    Parameters
    ----------
    weight, real
        Output channels first, then input channels (of the channel's group).
    means
        Of each input channel.
    """
    difference = weight.real().astype(np.float64) - real
    summed = difference.reshape(*difference.shape[:2], -1).sum(axis=2)
    groups = len(means) // summed.shape[1]
    by_group = means.reshape(groups, -1).repeat(len(summed) // groups, axis=0)
    return np.asarray(np.einsum("oi,oi->o", summed, by_group), np.float64)


def _operands(plan: Plan, step: Step) -> tuple[FloatArray, FloatArray | None]:
    """Weights, output channels first, and bias, with Gemm's factors multiplied in."""
    node, constants = step.node, plan.source.constants
    real = constants[node.input(1)].astype(np.float32)
    bias = constants[node.input(2)].astype(np.float32) if node.input(2) else None
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.integer("transB", 0)):
        real = real.T
    if node.op_type == "Gemm":
        real = real * np.float32(node.real("alpha", 1.0))
        bias = None if bias is None else bias * np.float32(node.real("beta", 1.0))
    return np.ascontiguousarray(real), None if bias is None else np.broadcast_to(bias.reshape(-1), len(real))


def _room_for(bias: FloatArray, input_scale: float, scale: FloatArray) -> FloatArray:
    """Weight scales at which the bias takes half of int32 or less: only 16-bit operands need larger ones for it."""
    steps = np.abs(bias.astype(np.float64)) / input_scale / 2.0 ** (WIDEST_BIAS_BITS - 2)
    least = steps if scale.size > 1 else steps.max(keepdims=True)
    return np.maximum(scale, least.astype(np.float32))


def _quantize_bias(bias: FloatArray, units: FloatArray, bits: int) -> tuple[npt.NDArray[np.int64], int]:
    """``clamp(round(b / units))``, and how many the clamp changed.

    Beyond 2^22 steps only those that survive as float32 real values, for the dialect that writes biases so.
    """
    with np.errstate(over="ignore"):
        steps = np.rint(bias.astype(np.float64) / units)
    limit = 1 << (bits - 1)
    clamped = np.clip(steps, -limit, limit - 1)
    settled = clamped
    for _ in range(_ROUNDS):
        again = np.rint(settled.astype(np.float32) * units / units).astype(np.float64)
        settled = np.clip(np.where(np.abs(clamped) > _EXACT_STEPS, again, clamped), -limit, limit - 1)
    return settled.astype(np.int64), int(np.count_nonzero(clamped != steps))


def _sqnr_db(weight: QuantizedWeight, real: FloatArray) -> float | None:
    noise, signal = (float(np.vdot(values, values)) for values in (weight.real() - real, real))
    return 10 * log10(signal / noise) if noise and signal else None
