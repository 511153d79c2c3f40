"""DRAM devices as described: presets, what follows from them, and what a machine's file changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from accel import gallery
from accel.arch.describe import describe_machine
from accel.arch.dram import DramDevice, DramSpec
from accel.arch.load import dump_machine, load_arch, parse_machine
from accel.arch.spec import Machine
from accel.catalog import dram_rows
from tests.sim.dram_devices import devices

EDGE = load_arch("edge-32x32")
NAMES = [path.stem for path in gallery.drams()]


def machine(dram: dict[str, Any] | DramSpec, clock_hz: float = 1e9) -> Machine:
    return Machine.model_validate({**dict(EDGE), "clock_hz": clock_hz, "dram": dram})


def test_the_devices_that_documents_name() -> None:
    assert {"ddr4-2400-x16", "ddr4-3200-x16", "lpddr4-3200", "lpddr5-6400", "hbm2-2000"} <= set(NAMES)
    assert [row["name"] for row in dram_rows()] == NAMES


@pytest.mark.parametrize("path", gallery.drams(), ids=NAMES)
def test_each_device_says_where_it_comes_from(path: Path) -> None:
    device = DramDevice.named(path.stem)
    assert device.preset == path.stem
    assert len(device.description) > 20
    assert len(device.source) > 20
    assert max(map(len, path.read_text().splitlines())) <= 120


# Bandwidth is pins x transfers; capacity is the data sheets' (channels x Gbit / 8).
@pytest.mark.parametrize(
    ("name", "gigabytes_per_second", "gibibytes", "burst_bytes", "row_bytes", "devices_per_channel"),
    [
        ("ddr4-2400-x16", 64 * 2.4 / 8, 4 * 8 / 8, 64, 8192, 4),
        ("ddr4-3200-x16", 64 * 3.2 / 8, 4 * 8 / 8, 64, 8192, 4),
        ("lpddr4-3200", 16 * 3.2 / 8, 8 / 8, 32, 2048, 1),
        ("lpddr5-6400", 16 * 6.4 / 8, 16 / 8, 32, 2048, 1),
        ("hbm2-2000", 1024 * 2.0 / 8, 4 * 8 / 8, 32, 1024, 1),
    ],
)
def test_figures(
    name: str,
    gigabytes_per_second: float,
    gibibytes: float,
    burst_bytes: int,
    row_bytes: int,
    devices_per_channel: int,
) -> None:
    device = DramDevice.named(name)
    assert float(device.bandwidth_bytes_per_second) == pytest.approx(gigabytes_per_second * 1e9)
    assert device.capacity_bytes == gibibytes * 2**30
    shape = device.organization
    assert (shape.burst_bytes, shape.row_bytes, shape.devices) == (burst_bytes, row_bytes, devices_per_channel)


# Currents in mA and supplies in V as the files' comments name them: (V, IDD0, IDD2N, IDD3N, IDD4R, IDD4W, IDD5).
CURRENTS = {
    "ddr4-2400-x16": (1, [(1.2, 80, 34, 47, 243, 228, 280)]),
    "ddr4-3200-x16": (1, [(1.2, 95, 37, 56, 302, 278, 280)]),
    "lpddr4-3200": (
        1,
        [
            (1.8, 3.5, 2, 2.25, 2.25, 2.25, 10),
            (1.1, 45, 27, 30, 275, 210, 90),
            (1.1, 0.75, 0.75, 0.75, 150, 55, 0.75),
        ],
    ),
    "hbm2-2000": (2, [(1.2, 65, 40, 55, 390, 500, 250)]),
}


@pytest.mark.parametrize("name", NAMES)
def test_energies_follow_from_currents(name: str) -> None:
    """Micron's TN-40-07: what a command draws above standby, times its time; mA x V x ns = pJ.

    HBM2's currents are of two pseudo channels, which share all but an activated row.
    """
    device = DramDevice.named(name)
    if name not in CURRENTS:
        assert device.energy is None
        return
    share, supplies = CURRENTS[name]
    timing, tick_ns = device.timing, 1e9 / device.timing.clock_hz
    burst_ns, rfc_ns = device.burst_ticks * tick_ns, timing.rfc_ticks * tick_ns
    activate_pj = sum(
        volt * (idd0 * timing.rc_ticks - idd3n * timing.ras_ticks - idd2n * timing.rp_ticks) * tick_ns
        for volt, idd0, idd2n, idd3n, *_ in supplies
    )
    read_pj = sum(volt * (idd4r - idd3n) * burst_ns for volt, _, _, idd3n, idd4r, _, _ in supplies) / share
    write_pj = sum(volt * (idd4w - idd3n) * burst_ns for volt, _, _, idd3n, _, idd4w, _ in supplies) / share
    refresh_pj = sum(volt * (idd5 - idd3n) * rfc_ns for volt, _, _, idd3n, _, _, idd5 in supplies) / share
    energy = device.energy
    assert energy is not None
    assert energy.activate_pj == pytest.approx(activate_pj, rel=1e-3)
    assert energy.read_burst_pj == pytest.approx(read_pj, rel=1e-3)
    assert energy.write_burst_pj == pytest.approx(write_pj, rel=1e-3)
    assert energy.refresh_pj == pytest.approx(refresh_pj, rel=1e-3)
    assert energy.background_mw == pytest.approx(sum(v * idd3n for v, _, _, idd3n, *_ in supplies) / share, rel=1e-3)


def test_bandwidth_latency_and_burst_follow_from_the_device() -> None:
    """Two channels of 6.4 GB/s at 800 MHz; (29 + 34) x 0.625 + 20 = 59.4 ns are 47.5 cycles."""
    dram = machine({"device": {"preset": "lpddr4-3200", "channels": 2, "timing": {"interface": "20 ns"}}}, 800e6).dram
    assert (dram.bandwidth_bytes_per_cycle, dram.latency_cycles, dram.burst_bytes) == (16, 48, 32)
    assert dram.outstanding == 64


def test_outstanding_requests_limit_the_bandwidth() -> None:
    """Bursts of 64 bytes under way for 100 + 64 / 16 cycles each."""
    plain = {"bandwidth_bytes_per_cycle": 16.0, "latency_cycles": 100, "burst_bytes": 64}
    assert DramSpec.model_validate({**plain, "outstanding": 26}).sustained_bytes_per_cycle == 16
    assert DramSpec.model_validate({**plain, "outstanding": 25}).sustained_bytes_per_cycle == 25 * 64 / 104
    assert DramSpec.model_validate({**plain, "latency_cycles": 0, "outstanding": 1}).sustained_bytes_per_cycle == 16


def test_no_machine_of_the_gallery_is_limited_by_outstanding_requests() -> None:
    for path in gallery.machines():
        dram = load_arch(path).dram
        assert dram.sustained_bytes_per_cycle == dram.bandwidth_bytes_per_cycle, path.stem


def test_a_file_changes_its_preset_where_it_likes() -> None:
    changes = {"organization": {"channel_width_bits": 32}, "energy": {"refresh_pj": 5.0}, "page_policy": "closed"}
    ours, theirs = DramDevice.named("lpddr4-3200", **changes), DramDevice.named("lpddr4-3200")
    assert ours.organization == theirs.organization.model_copy(update={"channel_width_bits": 32})
    assert ours.energy is not None
    assert theirs.energy is not None
    assert ours.energy == theirs.energy.model_copy(update={"refresh_pj": 5.0})
    assert (ours.timing, ours.page_policy, theirs.page_policy) == (theirs.timing, "closed", "open")
    assert DramDevice.named("lpddr4-3200", energy=None).energy is None


def test_times_are_ticks_of_the_device_rounded_up() -> None:
    """At the device's 1600 MHz, whatever the machine's clock: 14.16 ns are 22.66 cycles, 15 ns are 24."""
    for clock_hz in (1e8, 3e9):
        found = machine(
            {"device": {"preset": "ddr4-3200-x16", "timing": {"tWR": "14.16 ns", "tRTP": "15 ns"}}}, clock_hz
        )
        assert found.dram.device is not None
        assert (found.dram.device.timing.wr_ticks, found.dram.device.timing.rtp_ticks) == (23, 24)


@settings(max_examples=20, deadline=None)
@given(devices(), st.integers(1, 4096), st.floats(1e6, 1e10))
def test_files_say_devices_in_full(device: DramDevice, outstanding: int, clock_hz: float) -> None:
    ours = machine({"outstanding": outstanding, "device": device}, clock_hz)
    assert parse_machine(dump_machine(ours), "m.yaml") == ours
    assert set(ours.to_file()["dram"]) == {"outstanding", "device"}


@pytest.mark.parametrize("name", NAMES)
def test_machines_with_presets_survive_their_file(name: str) -> None:
    ours = machine({"device": {"preset": name}})
    assert parse_machine(dump_machine(ours), "m.yaml") == ours
    rows = {(row.section, row.field): row for row in describe_machine(ours)}
    bandwidth = rows["dram", "bandwidth"]
    assert (float(bandwidth.value), bandwidth.default) == (pytest.approx(ours.dram.bandwidth_bytes_per_cycle), None)
    assert rows["dram.device.timing", "tRCD"].unit == "cycles"
    assert rows["dram.device.organization", "channel_width_bits"].unit == "bits"


def test_one_device_in_two_machines() -> None:
    """Cycles are each machine's own; the description they share stays as it is."""
    shared = DramSpec(device=DramDevice.named("hbm2-2000"))
    slow, fast = (machine(shared, hz) for hz in (5e8, 1e9))
    assert (slow.dram.bandwidth_bytes_per_cycle, fast.dram.bandwidth_bytes_per_cycle) == (512, 256)
    assert (slow.dram.latency_cycles, fast.dram.latency_cycles) == (14, 28)


