"""Waveforms as FST, the compressed format of GTKWave, Surfer and Verilator.

The format keeps the changes of each signal together, so whole families of signals are encoded at once. A file is a
header, blocks of value changes (each with the values at its beginning, a chain of changes for each signal, an index
of the chains, and a table of times), the signals' widths, and the tree of scopes. Source: GTKWave's libfst,
``doc/block_format.txt`` and ``src/fstapi.c``.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from accel.rtl.waveform import Frame, Values, WaveWriter, bits_of, changes, declared, scopes, walk
from accel.sim.registers import Family
from accel.version import __version__

_HEADER, _CHANGES, _GEOMETRY, _HIERARCHY = 0, 8, 3, 4
"""Types of blocks."""
_HEADER_BYTES = 330
_SCOPE_BEGINS, _SCOPE_ENDS, _MODULE, _WIRE, _DIRECTION_IMPLICIT = 254, 255, 0, 16, 0
_NANOSECONDS = -9
_VERILOG = 0
_WORTH_COMPRESSING_BYTES = 32
_LEVEL = 4
"""Of zlib; libfst's."""
_CHANGES_AT_ONCE = 1_000_000
"""Encoded in one go, each of them a few hundred bytes."""


class FstWriter(WaveWriter):
    """Writes one FST file."""

    block_bytes = 1 << 27

    def __init__(self, file: BinaryIO, families: Sequence[Family], root: str) -> None:
        super().__init__(file, families)
        self._scopes = 0
        self._variables = 0
        self._widths = [family.width for family in families for _ in range(family.count)]
        self._order: list[int] = []
        """Signals in the order of their handles, which is that of their first names in the tree."""
        self._tree = self._encode_tree(root)
        self._offsets = self._frame_offsets()
        self._first_cycle = self._last_time = 0
        self._blocks = 0
        file.write(bytes(_HEADER_BYTES))

    def put(self, first_cycle: int, values: Sequence[Values], end: int | None) -> None:
        """Write a block."""
        if not self._blocks:
            self._first_cycle = first_cycle
        cycles = len(values[0])
        chains: list[bytes] = []
        frames: list[Frame] = []
        for family, shown, before in zip(self.families, values, self.before, strict=True):
            chains += _chains(shown, before, family)
            frames.append(shown[0] if before is None else before)
        frame = self._frame(frames)
        times = [first_cycle, *[1] * (cycles - 1)] + ([1] if end is not None else [])
        body = [
            struct.pack(">QQQ", first_cycle, first_cycle + len(times) - 1, sum(map(len, chains))),
            *_varint_each(len(frame), len(packed := _smaller(frame)), len(self._order)),
            packed,
            self._encode_chains(chains),
            _encode_times(times),
        ]
        self._block(_CHANGES, b"".join(body))
        self._blocks += 1
        self._last_time = first_cycle + len(times) - 1

    def close(self) -> None:
        """Write what stands at the file's end and in its header; the file stays open."""
        widths = b"".join(_varint(self._widths[signal]) for signal in self._order)
        packed = _smaller(widths)
        self._block(_GEOMETRY, struct.pack(">QQ", len(widths), len(self._order)) + packed)
        tree = gzip.compress(self._tree, _LEVEL, mtime=0)
        self._block(_HIERARCHY, struct.pack(">Q", len(self._tree)) + tree)
        self.file.seek(0)
        counts = (self._scopes, self._variables, len(self._order), self._blocks)
        header = struct.pack(">QQ", self._first_cycle, self._last_time) + struct.pack("<d", math.e)
        header += struct.pack(">QQQQQ", 0, *counts) + struct.pack(">b", _NANOSECONDS)
        header += f"accel {__version__}".encode().ljust(128, b"\0") + b"".ljust(119, b"\0")
        header += struct.pack(">BQ", _VERILOG, 0)
        self._block(_HEADER, header)

    def _block(self, kind: int, content: bytes) -> None:
        self.file.write(struct.pack(">BQ", kind, len(content) + 8))
        self.file.write(content)

    def _encode_tree(self, root: str) -> bytes:
        parts: list[bytes] = []
        handles: dict[int, int] = {}
        for name, signal in walk(scopes(self.families, root)):
            if signal is not None:
                width = self._widths[signal]
                alias = handles.get(signal, 0)
                if not alias:
                    handles[signal] = len(handles) + 1
                parts.append(bytes([_WIRE, _DIRECTION_IMPLICIT]) + declared(name, width).encode() + b"\0")
                parts += [_varint(width), _varint(alias)]
                self._variables += 1
            elif name:
                parts.append(bytes([_SCOPE_BEGINS, _MODULE]) + name.encode() + b"\0\0")
                self._scopes += 1
            else:
                parts.append(bytes([_SCOPE_ENDS]))
        self._order = list(handles)
        return b"".join(parts)

    def _frame_offsets(self) -> list[npt.NDArray[np.int64]]:
        """Of each family's signals, where their bits lie in a frame."""
        starts = np.empty(len(self._order), np.int64)
        starts[self._order] = [0, *accumulate(self._widths[signal] for signal in self._order[:-1])]
        ends = list(accumulate(family.count for family in self.families))
        return np.split(starts, ends[:-1])

    def _frame(self, values: Sequence[Frame]) -> bytes:
        """The values of all signals in one cycle, a character each bit."""
        frame = np.zeros(sum(self._widths), np.uint8)
        for family, shown, offsets in zip(self.families, values, self._offsets, strict=True):
            frame[offsets[:, None] + np.arange(family.width)] = bits_of(shown, family.bits)
        return (frame + ord("0")).tobytes()

    def _encode_chains(self, chains: Sequence[bytes]) -> bytes:
        """The changes of all signals by handle, and the index of where each one's begin."""
        parts: list[bytes] = [*_varint_each(len(self._order)), b"Z"]
        index: list[bytes] = []
        at, before, unchanged = 1, 0, 0
        for signal in self._order:
            chain = chains[signal]
            if not chain:
                unchanged += 1
                continue
            if unchanged:
                index.append(_varint(unchanged << 1))
                unchanged = 0
            index.append(_signed_varint((at - before) << 1 | 1))
            before = at
            packed = zlib.compress(chain, _LEVEL) if len(chain) > _WORTH_COMPRESSING_BYTES else chain
            encoded = _varint(len(chain) if packed is not chain else 0) + packed
            parts.append(encoded)
            at += len(encoded)
        if unchanged:
            index.append(_varint(unchanged << 1))
        positions = b"".join(index)
        return b"".join(parts) + positions + struct.pack(">Q", len(positions))


