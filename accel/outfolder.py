"""A folder that a command writes: whole or not at all, and never over somebody's other files."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from accel.errors import AccelError

_STAGE = ".accel-unfinished-"


@dataclass(frozen=True, slots=True)
class FolderKind:
    """What a command leaves in its folder.

    Names of files are relative to the folder. A folder inside counts by its files where it is one of ``folders``, and
    as one foreign thing otherwise.
    """

    holds: str
    """For messages, in the plural: ``results``."""
    record: str
    """The file that comes last and leaves first: a folder that has it is complete."""
    folders: tuple[str, ...]
    written: Callable[[Path], Collection[Path]]
    """Of a folder: the files that an earlier run wrote there. None where there is no sound record."""


@contextmanager
def stage(kind: FolderKind, out: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder on the disk that ``out`` is or will be on; it is gone afterwards.

    Parameters
    ----------
    out
        New, empty, or, with ``overwrite``, a folder that holds what an earlier run wrote and nothing else.

    Raises
    ------
    AccelError
        ``out`` is something else, or nothing can be written there.
    """
    _check_place(kind, out, overwrite)
    parent = out if out.is_dir() else out.parent
    folder = parent / f"{_STAGE}{secrets.token_hex(4)}"
    missing = [above for above in (parent, *parent.parents) if not above.exists()]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise unwritable(kind, out, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for above in missing:  # Parents made for nothing go again; with files in them they stay.
            with suppress(OSError):
                above.rmdir()


def publish(kind: FolderKind, folder: Path, out: Path) -> list[Path]:
    """Move a finished stage to its place; in a folder that exists already, file by file.

    That folder may be a mount point or someone's working directory, so it is not exchanged for another.

    Returns
    -------
    list of Path
        The files, the record last.
    """
    record = Path(kind.record)
    names = sorted(_entries(kind, folder), key=lambda name: (name == record, name))
    if folder.parent != out:
        folder.rename(out)
        return [out / name for name in names]
    for old in sorted(set(kind.written(out)).intersection(_entries(kind, out)), key=lambda name: name != record):
        (out / old).unlink()
    for inner in kind.folders:
        with suppress(OSError):  # Not there, or holding what came in the meantime.
            (out / inner).rmdir()
    for new in names:
        (out / new.parent).mkdir(exist_ok=True)
        (folder / new).replace(out / new)
    return [out / name for name in names]


def unwritable(kind: FolderKind, out: Path, error: OSError) -> AccelError:
    """What to say when the system refuses."""
    reason = error.strerror or str(error)
    return AccelError(
        f"{kind.holds} cannot be written here ({reason})", str(out), "name a folder that you may write to"
    )


def _check_place(kind: FolderKind, out: Path, overwrite: bool) -> None:
    another = f"name a new or an empty folder for the {kind.holds}"
    try:
        if out.is_dir():
            _check_contents(kind, out, overwrite, another)
        elif out.exists() or out.is_symlink():
            raise AccelError("this is not a folder", str(out), another)
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise AccelError(f"{parent} is not a folder", str(out), another)
    except OSError as error:
        raise unwritable(kind, out, error) from error


def _check_contents(kind: FolderKind, out: Path, overwrite: bool, another: str) -> None:
    """Only what an earlier run wrote may be replaced."""
    present, written = _entries(kind, out), set(kind.written(out))
    foreign = [name for name in present if name not in written]
    if foreign:
        names = ", ".join(str(name) for name in foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise AccelError(f"the folder holds files that are no {kind.holds} ({names})", str(out), another)
    if present and not overwrite:
        raise AccelError(
            f"the folder holds earlier {kind.holds}", str(out), "name another, or replace them: --overwrite"
        )


def _entries(kind: FolderKind, folder: Path) -> list[Path]:
    """What is in a folder; what a killed run left unfinished does not count."""
    found = []
    for path in sorted(folder.iterdir()):
        inner = path.name in kind.folders and path.is_dir() and not path.is_symlink()
        found += sorted(path.iterdir()) if inner else [path]
    return [path.relative_to(folder) for path in found if not path.name.startswith(_STAGE)]
