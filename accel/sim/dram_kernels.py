"""The timing of a DRAM device, compiled: bursts served in order, every command at its earliest legal tick.

One stream of bursts, that of the machine's DMA queue, is served first come, first served. Burst i is asked for when
burst i - ``outstanding`` has its data, and not before burst i - 1. Its precharge and activate go out as early as the
device allows, while earlier bursts still transfer; reads and writes of a channel keep their order, and so do its
activates. Banks and channels work side by side. Command pins are taken to be wide enough for all of it.

All times are ticks, integer cycles of the device's command clock. The device's figures are one array, its state
another: kernels may be called from compiled code, and a copy of the state is a checkpoint.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from accel.sim.jit import compiled

Ints = npt.NDArray[Any]
"""int64, C order."""

# Parameters.
TICKS, CYCLES = 0, 1
"""TICKS ticks of the device take as long as CYCLES of the machine's cycles."""
OUTSTANDING, CHANNELS, GROUPS, BANKS, BURST_SHIFT = 2, 3, 4, 5, 6
ROW, BANK, BANKGROUP, COLUMN, CHANNEL = 7, 9, 11, 13, 15
"""Each two words: by how much a burst's number is shifted right, and the mask of what is left."""
BURST, CL, CWL, RCD, RP, RAS, RC, CCD_S, CCD_L, RRD_S, RRD_L = 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
FAW, WR, WTR_S, WTR_L, RTP, RTW, REFI, RFC, INTERFACE, CLOSED = 28, 29, 30, 31, 32, 33, 34, 35, 36, 37
PARAMETERS = 38

# State: a header, the window, then records of channels, of bank groups and of banks.
LAST_REQUEST, WINDOW_AT, LOGGED, AT_CHANNELS, AT_GROUPS, AT_BANKS = 0, 1, 2, 3, 4, 5
HEADER = 6
NEXT_READ, NEXT_WRITE, NEXT_ACTIVATE, FAW_AT, FAW_TICKS, NEXT_REFRESH, REFRESHED = 0, 1, 2, 3, 4, 8, 9
READS, WRITES, HITS, MISSES, CONFLICTS, REFRESHES = 10, 11, 12, 13, 14, 15
CHANNEL_WORDS = 16
GROUP_WORDS = 3
"""NEXT_READ, NEXT_WRITE and NEXT_ACTIVATE of a bank group."""
OPEN_ROW, PRECHARGE_READY, ACTIVATE_READY = 0, 1, 2
BANK_WORDS = 3

# Commands in the log, whose columns are command, channel, bank of the channel, row and tick.
ACTIVATE, PRECHARGE, READ, WRITE, REFRESH = 0, 1, 2, 3, 4
LOG_COLUMNS = 5


@compiled
def scaled_up(count: int, numerator: int, denominator: int) -> int:
    """``count * numerator / denominator``, rounded up; exact for products far beyond 64 bits."""
    whole, rest = count // denominator, count % denominator
    return whole * numerator + (rest * numerator + denominator - 1) // denominator


@compiled
def tick_of(parameters: Ints, cycle: int) -> int:
    """The first tick that is not before the machine's ``cycle``."""
    return scaled_up(cycle, parameters[TICKS], parameters[CYCLES])


@compiled
def cycle_of(parameters: Ints, tick: int) -> int:
    """The machine's first cycle that is not before ``tick``."""
    return scaled_up(tick, parameters[CYCLES], parameters[TICKS])


