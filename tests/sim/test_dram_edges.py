"""Each timing parameter by itself, at its edge: a command that is ready at n - 1 goes at n, at n at n, later later.

On the easy device nothing else binds there. Derivations: the first burst of a bank is activated at its ready tick and
read or written tRCD = 1 later; written data end tCWL + burst = 1 + 2 ticks after the command.
"""

from __future__ import annotations

from typing import Any

import pytest

from accel.arch.dram import DramDevice
from accel.sim.dram import Command, Dram
from tests.sim.dram_devices import BURST_BYTES, CLOCK_HZ, easy, place

N = 20
LATER = 100
READ, WRITE = False, True
OTHER_GROUP, SAME_GROUP, OTHER_ROW = place(group=1), place(bank=1), place(row=1)
OPEN_ALL = [(place(), 0, READ), (OTHER_GROUP, 0, READ), (SAME_GROUP, 0, READ)]
"""Rows that are open long before tick LATER."""

Burst = tuple[int, int, bool]

PAIRS: dict[str, tuple[dict[str, Any], list[Burst], tuple[int, bool], str, int]] = {
    # What is changed; the bursts before (address, ready, write); the burst that is probed; which of its commands; n.
    "tRP": ({"tRP": N, "tRC": N + 1, "page_policy": "closed"}, [(place(), 0, READ)], (place(), READ), "ACT", 1 + N),
    "tRAS": ({"tRAS": N, "tRC": N + 1}, [(place(), 0, READ)], (OTHER_ROW, READ), "PRE", N),
    "tRC": ({"tRC": N, "page_policy": "closed"}, [(place(), 0, READ)], (place(), READ), "ACT", N),
    "tCCD_S, reads": ({"tCCD_S": N, "tCCD_L": N}, [*OPEN_ALL, (0, LATER, READ)], (OTHER_GROUP, READ), "RD", LATER + N),
    "tCCD_L, reads": ({"tCCD_L": N}, [*OPEN_ALL, (0, LATER, READ)], (SAME_GROUP, READ), "RD", LATER + N),
    "tCCD_S, writes": ({"tCCD_S": N, "tCCD_L": N}, [*OPEN_ALL, (0, 100, WRITE)], (OTHER_GROUP, WRITE), "WR", LATER + N),
    "tCCD_L, writes": ({"tCCD_L": N}, [*OPEN_ALL, (0, LATER, WRITE)], (SAME_GROUP, WRITE), "WR", LATER + N),
    "tRRD_S": ({"tRRD_S": N, "tRRD_L": N, "tFAW": N}, [(place(), 0, READ)], (OTHER_GROUP, READ), "ACT", N),
    "tRRD_L": ({"tRRD_L": N}, [(place(), 0, READ)], (SAME_GROUP, READ), "ACT", N),
    "tFAW": ({"tFAW": N}, [(place(bank=b), 0, READ) for b in range(4)], (OTHER_GROUP, READ), "ACT", N),
    "tWR": ({"tWR": N}, [(place(), 0, WRITE)], (OTHER_ROW, READ), "PRE", 1 + 3 + N),
    "tWTR_S": ({"tWTR_S": N, "tWTR_L": N}, [*OPEN_ALL, (0, 100, WRITE)], (OTHER_GROUP, READ), "RD", LATER + 3 + N),
    "tWTR_L": ({"tWTR_L": N}, [*OPEN_ALL, (0, LATER, WRITE)], (SAME_GROUP, READ), "RD", LATER + 3 + N),
    "tRTP": ({"tRTP": N}, [*OPEN_ALL, (0, LATER, READ)], (OTHER_ROW, READ), "PRE", LATER + N),
    "tRTW": ({"tRTW": N}, [*OPEN_ALL, (0, LATER, READ)], (OTHER_GROUP, WRITE), "WR", LATER + N),
    "tRFC": ({"tRFC": N, "tREFI": 500}, [], (place(), READ), "ACT", 500 + N),
}


def run(device: DramDevice, bursts: list[Burst], outstanding: int = 64) -> tuple[Dram, list[Command]]:
    """The bursts one after the other; the commands of the last one."""
    dram = Dram(device, outstanding, CLOCK_HZ, log_commands=1000)
    before: list[Command] = []
    for address, ready, write in bursts:
        before = dram.commands
        dram.serve([(address, BURST_BYTES)], ready, write=write)
    return dram, [command for command in dram.commands if command not in before]


