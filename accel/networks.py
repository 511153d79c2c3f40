"""The gallery of networks: what there is, where the shipped files are, and how the others are made."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.gallery import workloads_dir

if TYPE_CHECKING:
    import onnx

__all__ = ["Companions", "NetworkFile", "NetworkInfo", "companions", "make", "network_path", "networks", "with_batch"]

_RECIPES_PACKAGE = "_intaccel_workloads"
_INPUT_FILE = "input.npy"


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """One form of a network."""

    name: str
    precision: str
    """Activations x weights, or ``float32``."""
    form: str
    """``QOperator``, ``QDQ`` or ``float``."""
    top1: float | None
    """Fraction of the shipped test images that onnxruntime names rightly with it; None for seeded weights."""


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """One network of the gallery."""

    name: str
    description: str
    input_shape: tuple[int, ...]
    """(batch, channels, height, width)."""
    macs: int
    """Multiply-accumulates of its convolutions and fully connected layers for one image."""
    weights: int
    """Their weights, biases not counted."""
    files: tuple[NetworkFile, ...]
    default_file: str
    """The file that the bare name stands for."""
    folder: Path | None
    """Where its files ship; None: they are made by ``make``."""

    def file(self, name: str) -> Path:
        """The path of a shipped file."""
        if self.folder is None:
            raise AccelError(
                f"the files of '{self.name}' are not shipped",
                "",
                f"make them with 'accel networks make {self.name} --out {self.name}', "
                f"then name {self.name}/{self.default_file}",
            )
        if name not in (file.name for file in self.files):
            legal = ", ".join(f"{self.name}/{file.name}" for file in self.files)
            raise AccelError(f"'{self.name}' has no file '{name}'", "", f"there are {legal}")
        return self.folder / name


@dataclass(frozen=True, slots=True, eq=False)
class Companions:
    """What ships with a trained network."""

    float_path: Path
    images: npt.NDArray[np.float32]
    """(images, channels, height, width)."""
    labels: npt.NDArray[np.int64]
    """(images,): the right class of each."""


def networks() -> list[NetworkInfo]:
    """Every network of the gallery, the shipped ones first."""
    root = workloads_dir()
    gallery = json.loads((root / "gallery.json").read_text(encoding="utf-8"))
    infos = []
    for entry in gallery["networks"]:
        correct = entry.get("correct", {})
        files = tuple(
            NetworkFile(name, **kind, top1=correct[name] / entry["test_images"] if name in correct else None)
            for name, kind in gallery["files"].items()
        )
        infos.append(
            NetworkInfo(
                name=entry["name"],
                description=entry["description"],
                input_shape=tuple(entry["input_shape"]),
                macs=entry["macs"],
                weights=entry["weights"],
                files=files,
                default_file=gallery["default"],
                folder=root / entry["folder"] if "folder" in entry else None,
            )
        )
    return infos


def network_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The ONNX file that a user means.

    Parameters
    ----------
    name_or_path
        A file; a network of the gallery that ships (``digits-resnet8``: its default file); or one file of such a
        network (``digits-resnet8/uint8.onnx``).

    Raises
    ------
    AccelError
        There is no such file and no such network, or the network has to be made first.
    """
    text = os.fspath(name_or_path)
    if Path(text).is_file():
        return Path(text)
    name, _, file = text.partition("/")
    info = _find(name)
    if info is not None:
        return info.file(file or info.default_file)
    if Path(text).is_dir():
        raise AccelError("this is a folder, not a network", text, "name the .onnx file in it")
    if file or text.endswith(".onnx"):
        raise AccelError("there is no such file", text, "name an .onnx file, or a network of the gallery")
    raise _unknown(name)


def companions(name_or_path: str | os.PathLike[str]) -> Companions | None:
    """Float network and labelled test images of a network that ships; None for any other.

    Examples
    --------
    >>> companions("digits-resnet8").images.shape
    (360, 1, 16, 16)
    """
    text = os.fspath(name_or_path)
    info = None if Path(text).is_file() else _find(text.partition("/")[0])
    if info is None or info.folder is None:
        return None
    with np.load(info.folder / "images.npz", allow_pickle=False) as data:
        return Companions(info.folder / "float.onnx", data["images"], data["labels"])