@compiled
def serve(
    parameters: Ints, state: Ints, addresses: Ints, sizes: Ints, ready_tick: int, is_write: bool, log: Ints
) -> tuple[int, int, int]:
    """Serve one transfer: runs of bytes, each widened to whole bursts.

    Parameters
    ----------
    parameters, state
        Of ``accel.sim.dram.parameters_of`` and ``new_state``; ``state`` is changed.
    addresses, sizes
        Of the runs, in bytes; a run of no bytes asks for nothing.
    ready_tick
        When the transfer may begin.
    log
        Commands are written to it as long as there is room; ``log[:0]`` for none.

    Returns
    -------
    tuple
        The ticks in which the first burst is asked for, in which the last one is, and in which the last data have
        arrived (a read's at the DMA, a write's in the device).
    """
    # The figures that every burst needs are read once: the compiler must assume that writing the state changes arrays.
    shift, outstanding, banks = parameters[BURST_SHIFT], parameters[OUTSTANDING], parameters[BANKS]
    row_at, row_mask, bank_at, bank_mask = parameters[ROW], parameters[ROW + 1], parameters[BANK], parameters[BANK + 1]
    group_at, group_mask = parameters[BANKGROUP], parameters[BANKGROUP + 1]
    channel_at, channel_mask = parameters[CHANNEL], parameters[CHANNEL + 1]
    groups, ccd_s, ccd_l, closed = parameters[GROUPS], parameters[CCD_S], parameters[CCD_L], parameters[CLOSED]
    to_end = (parameters[CWL] if is_write else parameters[CL]) + parameters[BURST]
    to_precharge = to_end + parameters[WR] if is_write else parameters[RTP]
    turn_s = to_end + parameters[WTR_S] if is_write else parameters[RTW]
    turn_l = to_end + parameters[WTR_L] if is_write else parameters[RTW]
    same, other = (NEXT_WRITE, NEXT_READ) if is_write else (NEXT_READ, NEXT_WRITE)
    counter, command = (WRITES, WRITE) if is_write else (READS, READ)
    to_dma = to_end + parameters[INTERFACE]
    at_channels, at_groups, at_banks = state[AT_CHANNELS], state[AT_GROUPS], state[AT_BANKS]
    first, last, done, window_at = -1, max(ready_tick, state[LAST_REQUEST]), ready_tick, state[WINDOW_AT]
    for run in range(addresses.size):
        if sizes[run] <= 0:
            continue
        for burst in range(addresses[run] >> shift, ((addresses[run] + sizes[run] - 1) >> shift) + 1):
            row = (burst >> row_at) & row_mask
            channel = (burst >> channel_at) & channel_mask
            group = channel * groups + ((burst >> group_at) & group_mask)
            at_channel = at_channels + channel * CHANNEL_WORDS
            at_group = at_groups + group * GROUP_WORDS
            at_bank = at_banks + (group * banks + ((burst >> bank_at) & bank_mask)) * BANK_WORDS

            last = max(last, state[HEADER + window_at])
            if first < 0:
                first = last
            column = max(last, state[at_channel + same], state[at_group + same])
            # The burst that opened the row has been read or written by then, so tRCD is over.
            if state[at_bank + OPEN_ROW] == row and column < state[at_channel + NEXT_REFRESH]:
                state[at_channel + HITS] += 1
            else:
                column = _reach(parameters, state, at_channel, at_group, at_bank, row, last, same, log)

            state[at_channel + counter] += 1
            state[at_channel + same] = column + ccd_s
            state[at_group + same] = column + ccd_l
            state[at_channel + other] = max(state[at_channel + other], column + turn_s)
            state[at_group + other] = max(state[at_group + other], column + turn_l)
            state[at_bank + PRECHARGE_READY] = max(state[at_bank + PRECHARGE_READY], column + to_precharge)
            _note(state, log, command, at_channel, at_bank, row, column)
            if closed:
                _close(parameters, state, at_channel, at_bank, 0, log)
            state[HEADER + window_at] = column + to_dma
            window_at = window_at + 1 if window_at + 1 < outstanding else 0
            done = max(done, column + to_dma)
    if first < 0:
        return ready_tick, ready_tick, ready_tick
    state[LAST_REQUEST], state[WINDOW_AT] = last, window_at
    return first, last, done


@compiled
def advance(parameters: Ints, state: Ints, tick: int, log: Ints) -> None:
    """Let the time until ``tick`` pass: refreshes that are due by then take place."""
    for at_channel in range(state[AT_CHANNELS], state[AT_GROUPS], CHANNEL_WORDS):
        while state[at_channel + NEXT_REFRESH] <= tick:
            _refresh(parameters, state, at_channel, log)


