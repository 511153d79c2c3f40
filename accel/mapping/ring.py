"""A buffer that tiles pass through: where each lies, and what must let go of a place before it is filled again."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Held:
    """A tile in the buffer."""

    key: Hashable
    offset: int
    size_bytes: int
    loads: tuple[int, ...] = ()
    """The instructions that bring it."""
    readers: list[int] = field(default_factory=list)
    """The instructions that use it."""

    @property
    def end(self) -> int:
        """One past its last byte."""
        return self.offset + self.size_bytes


class Ring:
    """Tiles one behind another, from the front again where the end is too near; the oldest in the way are forgotten.

    Without double buffering a tile has the whole buffer for itself, until its last reader is done with it.
    """

    def __init__(self, capacity_bytes: int, double_buffered: bool) -> None:
        self.capacity_bytes = capacity_bytes
        self.double_buffered = double_buffered
        self.held: dict[Hashable, Held] = {}
        self.places: list[Held] = []
        """What lies where: tiles, and what is left of forgotten ones, which somebody may still be reading."""
        self.next_offset = 0

    def limit(self, capacity_bytes: int) -> None:
        """Forget everything, and use only so many bytes from now on."""
        self.capacity_bytes, self.held, self.places, self.next_offset = capacity_bytes, {}, [], 0

    def room_for(self, size_bytes: int) -> None:
        """So many bytes of tiles follow that are read again and again: keep them in one stretch, if they fit."""
        if self.next_offset + size_bytes > self.capacity_bytes >= size_bytes:
            self.next_offset = 0

    def find(self, key: Hashable) -> Held | None:
        """The tile, if it is still there."""
        return self.held.get(key)

    def claim(self, key: Hashable, size_bytes: int) -> tuple[Held, tuple[int, ...]]:
        """A place for a tile, and the readers that must have let go of it before."""
        assert size_bytes <= self.capacity_bytes
        if not self.double_buffered or self.next_offset + size_bytes > self.capacity_bytes:
            self.next_offset = 0
        tile = Held(key, self.next_offset, size_bytes)
        taken = tile if self.double_buffered else Held(key, 0, self.capacity_bytes)
        in_the_way = [other for other in self.places if other.offset < taken.end and taken.offset < other.end]
        for other in in_the_way:
            self.places.remove(other)
            self.places += _rests(other, taken)
            self.held.pop(other.key, None)
        self.held[key] = tile
        self.places.append(tile)
        self.next_offset = tile.end
        return tile, tuple(sorted({reader for other in in_the_way for reader in other.readers}))


def _rests(tile: Held, taken: Held) -> list[Held]:
    """What is left of a tile beside a place that has been taken."""
    sides = ((tile.offset, min(tile.end, taken.offset)), (max(tile.offset, taken.end), tile.end))
    return [Held(None, low, high - low, readers=tile.readers) for low, high in sides if low < high]
