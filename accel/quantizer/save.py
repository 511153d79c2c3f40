"""A file that a command writes: whole or not at all, and never over another by accident."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from accel.errors import AccelError


@contextmanager
def output_file(out: Path, overwrite: bool, kind: str = ".onnx") -> Iterator[Path]:
    """A new file beside ``out`` that takes its place at the end, unless something goes wrong before.

    Entering it is the test whether there can be such a file, before any long work.

    Parameters
    ----------
    kind
        Of file, for messages.

    Raises
    ------
    AccelError
        ``out`` exists, is a folder, or cannot be written.
    """
    if out.is_dir():
        raise AccelError("this is a folder, not a file", str(out), f"name the {kind} file to write")
    if out.exists() and not overwrite:
        raise AccelError("the file exists already", str(out), "choose another name, or replace it: --overwrite")
    if not out.parent.is_dir():
        raise AccelError(f"there is no folder {out.parent}", str(out), "make it first")
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=".accel-unfinished-")
    except OSError as error:
        raise _unwritable(out, error) from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        try:
            partial.chmod(0o666 & ~_umask())
            partial.replace(out)
        except OSError as error:
            raise _unwritable(out, error) from error
    finally:
        partial.unlink(missing_ok=True)


def save(model: onnx.ModelProto, partial: Path, out: Path) -> None:
    """Write ``model`` into the file that ``output_file`` gave for ``out``."""
    try:
        partial.write_bytes(model.SerializeToString())
    except OSError as error:
        raise _unwritable(out, error) from error
    except ValueError as error:  # Beyond the 2 GB of a protobuf.
        raise AccelError(f"the network cannot be written ({error})", str(out)) from error


def _unwritable(out: Path, error: OSError) -> AccelError:
    reason = error.strerror or str(error)
    return AccelError(f"the file cannot be written here ({reason})", str(out), "name a file that you may write")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