def make(
    name: str,
    out: str | os.PathLike[str],
    *,
    tail: Literal["pool", "mean"] = "pool",
    progress: Callable[[str], None] = lambda _: None,
    overwrite: bool = False,
) -> list[Path]:
    """Make a network of the gallery: float, int8 and uint8 files (QOperator and QDQ), and an input.

    A shipped network's files are copied; the others come from seeded weights and onnxruntime's quantizer. The float
    network has the same bytes on every machine, the rest on every machine where onnxruntime's sums are the same.

    Parameters
    ----------
    name
        A network of the gallery.
    out
        The folder to make, or an existing one.
    tail
        How global average pooling is written: ``pool`` is GlobalAveragePool + Flatten, ``mean`` is ReduceMean +
        Reshape. A shipped network has the former.
    progress
        Called with one line at each step.
    overwrite
        Replace files that exist.

    Returns
    -------
    list of Path
        The files, which appear in ``out`` only once all are complete.

    Raises
    ------
    AccelError
        Unknown name, a file that exists, or a folder that cannot be written.
    """
    info = _find(name)
    if info is None:
        raise _unknown(name)
    folder = Path(out)
    targets = [folder / file for file in (*(file.name for file in info.files), _INPUT_FILE)]
    taken = next((path for path in targets if path.exists()), None)
    if taken is not None and not overwrite:
        raise AccelError("the file exists already", str(taken), "choose another folder, or replace it: --overwrite")
    try:
        _write_all_or_none(info, folder, targets, tail, progress)
    except OSError as error:
        raise AccelError(
            f"the network cannot be written: {error.strerror or error}",
            str(folder),
            "name a folder that can be written",
        ) from error
    return targets


def with_batch(model: onnx.ModelProto, images: int) -> onnx.ModelProto:
    """The same network for another batch size.

    The first axis of the graph's inputs and outputs becomes ``images``, and so does the first entry of every
    constant shape that a Reshape reads and that begins with the old batch size.

    Raises
    ------
    AccelError
        ``images`` is not positive, or the network's inputs have no common fixed batch size.
    """
    import onnx
    from onnx import numpy_helper

    if images < 1:
        raise AccelError(f"the batch size is {images}", model.graph.name, "legal are 1 and more")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    shapes = [value.type.tensor_type.shape.dim for value in inputs]
    batches = {dims[0].dim_value if dims else 0 for dims in shapes}
    if len(batches) != 1 or 0 in batches:
        raise AccelError("the inputs have no common fixed batch size", graph.name, "export it with one")
    (before,) = batches
    for value in (*inputs, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = images
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            if len(shape) and shape[0] == before:
                shape[0] = images
                constants[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
    return result


def _write_all_or_none(
    info: NetworkInfo, folder: Path, targets: list[Path], tail: str, progress: Callable[[str], None]
) -> None:
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as partial:
            _write(info, Path(partial), tail, progress)
            for target in targets:
                os.replace(Path(partial) / target.name, target)
    except BaseException:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _write(info: NetworkInfo, folder: Path, tail: str, progress: Callable[[str], None]) -> None:
    extras = companions(info.name)
    if info.folder is None or extras is None:
        _recipes().make(info.name, folder, tail, progress)
        return
    progress(f"copying the files of {info.name}")
    for file in info.files:
        shutil.copyfile(info.folder / file.name, folder / file.name)
    np.save(folder / _INPUT_FILE, extras.images[:1])


def _recipes() -> ModuleType:
    """The recipes are data, outside the import package: load their folder as a package under a private name."""
    root = workloads_dir()
    if _RECIPES_PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            _RECIPES_PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[_RECIPES_PACKAGE] = package
        spec.loader.exec_module(package)
    return import_module(f"{_RECIPES_PACKAGE}.recipes")


def _find(name: str) -> NetworkInfo | None:
    return next((info for info in networks() if info.name == name), None)


def _unknown(name: str) -> AccelError:
    names = [info.name for info in networks()]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"the gallery has {', '.join(names)}"
    return AccelError(f"'{name}' is neither a file nor a network of the gallery", "", hint)