def only(commands: list[Command], name: str) -> Command:
    (found,) = (command for command in commands if command.name == name)
    return found


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("early", [1, 0, -1])
def test_not_before_n_and_at_n(name: str, early: int) -> None:
    changes, before, (address, write), command, n = PAIRS[name]
    # A ready tick at or after tREFI finds the refresh behind it in the same way as one before.
    _, commands = run(easy(**changes), [*before, (address, n - early, write)])
    assert only(commands, command).tick == (n if early >= 0 else n + 1)


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "tRFC"])
def test_the_parameter_is_what_binds(name: str) -> None:
    """With the easy device's own value the same command goes as soon as it is ready."""
    changes, before, (address, write), command, n = PAIRS[name]
    policy = {key: value for key, value in changes.items() if key == "page_policy"}
    _, commands = run(easy(**policy), [*before, (address, n - 8, write)])
    assert only(commands, command).tick == n - 8


@pytest.mark.parametrize(
    ("changes", "address"), [({"tCCD_S": 50, "tCCD_L": 50}, OTHER_GROUP), ({"tCCD_L": 50}, SAME_GROUP)]
)
def test_a_write_between_two_reads_brings_them_no_closer(changes: dict[str, int], address: int) -> None:
    """The write goes tRTW = 2 behind the first read and would let the second one go 3 ticks later."""
    _, commands = run(easy(**changes), [*OPEN_ALL, (0, 300, READ), (0, 300, WRITE), (address, 300, READ)])
    assert only(commands, "RD").tick == 350


@pytest.mark.parametrize(("write", "command"), [(READ, "RD"), (WRITE, "WR")])
def test_trcd(write: bool, command: str) -> None:
    _, commands = run(easy(tRCD=N, tRAS=N, tRC=N + 1), [(place(), 7, write)])
    assert only(commands, "ACT").tick == 7
    assert only(commands, command).tick == 7 + N


def test_the_read_after_a_precharge_and_an_activate() -> None:
    """A conflict takes tRP + tRCD + tCL and its burst."""
    device = easy(tRP=7, tRCD=11, tRAS=11, tRC=18, tCL=13, tRTW=15)
    dram, commands = run(device, [(place(), 0, READ), (OTHER_ROW, LATER, READ)])
    assert [(command.name, command.tick) for command in commands] == [("PRE", 100), ("ACT", 107), ("RD", 118)]
    assert dram.serve([(OTHER_ROW, 1)], LATER + 50).done_cycle == LATER + 50 + 13 + 2
    assert (dram.counts.hits, dram.counts.misses, dram.counts.conflicts) == (1, 1, 1)


@pytest.mark.parametrize(("write", "changes"), [(READ, {"tCL": N, "tRTW": N + 1}), (WRITE, {"tCWL": N, "tRTW": 1})])
def test_data_arrive_after_cl_or_cwl_the_burst_and_the_interface(write: bool, changes: dict[str, int]) -> None:
    dram = Dram(easy(interface=5, **changes), 64, CLOCK_HZ)
    assert dram.serve([(place(), BURST_BYTES)], 3, write=write) == (3, 3, 3 + 1 + N + 2 + 5)


def test_four_activates_are_free_of_tfaw() -> None:
    _, commands = run(easy(tFAW=N), [(place(bank=bank), 0, READ) for bank in range(4)])
    assert only(commands, "ACT").tick == 0


@pytest.mark.parametrize(("ready", "column", "refreshes"), [(498, 499, 0), (499, 522, 1), (500, 522, 1)])
def test_a_burst_goes_before_a_refresh_or_after_it(ready: int, column: int, refreshes: int) -> None:
    """tREFI 500, tRFC 21: a read at 499 is in time, one at 500 comes tRCD behind the refresh."""
    dram, commands = run(easy(tREFI=500, tRFC=21), [(place(), ready, READ)])
    assert (only(commands, "RD").tick, dram.counts.refreshes) == (column, refreshes)


