"""QONNX: Quant nodes on float tensors, for integers of every width (Pappalardo et al., "QONNX", 2022)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from accel.numerics.encoding import Encoding
from accel.numerics.qtype import QType
from accel.quantizer.weights import QuantizedWeight
from accel.quantizer.write import Operands, Sheet

_DOMAIN = "qonnx.custom_op.general"
_VERSION = 1


class Qonnx:
    """Writes ``Quant(x, scale, zero point, bits)``, and BipolarQuant for weights of one bit."""

    clamps_integers = False

    def activation(self, sheet: Sheet, tensor: str, encoding: Encoding, stem: str, output: str) -> str:
        """``tensor`` -> Quant."""
        output = output or f"{stem}_quantized"
        return _quant(sheet, tensor, encoding.scale, encoding.zero_point, encoding.qtype, output, narrow=False)

    def weight(self, sheet: Sheet, name: str, weight: QuantizedWeight, transposed: bool) -> str:
        """The weights' real values behind a Quant, which takes them for the integers that they are."""
        values, scale = weight.real(), weight.scale.reshape(-1, *[1] * (weight.values.ndim - 1))
        if transposed:
            values, scale = values.T, scale.T
        if scale.size == 1:
            scale = scale.reshape(())
        real, output = sheet.constant(name, values), f"{name}_quantized"
        if weight.qtype.bits == 1:
            inputs = [real, sheet.constant(f"{name}_scale", scale)]
            return sheet.add("BipolarQuant", inputs, output, f"{name}_BipolarQuant", _DOMAIN)
        return _quant(sheet, real, scale, 0, weight.qtype, output, narrow=True)

    def bias(self, sheet: Sheet, name: str, operands: Operands) -> str:
        """The bias's real values behind a Quant of scale input x weight."""
        assert operands.bias is not None
        scale = operands.bias_scale if operands.bias_scale.size > 1 else operands.bias_scale.reshape(())
        real = sheet.constant(name, operands.bias.astype(np.float32) * scale)
        return _quant(sheet, real, scale, 0, QType(operands.bias_bits, True), f"{name}_quantized", narrow=False)

    def opsets(self) -> list[onnx.OperatorSetIdProto]:
        """QONNX's own."""
        return [helper.make_opsetid(_DOMAIN, _VERSION)]


def _quant(
    sheet: Sheet, tensor: str, scale: npt.ArrayLike, zero_point: int, qtype: QType, output: str, narrow: bool
) -> str:
    inputs = [
        tensor,
        sheet.constant(f"{output}_scale", scale),
        sheet.constant(f"{output}_zero_point", zero_point),
        sheet.constant(f"{output}_bits", qtype.bits),
    ]
    attributes = {"signed": int(qtype.signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
    return sheet.add("Quant", inputs, output, f"{output}_Quant", _DOMAIN, **attributes)
