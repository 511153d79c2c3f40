"""An ONNX file, read and checked for everything that does not depend on what its nodes mean."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from accel.errors import AccelError

_OLDEST_OPSET = 10
"""QuantizeLinear and QLinearConv begin here."""


def read_model(path: Path) -> onnx.ModelProto:
    """Parse the file, with its external data.

    Raises
    ------
    AccelError
        The file is missing, empty, not ONNX, cut short, too new, too old, or lacks its external data.
    """
    model = _parse(_read(path), str(path))
    _check_versions(model, str(path))
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        missing = sorted({location for location in _external_files(model) if not (path.parent / location).is_file()})
        found = f"its external data {', '.join(missing)} is missing" if missing else f"its external data: {error}"
        raise AccelError(found, str(path), "keep the data file beside the .onnx file") from None
    return model


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise AccelError("is a directory", str(path), "name the .onnx file in it")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise AccelError("no such file", str(path)) from None
    except OSError as error:
        raise AccelError(f"cannot be read ({error.strerror})", str(path)) from None
    if not data:
        raise AccelError("is empty", str(path))
    return data


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        model = onnx.ModelProto()
    if not model.HasField("graph") or not model.ir_version:
        raise AccelError(
            f"is not an ONNX model, or is cut short ({len(data)} bytes)", where, "export or copy the file again"
        )
    return model


def _check_versions(model: onnx.ModelProto, where: str) -> None:
    if model.ir_version > onnx.IR_VERSION:
        raise AccelError(
            f"has IR version {model.ir_version}, and onnx {onnx.__version__} reads up to {onnx.IR_VERSION}",
            where,
            "upgrade onnx, or set model.ir_version lower and save again",
        )
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset is None:
        raise AccelError("names no version of the standard operators", where, "export the file again")
    newest = onnx.defs.onnx_opset_version()
    if not _OLDEST_OPSET <= opset <= newest:
        raise AccelError(
            f"has opset {opset}, and {_OLDEST_OPSET} to {newest} are supported",
            where,
            "convert it with onnx.version_converter.convert_version",
        )


def _external_files(model: onnx.ModelProto) -> list[str]:
    return [
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    ]
