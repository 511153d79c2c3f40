"""How good a variant of a network is: only what differs from the base is computed again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.graph.batch import with_images
from accel.graph.execute import execute_node
from accel.graph.ir import Graph
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.encoding import FloatArray
from accel.numerics.error import ErrorSums
from accel.precision.variants import float_outputs
from accel.precision.walk import chunks, classes_of, share, walk
from accel.studies.sensitivity import Quality

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]


class Judge:
    """The float network's answers to some images, and the base's tensors on the way to its own.

    Attributes
    ----------
    float_top1
        Accuracy of the float network; None without labels.
    """

    def __init__(
        self, path: Path, base: Graph, images: FloatArray, labels: Labels | None, arithmetic: Arithmetic
    ) -> None:
        self.arithmetic, self.labels = arithmetic, labels
        self.truth = float_outputs(path, base, images)
        self.float_classes = classes_of(base, self.truth)
        self.float_top1 = share(self.float_classes, labels)
        self.parts = [(graph, walk(graph, part, arithmetic)) for graph, part in chunks(base, np.asarray(images))]
        self.nodes = {id(node) for node in base.nodes}

    def quality(self, graph: Graph) -> Quality:
        """Of a variant whose nodes are the base's own objects wherever it does the same."""
        output = graph.tensors[graph.outputs[0]]
        values = np.concatenate([self._output(graph, base, tensors) for base, tensors in self.parts])
        error = ErrorSums()
        error.add(values, None if output.qtype is None else output.encoding, self.truth)
        chosen = classes_of(graph, values)
        return Quality(error.error().sqnr_db, share(chosen, self.float_classes), share(chosen, self.labels))

    def _output(self, variant: Graph, base: Graph, tensors: Mapping[str, Array]) -> Array:
        """What the variant makes of one part of the images."""
        graph = with_images(variant, base.batch) if base.batch != variant.batch else variant
        fresh: dict[str, Array] = {}
        for node in graph.nodes:
            same_input = not any(name in fresh for name in node.inputs)
            if id(node) in self.nodes and same_input and graph.tensors[node.output] == base.tensors[node.output]:
                continue
            inputs = [fresh[name] if name in fresh else tensors[name] for name in node.inputs]
            fresh[node.output], _ = execute_node(graph, node, inputs, None, self.arithmetic)
        name = graph.outputs[0]
        return fresh[name] if name in fresh else tensors[name]