@compiled
def _reach(
    parameters: Ints,
    state: Ints,
    at_channel: int,
    at_group: int,
    at_bank: int,
    row: int,
    request: int,
    same: int,
    log: Ints,
) -> int:
    """Open ``row``, or let the refresh take place that is due before its burst; the tick of its read or write."""
    column: int
    while True:
        open_row, activate, precharge = state[at_bank + OPEN_ROW], -1, -1
        if open_row == row:
            column = request
        else:
            oldest = state[at_channel + FAW_TICKS + state[at_channel + FAW_AT]]
            activate = max(request, state[at_bank + ACTIVATE_READY], state[at_channel + REFRESHED])
            activate = max(activate, state[at_channel + NEXT_ACTIVATE], state[at_group + NEXT_ACTIVATE])
            activate = max(activate, oldest + parameters[FAW])
            if open_row >= 0:
                precharge = max(request, state[at_bank + PRECHARGE_READY])
                activate = max(activate, precharge + parameters[RP])
            column = activate + parameters[RCD]
        column = max(column, state[at_channel + same], state[at_group + same])
        if column < state[at_channel + NEXT_REFRESH]:
            break
        _refresh(parameters, state, at_channel, log)
    if activate < 0:
        state[at_channel + HITS] += 1
        return column

    if open_row < 0:
        state[at_channel + MISSES] += 1
    else:
        state[at_channel + CONFLICTS] += 1
        _note(state, log, PRECHARGE, at_channel, at_bank, open_row, precharge)
    _note(state, log, ACTIVATE, at_channel, at_bank, row, activate)
    faw = state[at_channel + FAW_AT]
    state[at_channel + FAW_TICKS + faw] = activate
    state[at_channel + FAW_AT] = (faw + 1) & 3
    state[at_channel + NEXT_ACTIVATE] = activate + parameters[RRD_S]
    state[at_group + NEXT_ACTIVATE] = activate + parameters[RRD_L]
    state[at_bank + OPEN_ROW] = row
    state[at_bank + PRECHARGE_READY] = activate + parameters[RAS]
    state[at_bank + ACTIVATE_READY] = activate + parameters[RC]
    return column


@compiled
def _refresh(parameters: Ints, state: Ints, at_channel: int, log: Ints) -> None:
    """The refresh of a channel that is due: its banks are closed, and it rests for tRFC."""
    due = state[at_channel + NEXT_REFRESH]
    start = max(due, state[at_channel + REFRESHED])
    banks = parameters[GROUPS] * parameters[BANKS]
    channel = (at_channel - state[AT_CHANNELS]) // CHANNEL_WORDS
    for bank in range(channel * banks, (channel + 1) * banks):
        at_bank = state[AT_BANKS] + bank * BANK_WORDS
        if state[at_bank + OPEN_ROW] >= 0:
            _close(parameters, state, at_channel, at_bank, due, log)
        start = max(start, state[at_bank + ACTIVATE_READY])
    _note(state, log, REFRESH, at_channel, -1, -1, start)
    state[at_channel + REFRESHED] = start + parameters[RFC]
    state[at_channel + NEXT_REFRESH] = due + parameters[REFI]
    state[at_channel + REFRESHES] += 1


@compiled
def _close(parameters: Ints, state: Ints, at_channel: int, at_bank: int, earliest: int, log: Ints) -> None:
    precharge = max(earliest, state[at_bank + PRECHARGE_READY])
    _note(state, log, PRECHARGE, at_channel, at_bank, state[at_bank + OPEN_ROW], precharge)
    state[at_bank + OPEN_ROW] = -1
    state[at_bank + ACTIVATE_READY] = max(state[at_bank + ACTIVATE_READY], precharge + parameters[RP])


@compiled
def _note(state: Ints, log: Ints, command: int, at_channel: int, at_bank: int, row: int, tick: int) -> None:
    """Add a command to the log, if there is room; -1 stands for all banks."""
    if log.shape[0] == 0:
        return
    at = state[LOGGED]
    if at >= log.shape[0]:
        return
    channel = (at_channel - state[AT_CHANNELS]) // CHANNEL_WORDS
    banks = (state.size - state[AT_BANKS]) // BANK_WORDS // ((state[AT_GROUPS] - state[AT_CHANNELS]) // CHANNEL_WORDS)
    bank = -1 if at_bank < 0 else (at_bank - state[AT_BANKS]) // BANK_WORDS - channel * banks
    log[at, 0], log[at, 1], log[at, 2], log[at, 3], log[at, 4] = command, channel, bank, row, tick
    state[LOGGED] = at + 1
