"""What the DMA does with one transfer after the other: on a DRAM of three figures, or on one with banks and rows."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Literal, NamedTuple, Protocol

from accel.arch.spec import Machine
from accel.mapping.program import Load, Store

Limit = Literal["bandwidth", "latency", "width"]
"""What a transfer's speed is due to, by the field names of ``accel.result.CriticalPath``."""


class Moved(NamedTuple):
    """A transfer, in the machine's cycles."""

    free: int
    """The DMA may begin with the next one."""
    done: int
    """All data are where they were wanted."""
    limit: Limit
    """Why the DMA was not free earlier."""


class Channel(Protocol):
    """Serves transfers in the order in which it is asked."""

    by_layer: dict[int, Counter[str]]
    """What the DRAM did for each layer, by the field names of ``accel.result.Actions``."""

    def serve(self, transfer: Load | Store, begin: int) -> Moved:
        """Move ``transfer`` from ``begin`` on."""

    def finish(self, cycle: int, layer: int) -> None:
        """Nothing more comes, and the machine is done at ``cycle``, with ``layer``."""


def channel_of(machine: Machine) -> Channel:
    """The DMA's way to the machine's DRAM."""
    return PlainChannel(machine) if machine.dram.device is None else DeviceChannel(machine)


class PlainChannel:
    """A bandwidth, which latency and requests in flight may limit; the narrower port of a buffer limits it, too."""

    def __init__(self, machine: Machine) -> None:
        self.latency_cycles = machine.dram.latency_cycles
        dram = machine.dram
        sustained = dram.sustained_bytes_per_cycle
        limit: Limit = "latency" if sustained < dram.bandwidth_bytes_per_cycle else "bandwidth"
        self.rates: dict[str, tuple[float, Limit]] = {
            name: (width, "width") if width < sustained else (sustained, limit)
            for name, width in _widths(machine).items()
        }
        self.by_layer: dict[int, Counter[str]] = {}

    def serve(self, transfer: Load | Store, begin: int) -> Moved:
        """The DMA goes on when the data are on their way, and they are there a latency later."""
        rate, limit = self.rates[_buffer(transfer)]
        free = begin + ceil(transfer.size_bytes / rate)
        return Moved(free, free + self.latency_cycles, limit)

    def finish(self, cycle: int, layer: int) -> None:
        """Time alone costs nothing here."""


class DeviceChannel:
    """A device with channels, banks, rows and refresh, burst by burst.

    Channels may finish a Store before an earlier one. It is done, too, when that one is: who waits for the last of many
    finds all of them there.
    """

    def __init__(self, machine: Machine) -> None:
        # Compiled code, which machines without such a device do not need.
        from accel.sim.dram import Dram

        assert machine.dram.device is not None
        self.dram = Dram(machine.dram.device, machine.dram.outstanding, machine.clock_hz)
        self.burst_bytes = machine.dram.burst_bytes
        self.widths = _widths(machine)
        self.peak = machine.dram.bandwidth_bytes_per_cycle
        self.by_layer: dict[int, Counter[str]] = {}
        self.before = self.dram.counts
        self.stored = 0
        """When the Stores so far are done."""

    def serve(self, transfer: Load | Store, begin: int) -> Moved:
        """The DMA goes on when the last burst has been asked for, and the buffer's port has kept up."""
        addresses, sizes = transfer.runs.whole_bursts(self.burst_bytes)
        served = self.dram.serve_arrays(addresses, sizes, begin, isinstance(transfer, Store))
        through_port = begin + ceil(transfer.size_bytes / self.widths[_buffer(transfer)])
        self._count(transfer.layer)
        done = max(served.done_cycle, through_port)
        if isinstance(transfer, Store):
            done = self.stored = max(done, self.stored)
        if through_port > served.issued_cycle:
            return Moved(through_port, done, "width")
        # Pins busy most of the time, or mostly waiting: for rows, for turnarounds, for room among the requests.
        pins_cycles = transfer.size_bytes / self.peak
        limit: Limit = "bandwidth" if 2 * pins_cycles >= served.issued_cycle - begin else "latency"
        return Moved(served.issued_cycle, done, limit)

    def finish(self, cycle: int, layer: int) -> None:
        """The refreshes that were due since the last transfer."""
        self.dram.advance(cycle)
        self._count(layer)

    def _count(self, layer: int) -> None:
        """Charge a layer with what was done since the last time."""
        counts = self.dram.counts
        self.by_layer.setdefault(layer, Counter()).update(
            dram_activates=counts.activates - self.before.activates,
            dram_row_hits=counts.hits - self.before.hits,
            dram_refreshes=counts.refreshes - self.before.refreshes,
        )
        self.before = counts


def _widths(machine: Machine) -> dict[str, float]:
    return {name: buffer.width_bytes_per_cycle for name, buffer in machine.buffers.by_name.items()}


def _buffer(transfer: Load | Store) -> str:
    return transfer.buffer if isinstance(transfer, Load) else "accumulator"
