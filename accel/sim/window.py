"""A window in the activation buffer that holds a few rows of a tensor: each row where one lay before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accel.flow.ir import Region, Shape4
from accel.graph.ir import Tensor
from accel.mapping.residency import Kept

Array = npt.NDArray[Any]


class Window:
    """Rows of all images one behind the other, as ``accel.mapping.window`` counts them; row ``r`` lies at ``r % rows``.

    What has been overwritten is gone: a reader that comes too late gets other rows' integers.
    """

    def __init__(self, kept: Kept) -> None:
        assert kept.rows is not None
        self.rows = kept.rows
        self.reader = kept.last
        self.height = 0
        self.space: Array | None = None

    def write(self, box: Region, values: Array, shape: Shape4, tensor: Tensor) -> None:
        """Put a box (b, c, h, w) of the tensor, which is of ``shape``."""
        _, channels, self.height, width = shape
        if self.space is None:
            self.space = np.empty((channels, self.rows, width), tensor.dtype)
        _, (c0, c1), _, (w0, w1) = box
        self.space[c0:c1, self._slots(box), w0:w1] = values[0]

    def read(self, box: Region) -> Array:
        """What lies where a box's rows should be."""
        assert self.space is not None
        _, (c0, c1), _, (w0, w1) = box
        return self.space[None, c0:c1, self._slots(box), w0:w1]

    def overlap(self, box: Region, other: Region) -> bool:
        """Whether rows of two boxes lie at the same places."""
        return bool(np.intersect1d(self._slots(box), self._slots(other)).size)

    def _slots(self, box: Region) -> npt.NDArray[np.int64]:
        (image, _), _, (low, high), _ = box
        return (image * self.height + np.arange(low, high)) % self.rows
