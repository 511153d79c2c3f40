"""DRAM devices for tests: one whose constraints hardly bind, and drawn ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from accel.arch.dram import DramDevice
from accel.arch.dram_rules import ADDRESS_PARTS

CLOCK_HZ = 1e9
"""Of the easy device and of the machine around it: a tick is a cycle."""

ORGANIZATION = {
    "channel_width_bits": 64,
    "device_width_bits": 16,
    "bank_groups": 2,
    "banks_per_group": 4,
    "rows": 64,
    "columns": 64,
    "burst_length": 4,
}
BURST_BYTES = 32
EASY = {
    "tRCD": 1,
    "tRP": 1,
    "tRAS": 1,
    "tRC": 2,
    "tCL": 1,
    "tCWL": 1,
    "tCCD_S": 2,
    "tCCD_L": 2,
    "tRRD_S": 0,
    "tRRD_L": 0,
    "tFAW": 1,
    "tWR": 0,
    "tWTR_S": 0,
    "tWTR_L": 0,
    "tRTP": 0,
    "tRTW": 2,
    "tREFI": 1_000_000,
    "tRFC": 1,
}


def easy(**changes: Any) -> DramDevice:
    """Bursts of two ticks, everything else as short as it may be, but for ``changes`` to times or to the device."""
    ticks = {key: changes.pop(key, value) for key, value in EASY.items()}
    timing = {"clock": "1 GHz", **{key: f"{value} cycles" for key, value in ticks.items()}}
    interface = f"{changes.pop('interface', 0)} cycles"
    fields = {"organization": ORGANIZATION, "timing": {**timing, "interface": interface}, **changes}
    return DramDevice.model_validate(fields)


def place(row: int = 0, bank: int = 0, group: int = 0, column: int = 0, channel: int = 0, channels: int = 1) -> int:
    """The address of a burst of the easy device under its default mapping."""
    burst = row
    for value, size in ((bank, 4), (column, 16), (group, 2), (channel, channels)):
        burst = burst * size + value
    return burst * BURST_BYTES


@st.composite
def devices(draw: st.DrawFn) -> DramDevice:
    """Small devices with drawn shapes and times, so that rows meet often and refreshes too."""

    def ticks(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    transfers = draw(st.sampled_from([2, 4]))
    burst = draw(st.sampled_from([1, 2, 4]))
    rcd, rp, cl, cwl = ticks(1, 8), ticks(1, 8), ticks(0, 9), ticks(0, 9)
    ras = rcd + ticks(0, 8)
    # Reads so far apart that a write fits between them keep their distance all the same.
    rrd, ccd, wtr = ticks(0, 5), burst + draw(st.sampled_from([0, 1, 3, 40])), ticks(0, 4)
    rfc = ticks(1, 20)
    times = {
        "tRCD": rcd,
        "tRP": rp,
        "tRAS": ras,
        "tRC": ras + rp + ticks(0, 4),
        "tCL": cl,
        "tCWL": cwl,
        "tCCD_S": ccd,
        "tCCD_L": ccd + draw(st.sampled_from([0, 2, 40])),
        "tRRD_S": rrd,
        "tRRD_L": rrd + ticks(0, 4),
        "tFAW": max(rrd, 1) + ticks(0, 25),
        "tWR": ticks(0, 9),
        "tWTR_S": wtr,
        "tWTR_L": wtr + ticks(0, 4),
        "tRTP": ticks(0, 6),
        "tRTW": max(1, cl + burst - cwl) + ticks(0, 3),
        "tREFI": rfc + rcd + ticks(60, 400),
        "tRFC": rfc,
        "interface": ticks(0, 5),
    }
    return DramDevice.model_validate(
        {
            "channels": draw(st.sampled_from([1, 2])),
            "organization": {
                "channel_width_bits": 16,
                "device_width_bits": 8,
                "bank_groups": draw(st.sampled_from([1, 2, 4])),
                "banks_per_group": draw(st.sampled_from([1, 2])),
                "rows": 8,
                "columns": 32,
                "burst_length": burst * transfers,
            },
            "timing": {
                "clock": "800 MHz",
                "transfers_per_clock": transfers,
                **{key: f"{value} cycles" for key, value in times.items()},
            },
            "mapping": "_".join(draw(st.permutations(ADDRESS_PARTS))),
            "page_policy": draw(st.sampled_from(["open", "closed"])),
        }
    )


Transfer = tuple[list[tuple[int, int]], int, bool]


@st.composite
def transfers(draw: st.DrawFn, device: DramDevice) -> list[Transfer]:
    """(runs, ready, write), a hundred bursts or so together."""
    burst, capacity = device.organization.burst_bytes, device.capacity_bytes
    found = []
    ready = 0
    for _ in range(draw(st.integers(1, 12))):
        ready = max(0, ready + draw(st.integers(-20, 60) | st.integers(0, 900)))
        runs = []
        for _ in range(draw(st.integers(0, 4))):
            address = draw(st.integers(0, capacity - 1))
            runs.append((address, draw(st.integers(0, min(6 * burst, capacity - address)))))
        found.append((runs, ready, draw(st.booleans())))
    return found
