"""The file that a waveform goes to: there as a whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from accel.errors import AccelError


def check_wave_file(path: Path, suffixes: Sequence[str], overwrite: bool) -> None:
    """Refuse, before a long run, a file that could not be written after it.

    Raises
    ------
    AccelError
        The suffix names no format, the file is there already and may not be replaced, or its folder cannot be written.
    """
    if path.suffix.lower() not in suffixes:
        raise AccelError(
            f'"{path.suffix}" is no waveform format' if path.suffix else "a waveform's suffix says its format",
            str(path),
            f"legal are {' and '.join(suffixes)}",
        )
    stage = _stage(path, overwrite)
    stage.unlink(missing_ok=True)


@contextmanager
def wave_file(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes its place when the block is through; if it fails, nothing is left behind.

    Raises
    ------
    AccelError
        The file is there already and may not be replaced, or it cannot be written.
    """
    stage = _stage(path, overwrite)
    try:
        with stage.open("wb") as file:
            yield file
        stage.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        stage.unlink(missing_ok=True)


def _stage(path: Path, overwrite: bool) -> Path:
    """A new empty file beside ``path``."""
    stage = path.with_name(f".accel-unfinished-{secrets.token_hex(4)}")
    try:
        if path.is_dir():
            raise AccelError("this is a folder", str(path), "name a file in it")
        if not overwrite and (path.exists() or path.is_symlink()):
            raise AccelError("the file exists already", str(path), "name another, or replace it: --overwrite")
        stage.touch(exist_ok=False)
    except OSError as error:
        raise _unwritable(path, error) from error
    return stage


def _unwritable(path: Path, error: OSError) -> AccelError:
    reason = error.strerror or str(error)
    return AccelError(f"the waveform cannot be written here ({reason})", str(path), "name a file in a folder of yours")
