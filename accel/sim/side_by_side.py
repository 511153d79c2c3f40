"""Groups of a convolution side by side in the array: each has rows and columns of its own, and zeros lie elsewhere.

Along k, the groups' channels take turns as they do in the image: positions are (kh, kw, group, c). So the array sees
a convolution of all the groups' channels whose weights are block diagonal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def block_diagonal(weights: Array, channels: int) -> Array:
    """(groups, k, n) weights, each group's k over (kh, kw, c), as one matrix (groups * k, groups * n).

    Examples
    --------
    >>> block_diagonal(np.array([[[1], [2]], [[3], [4]]]), channels=1).tolist()
    [[1, 0], [0, 3], [2, 0], [0, 4]]
    """
    groups, k, n = weights.shape
    if groups == 1:
        single: Array = weights[0]
        return single
    matrix = np.zeros((k // channels, groups, channels, groups, n), weights.dtype)
    for group in range(groups):
        matrix[:, group, :, group] = weights[group].reshape(k // channels, channels, n)
    return matrix.reshape(groups * k, groups * n)


def side_by_side(sums: Array, groups_at_once: int) -> Array:
    """(groups, pixels, channels) as (blocks, pixels, groups_at_once * channels), zeros behind the last group."""
    if groups_at_once == 1:
        return sums
    groups, pixels, channels = sums.shape
    blocks = -(-groups // groups_at_once)
    whole = np.zeros((blocks * groups_at_once, pixels, channels), sums.dtype)
    whole[:groups] = sums
    beside = whole.reshape(blocks, groups_at_once, pixels, channels).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(beside).reshape(blocks, pixels, groups_at_once * channels)


def apart(sums: Array, groups_at_once: int, groups: int) -> Array:
    """``side_by_side`` undone: (blocks, pixels, groups_at_once * channels) as (groups, pixels, channels)."""
    if groups_at_once == 1:
        return sums
    blocks, pixels, wide = sums.shape
    single = sums.reshape(blocks, pixels, groups_at_once, wide // groups_at_once).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(single).reshape(blocks * groups_at_once, pixels, -1)[:groups]
