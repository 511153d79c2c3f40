"""The result folder: everything a run leaves behind, written whole or not at all."""

from __future__ import annotations

import json
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.report.csv import layers_csv, occupancy_csv
from accel.report.html import html_page
from accel.result import Result

_RECORD = "result.json"
_PLOTS = "plots"
_FILES = (_RECORD, "layers.csv", "occupancy.csv", "report.html", "outputs.npz")
_PLOT_SUFFIXES = (".png", ".svg")
_STAGE = ".accel-unfinished-"
_NAME_ANOTHER = "name a new or an empty folder for the results"

Arrays = Mapping[str, npt.NDArray[Any]]


def check_writable(out: Path, overwrite: bool = False) -> None:
    """Refuse, before a long run, a folder that ``write_results`` would refuse after it.

    Parameters
    ----------
    out
        The result folder: new, empty, or, with ``overwrite``, one that holds earlier results and nothing else.
    overwrite
        Whether earlier results may be replaced.

    Raises
    ------
    AccelError
        ``out`` is no folder, its parent does not exist, nothing can be written there, or it holds other files.
    """
    with _stage(out, overwrite):
        pass


def write_results(
    result: Result, out: Path, plots: bool = True, arrays: Arrays | None = None, overwrite: bool = False
) -> list[Path]:
    """Write a result's record, its rows, its page, plots and output integers into the folder ``out``.

    That is ``result.json``, ``layers.csv``, ``occupancy.csv``, ``report.html``, ``plots/`` and ``outputs.npz``.

    The files are made in a folder of their own first and moved when all are there. A run that fails or is stopped
    leaves ``out`` as it was.

    Parameters
    ----------
    result
        The record.
    out
        The folder, under the conditions of ``check_writable``. Its parent must exist.
    plots
        Whether to draw ``plots/*.png`` and ``plots/*.svg``, and the page's figures.
    arrays
        Output tensor -> its integers, for ``outputs.npz``.
    overwrite
        Whether earlier results in ``out`` may be replaced.

    Returns
    -------
    list of Path
        The files, ``result.json`` last.

    Raises
    ------
    AccelError
        As ``check_writable``, and when writing fails (a full disk, say).
    """
    with _stage(out, overwrite) as stage:
        try:
            _fill(stage, result, plots, arrays or {})
            return [out / name for name in _publish(stage, out)]
        except OSError as error:
            raise _unwritable(out, error) from error


def _fill(folder: Path, result: Result, plots: bool, arrays: Arrays) -> None:
    drawings: dict[str, str] = {}
    if plots:
        from accel.report.plots import save_plots

        files = save_plots(result, folder / _PLOTS)
        drawings = {path.stem: path.read_text(encoding="utf-8") for path in files if path.suffix == ".svg"}
    if arrays:
        _write_arrays(folder / "outputs.npz", arrays)
    (folder / "layers.csv").write_text(layers_csv(result), encoding="utf-8")
    if result.occupancy:
        (folder / "occupancy.csv").write_text(occupancy_csv(result), encoding="utf-8")
    (folder / "report.html").write_text(html_page(result, drawings), encoding="utf-8")
    (folder / _RECORD).write_text(result.to_json() + "\n", encoding="utf-8")


def _write_arrays(path: Path, arrays: Arrays) -> None:
    """For ``numpy.load``. Unlike ``numpy.savez``, any tensor name will do, and equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def _stage(out: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder on the disk that ``out`` is or will be on; it is gone afterwards."""
    _check_place(out, overwrite)
    parent = out if out.is_dir() else out.parent
    stage = parent / f"{_STAGE}{secrets.token_hex(4)}"
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        stage.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        for folder in missing:  # Parents made for nothing go again; with results in them they stay.
            with suppress(OSError):
                folder.rmdir()


def _check_place(out: Path, overwrite: bool) -> None:
    try:
        if out.is_dir():
            _check_contents(out, overwrite)
        elif out.exists() or out.is_symlink():
            raise AccelError("this is not a folder", str(out), _NAME_ANOTHER)
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise AccelError(f"{parent} is not a folder", str(out), _NAME_ANOTHER)
    except OSError as error:
        raise _unwritable(out, error) from error


def _check_contents(out: Path, overwrite: bool) -> None:
    """Only what an earlier run wrote may be replaced: a folder that holds anything else is not a result folder."""
    present = _entries(out)
    foreign = [name for name in present if not _is_ours(name)] if _is_record(out / _RECORD) else present
    if foreign:
        names = ", ".join(str(name) for name in foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise AccelError(f"the folder holds files that are no results ({names})", str(out), _NAME_ANOTHER)
    if present and not overwrite:
        raise AccelError("the folder holds earlier results", str(out), "name another, or replace them: --overwrite")


def _entries(folder: Path) -> list[Path]:
    """What is in a folder and in its plots, relative to it; what a killed run left unfinished does not count."""
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(_STAGE)]
    plots = folder / _PLOTS
    if plots.is_dir() and not plots.is_symlink():
        entries.remove(plots)
        entries += sorted(plots.iterdir())
    return [path.relative_to(folder) for path in entries]


def _is_ours(name: Path) -> bool:
    return str(name) in _FILES or (name.parent == Path(_PLOTS) and name.suffix in _PLOT_SUFFIXES)


def _is_record(path: Path) -> bool:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and {"network", "machine", "layers", "totals"} <= record.keys()


def _publish(stage: Path, out: Path) -> list[Path]:
    """Move a finished stage to its place; in a folder that exists already, file by file.

    That folder may be a mount point or someone's working directory, so it is not exchanged for another. The record
    leaves first and comes last: a folder that holds it is complete.
    """
    names = sorted(_entries(stage), key=lambda name: (name == Path(_RECORD), name))
    if stage.parent != out:
        stage.rename(out)
        return names
    for old in sorted(filter(_is_ours, _entries(out)), key=lambda name: name != Path(_RECORD)):
        (out / old).unlink()
    with suppress(OSError):  # Not there, or holding what came in the meantime.
        (out / _PLOTS).rmdir()
    for new in names:
        (out / new.parent).mkdir(exist_ok=True)
        (stage / new).replace(out / new)
    return names


def _unwritable(out: Path, error: OSError) -> AccelError:
    reason = error.strerror or str(error)
    return AccelError(f"results cannot be written here ({reason})", str(out), "name a folder that you may write to")
