"""A mapping search as a table: each layer's mapping, and what it costs before and after."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.fit import Column, fitted_table
from accel.report.units import count, energy, percent, size
from accel.studies.mapping_search import MappedLayer, MappingFigures, MappingSearch


def mapping_table(search: MappingSearch, width: int) -> Group:
    """Every layer's mapping with cycles, energy and DRAM bytes, before -> after."""
    return Group(_layers(search, width), Text(_note(search)))


def _layers(search: MappingSearch, width: int) -> Table:
    layers, before, after = search.layers, search.before, search.after
    columns = (
        Column("layer", tuple(layer.name for layer in layers), rank=0, total="total", text=True, names=True),
        Column("mapping", tuple(_mapping(layer) for layer in layers), rank=3, text=True),
        Column(
            "cycles\nbefore -> after",
            tuple(_cycles(layer.before, layer.after) for layer in layers),
            rank=0,
            total=_cycles(before, after),
        ),
        Column(
            "energy\nbefore -> after",
            tuple(_energy(layer.before, layer.after) for layer in layers),
            rank=1,
            total=_energy(before, after),
        ),
        Column(
            "DRAM\nbefore -> after",
            tuple(_dram(layer.before, layer.after) for layer in layers),
            rank=1,
            total=_dram(before, after),
        ),
        Column("candidates", tuple("" if layer.same_as else str(layer.candidates) for layer in layers), rank=2),
        Column("timed", tuple("" if layer.same_as else str(layer.timed) for layer in layers), rank=2),
        Column("best of all", tuple(_proof(layer) for layer in layers), rank=2, text=True),
    )
    title = f"Mappings of {search.network} on {search.machine} for least {search.objective}, {search.effort} search"
    return fitted_table(title, columns, width)


def _note(search: MappingSearch) -> str:
    kinds = [layer for layer in search.layers if not layer.same_as]
    open_ = sum(not layer.optimal for layer in kinds)
    proof = "each is the best of its candidates" if not open_ else f"{open_} of them may not be the best of theirs"
    saved = [
        f"{percent(1 - now / then)} {'fewer' if name == 'cycles' else 'less'} {name}"
        for name, then, now in (
            ("cycles", search.before.cycles, search.after.cycles),
            ("energy", search.before.energy_pj, search.after.energy_pj),
            ("DRAM traffic", search.before.dram_bytes, search.after.dram_bytes),
        )
        if now < then
    ]
    return f"{len(kinds)} kinds of layers searched, {proof}; {', '.join(saved) or 'nothing is saved'}"


def _mapping(layer: MappedLayer) -> str:
    return layer.mapping_after if layer.mapping_after != layer.mapping_before else f"{layer.mapping_after} (as before)"


def _proof(layer: MappedLayer) -> str:
    return f"as {layer.same_as}" if layer.same_as else "yes" if layer.optimal else "not known"


def _cycles(before: MappingFigures, after: MappingFigures) -> str:
    return _change(count(before.cycles), count(after.cycles))


def _energy(before: MappingFigures, after: MappingFigures) -> str:
    return _change(energy(before.energy_pj), energy(after.energy_pj))


def _dram(before: MappingFigures, after: MappingFigures) -> str:
    return _change(size(before.dram_bytes), size(after.dram_bytes))


def _change(before: str, after: str) -> str:
    return after if before == after else f"{before} -> {after}"
