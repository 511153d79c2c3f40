"""Layers of a program, picked by the numbers of a report's table or by name."""

from __future__ import annotations

import difflib
import re

from accel.errors import AccelError
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Program


def array_layers(program: Program) -> list[int]:
    """Positions of the layers that run on the array."""
    return [position for position, layer in enumerate(program.layers) if isinstance(layer.mapping, ArrayMapping)]


def select_array_layers(program: Program, wanted: str) -> list[int]:
    """Positions of the layers that ``wanted`` names.

    Parameters
    ----------
    wanted
        Numbers as reports show them (the first layer is 1) or names, with commas between: ``3,7``.

    Raises
    ------
    AccelError
        A layer that is not there, or that does not run on the array.
    """
    network = program.flow.name
    names = [layer.op.name for layer in program.layers]
    on_array = array_layers(program)
    picked: set[int] = set()
    for word in (part.strip() for part in wanted.split(",")):
        if word in names:
            position = names.index(word)
        elif re.fullmatch(r"[0-9]{1,18}", word):
            position = int(word) - 1
        else:
            close = difflib.get_close_matches(word, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"give numbers from 1 to {len(names)}, or names"
            raise AccelError(f'there is no layer "{word}"', network, hint)
        if not 0 <= position < len(names):
            raise AccelError(
                f"there is no layer {word}; they are numbered from 1 to {len(names)}",
                network,
                "`accel estimate` lists them",
            )
        if position not in on_array:
            raise AccelError(
                f"layer {position + 1}, {names[position]}, does not run on the array",
                network,
                f"these do: {', '.join(str(number + 1) for number in on_array)}",
            )
        picked.add(position)
    return sorted(picked)
