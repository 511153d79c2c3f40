"""Widths by layer from a YAML file: ``conv1: {weights: 4, activations: 8}``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accel.arch.check import nearest
from accel.arch.document import Document, Problem
from accel.arch.units import shown
from accel.errors import AccelError
from accel.quantizer.options import WIDEST_BITS, LayerBits

_OPERANDS = ("weights", "activations")
_LEGAL = "write {weights: 4, activations: 8}, or one of the two"


def read_layers(path: Path) -> dict[str, LayerBits]:
    """The widths in a file, by layer. Whether there are such layers, only the network can tell.

    Raises
    ------
    AccelError
        The first thing wrong in the file, with its line and column.
    """
    document = Document.read(path)
    problems = list(document.problems)
    layers = {}
    for name, entry in document.value.items():
        found = _problems(document, name, entry)
        problems += found
        if not found:
            layers[name] = LayerBits(entry.get("weights"), entry.get("activations"), document.where((name,)))
    if problems:
        first, more = min(problems), len(problems) - 1
        hint = first.hint + (f" (and {more} more in this file)" if more else "")
        raise AccelError(first.what, f"{path}:{first.line}:{first.column}", hint)
    return layers


def _problems(document: Document, name: str, entry: Any) -> list[Problem]:
    _, place = document.find((name,))
    if not isinstance(entry, dict):
        return [document.problem(place, f"{name} is {shown(entry)}", _LEGAL)]
    if not entry:
        return [document.problem(place, f"{name} says nothing", _LEGAL)]
    problems = []
    for key, bits in entry.items():
        word, value = document.find((name, key))
        if key not in _OPERANDS:
            hint = nearest(key, _OPERANDS) or f"legal are {', '.join(_OPERANDS)}"
            problems.append(document.problem(word, f"unknown key '{key}' in {name}", hint))
        elif isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= WIDEST_BITS:
            hint = f"legal is a whole number of bits from 1 to {WIDEST_BITS}"
            problems.append(document.problem(value, f"{key} of {name} is {shown(bits)}", hint))
    return problems
