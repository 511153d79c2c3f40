"""Waveforms as VCD, the text format that every viewer reads (IEEE 1364, 18.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from accel.rtl.waveform import Values, WaveWriter, bits_of, changes, declared, scopes, walk
from accel.sim.registers import Family
from accel.version import __version__

_FIRST_CHARACTER, _CHARACTERS = ord("!"), 94
_KNOWN = str.maketrans("xz", "00")


class VcdWriter(WaveWriter):
    """Writes one VCD file."""

    block_bytes = 1 << 22

    def __init__(self, file: BinaryIO, families: Sequence[Family], root: str) -> None:
        super().__init__(file, families)
        widths = [family.width for family in families for _ in range(family.count)]
        self._codes = [_code(signal) for signal in range(len(widths))]
        lines = [f"$version accel {__version__} $end", "$timescale 1 ns $end"]
        for name, signal in walk(scopes(families, root)):
            if signal is not None:
                shown = declared(name, widths[signal])
                lines.append(f"$var wire {widths[signal]} {self._codes[signal].decode()} {shown} $end")
            else:
                lines.append(f"$scope module {name} $end" if name else "$upscope $end")
        lines.append("$enddefinitions $end")
        file.write(("\n".join(lines) + "\n").encode())

    def put(self, first_cycle: int, values: Sequence[Values], end: int | None) -> None:
        """Write a block."""
        lines: list[list[bytes]] = [[b"#%d" % (first_cycle + cycle)] for cycle in range(len(values[0]))]
        first = 0
        for family, shown, before in zip(self.families, values, self.before, strict=True):
            cycles, signals = np.nonzero(changes(shown, before))
            text = (bits_of(shown[cycles, signals], family.bits) + ord("0")).tobytes()
            width, start = family.width, b"" if family.width == 1 else b"b"
            stop = b"" if family.width == 1 else b" "
            for number, (cycle, signal) in enumerate(zip(cycles.tolist(), signals.tolist(), strict=True)):
                # Viewers put leading zeros back.
                bits = text[number * width : (number + 1) * width].lstrip(b"0") or b"0"
                lines[cycle].append(start + bits + stop + self._codes[first + signal])
            first += family.count
        if end is not None:
            lines.append([b"#%d" % end])
        self.file.write(b"".join(line + b"\n" for cycle in lines for line in cycle))

    def close(self) -> None:
        """Nothing is left to write; the file stays open."""


def read_vcd(path: Path) -> dict[str, list[tuple[int, int]]]:
    """The changes of each signal as (time, value), by its name with its scopes; unknown bits are taken for zeros.

    A file that this module or Verilator wrote; values are unsigned.
    """
    names: dict[str, list[str]] = {}
    changes: dict[str, list[tuple[int, int]]] = {}
    scope: list[str] = []
    time = 0
    with path.open(encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0] == "$scope":
                scope.append(words[2])
            elif words[0] == "$upscope":
                scope.pop()
            elif words[0] == "$var":
                names.setdefault(words[3], []).append(".".join([*scope, words[4].split("[")[0]]))
            elif words[0][0] == "#":
                time = int(words[0][1:])
            elif words[0][0] == "b":
                changes.setdefault(words[1], []).append((time, int(words[0][1:].translate(_KNOWN), 2)))
            elif words[0][0] in "01xz":
                changes.setdefault(words[0][1:], []).append((time, int(words[0][0] == "1")))
    return {name: changes.get(code, []) for code, all_names in names.items() for name in all_names}


def _code(signal: int) -> bytes:
    """A signal's short name: printable characters.

    Examples
    --------
    >>> _code(0), _code(94)
    (b'!', b'!!')
    """
    characters = bytearray()
    signal += 1
    while signal:
        signal, digit = divmod(signal - 1, _CHARACTERS)
        characters.append(_FIRST_CHARACTER + digit)
    return bytes(characters)
