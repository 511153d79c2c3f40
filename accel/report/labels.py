"""Where labels go so that they hide neither points nor each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_DIRECTIONS = 16
_RINGS = 14
_RING_STEP_PT = 4.0
_NOTHING_PT2 = 1e-6


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its centre and its extent, in typographic points."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Area that two boxes share."""
        return _shared(self.x, self.width, other.x, other.width) * _shared(self.y, self.height, other.y, other.height)

    def outside(self, field: Box) -> float:
        """Area that is not in ``field``."""
        return self.width * self.height - self.overlap(field)


def place_labels(
    points: Sequence[Box], labels: Sequence[tuple[float, float]], field: Box, obstacles: Sequence[Box] = ()
) -> list[Box]:
    """One box a label, near its point: for each in turn the nearest that hides nothing, or else the least.

    Parameters
    ----------
    points
        The markers.
    labels
        Width and height of each marker's label, in points.
    field
        The area that no label may leave.
    obstacles
        What else should not be hidden.
    """
    placed: list[Box] = []
    for point, (width, height) in zip(points, labels, strict=True):
        taken = [*points, *obstacles, *placed]
        placed.append(_best(list(_around(point, width, height)), taken, field))
    return placed


def _best(candidates: Sequence[Box], taken: Sequence[Box], field: Box) -> Box:
    def hidden(box: Box) -> float:
        return sum(map(box.overlap, taken)) + box.outside(field)

    free = (box for box in candidates if hidden(box) < _NOTHING_PT2)
    return next(free, None) or min(candidates, key=hidden)


def _around(point: Box, width: float, height: float) -> Iterator[Box]:
    """Boxes all around the marker, from its right; then further and further out."""
    for ring in range(_RINGS):
        for direction in range(_DIRECTIONS):
            angle = 2 * math.pi * direction / _DIRECTIONS
            reach_x = (point.width + width) / 2 + 1.0 + ring * _RING_STEP_PT
            reach_y = (point.height + height) / 2 + 1.0 + ring * _RING_STEP_PT
            yield Box(point.x + reach_x * math.cos(angle), point.y + reach_y * math.sin(angle), width, height)


def _shared(a: float, a_extent: float, b: float, b_extent: float) -> float:
    return max(min(a + a_extent / 2, b + b_extent / 2) - max(a - a_extent / 2, b - b_extent / 2), 0.0)
