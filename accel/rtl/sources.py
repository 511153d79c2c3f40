"""The hand-written SystemVerilog that ships with the package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_COMMENT = re.compile(r"//[^\n]*")
_MODULE_NAME = re.compile(r"\bsa_\w+")


@cache
def modules() -> dict[str, str]:
    """The text of each module, by its name; one module a file."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((_FOLDER / "verilog").glob("*.sv"))}


def modules_under(*tops: str) -> list[str]:
    """The modules that these ones need, themselves included; each stands behind those that it instantiates."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        used = set(_MODULE_NAME.findall(without_comments(modules()[name]))) & modules().keys()
        for other in sorted(used - {name} - order.keys()):
            visit(other)
        order[name] = None

    for top in tops:
        visit(top)
    return list(order)


def harness(name: str) -> dict[str, str]:
    """A C++ file that drives compiled hardware, and the headers beside it: file name -> text."""
    folder = _FOLDER / "harness"
    return {path.name: path.read_text(encoding="utf-8") for path in [folder / name, *sorted(folder.glob("*.h"))]}


def without_comments(text: str) -> str:
    """SystemVerilog without its line comments, which compile to nothing."""
    return _COMMENT.sub("", text)
