"""What the parts of a DRAM device owe each other: contradictions are refused where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from accel.arch.dram import DramDevice, DramOrganization, DramTiming

ADDRESS_PARTS = ("row", "bank", "bankgroup", "column", "channel")
"""What an address chooses."""
_NO_POWER_OF_2 = "which is no power of 2, and bits of an address choose among them"


def check_organization(spec: DramOrganization) -> None:
    """Addresses are split into bits, rows into bursts, channels into devices."""
    for key in ("channel_width_bits", "bank_groups", "banks_per_group", "rows", "columns", "burst_length"):
        value = getattr(spec, key)
        if value & (value - 1):
            _refuse((key,), f"is {value}, {_NO_POWER_OF_2}")
    if spec.channel_width_bits % spec.device_width_bits:
        _refuse(
            ("device_width_bits",),
            f"is {spec.device_width_bits}, and such devices do not fill a channel of {spec.channel_width_bits} bits",
        )
    if spec.columns % spec.burst_length:
        _refuse(
            ("burst_length",),
            f"is {spec.burst_length}, and a row of {spec.columns} columns is no whole number of such bursts",
        )
    if spec.burst_bytes < 1:
        _refuse(("burst_length",), f"is {spec.burst_length}, and a burst is less than a byte")


def check_timing(timing: DramTiming) -> None:
    """Every parameter leaves room for those that lie within it."""
    for longer, shorter, why in (
        ("tRC", ("tRAS", "tRP"), "a row is open for tRAS, and closing it takes tRP"),
        ("tRAS", ("tRCD",), "a row would be closed before it can be read"),
        ("tRRD_L", ("tRRD_S",), "activates of the same bank group are no closer than those of different ones"),
        ("tFAW", ("tRRD_S",), "four activates do not fit in less time than two"),
        ("tCCD_L", ("tCCD_S",), "bursts of the same bank group are no closer than those of different ones"),
        ("tWTR_L", ("tWTR_S",), "a read of the same bank group waits no less than one of another"),
    ):
        found, least = _ticks(timing, longer), sum(_ticks(timing, name) for name in shorter)
        if found < least:
            _refuse((longer,), f"is {found} cycles, less than {' + '.join(shorter)} ({least}): {why}")
    if timing.refi_ticks <= timing.rfc_ticks + timing.rcd_ticks:
        _refuse(
            ("tREFI",),
            f"is {timing.refi_ticks} cycles, no more than tRFC + tRCD ({timing.rfc_ticks + timing.rcd_ticks}): "
            "the next refresh would be due before a row can be read",
        )
    if timing.faw_ticks < 1 or timing.ccd_s_ticks < 1:
        _refuse(("tCCD_S" if timing.ccd_s_ticks < 1 else "tFAW",), "is 0 cycles; legal is at least 1 cycle")


def check_device(device: DramDevice) -> None:
    """Bursts take whole ticks and do not meet on the data pins; the mapping names each part of an address once."""
    timing, length = device.timing, device.organization.burst_length
    if length % timing.transfers_per_clock:
        _refuse(
            ("timing", "transfers_per_clock"),
            f"is {timing.transfers_per_clock}, and a burst of {length} transfers takes no whole number of cycles",
        )
    burst = device.burst_ticks
    if timing.ccd_s_ticks < burst:
        _refuse(
            ("timing", "tCCD_S"),
            f"is {timing.ccd_s_ticks} cycles, less than a burst's {burst}: bursts would meet on the data pins",
        )
    gap = max(1, timing.cl_ticks + burst - timing.cwl_ticks)
    if timing.rtw_ticks < gap:
        _refuse(
            ("timing", "tRTW"),
            f"is {timing.rtw_ticks} cycles, less than tCL + burst - tCWL ({gap}): "
            "written data would meet read data on the pins",
        )
    if device.channels & (device.channels - 1):
        _refuse(("channels",), f"is {device.channels}, {_NO_POWER_OF_2}")
    parts = device.mapping.split("_")
    if sorted(parts) != sorted(ADDRESS_PARTS):
        _refuse(
            ("mapping",),
            f"is '{device.mapping}'; legal is every order of {', '.join(ADDRESS_PARTS)}, joined by underscores",
        )


def _ticks(timing: DramTiming, name: str) -> int:
    return int(getattr(timing, f"{name.removeprefix('t').lower()}_ticks"))


def _refuse(at: tuple[str, ...], what: str) -> NoReturn:
    raise PydanticCustomError("inconsistent", "{what}", {"at": at, "what": what})
