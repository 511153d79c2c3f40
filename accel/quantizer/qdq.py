"""QuantizeLinear and DequantizeLinear: ONNX's own way, for the widths that ONNX has types of."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from accel.numerics.encoding import Encoding, IntArray
from accel.numerics.qtype import QType
from accel.quantizer.weights import QuantizedWeight
from accel.quantizer.write import Operands, Sheet

_OPSETS = {8: 13, 4: 21, 16: 21, 2: 25}
"""The first opset whose QuantizeLinear knows a width (and scales by channel)."""
_RUN_ANYWHERE = (4, 8, 16)
"""onnxruntime 1.31 makes integer convolutions of 2-bit ones that it then refuses."""
_RUN_SIGNED = (8, 16)
"""Before signed 4-bit integers it drops a Relu that does something."""
_IR_VERSIONS = {13: 8, 21: 10, 25: 13}
"""For a model that needs at least that opset: what came with its types."""


def lacks_type(bits: int) -> bool:
    """Whether ONNX has no integers of that width."""
    return bits not in _OPSETS


def is_portable(weights: set[int], activations: set[int], signed: bool) -> bool:
    """Whether ONNX has integers of all these widths, and onnxruntime computes with them what the file says.

    Parameters
    ----------
    signed
        Whether tensors behind a Relu are signed.
    """
    return weights.issubset(_RUN_ANYWHERE) and activations.issubset(_RUN_SIGNED if signed else _RUN_ANYWHERE)


def opset_for(widths: set[int]) -> int:
    """The least opset that has all these widths."""
    return max((_OPSETS[bits] for bits in widths), default=13)


def ir_version_for(opset: int) -> int:
    """The IR version to write a model of ``opset`` with."""
    return max(version for least, version in _IR_VERSIONS.items() if least <= max(opset, 13))


class Qdq:
    """Writes QuantizeLinear and DequantizeLinear, named as onnxruntime's quantizer names them."""

    clamps_integers = True

    def activation(self, sheet: Sheet, tensor: str, encoding: Encoding, stem: str, output: str) -> str:
        """``tensor`` -> QuantizeLinear -> DequantizeLinear."""
        scale = sheet.constant(f"{stem}_scale", encoding.scale)
        zero = _integers(sheet, f"{stem}_zero_point", np.array(encoding.zero_point), encoding.qtype)
        integers = f"{stem}_QuantizeLinear_Output"
        sheet.add("QuantizeLinear", [tensor, scale, zero], integers, f"{stem}_QuantizeLinear")
        output = output or f"{stem}_DequantizeLinear_Output"
        return sheet.add("DequantizeLinear", [integers, scale, zero], output, f"{stem}_DequantizeLinear")

    def weight(self, sheet: Sheet, name: str, weight: QuantizedWeight, transposed: bool) -> str:
        """Integers behind a DequantizeLinear."""
        values = weight.values.T if transposed else weight.values
        scale = weight.scale if weight.scale.size > 1 else weight.scale.reshape(())
        inputs = [
            _integers(sheet, f"{name}_quantized", values, weight.qtype),
            sheet.constant(f"{name}_scale", scale),
            _integers(sheet, f"{name}_zero_point", np.zeros(scale.shape, np.int8), weight.qtype),
        ]
        axis = values.ndim - 1 if transposed else 0
        output = f"{name}_DequantizeLinear_Output"
        return sheet.add("DequantizeLinear", inputs, output, f"{name}_DequantizeLinear", axis=axis)

    def bias(self, sheet: Sheet, name: str, operands: Operands) -> str:
        """int32 behind a DequantizeLinear of scale input x weight."""
        assert operands.bias is not None
        scale = operands.bias_scale if operands.bias_scale.size > 1 else operands.bias_scale.reshape(())
        inputs = [
            sheet.constant(f"{name}_quantized", operands.bias, np.int32),
            sheet.constant(f"{name}_scale", scale),
            sheet.constant(f"{name}_zero_point", np.zeros(scale.shape), np.int32),
        ]
        output = f"{name}_DequantizeLinear_Output"
        return sheet.add("DequantizeLinear", inputs, output, f"{name}_DequantizeLinear", axis=0)

    def opsets(self) -> list[onnx.OperatorSetIdProto]:
        """None."""
        return []


def _integers(sheet: Sheet, name: str, values: IntArray, qtype: QType) -> str:
    """A constant of an ONNX type, several to the byte where they are narrow."""
    kind = getattr(TensorProto, f"{'' if qtype.signed else 'U'}INT{qtype.bits}")
    return sheet.constant(name, np.array(values, order="C"), helper.tensor_dtype_to_np_dtype(kind))
