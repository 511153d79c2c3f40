"""A DRAM device at work: transfers in, cycles and counts of commands out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accel.arch.dram import DramDevice
from accel.sim import dram_kernels as kernel

Ints = npt.NDArray[np.int64]

_LARGEST_RATIO = 2**31 - 1
"""Of numerator and denominator of the two clocks' ratio, so that products stay in 64 bits."""


class Command(NamedTuple):
    """A command on a channel's command pins."""

    name: str
    """ACT, PRE, RD, WR or REF."""
    channel: int
    bank: int
    """Of the channel, bank group by bank group; -1 for all of them."""
    row: int
    """That is opened, closed or accessed; -1 for a refresh."""
    tick: int


COMMAND_NAMES = ("ACT", "PRE", "RD", "WR", "REF")
"""By their numbers in the kernel's log."""


@dataclass(frozen=True, slots=True)
class ChannelCounts:
    """What a channel did."""

    reads: int
    writes: int
    hits: int
    """Bursts whose row was open."""
    misses: int
    """Bursts whose bank was closed."""
    conflicts: int
    """Bursts whose bank had another row open."""
    refreshes: int

    @property
    def activates(self) -> int:
        """Rows opened."""
        return self.misses + self.conflicts


class Served(NamedTuple):
    """A transfer, in the machine's cycles."""

    begin_cycle: int
    """Its first burst is asked for."""
    issued_cycle: int
    """Its last burst is asked for; the next transfer's bursts may follow."""
    done_cycle: int
    """All its data have arrived."""


