"""A synthesis as a table: pieces of the hardware, and what the cost model makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.units import count, percent
from accel.synthesis import Block, Synthesis

_ROOM_FOR_ALL = 120
_ONLY_WITH_ROOM = {"cells", "flip-\nflops", "area\nµm²", "NAND2\nin all"}
_COLUMNS = (
    "block",
    "cells",
    "flip-\nflops",
    "NAND2",
    "area\nµm²",
    "how\nmany",
    "NAND2\nin all",
    "share",
    "in PEs,\nsynthesis",
    "in PEs,\nmodel",
    "model /\nsynthesis",
)


def synthesis_table(synthesis: Synthesis, width: int) -> Group:
    """Every block once (cells, flip-flops, NAND2 equivalents, area), and all of its kind, part by part.

    Parameters
    ----------
    width
        Columns of the terminal; where there is little room, what follows from other columns is left out.
    """
    shown = [width >= _ROOM_FOR_ALL or column not in _ONLY_WITH_ROOM for column in _COLUMNS]
    table = Table(title=f"{synthesis.machine}: array and vector unit, synthesized", title_justify="left")
    for column in itertools.compress(_COLUMNS, shown):
        table.add_column(column, justify="left" if column == "block" else "right", overflow="fold")
    for part, blocks in synthesis.parts.items():
        table.add_section()
        for block in blocks:
            table.add_row(*itertools.compress(_block_cells(synthesis, block, blocks), shown))
        table.add_row(*itertools.compress(_part_cells(synthesis, part, blocks), shown), style="bold")
    return Group(table, *_notes(synthesis))


def _block_cells(synthesis: Synthesis, block: Block, part: Sequence[Block]) -> list[str]:
    share = synthesis.in_reference_pes([block]) / synthesis.in_reference_pes(part)
    one = (f"{block.cells:,}", f"{block.flip_flops:,}", f"{block.nand2:,.0f}", f"{block.area_um2:,.0f}")
    return [f"  {block.name}", *one, f"{block.count:,}", *_totals(synthesis, [block], share)]


def _part_cells(synthesis: Synthesis, part: str, blocks: Sequence[Block]) -> list[str]:
    return [part, *[""] * 5, *_totals(synthesis, blocks, 1.0)]


def _totals(synthesis: Synthesis, blocks: Sequence[Block], share: float) -> list[str]:
    found, wanted = synthesis.in_reference_pes(blocks), synthesis.model_in_reference_pes(blocks)
    nand2 = count(round(sum(block.count * block.nand2 for block in blocks)))
    if wanted is None:
        return [nand2, percent(share), _pes(found), "-", "-"]
    return [nand2, percent(share), _pes(found), _pes(wanted), f"{wanted / found:.2f}"]


def _pes(value: float) -> str:
    """Three significant digits below a thousand."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _notes(synthesis: Synthesis) -> list[Text]:
    one = synthesis.reference
    assert one.model_um2 is not None
    return [
        Text(f"{synthesis.yosys}; cells and areas: {synthesis.library} (0.18 µm), before placement; without memories"),
        Text(
            f"in PEs: relative to a {one.name}, weight stationary, not double buffered: {one.area_um2:,.0f} µm² in the "
            f"library ({one.nand2:,.0f} NAND2), {one.model_um2:,.0f} µm² in the cost model ({synthesis.technology})"
        ),
    ]