def _chains(values: Values, before: Frame | None, family: Family) -> Iterator[bytes]:
    """The changes of each signal: cycles since the change before (since the block's beginning), then the value."""
    step = max(1, _CHANGES_AT_ONCE // len(values))
    for low in range(0, family.count, step):
        part = slice(low, low + step)
        yield from _chains_at_once(values[:, part], None if before is None else before[part], family)


def _chains_at_once(values: Values, before: Frame | None, family: Family) -> list[bytes]:
    signal, cycle = np.nonzero(changes(values, before).T)
    since = np.diff(cycle, prepend=0)
    first = np.diff(signal, prepend=-1) > 0
    since[first] = cycle[first]
    bits = bits_of(values[cycle, signal], family.bits)
    if family.width == 1:
        code, payload = since << 2 | bits[:, 0].astype(np.int64) << 1, np.empty((len(since), 0), np.uint8)
    else:
        code, payload = since << 1, np.packbits(bits, axis=1)
    octets, used = _varints(code)
    table = np.concatenate([octets, payload], axis=1)
    kept = np.concatenate([used, np.ones(payload.shape, np.bool_)], axis=1)
    stream = table[kept].tobytes()
    sizes = np.bincount(signal, weights=kept.sum(axis=1), minlength=values.shape[1]).astype(np.int64)
    return [stream[low:high] for low, high in pairwise([0, *np.cumsum(sizes).tolist()])]


def _varints(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """(n, 5) bytes of seven bits each, the lowest first, and which of them belong to a number; below 2^35."""
    shifts = 7 * np.arange(5)
    rest = values[:, None] >> shifts
    more = rest >> 7 > 0
    used = np.concatenate([np.ones((len(values), 1), np.bool_), more[:, :-1]], axis=1)
    return (rest & 0x7F | more << 7).astype(np.uint8), used


def _encode_times(times: Sequence[int]) -> bytes:
    plain = b"".join(map(_varint, times))
    packed = _smaller(plain)
    return packed + struct.pack(">QQQ", len(plain), len(packed), len(times))


def _smaller(plain: bytes) -> bytes:
    """Compressed, or as it is if that is not longer; readers tell them apart by their lengths."""
    packed = zlib.compress(plain, _LEVEL)
    return packed if len(packed) < len(plain) else plain


def _varint_each(*values: int) -> list[bytes]:
    return [_varint(value) for value in values]


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first.

    Examples
    --------
    >>> _varint(300).hex()
    'ac02'
    """
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _signed_varint(value: int) -> bytes:
    """The same for a number that is not negative where readers expect a sign bit."""
    octets = _varint(value)
    return octets if octets[-1] < 0x40 else octets[:-1] + bytes([octets[-1] | 0x80, 0])
