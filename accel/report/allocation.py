"""An allocation as tables: bits by layer, and what they are worth beside the same bits everywhere."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.report.columns import ABSENT
from accel.report.fit import Column, fitted_table
from accel.report.units import count, decibels, energy, percent
from accel.studies.allocation import Allocation


def allocation_tables(allocation: Allocation, width: int) -> Group:
    """Bits of each layer, then the network as a whole, allocated and uniform."""
    return Group(_layers(allocation, width), Text(), _networks(allocation, width), Text(_note(allocation)))


def _layers(allocation: Allocation, width: int) -> Table:
    layers = allocation.layers
    machine = f" on {allocation.machine}" if allocation.machine else ""
    columns = (
        Column("#", tuple(str(number) for number, _ in enumerate(layers, start=1)), rank=0, style="dim"),
        Column("layer", tuple(layer.name for layer in layers), rank=0, text=True, names=True),
        Column("weight\nbits", tuple(str(layer.weight_bits) for layer in layers), rank=0),
        Column("activation\nbits", tuple(str(layer.activation_bits) for layer in layers), rank=0),
    )
    return fitted_table(f"Bits of {allocation.network}{machine} for {allocation.budget}", columns, width)


def _networks(allocation: Allocation, width: int) -> Table:
    networks = [*allocation.uniform, allocation.allocated]
    base = allocation.uniform[0].costs
    columns = [
        Column("network", tuple(network.name for network in networks), rank=0, text=True),
        Column("SQNR\ndB", tuple(decibels(network.quality.sqnr_db) for network in networks), rank=0),
        Column("same\nclass", tuple(_share(network.quality.agreement) for network in networks), rank=2),
    ]
    if allocation.float_top1 is not None:
        columns.append(Column("top-1", tuple(_share(network.quality.top1) for network in networks), rank=0))
    for field, header, write in (
        ("cycles", "cycles", count),
        ("energy_pj", "energy", energy),
        ("bops", "BOPs", count),
        ("memory_bits", "weight\nbits", count),
    ):
        if getattr(base, field) is None:
            continue
        limited = field == allocation.cost
        figures = [getattr(network.costs, field) for network in networks]
        cells = tuple(ABSENT if figure is None else write(figure) for figure in figures)
        shares = tuple(_share(network.costs.relative_to(base)[field]) for network in networks)
        columns.append(Column(header, cells, rank=1 if limited else 4))
        columns.append(Column(f"{header.replace(chr(10), ' ')}\nof 8 bits", shares, rank=0 if limited else 3))
    return fitted_table(f"The whole network, {allocation.images} images", columns, width)


def _note(allocation: Allocation) -> str:
    real = f"; the float network's top-1 is {percent(allocation.float_top1)}" if allocation.float_top1 else ""
    found = decibels(allocation.predicted_sqnr_db)
    return (
        f"SQNR of the output against the float network's; {found} dB if the layers' losses simply added up{real}\n"
        f"scales that {allocation.requantizer} has"
    )


def _share(value: float | None) -> str:
    if value is None:
        return ABSENT
    return percent(value) if value <= 1 else f"{value:.1%}"
