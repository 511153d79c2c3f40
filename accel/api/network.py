"""A quantized network as the public face hands it around, and the data that it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.errors import AccelError
from accel.graph.ir import Graph
from accel.graph.onnx import load_network as load_graph
from accel.inputs import input_images, read_labels
from accel.networks import companions, network_path

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A quantized network, and what the gallery ships with it."""

    name: str
    graph: Graph
    float_path: Path | None = None
    images: Array | None = None
    """(images, *input shape without the batch axis)."""
    labels: npt.NDArray[np.int64] | None = None


def load_network(name_or_path: str | Path) -> Network:
    """Load a quantized ONNX file, or a network of the gallery.

    Raises
    ------
    AccelError
        What is wrong with the file, or every node that is not supported.
    """
    path = network_path(name_or_path)
    graph = load_graph(path)
    extras = companions(name_or_path)
    if extras is None:
        return Network(f"{path.absolute().parent.name}/{path.stem}", graph)
    return Network(str(name_or_path), graph, extras.float_path, extras.images, extras.labels)


def images_and_labels(
    network: Network,
    inputs: Array | Path | None,
    labels: npt.NDArray[np.int64] | Path | None,
    images: int | None,
) -> tuple[Array, npt.NDArray[np.int64] | None, list[str]]:
    """The images to run, the class of each where it is known, and what was assumed."""
    data, notes = input_images(network.graph, inputs, network.images, images)
    if labels is not None and inputs is None and network.images is None:
        raise AccelError("labels are given without images", network.graph.path, "give the images with --input")
    graph = network.graph
    classes = graph.tensors[graph.outputs[0]].size // graph.batch
    truth = None if labels is None else read_labels(labels, len(data), classes)
    if truth is None and inputs is None and network.labels is not None:
        truth = network.labels[: len(data)]
    return data, truth, notes