@pytest.mark.parametrize(("ready", "column", "refreshes"), [(499, 499, 0), (500, 523, 1)])
def test_a_hit_goes_before_a_refresh_or_finds_its_row_closed(ready: int, column: int, refreshes: int) -> None:
    """Precharge 500, refresh 501, tRFC 21, tRCD 1."""
    dram, commands = run(easy(tREFI=500, tRFC=21), [(place(), 0, READ), (place(), ready, READ)])
    assert (only(commands, "RD").tick, dram.counts.refreshes) == (column, refreshes)


def test_a_refresh_waits_for_the_one_before() -> None:
    """Written at 48, data until 51, tWR 30: the first refresh, due at 50, comes at 82; tRFC 40 delays three more."""
    device = easy(tREFI=50, tRFC=40, tWR=30)
    _, commands = run(device, [(place(), 0, READ), (place(), 48, WRITE), (place(), 100, READ)])
    assert [command.tick for command in commands if command.name == "REF"] == [82, 122, 162, 202]
    assert only(commands, "ACT").tick == 242


@pytest.mark.parametrize("row", [0, 1])
def test_a_refresh_closes_rows_first(row: int) -> None:
    """Precharge when due, refresh tRP later, and any row is a miss again."""
    device = easy(tREFI=500, tRFC=21, tRP=9, tRC=10)
    dram, commands = run(device, [(place(), 0, READ), (place(row=row), 700, READ)])
    assert [(command.name, command.tick) for command in commands][:2] == [("PRE", 500), ("REF", 509)]
    assert only(commands, "ACT").tick == 700
    assert (dram.counts.misses, dram.counts.hits, dram.counts.conflicts) == (2, 0, 0)


def test_a_refresh_waits_for_written_data() -> None:
    """Written at 498: data end at 501, tWR 6 later the row may close."""
    device = easy(tREFI=500, tRFC=21, tWR=6)
    _, commands = run(device, [(place(), 0, WRITE), (place(), 498, WRITE), (place(), 500, READ)])
    assert [(command.name, command.tick) for command in commands][:2] == [("PRE", 507), ("REF", 508)]


def test_time_that_passes_is_refreshed() -> None:
    dram = Dram(easy(tREFI=500, tRFC=21, channels=2), 64, CLOCK_HZ, log_commands=100)
    dram.advance(499)
    assert dram.counts.refreshes == 0
    dram.advance(1500)
    assert [(c.channel, c.tick) for c in dram.commands] == [(ch, k * 500) for ch in range(2) for k in (1, 2, 3)]


def test_a_closed_page_is_precharged_behind_its_burst() -> None:
    dram, commands = run(easy(page_policy="closed", tRTP=6), [(place(), 0, READ), (place(), LATER, READ)])
    assert [(command.name, command.tick) for command in commands] == [("ACT", 100), ("RD", 101), ("PRE", 107)]
    assert (dram.counts.hits, dram.counts.misses) == (0, 2)


@pytest.mark.parametrize("outstanding", [1, 2, 5])
def test_the_window(outstanding: int) -> None:
    """Reads of an open row, tCL 30 and bursts of 2: burst i is asked for when burst i - outstanding is there."""
    dram = Dram(easy(tCL=30, tRTW=31), outstanding, CLOCK_HZ, log_commands=100)
    dram.serve([(place(), 1)])
    served = dram.serve([(place(), 1)] * 10, LATER)
    reads = [command.tick for command in dram.commands if command.name == "RD"][1:]
    expected: list[int] = []
    for burst in range(10):
        earliest = LATER if burst < outstanding else expected[burst - outstanding] + 32
        expected.append(max(earliest, expected[-1] + 2) if expected else earliest)
    assert reads == expected
    assert served.done_cycle == expected[-1] + 32


def test_channels_do_not_wait_for_each_other() -> None:
    device = easy(channels=2, tRRD_S=N, tRRD_L=N, tFAW=N, tCCD_S=N, tCCD_L=N)
    dram = Dram(device, 64, CLOCK_HZ, log_commands=10)
    dram.serve([(place(channels=2), 2 * BURST_BYTES)])
    assert [(c.channel, c.name, c.tick) for c in dram.commands] == [
        (0, "ACT", 0),
        (0, "RD", 1),
        (1, "ACT", 0),
        (1, "RD", 1),
    ]
