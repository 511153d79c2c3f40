"""Compiled hardware in the user's cache folder: found by what it was made from, and never there by half."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from accel.errors import AccelError

_KEPT_FILES = 512


def key_of(*parts: str) -> str:
    """A file name for what these texts, in this order, lead to."""
    lengths_and_parts = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(lengths_and_parts.encode()).hexdigest()[:32]


def cached(name: str) -> Path | None:
    """The file of this name, if it is there; that it was wanted again is noted, so that it stays."""
    path = _folder() / name
    try:
        os.utime(path)
    except FileNotFoundError:
        return None
    except OSError:  # Somebody else's cache, which may be read.
        return path if path.is_file() else None
    return path


def keep(source: Path, name: str) -> Path:
    """Copy a file into the cache. It appears there whole or not at all, whoever else does the same.

    Raises
    ------
    AccelError
        The cache folder cannot be written.
    """
    folder = writable_folder()
    unfinished = folder / f".{name}-{secrets.token_hex(4)}"
    try:
        shutil.copy(source, unfinished)
        unfinished.replace(folder / name)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        unfinished.unlink(missing_ok=True)
    _drop_oldest(folder)
    return folder / name


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time makes the file of this name; the others wait, and then find it.

    The system takes the lock off a process that dies. Where it has no such locks everybody makes the file, which
    takes longer and does no harm.
    """
    folder = writable_folder()
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        lock = (folder / f"{name}.lock").open("w")
    except OSError as error:
        raise _unwritable(folder, error) from error
    with lock:
        with suppress(OSError):  # A file system without locks.
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def writable_folder() -> Path:
    """The cache folder; made when it is not there.

    Raises
    ------
    AccelError
        It cannot be made or written.
    """
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(folder, PermissionError(13, "Permission denied"))
    return folder


def _folder() -> Path:
    return user_cache_path("accel", appauthor=False) / "rtl"


def _drop_oldest(folder: Path) -> None:
    """Files that nobody has wanted for the longest time go, so that the cache does not grow for ever."""
    with suppress(OSError):
        files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[_KEPT_FILES:]:
            path.unlink(missing_ok=True)


def _unwritable(folder: Path, error: OSError) -> AccelError:
    return AccelError(
        f"compiled hardware cannot be kept here ({error.strerror or error})",
        str(folder),
        "set XDG_CACHE_HOME to a folder that you may write to",
    )
