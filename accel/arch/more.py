"""A machine with more of one resource, one after the other: what a designer would try next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accel.arch.load import machine_of
from accel.arch.spec import BufferSpec, Machine
from accel.arch.units import BANDWIDTH, CAPACITY, LATENCY, WIDTH
from accel.errors import AccelError


@dataclass(frozen=True, slots=True)
class Variant:
    """A machine with more of one thing."""

    resource: str
    change: str
    """From what to what."""
    machine: Machine | None
    problem: str = ""
    """Why there is no such machine."""


@dataclass(frozen=True, slots=True)
class _Change:
    resource: str
    path: tuple[str, ...]
    """Of the key in the machine's file."""
    before: Any
    after: Any


def variants(machine: Machine) -> Iterator[Variant]:
    """Twice each resource, half the latency, a port and a second buffer where there is none."""
    for change in _changes(machine):
        said = f"{_said(change.before)} -> {_said(change.after)}"
        try:
            yield Variant(change.resource, said, _changed(machine, change))
        except AccelError as error:
            yield Variant(change.resource, said, None, f"{error.what}; {error.hint}" if error.hint else error.what)


def _changes(machine: Machine) -> Iterator[_Change]:
    yield from _of_dram(machine)
    for name, buffer in machine.buffers.by_name.items():
        yield from _of_buffer(name, buffer)
    array, vector = machine.array, machine.vector
    yield _Change("array rows", ("array", "rows"), array.rows, 2 * array.rows)
    yield _Change("array columns", ("array", "columns"), array.columns, 2 * array.columns)
    if array.overlap == "none":
        yield _Change("array overlap", ("array", "overlap"), "none", "double_buffered")
    yield _Change("vector lanes", ("vector", "lanes"), vector.lanes, 2 * vector.lanes)


def _of_dram(machine: Machine) -> Iterator[_Change]:
    dram = machine.dram
    if dram.device is None:
        width, latency = dram.bandwidth_bytes_per_cycle, dram.latency_cycles
        yield _Change("DRAM bandwidth", ("dram", "bandwidth"), BANDWIDTH.write(width), BANDWIDTH.write(2 * width))
        if latency:
            yield _Change("DRAM latency", ("dram", "latency"), LATENCY.write(latency), LATENCY.write(latency // 2))
    else:
        channels = dram.device.channels
        yield _Change("DRAM channels", ("dram", "device", "channels"), channels, 2 * channels)
    yield _Change("DRAM requests in flight", ("dram", "outstanding"), dram.outstanding, 2 * dram.outstanding)


def _of_buffer(name: str, buffer: BufferSpec) -> Iterator[_Change]:
    size, width = buffer.capacity_bytes, buffer.width_bytes_per_cycle
    at = ("buffers", name)
    yield _Change(f"{name} buffer capacity", (*at, "capacity"), CAPACITY.write(size), CAPACITY.write(2 * size))
    yield _Change(f"{name} buffer width", (*at, "width"), WIDTH.write(width), WIDTH.write(2 * width))
    if buffer.ports == 1:
        yield _Change(f"{name} buffer ports", (*at, "ports"), 1, 2)
        yield _Change(f"{name} buffer banks", (*at, "banks"), buffer.banks, 2 * buffer.banks)
    if not buffer.double_buffered:
        yield _Change(f"{name} buffer double buffered", (*at, "double_buffered"), False, True)


def _changed(machine: Machine, change: _Change) -> Machine:
    """The machine of the file with one key changed, checked as if somebody had written it."""
    keys = machine.to_file()
    section = keys
    *path, last = change.path
    for key in path:
        section = section[key]
    section[last] = change.after
    return machine_of(keys, machine.name)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ")
