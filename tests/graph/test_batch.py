"""More images at a time: shapes change, integers do not."""

from __future__ import annotations

import numpy as np
import pytest

from accel.graph.batch import is_batchable, with_images
from accel.graph.execute import execute
from tests.networks import Builder, residual_network


def test_images_together_are_images_one_by_one() -> None:
    net = residual_network(seed=3)
    graph = net.graph(net.last)
    images = np.concatenate([net.data() for _ in range(3)])
    together = execute(with_images(graph, 3), {"x": images}).tensors[net.last]
    alone = [execute(graph, {"x": images[i : i + 1]}).tensors[net.last] for i in range(3)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert with_images(graph, 3).batch == 3


@pytest.mark.parametrize(("axis", "legal"), [(0, False), (-4, False), (1, True), (-3, True)])
def test_images_are_not_joined_along_their_own_axis(axis, legal) -> None:
    net = Builder()
    x = net.input(1, 2, 3, 3)
    joined = net.concat(x, x)
    graph = net.graph(joined)
    node = graph.nodes[0]
    object.__setattr__(node, "op", type(node.op)(axis))
    assert is_batchable(graph) == legal
    if not legal:
        with pytest.raises(ValueError, match="does not keep its images along the first axis"):
            with_images(graph, 2)


def test_rows_that_are_no_images() -> None:
    """Two images of three rows each as six rows."""
    net = Builder()
    x = net.input(2, 3, 4)
    net.tensors["rows"] = net.tensors[x].__class__("rows", (6, 4), net.qtype, net.tensors[x].scale)
    assert not is_batchable(net.graph("rows"))
