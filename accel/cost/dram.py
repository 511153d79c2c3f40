"""Energy of the DRAM: commands of a described device, or bits of one that is only a bandwidth."""

from __future__ import annotations

from accel.arch.spec import Machine
from accel.arch.technology import Technology
from accel.result import Actions


def dram_pj(actions: Actions, cycles_total: int, machine: Machine, technology: Technology) -> float:
    """Energy of what moved to and from the DRAM, and of ``cycles_total`` cycles of its standby.

    A device whose energy is described takes it by command, and every device of a channel takes part in each; one that
    says none, and a DRAM that is no more than a bandwidth, take the technology's energy for each bit.
    """
    device, moved_bytes = machine.dram.device, actions.dram_read_bytes + actions.dram_write_bytes
    if device is None or device.energy is None:
        return technology.dram_pj(moved_bytes)
    energy, burst_bytes = device.energy, device.organization.burst_bytes
    commands_pj = (
        actions.dram_activates * energy.activate_pj
        + actions.dram_read_bytes / burst_bytes * energy.read_burst_pj
        + actions.dram_write_bytes / burst_bytes * energy.write_burst_pj
        + actions.dram_refreshes * energy.refresh_pj
    )
    standby_pj = device.channels * energy.background_mw * cycles_total / machine.clock_hz * 1e9
    return device.organization.devices * (commands_pj + standby_pj)
