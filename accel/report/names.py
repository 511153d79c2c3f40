"""Layer names made short without making two of them alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_ELLIPSIS = "…"


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Names of at most ``width`` characters, told apart wherever that many characters can tell them apart.

    Names that all fit are left alone. Otherwise paths lose the parts that say nothing
    (``/layer1/layer1.0/conv1/Conv_quant`` -> ``layer1.0.conv1``), and what is still too long loses its middle.

    Examples
    --------
    >>> short_names(["/layer1/layer1.0/conv1/Conv", "/layer1/layer1.0/conv2/Conv", "/fc/Gemm"], 14)
    ['layer1.0.conv1', 'layer1.0.conv2', 'fc']
    >>> short_names(["encoder_block_one", "encoder_block_two"], 9)
    ['enco…_one', 'enco…_two']
    """
    if all(len(name) <= width for name in names):
        return list(names)
    condensed = _condense(names)
    heads = sorted(range(max(width, 1)), key=lambda head: (abs(head - (width - 1) / 2), head))
    cuts = ([_cut(name, width, head) for name in condensed] for head in heads)
    return max(cuts, key=lambda cut: len(set(cut)))


def _condense(names: Sequence[str]) -> list[str]:
    """Every name without its uninformative parts; the names themselves if that would make two alike."""
    paths = [_telling_parts(name) for name in names]
    modules = Counter(tuple(path[:-1]) for path in paths)
    shared = {module for module, nodes in modules.items() if nodes > 1}
    shared |= {module[:depth] for module in modules for depth in range(len(module))}
    # conv1/Conv says no more than conv1, but layer1.0/Add more than layer1.0, which holds other things too.
    short = [".".join(path if tuple(path[:-1]) in shared else path[:-1] or path) for path in paths]
    return short if len(set(short)) == len(set(names)) else list(names)


def _telling_parts(name: str) -> list[str]:
    """``/layer1/layer1.0/Add_quant`` -> ``["layer1.0", "Add"]``: a part that the next one repeats is left out."""
    parts = [part for part in name.removesuffix("_quant").split("/") if part] or [name]
    following = [*parts[1:], ""]
    return [part for part, after in zip(parts, following, strict=True) if not after.startswith(f"{part}.")]


def _cut(name: str, width: int, head: int) -> str:
    """The first ``head`` characters, an ellipsis, and as many of the last as fit."""
    if len(name) <= width:
        return name
    tail = width - head - len(_ELLIPSIS)
    return name[:head] + _ELLIPSIS + (name[-tail:] if tail > 0 else "")