def parameters_of(device: DramDevice, outstanding: int, clock_hz: float) -> Ints:
    """What the kernels take: figures in ticks, where an address's bits go, and the ratio of the clocks.

    Parameters
    ----------
    outstanding
        Bursts asked for and not yet there.
    clock_hz
        The machine's clock.
    """
    timing, shape = device.timing, device.organization
    ratio = Fraction(timing.clock_hz) / Fraction(clock_hz)
    if max(ratio.numerator, ratio.denominator) > _LARGEST_RATIO:
        ratio = ratio.limit_denominator(min(_LARGEST_RATIO, int(_LARGEST_RATIO / max(ratio, Fraction(1)))))
    values = np.zeros(kernel.PARAMETERS, np.int64)
    values[[kernel.TICKS, kernel.CYCLES]] = ratio.numerator, ratio.denominator
    values[kernel.OUTSTANDING] = outstanding
    values[[kernel.CHANNELS, kernel.GROUPS, kernel.BANKS]] = device.channels, shape.bank_groups, shape.banks_per_group
    values[kernel.BURST_SHIFT] = _bits(shape.burst_bytes)
    sizes = {
        "row": (kernel.ROW, shape.rows),
        "bank": (kernel.BANK, shape.banks_per_group),
        "bankgroup": (kernel.BANKGROUP, shape.bank_groups),
        "column": (kernel.COLUMN, shape.columns // shape.burst_length),
        "channel": (kernel.CHANNEL, device.channels),
    }
    shift = 0
    for part in reversed(device.mapping.split("_")):
        at, size = sizes[part]
        values[[at, at + 1]] = shift, size - 1
        shift += _bits(size)
    for name in ("CL", "CWL", "RCD", "RP", "RAS", "RC", "CCD_S", "CCD_L", "RRD_S", "RRD_L", "FAW", "WR", "WTR_S"):
        values[getattr(kernel, name)] = getattr(timing, f"{name.lower()}_ticks")
    for name in ("WTR_L", "RTP", "RTW", "REFI", "RFC", "INTERFACE"):
        values[getattr(kernel, name)] = getattr(timing, f"{name.lower()}_ticks")
    values[kernel.BURST] = device.burst_ticks
    values[kernel.CLOSED] = device.page_policy == "closed"
    return values


def new_state(parameters: Ints) -> Ints:
    """A device at tick 0: all banks closed, nothing under way, the first refresh due after tREFI."""
    channels, groups, banks = (int(parameters[at]) for at in (kernel.CHANNELS, kernel.GROUPS, kernel.BANKS))
    at_channels = kernel.HEADER + int(parameters[kernel.OUTSTANDING])
    at_groups = at_channels + channels * kernel.CHANNEL_WORDS
    at_banks = at_groups + channels * groups * kernel.GROUP_WORDS
    state = np.zeros(at_banks + channels * groups * banks * kernel.BANK_WORDS, np.int64)
    state[[kernel.AT_CHANNELS, kernel.AT_GROUPS, kernel.AT_BANKS]] = at_channels, at_groups, at_banks
    by_channel = state[at_channels:at_groups].reshape(channels, kernel.CHANNEL_WORDS)
    by_channel[:, kernel.NEXT_REFRESH] = parameters[kernel.REFI]
    by_channel[:, kernel.FAW_TICKS : kernel.FAW_TICKS + 4] = -parameters[kernel.FAW]
    state[at_banks:].reshape(-1, kernel.BANK_WORDS)[:, kernel.OPEN_ROW] = -1
    return state


def counts_of(state: Ints) -> list[ChannelCounts]:
    """What each channel did so far."""
    return [ChannelCounts(*channel) for channel in _counters(state).tolist()]


def _counters(state: Ints) -> Ints:
    """By channel, in the order of ``ChannelCounts``."""
    by_channel = state[state[kernel.AT_CHANNELS] : state[kernel.AT_GROUPS]].reshape(-1, kernel.CHANNEL_WORDS)
    return by_channel[:, [kernel.READS, kernel.WRITES, kernel.HITS, kernel.MISSES, kernel.CONFLICTS, kernel.REFRESHES]]


class Dram:
    """One DRAM device and its state.

    Parameters
    ----------
    device, outstanding, clock_hz
        As for ``parameters_of``.
    log_commands
        How many commands are kept; the first ones.
    """

    def __init__(self, device: DramDevice, outstanding: int, clock_hz: float, log_commands: int = 0) -> None:
        self.device = device
        self.parameters = parameters_of(device, outstanding, clock_hz)
        self.state = new_state(self.parameters)
        self.log = np.zeros((log_commands, kernel.LOG_COLUMNS), np.int64)

    def serve(self, runs: npt.ArrayLike, ready_cycle: int = 0, *, write: bool = False) -> Served:
        """One transfer, not begun before ``ready_cycle`` nor before all earlier ones have asked for their bursts.

        Parameters
        ----------
        runs
            Address and bytes of each contiguous piece, n x 2; each is widened to whole bursts.

        Raises
        ------
        ValueError
            A run lies outside of the device, or holds less than nothing.
        """
        table = np.asarray(runs, np.int64).reshape(-1, 2)
        addresses, sizes = (np.ascontiguousarray(column) for column in table.T)
        if table.size and (table.min() < 0 or (addresses + sizes).max() > self.device.capacity_bytes):
            raise ValueError(f"a run lies outside of the device's {self.device.capacity_bytes} bytes")
        return self.serve_arrays(addresses, sizes, ready_cycle, write)

    def serve_arrays(self, addresses: Ints, sizes: Ints, ready_cycle: int, write: bool) -> Served:
        """The same of runs that are known to lie inside, as two arrays."""
        ready_tick = kernel.tick_of(self.parameters, ready_cycle)
        ticks = kernel.serve(self.parameters, self.state, addresses, sizes, ready_tick, write, self.log)
        return Served(*(int(kernel.cycle_of(self.parameters, tick)) for tick in ticks))

    def advance(self, cycle: int) -> None:
        """Let the time until ``cycle`` pass, with the refreshes that are due by then."""
        kernel.advance(self.parameters, self.state, kernel.tick_of(self.parameters, cycle), self.log)

    @property
    def channels(self) -> list[ChannelCounts]:
        """What each channel did so far."""
        return counts_of(self.state)

    @property
    def counts(self) -> ChannelCounts:
        """What all channels did so far."""
        return ChannelCounts(*_counters(self.state).sum(axis=0).tolist())

    @property
    def commands(self) -> list[Command]:
        """The commands that were kept, by channel and tick."""
        rows: list[Any] = self.log[: self.state[kernel.LOGGED]].tolist()
        named = [Command(COMMAND_NAMES[row[0]], *row[1:]) for row in rows]
        return sorted(named, key=lambda command: (command.channel, command.tick))


def _bits(size: int) -> int:
    return size.bit_length() - 1
