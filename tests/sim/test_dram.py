"""Streams of transfers: legal and as early as can be, and as fast as the parameters say."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import gallery
from accel.arch.dram import DramDevice
from accel.sim import dram_kernels as kernel
from accel.sim.dram import COMMAND_NAMES, Command, Dram, parameters_of
from tests.sim.dram_devices import BURST_BYTES, CLOCK_HZ, EASY, Transfer, devices, easy, place, transfers
from tests.sim.dram_reference import Reference, broken

PRESETS = [path.stem for path in gallery.drams()]
NEVER = {"tREFI": "10000000 cycles"}
"""No refresh in a short stream."""


def at_own_clock(device: DramDevice, outstanding: int, log_commands: int = 0) -> Dram:
    """A machine whose clock is the device's: a cycle is a tick."""
    return Dram(device, outstanding, device.timing.clock_hz, log_commands)


def check_stream(device: DramDevice, stream: list[Transfer], outstanding: int) -> None:
    dram = at_own_clock(device, outstanding, log_commands=5000)
    reference = Reference(device, outstanding)
    for runs, ready, write in stream:
        assert dram.serve(runs, ready, write=write) == reference.serve(runs, ready, write)
    rows = dram.log[: dram.state[kernel.LOGGED]].tolist()
    assert [Command(COMMAND_NAMES[row[0]], *row[1:]) for row in rows] == reference.commands
    assert list(broken(device, dram.commands)) == []
    names = [command.name for command in reference.commands]
    counts = dram.counts
    assert (counts.reads, counts.writes) == (names.count("RD"), names.count("WR"))
    assert (counts.activates, counts.refreshes) == (names.count("ACT"), names.count("REF"))
    assert counts.hits + counts.activates == counts.reads + counts.writes == len(reference.arrivals)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_drawn_devices(data: st.DataObject) -> None:
    device = data.draw(devices())
    check_stream(device, data.draw(transfers(device)), data.draw(st.integers(1, 9)))


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(PRESETS), st.sampled_from(["open", "closed"]))
def test_presets(data: st.DataObject, preset: str, policy: str) -> None:
    """With refreshes thirty times as often, so that short streams meet some."""
    timing = DramDevice.named(preset).timing
    often = f"{timing.rfc_ticks + timing.refi_ticks // 30} cycles"
    device = DramDevice.named(preset, page_policy=policy, timing={"tREFI": often}, channels=2)
    check_stream(device, data.draw(transfers(device)), data.draw(st.sampled_from([1, 4, 16])))


def test_the_checker_sees_what_is_too_early() -> None:
    """Each command of a legal stream that is moved a tick forward or loses its predecessor breaks something."""
    device = easy(tRCD=5, tRAS=9, tRC=12, tRP=3, tFAW=30, tRRD_S=4, tRRD_L=4, tRTP=4, tWR=6)
    dram = Dram(device, 64, CLOCK_HZ, log_commands=100)
    for bank in range(4):
        dram.serve([(place(bank=bank, row=row), BURST_BYTES) for row in range(3)], write=bool(bank % 2))
    commands = dram.commands
    assert list(broken(device, commands)) == []
    for at, command in enumerate(commands[1:], start=1):
        moved = sorted([*commands[:at], command._replace(tick=command.tick - 1), *commands[at + 1 :]], key=_by_tick)
        assert list(broken(device, moved)), command
    for at, command in enumerate(commands):
        if command.name in ("ACT", "PRE") and command != commands[-1]:
            assert list(broken(device, commands[:at] + commands[at + 1 :])), command


def _by_tick(command: Command) -> tuple[int, int]:
    return command.channel, command.tick


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_long_stream_runs_at_the_peak_but_for_refreshes(preset: str, write: bool) -> None:
    """Of every tREFI, tRFC is lost at least; at most also the way to it (tRTP or tWR of the last burst, tRP) and back.

    The way back is an activate of every bank in use (one a bank group) and tRCD; with two bank groups or one, a new
    row's activate may also come up to tRRD_L too late.
    """
    device = DramDevice.named(preset)
    timing, shape = device.timing, device.organization
    intervals = 20
    bursts = device.channels * timing.refi_ticks * intervals // device.burst_ticks
    dram = at_own_clock(device, 64 * device.channels)
    done = dram.serve([(0, bursts * shape.burst_bytes)], write=write).done_cycle
    share = bursts * device.burst_ticks / device.channels / done
    closing = timing.cwl_ticks + device.burst_ticks + timing.wr_ticks if write else timing.rtp_ticks
    opening = timing.rcd_ticks + shape.bank_groups * timing.rrd_l_ticks
    overhead = max(closing, timing.ras_ticks) + timing.rp_ticks + timing.rfc_ticks + opening
    assert 1 - overhead / timing.refi_ticks < share < 1 - timing.rfc_ticks / timing.refi_ticks + 1 / intervals
    assert dram.counts.refreshes >= device.channels * intervals


