"""Calibration images: an array, a .npy file, or a .npz file; checked before anything runs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.inputs import read_npy
from accel.numerics.encoding import FloatArray

_KEY = "images"
_HINT = "write it with numpy.save or numpy.savez"


def read_images(given: npt.NDArray[Any] | Path) -> FloatArray:
    """The images as float32, several along the first axis.

    A .npz file holds one array, or one that is called ``images``.

    Raises
    ------
    AccelError
        No such file, not an array, no float32, no image, NaN or infinity.
    """
    where = str(given) if isinstance(given, Path) else "the calibration images"
    values = given if not isinstance(given, Path) else _read_npz(given) if _is_zip(given) else read_npy(given)
    if values.dtype != np.float32:
        raise AccelError(f"the type is {values.dtype}", where, "calibration images are float32, scaled as in training")
    shape = "x".join(map(str, values.shape)) or "a single number"
    if values.ndim < 2 or not values.size:
        raise AccelError(f"the shape is {shape}", where, "give at least one image, images along the first axis")
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise AccelError(f"{bad} of {values.size} values are NaN or infinite", where, "give finite numbers")
    return np.asarray(values, np.float32)


def image_batches(images: FloatArray, shape: tuple[int, ...], name: str, where: str) -> list[FloatArray]:
    """The images in batches of the network's input shape.

    Raises
    ------
    AccelError
        They do not fit the input, or do not fill the last batch.
    """
    batch, *rest = shape
    if list(images.shape[1:]) != rest or len(images) % batch:
        found, legal = "x".join(map(str, images.shape)), "x".join(map(str, ("N", *rest)))
        count = f"N a multiple of the batch size {batch}" if batch > 1 else "N images"
        raise AccelError(f"the shape is {found}", where, f"{name} takes {legal}, {count}")
    return [np.ascontiguousarray(images[start : start + batch]) for start in range(0, len(images), batch)]


def _is_zip(path: Path) -> bool:
    try:
        return path.is_file() and zipfile.is_zipfile(path)
    except OSError:
        return False


def _read_npz(path: Path) -> npt.NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            if len(names) != 1 and _KEY not in names:
                found = ", ".join(names) or "none"
                raise AccelError(
                    f"it holds {len(names)} arrays ({found})", str(path), f"keep one, or call the images {_KEY!r}"
                )
            return np.asarray(archive[_KEY if _KEY in names else names[0]])
    except MemoryError:
        raise AccelError("the array is larger than the memory there is", str(path), "give fewer images") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise AccelError(f"the .npz file is damaged ({error})", str(path), _HINT) from None
