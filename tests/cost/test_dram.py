"""DRAM energy: by command where a device says it, by bit elsewhere."""

from __future__ import annotations

import pytest

from accel.arch.load import load_arch
from accel.arch.spec import DramDevice, DramSpec, Machine
from accel.arch.technology import load_technology
from accel.cost.dram import dram_pj
from accel.result import Actions

EDGE = load_arch("edge-32x32")
TECHNOLOGY = load_technology("45nm")
MOVED = Actions(dram_read_bytes=640, dram_write_bytes=320, dram_activates=7, dram_row_hits=8, dram_refreshes=2)


def with_device(name: str, **changes: object) -> Machine:
    return EDGE.model_copy(update={"dram": DramSpec(device=DramDevice.named(name, **changes)).at_clock(EDGE.clock_hz)})


def test_every_command_of_every_device_and_standby() -> None:
    """Four DDR4 devices, bursts of 64 bytes; 1000 cycles of 1 ns at 56.4 mW are 56.4 nJ."""
    machine = with_device("ddr4-2400-x16")
    one_pj = 7 * 2069 + 10 * 784 + 5 * 724 + 2 * 97860
    assert dram_pj(MOVED, 0, machine, TECHNOLOGY) == pytest.approx(4 * one_pj)
    assert dram_pj(MOVED, 1000, machine, TECHNOLOGY) == pytest.approx(4 * (one_pj + 56400))


def test_standby_of_all_channels_by_time() -> None:
    for channels in (1, 4):
        machine = with_device("lpddr4-3200", channels=channels)
        assert dram_pj(Actions(), 10**6, machine, TECHNOLOGY) == pytest.approx(channels * 37.9e6)
    halved = machine.model_copy(update={"clock_hz": EDGE.clock_hz / 2})
    assert dram_pj(Actions(), 10**6, halved, TECHNOLOGY) == pytest.approx(2 * 4 * 37.9e6)


def test_a_streamed_bit_of_lpddr4_costs_what_the_technology_says() -> None:
    """Two independent figures of one kind of memory: currents of its data sheet, and 8 pJ a bit."""
    row = Actions(dram_read_bytes=2048, dram_activates=1, dram_row_hits=63)
    machine = with_device("lpddr4-3200")
    cycles = round(2048 / machine.dram.bandwidth_bytes_per_cycle)
    described = dram_pj(row, cycles, machine, TECHNOLOGY) / (2048 * 8)
    assert described == pytest.approx(TECHNOLOGY.dram_pj(1) / 8, rel=0.25)


def test_a_device_without_energy_takes_the_technology_s_bits() -> None:
    bits_pj = TECHNOLOGY.dram_pj(960)
    assert dram_pj(MOVED, 10**6, with_device("lpddr5-6400"), TECHNOLOGY) == bits_pj
    assert dram_pj(MOVED, 10**6, EDGE, TECHNOLOGY) == bits_pj
    assert dram_pj(MOVED, 10**6, with_device("ddr4-2400-x16", energy=None), TECHNOLOGY) == bits_pj
