"""Findings about single nodes, gathered into one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accel.errors import AccelError


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one ONNX node cannot be imported, and what to do about it."""

    node: str
    op_type: str
    reason: str
    hint: str = ""


def refuse(problems: Sequence[Problem], path: str) -> None:
    """Raise one AccelError that names every node which cannot be imported; nothing where there is none."""
    if not problems:
        return
    if len(problems) == 1:
        only = problems[0]
        raise AccelError(f"{only.op_type} cannot be imported: {only.reason}", f"{path}:{only.node}", only.hint)
    lines = [f"\n  {problem.node} ({problem.op_type}): {problem.reason}" for problem in problems]
    hints = dict.fromkeys(f"\n{problem.hint}" for problem in problems if problem.hint)
    raise AccelError(f"{len(problems)} nodes cannot be imported:{''.join(lines)}", path, "".join(hints))