def test_python_says_it_one_way_too() -> None:
    with pytest.raises(ValidationError, match="leave one of the two out"):
        DramSpec(latency_cycles=3, device=DramDevice.named("hbm2-2000"))
    with pytest.raises(ValidationError, match="burst"):
        DramSpec(latency_cycles=3, bandwidth_bytes_per_cycle=3.0)


@pytest.mark.parametrize("name", NAMES)
def test_times_of_presets_fit_together(name: str) -> None:
    """What the sources derive from other parameters: tRC, the read's turnaround, refreshes every 3.9 or 7.8 us."""
    device = DramDevice.named(name)
    timing, tick_us = device.timing, 1e6 / device.timing.clock_hz
    assert timing.rc_ticks == timing.ras_ticks + timing.rp_ticks
    assert 0 <= timing.rtw_ticks - (timing.cl_ticks + device.burst_ticks - timing.cwl_ticks) <= 2
    assert timing.refi_ticks * tick_us == pytest.approx(7.8 if name.startswith("ddr4") else 3.9, abs=0.01)
    assert 12 < timing.rcd_ticks * tick_us * 1e3 < 19  # ns, as tRP; all generations are alike
    assert 12 < timing.rp_ticks * tick_us * 1e3 < 19
    assert 30 < timing.ras_ticks * tick_us * 1e3 < 43
