"""Comma-separated values, exact: layers with every field, and buffers over time."""

from __future__ import annotations

import csv
import dataclasses
import io
import types
import typing
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from accel.result import Cycles, Energy, LayerResult, Result

_DERIVED = {Cycles: ("total",), Energy: ("total_pj",)}


def layers_csv(result: Result) -> str:
    """The layers as CSV, with a header.

    Columns stand in the order of the records' fields, nested ones as ``cycles_compute``, ``energy_dram_pj``,
    ``error_sqnr_db``, with ``number`` (from 1, as in the tables and plots) in front and the sums
    ``cycles_total`` and ``energy_total_pj`` behind their addends. They are the same for every result; what a run
    did not ask for is an empty cell. Floats are written so that they read back exactly.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", *_names(LayerResult)])
    for number, layer in enumerate(result.layers, start=1):
        writer.writerow([number, *_values(LayerResult, layer)])
    return text.getvalue()


def occupancy_csv(result: Result) -> str:
    """One row for each change: buffer, cycle, the number of the layer that runs then, bytes taken from then on."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["buffer", "cycle", "layer", "taken_bytes"])
    stretches = result.stretches
    ends = [end for end, _ in stretches]
    for name, steps in result.occupancy.items():
        for cycle, taken in steps:
            _, layer = stretches[min(bisect_right(ends, cycle), len(ends) - 1)]
            writer.writerow([name, cycle, layer + 1, taken])
    return text.getvalue()


def _names(record: type) -> Iterator[str]:
    for name, nested in _fields(record):
        if nested is None:
            yield name
        else:
            yield from (f"{name}_{inner}" for inner in _names(nested))
    yield from _DERIVED.get(record, ())


def _values(record: type, value: Any) -> Iterator[Any]:
    """In the order of ``_names``; a record that is None gives as many empty cells."""
    for name, nested in _fields(record):
        inner = getattr(value, name, None)
        if nested is None:
            yield inner
        else:
            yield from _values(nested, inner)
    yield from (getattr(value, name, None) for name in _DERIVED.get(record, ()))


def _fields(record: type) -> list[tuple[str, type | None]]:
    """A record's fields, each with the record type it holds, if it holds one."""
    hints = typing.get_type_hints(record)
    return [(field.name, _record_in(hints[field.name])) for field in dataclasses.fields(record)]


def _record_in(hint: Any) -> type | None:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((option for option in options if isinstance(option, type) and dataclasses.is_dataclass(option)), None)