@pytest.mark.parametrize("preset", PRESETS)
def test_other_rows_of_one_bank_take_trc_each(preset: str) -> None:
    """Activate to activate: tRC, or tRCD + tRTP + tRP where that is longer."""
    device = DramDevice.named(preset, mapping="bank_bankgroup_row_column_channel", channels=1, timing=NEVER)
    timing = device.timing
    rows = [(row * device.organization.row_bytes, 1) for row in range(50)]
    period = max(timing.rc_ticks, timing.rcd_ticks + timing.rtp_ticks + timing.rp_ticks)
    served = at_own_clock(device, 64).serve(rows)
    assert served.done_cycle == 49 * period + timing.rcd_ticks + timing.cl_ticks + device.burst_ticks


@pytest.mark.parametrize("preset", PRESETS)
def test_other_rows_of_all_banks_take_a_quarter_of_tfaw_each(preset: str) -> None:
    """Or tRRD_S, where four of these are longer; banks in turn, bank groups first, tRC being no bound for that many."""
    device = DramDevice.named(preset, mapping="column_row_bank_bankgroup_channel", channels=1, timing=NEVER)
    timing = device.timing
    rrd = max(timing.rrd_s_ticks, -(-timing.rrd_l_ticks // device.organization.bank_groups))
    by_banks = Fraction(timing.rc_ticks, device.organization.banks)
    period = max(Fraction(timing.faw_ticks, 4), Fraction(rrd), by_banks, Fraction(device.burst_ticks))
    fields = [[(at * device.organization.burst_bytes, 1) for at in range(bursts)] for bursts in (160, 1120)]
    shorter, longer = (at_own_clock(device, 256).serve(bursts).done_cycle for bursts in fields)
    assert longer - shorter == 960 * period


def test_reads_and_writes_in_turn_take_both_turnarounds() -> None:
    """tRTW from the read to the write, tCWL + burst + tWTR_L back; all hits."""
    device = DramDevice.named("ddr4-2400-x16", timing=NEVER)
    timing = device.timing

    def done(pairs: int) -> int:
        dram = at_own_clock(device, 64)
        for _ in range(pairs):
            dram.serve([(0, 1)])
            last = dram.serve([(0, 1)], write=True)
        return last.done_cycle

    assert done(30) - done(10) == 20 * (timing.rtw_ticks + timing.cwl_ticks + device.burst_ticks + timing.wtr_l_ticks)


@pytest.mark.parametrize("outstanding", [1, 2, 4])
def test_few_outstanding_requests_limit_by_littles_law(outstanding: int) -> None:
    """Hits of LPDDR4: a burst is under way for the interface, tCL and itself."""
    device = DramDevice.named("lpddr4-3200", timing={**NEVER, "interface": "40 ns"})
    under_way = device.timing.interface_ticks + device.timing.cl_ticks + device.burst_ticks
    shorter, longer = (at_own_clock(device, outstanding).serve([(0, 1)] * count).done_cycle for count in (100, 300))
    assert longer - shorter == 200 // outstanding * under_way


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_more_outstanding_and_shorter_times_are_never_slower(data: st.DataObject) -> None:
    """Without refreshes: which bursts hit follows from their order alone, and every time is a maximum of sums.

    With refreshes nothing of the kind holds burst by burst: a stream that runs ahead may meet a refresh between two
    bursts of a row, where the slower one had both before it, and open that row once more.
    """
    device = data.draw(devices())
    stream = data.draw(transfers(device))
    outstanding = data.draw(st.integers(1, 8))
    never = device.timing.model_copy(update={"refi_ticks": 10**7})
    plain = device.model_copy(update={"timing": never})
    names = ["wr", "rtp", "faw", "wtr_l", "rrd_l", "ccd_l", "rc", "interface"]
    least = {"faw": never.rrd_s_ticks, "wtr_l": never.wtr_s_ticks, "rrd_l": never.rrd_s_ticks}
    least |= {"ccd_l": never.ccd_s_ticks, "rc": never.ras_ticks + never.rp_ticks}
    name = data.draw(st.sampled_from(names))
    shorter = never.model_copy(update={f"{name}_ticks": max(least.get(name, 0), 1 if name == "faw" else 0)})
    for better, window in (
        (plain, outstanding + data.draw(st.integers(1, 8))),
        (device_of(plain, shorter), outstanding),
    ):
        slow, fast = at_own_clock(plain, outstanding), at_own_clock(better, window)
        for runs, ready, write in stream:
            assert fast.serve(runs, ready, write=write).done_cycle <= slow.serve(runs, ready, write=write).done_cycle


def device_of(device: DramDevice, timing: Any) -> DramDevice:
    return device.model_copy(update={"timing": timing})


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(10**3, 10**11), st.integers(10**3, 10**11))
def test_clocks_are_exact_and_never_early(count: int, core_hz: int, dram_hz: int) -> None:
    """A cycle's tick is the first that is not before it; ratios of more than 31 bits are off by less than 10^-8."""
    device = easy()
    device = device_of(device, device.timing.model_copy(update={"clock_hz": float(dram_hz)}))
    parameters = parameters_of(device, 1, float(core_hz))
    ratio = Fraction(dram_hz, core_hz)
    kept = Fraction(int(parameters[kernel.TICKS]), int(parameters[kernel.CYCLES]))
    if max(ratio.numerator, ratio.denominator) < 2**31:
        assert kept == ratio
    if count * max(kept, 1 / kept) < 2**62:
        assert kernel.tick_of(parameters, count) == ceil(count * kept)
        assert kernel.cycle_of(parameters, count) == ceil(count / kept)
    assert abs(kept / ratio - 1) < Fraction(1, 10**8)


def test_cycles_of_another_clock() -> None:
    """1200 MHz beside 1 GHz: a request at cycle 1 goes at tick 2; data at 2 + 17 + 17 + 4 = 40 ticks are cycle 34."""
    dram = Dram(DramDevice.named("ddr4-2400-x16"), 16, 1e9, log_commands=2)
    assert dram.serve([(0, 1)], 1) == (2, 2, 34)
    assert [command.tick for command in dram.commands] == [2, 19]


def test_runs_are_widened_to_whole_bursts() -> None:
    dram = Dram(easy(), 64, CLOCK_HZ)
    dram.serve([(31, 2), (64, 32), (100, 0), (127, 1)])
    assert dram.counts.reads == 2 + 1 + 1
    assert dram.serve([], 777) == dram.serve([(5, 0)], 777) == (777, 777, 777)


def test_mappings() -> None:
    """DDR4's rows of 8 KiB in bursts of 64 bytes: neighbours change the bank group, or stay in the row."""
    spread = Dram(DramDevice.named("ddr4-2400-x16"), 8, 1e9, log_commands=9)
    spread.serve([(0, 256)])
    assert [command.bank for command in spread.commands if command.name == "RD"] == [0, 4, 0, 4]
    straight = Dram(DramDevice.named("ddr4-2400-x16", mapping="row_bank_bankgroup_channel_column"), 8, 1e9, 9)
    straight.serve([(8192 - 64, 128)])
    assert [(command.bank, command.row) for command in straight.commands if command.name == "RD"] == [(0, 0), (4, 0)]


@pytest.mark.parametrize("run", [(-1, 5), (0, 2**33), (2**32 - 1, 2), (0, -1)])
def test_what_lies_outside_is_refused(run: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="4294967296 bytes"):
        Dram(DramDevice.named("ddr4-2400-x16"), 8, 1e9).serve([run])


def test_logs_are_as_long_as_asked_and_change_nothing() -> None:
    streams = [at_own_clock(easy(**{**EASY, "tREFI": 90}), 8, log_commands=length) for length in (0, 3, 1000)]
    assert len({dram.serve([(0, 4096)]) for dram in streams}) == 1
    assert [len(dram.commands) for dram in streams[:2]] == [0, 3]
    assert len(streams[2].commands) > 128
    states = [np.delete(dram.state, kernel.LOGGED).tolist() for dram in streams]
    assert states[0] == states[1] == states[2]
