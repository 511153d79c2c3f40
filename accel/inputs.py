"""Images and labels from files or arrays, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.graph.ir import Graph, Tensor

Array = npt.NDArray[np.generic]

_SEED = 2021
_RANDOM_NOTE = "no input was given, so it is seeded random numbers; cycles and average energy do not depend on it"


def input_images(
    graph: Graph, given: Array | Path | None, shipped: Array | None, limit: int | None = None
) -> tuple[Array, list[str]]:
    """The images to run, batches along the first axis, and notes on what was assumed.

    Parameters
    ----------
    graph
        As the file has it; says shape, type and range.
    given
        What the user gave; None to take ``shipped``, or else seeded random numbers.
    limit
        At most so many images.

    Raises
    ------
    AccelError
        Wrong shape, type or range, NaN or infinity, a file that cannot be read.
    """
    tensor = _only_input(graph)
    if given is None and shipped is None:
        if limit is not None and limit != tensor.shape[0]:
            raise AccelError(
                f"{limit} images are asked for, and no input is given", graph.path, "give one with --input"
            )
        return _random(tensor), [_RANDOM_NOTE]
    where = str(given) if isinstance(given, Path) else "the input"
    data = shipped if given is None else read_npy(given) if isinstance(given, Path) else given
    assert data is not None
    data = _checked(data, tensor, where)
    batch = tensor.shape[0]
    if limit is not None:
        if limit % batch or limit > len(data):
            raise AccelError(
                f"{limit} images are asked for, and there are {len(data)}, {batch} in a batch",
                where,
                f"ask for a multiple of {batch} up to {len(data)}",
            )
        data = data[:limit]
    return data, []


def image_batches(graph: Graph, data: Array) -> list[Array]:
    """Cut images into batches of the network's size."""
    batch = graph.batch
    return [data[start : start + batch] for start in range(0, len(data), batch)]


def read_labels(given: npt.NDArray[np.int64] | Path, images: int, classes: int) -> npt.NDArray[np.int64]:
    """The class of each image; labels beyond the images that run are left out.

    Raises
    ------
    AccelError
        Not a list of integers, fewer than there are images, or no class of the network.
    """
    where = str(given) if isinstance(given, Path) else "the labels"
    values = read_npy(given) if isinstance(given, Path) else np.asarray(given)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise AccelError(f"labels are {values.dtype} of shape {values.shape}", where, "give one integer for each image")
    if len(values) < images:
        raise AccelError(f"there are {len(values)} labels for {images} images", where, "give one for each image")
    if int(values.min()) < 0 or int(values.max()) >= classes:
        raise AccelError(
            f"labels reach from {values.min()} to {values.max()}", where, f"the network has classes 0 to {classes - 1}"
        )
    return values[:images].astype(np.int64)


def read_npy(path: Path) -> Array:
    """Read an array; files that would run code when loaded (pickles) are refused.

    Raises
    ------
    AccelError
        Missing, not a .npy file, damaged, or holding Python objects.
    """
    hint = "write it with numpy.save"
    try:
        with path.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            if magic != b"\x93NUMPY":
                raise AccelError("not a .npy file", str(path), hint)
            values = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise AccelError("no such file", str(path), hint) from None
    except IsADirectoryError:
        raise AccelError("a folder, not a .npy file", str(path), hint) from None
    except OSError as error:
        raise AccelError(f"cannot be read ({error.strerror or error})", str(path), hint) from None
    except MemoryError:
        raise AccelError("the array is larger than the memory there is", str(path), "give fewer images") from None
    except ValueError as error:
        if "Object arrays" in str(error):
            raise AccelError(
                "the array holds pickled Python objects", str(path), "save an array of numbers instead"
            ) from None
        raise AccelError(f"the .npy file is damaged ({error})", str(path), hint) from None
    return np.asarray(values)


def _only_input(graph: Graph) -> Tensor:
    if len(graph.inputs) != 1:
        raise AccelError(
            f"the network has {len(graph.inputs)} inputs ({', '.join(graph.inputs)})",
            graph.path,
            "networks with one input can be run",
        )
    return graph.tensors[graph.inputs[0]]


def _checked(data: Array, tensor: Tensor, where: str) -> Array:
    batch, *rest = tensor.shape
    if data.ndim != len(tensor.shape) or list(data.shape[1:]) != rest or not len(data) or len(data) % batch:
        legal = "x".join(map(str, ("N", *rest)))
        images = f"N a multiple of the batch size {batch}" if batch > 1 else "N images"
        found = "x".join(map(str, data.shape)) or "a single number"
        raise AccelError(f"the shape is {found}", where, f"{tensor.name} takes {legal}, {images}")
    if tensor.qtype is None:
        if data.dtype.kind != "f":
            raise AccelError(f"the type is {data.dtype}", where, f"{tensor.name} takes float32, scaled as in training")
        with np.errstate(over="ignore"):
            values = data.astype(np.float32)
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise AccelError(
                f"{bad} of {data.size} values are NaN, infinite or beyond float32", where, "give finite numbers"
            )
        return values
    low, high = tensor.qtype.min + tensor.file_offset, tensor.qtype.max + tensor.file_offset
    if data.dtype.kind not in "iu":
        raise AccelError(f"the type is {data.dtype}", where, f"{tensor.name} takes integers from {low} to {high}")
    if int(data.min()) < low or int(data.max()) > high:
        raise AccelError(
            f"values reach from {data.min()} to {data.max()}", where, f"{tensor.name} takes {low} to {high}"
        )
    return data.astype(tensor.qtype.dtype)


def _random(tensor: Tensor) -> Array:
    rng = np.random.default_rng(_SEED)
    if tensor.qtype is None:
        return rng.standard_normal(tensor.shape, np.float32)
    return rng.integers(tensor.qtype.min, tensor.qtype.max, tensor.shape, endpoint=True, dtype=tensor.qtype.dtype)
