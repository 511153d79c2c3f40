"""Which integer types ONNX has, and how their values are stored here."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx

from accel.graph.onnx.source import Array, Unsupported
from accel.numerics.qtype import QType

_INTEGER_NAME = re.compile(r"U?INT(2|4|8|16)")

QTYPES: dict[np.dtype[Any], QType] = {
    np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)): QType.parse(name.lower())
    for name, number in onnx.TensorProto.DataType.items()
    if _INTEGER_NAME.fullmatch(name)
}
"""By the dtype that the onnx package gives an element; that of 2 and 4 bits is ml_dtypes', with few operations."""
INT32 = QType(32, signed=True)
"""What a bias is stored as."""
SUPPORTED = "int2, int4, int8, int16 and their unsigned forms are supported"


def qtype_of(dtype: np.dtype[Any], name: str) -> QType:
    """The type of activations or weights; ``name`` is the tensor's, for the message."""
    if dtype not in QTYPES:
        raise Unsupported(f"{name!r} is {dtype}, and {SUPPORTED}")
    return QTYPES[dtype]


def is_integer(values: Array) -> bool:
    """Whether a constant's elements are integers of any width."""
    return values.dtype in QTYPES or values.dtype.kind in "iu"


def plain(values: Array) -> Array:
    """Integers of ONNX's narrow types as numpy's own; everything else as it is."""
    return values.astype(QTYPES[values.dtype].dtype) if values.dtype in QTYPES else values


def narrowed(qtype: QType, low: int, high: int) -> tuple[QType, bool]:
    """The narrowest type whose range a clamp to [``low``, ``high``] leaves, and whether it leaves all of that range.

    A symmetric range lacks the least integer: [-7, 7] are those of int4 but -8. A clamp to no type's range leaves
    ``qtype`` as it is.

    Examples
    --------
    >>> narrowed(QType(8, signed=True), -8, 7)[0], narrowed(QType(8, signed=False), 0, 15)[0]
    (QType(bits=4, signed=True, bipolar=False), QType(bits=4, signed=False, bipolar=False))
    """
    for bits in range(1, qtype.bits + 1):
        for signed in (True, False):
            narrow = QType(bits, signed)
            if qtype.holds(narrow) and high == narrow.max and low in (narrow.min, narrow.min + (signed and bits > 1)):
                return narrow, low == narrow.min
    return qtype, (low, high) == (qtype.min, qtype.max)


def element_qtype(number: int) -> QType | None:
    """The type that an ``output_dtype`` attribute means; None where it is not one of ``QTYPES``."""
    try:
        return QTYPES.get(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)))
    except KeyError:
        return None
