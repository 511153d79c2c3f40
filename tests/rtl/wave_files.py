"""Waveform files read back: signal -> (width, values by time), by the readers of GTKWave and Surfer, and of text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Wave:
    """One signal of a file."""

    width: int
    changes: list[tuple[int, str]]
    """(time, binary digits)."""

    def at(self, time: int) -> str:
        """The value at a time."""
        before = [value for moment, value in self.changes if moment <= time]
        return before[-1] if before else "x" * self.width

    def over(self, times: range) -> list[str]:
        """The values at many times."""
        shown, position, value = [], 0, "x" * self.width
        for time in times:
            while position < len(self.changes) and self.changes[position][0] <= time:
                value = self.changes[position][1]
                position += 1
            shown.append(value)
        return shown


def read_fst(path: Path) -> dict[str, Wave]:
    """By GTKWave's own library."""
    pylibfst = pytest.importorskip("pylibfst", reason="pylibfst reads FST: pip install pylibfst")
    file = pylibfst.lib.fstReaderOpen(str(path).encode())
    assert file != pylibfst.ffi.NULL
    changes: dict[int, list[tuple[int, str]]] = {}
    _, signals = pylibfst.get_scopes_signals2(file)
    pylibfst.lib.fstReaderSetFacProcessMaskAll(file)

    def keep(_: object, time: int, handle: int, value: object) -> None:
        changes.setdefault(handle, []).append((time, pylibfst.helpers.string(value)))

    pylibfst.fstReaderIterBlocks(file, keep)
    pylibfst.lib.fstReaderClose(file)
    return {
        _plain(name): Wave(signal.length, changes.get(signal.handle, [])) for name, signal in signals.by_name.items()
    }


def read_with_wellen(path: Path, times: range) -> dict[str, list[str]]:
    """By Surfer's library: signal -> values at ``times``."""
    pywellen = pytest.importorskip("pywellen", reason="pywellen reads FST: pip install pywellen")
    found = {}
    for variable in pywellen.Waveform(str(path)).all_vars():
        values = [variable.signal.value_at(time) for time in times]
        found[_plain(variable.full_name)] = [
            value if isinstance(value, str) else format(value, f"0{variable.bitwidth}b") for value in values
        ]
    return found


def read_vcd(path: Path) -> dict[str, Wave]:
    """By hand."""
    widths: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    changes: dict[str, list[tuple[int, str]]] = {}
    scope: list[str] = []
    time = 0
    for line in filter(None, path.read_text().splitlines()):
        words = line.split()
        if not words:
            continue
        if words[0] == "$scope":
            scope.append(words[2])
        elif words[0] == "$upscope":
            scope.pop()
        elif words[0] == "$var":
            names.setdefault(words[3], []).append(".".join([*scope, words[4]]))
            widths[words[3]] = int(words[2])
        elif words[0][0] == "#":
            time = int(words[0][1:])
        elif words[0][0] in "01b":
            is_vector = words[0][0] == "b"
            code = words[1] if is_vector else words[0][1:]
            value = words[0][1:] if is_vector else words[0][0]
            changes.setdefault(code, []).append((time, value.rjust(widths[code], "0")))
    return {name: Wave(widths[code], changes.get(code, [])) for code, aliases in names.items() for name in aliases}


def _plain(name: str) -> str:
    """Without the range that viewers show."""
    return name.split(" ")[0]
