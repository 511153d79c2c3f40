"""The DRAM outside: a bandwidth, a latency and a burst, or a device with channels, banks, rows and their timing.

A device is written out in full or begins as a preset (``models/dram/*.yaml``), of which the machine's file changes
what it likes. Its times are cycles of the device's own command clock, here called ticks; a time in nanoseconds is
rounded up to whole ones, as a memory controller does.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from accel import gallery
from accel.arch import dram_rules
from accel.arch.base import Spec
from accel.arch.check import nearest
from accel.arch.document import Document
from accel.arch.units import BANDWIDTH, BURST, CLOCK, LATENCY, TICKS, shown

PagePolicy = Literal["open", "closed"]

_DERIVED: Any = None
"""What follows from the device, until the machine's clock is known."""
_PLAIN = {"bandwidth": "bandwidth_bytes_per_cycle", "latency": "latency_cycles", "burst": "burst_bytes"}


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _nothing_required(schema: dict[str, Any]) -> None:
    """An editor that completes a machine's file does not know what its preset says already."""
    schema.pop("required", None)


class _Preset(Spec):
    """What a preset may say in the file's stead."""

    model_config = ConfigDict(json_schema_extra=_nothing_required)


class DramOrganization(_Preset):
    """What a channel is made of: devices side by side, which obey every command together."""

    channel_width_bits: int = Field(ge=4, le=1024, description="Data pins of a channel.")
    device_width_bits: int = Field(ge=4, le=1024, description="Data pins of one device; a channel is filled with them.")
    bank_groups: int = Field(ge=1, le=64, description="Groups of banks; 1 where the standard knows none.")
    banks_per_group: int = Field(ge=1, le=256, description="Banks in a group.")
    rows: int = Field(ge=1, le=2**24, description="Rows in a bank.")
    columns: int = Field(ge=1, le=65536, description="Columns in a row, each as wide as the device.")
    burst_length: int = Field(ge=1, le=256, description="Transfers on a data pin for one read or write command.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        dram_rules.check_organization(self)
        return self

    @property
    def devices(self) -> int:
        """Devices in a channel."""
        return self.channel_width_bits // self.device_width_bits

    @property
    def banks(self) -> int:
        """Banks of a channel."""
        return self.bank_groups * self.banks_per_group

    @property
    def burst_bytes(self) -> int:
        """What one command moves."""
        return self.channel_width_bits * self.burst_length // 8

    @property
    def row_bytes(self) -> int:
        """A bank's row buffer, all devices of the channel together."""
        return self.channel_width_bits * self.columns // 8

    @property
    def channel_bytes(self) -> int:
        """Capacity of a channel."""
        return self.row_bytes * self.rows * self.banks


class DramTiming(_Preset):
    """The clock, and the least time from one command to another, all in ticks of that clock."""

    clock_hz: Annotated[float, CLOCK] = Field(alias="clock", description="Command clock; times count its cycles.")
    transfers_per_clock: int = Field(
        default=2, ge=1, le=16, description="Transfers on a data pin in a cycle of the command clock; 2: DDR."
    )
    rcd_ticks: Annotated[int, TICKS] = Field(alias="tRCD", description="Activate to read or write.")
    rp_ticks: Annotated[int, TICKS] = Field(alias="tRP", description="Precharge to activate, same bank.")
    ras_ticks: Annotated[int, TICKS] = Field(alias="tRAS", description="Activate to precharge, same bank.")
    rc_ticks: Annotated[int, TICKS] = Field(alias="tRC", description="Activate to activate, same bank.")
    cl_ticks: Annotated[int, TICKS] = Field(alias="tCL", description="Read to its first data.")
    cwl_ticks: Annotated[int, TICKS] = Field(alias="tCWL", description="Write to its first data.")
    ccd_s_ticks: Annotated[int, TICKS] = Field(
        alias="tCCD_S", description="Read to read and write to write, other bank group."
    )
    ccd_l_ticks: Annotated[int, TICKS] = Field(
        alias="tCCD_L", description="Read to read and write to write, same bank group."
    )
    rrd_s_ticks: Annotated[int, TICKS] = Field(alias="tRRD_S", description="Activate to activate, other bank group.")
    rrd_l_ticks: Annotated[int, TICKS] = Field(alias="tRRD_L", description="Activate to activate, same bank group.")
    faw_ticks: Annotated[int, TICKS] = Field(
        alias="tFAW", description="Window with at most four activates of a channel: from the first to the fifth."
    )
    wr_ticks: Annotated[int, TICKS] = Field(alias="tWR", description="Last written data to precharge.")
    wtr_s_ticks: Annotated[int, TICKS] = Field(
        alias="tWTR_S", description="Last written data to read, other bank group."
    )
    wtr_l_ticks: Annotated[int, TICKS] = Field(
        alias="tWTR_L", description="Last written data to read, same bank group."
    )
    rtp_ticks: Annotated[int, TICKS] = Field(alias="tRTP", description="Read to precharge.")
    rtw_ticks: Annotated[int, TICKS] = Field(alias="tRTW", description="Read to write, same channel.")
    refi_ticks: Annotated[int, TICKS] = Field(alias="tREFI", description="From one refresh of a channel to the next.")
    rfc_ticks: Annotated[int, TICKS] = Field(
        alias="tRFC", description="Refresh to the next command; all banks are closed."
    )
    interface_ticks: Annotated[int, TICKS] = Field(
        default=0,
        alias="interface",
        description="Way of a request and its data between DMA and device, there and back, in front of the device.",
    )

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        dram_rules.check_timing(self)
        return self


class DramEnergy(_Preset):
    """Energy of one device's commands."""

    activate_pj: float = Field(ge=0, description="Activate and precharge of a row, above standby.")
    read_burst_pj: float = Field(ge=0, description="One burst read, above standby.")
    write_burst_pj: float = Field(ge=0, description="One burst written, above standby.")
    refresh_pj: float = Field(ge=0, description="One refresh command, above standby.")
    background_mw: float = Field(ge=0, description="Standby power with rows open, all the time.")


class DramDevice(_Preset):
    """Channels of DRAM devices, each with its own banks, commands and data."""

    preset: str = Field(default="", description="The gallery's device that this one begins as.")
    description: str = Field(default="", description="What it is, in a sentence.")
    source: str = Field(default="", description="Where its numbers come from.")
    channels: int = Field(default=1, ge=1, le=1024, description="Channels that work side by side.")
    organization: DramOrganization = Field(description="What a channel is made of.")
    timing: DramTiming = Field(description="Clock and timing parameters.")
    energy: DramEnergy | None = Field(
        default=None, description="Energy of one device's commands; the technology's energy of a DRAM bit unless given."
    )
    mapping: str = Field(
        default="row_bank_column_bankgroup_channel",
        min_length=1,
        description=(
            "What the bits of an address above the burst choose, the highest first: row, bank, bankgroup, column and "
            "channel, joined by underscores."
        ),
    )
    page_policy: PagePolicy = Field(
        default="open", description="Whether a row stays open after an access or is closed behind each burst."
    )

    @model_validator(mode="before")
    @classmethod
    def _begin_as_preset(cls, data: Any) -> Any:
        name = data.get("preset", "") if isinstance(data, Mapping) else ""
        if name == "":
            return data
        known = [path.stem for path in gallery.drams()]
        if name not in known:
            raise PydanticCustomError(
                "inconsistent",
                "is {name}, and the gallery has no such device; {hint}",
                {
                    "at": ("preset",),
                    "name": shown(name),
                    "hint": f"{nearest(str(name), known)} legal are {', '.join(known)}".strip(),
                },
            )
        return _overlaid(_preset(name), data)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        dram_rules.check_device(self)
        return self

    @classmethod
    def named(cls, preset: str, **changes: Any) -> Self:
        """A device of the gallery with ``changes``, said as in a file: ``named("lpddr4-3200", channels=2)``."""
        return cls.model_validate({"preset": preset, **changes})

    @property
    def burst_ticks(self) -> int:
        """How long a burst's data take on the pins."""
        return self.organization.burst_length // self.timing.transfers_per_clock

    @property
    def capacity_bytes(self) -> int:
        """Of all channels."""
        return self.channels * self.organization.channel_bytes

    @property
    def bandwidth_bytes_per_second(self) -> Fraction:
        """Peak of all channels: every data pin busy all the time."""
        bits_per_tick = self.channels * self.organization.channel_width_bits * self.timing.transfers_per_clock
        return bits_per_tick * Fraction(self.timing.clock_hz) / 8

    @property
    def latency_ticks(self) -> int:
        """From a request to its first byte, the bank closed and everything idle."""
        return self.timing.interface_ticks + self.timing.rcd_ticks + self.timing.cl_ticks


class DramSpec(Spec):
    """The memory outside, shared by everything: three figures, or a device from which they follow."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": list(_PLAIN)}, {"required": ["device"]}]})

    bandwidth_bytes_per_cycle: Annotated[float, BANDWIDTH] = Field(
        default=_DERIVED,
        alias="bandwidth",
        description="Peak bandwidth, per cycle of the machine's clock or per second.",
        json_schema_extra=_without_default,
    )
    latency_cycles: Annotated[int, LATENCY] = Field(
        default=_DERIVED,
        alias="latency",
        description="From a request to its first byte; a time is rounded up to whole cycles.",
        json_schema_extra=_without_default,
    )
    burst_bytes: Annotated[int, BURST] = Field(
        default=_DERIVED,
        alias="burst",
        description="The smallest piece that is ever moved; requests are rounded up to whole bursts.",
        json_schema_extra=_without_default,
    )
    outstanding: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Bursts that may be asked for and not yet there; a long latency makes them limit the bandwidth.",
    )
    device: DramDevice | None = Field(
        default=None, description="Channels, banks, rows and timing; bandwidth, latency and burst follow from them."
    )

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        given = [key for key, name in _PLAIN.items() if name in self.model_fields_set]
        if self.device is None and len(given) < len(_PLAIN):
            missing = [InitErrorDetails(type="missing", loc=(key,), input=None) for key in _PLAIN if key not in given]
            raise ValidationError.from_exception_data("DramSpec", missing)
        if self.device is not None and given:
            raise PydanticCustomError(
                "inconsistent",
                "is given beside a device, from which it follows; leave one of the two out",
                {"at": (given[0],)},
            )
        return self

    @property
    def sustained_bytes_per_cycle(self) -> float:
        """Bandwidth that ``outstanding`` requests keep up (Little's law): each is under way for latency and burst."""
        under_way_cycles = self.latency_cycles + self.burst_bytes / self.bandwidth_bytes_per_cycle
        return min(self.bandwidth_bytes_per_cycle, self.outstanding * self.burst_bytes / under_way_cycles)

    def at_clock(self, clock_hz: float) -> DramSpec:
        """The same with a device's bandwidth, latency and burst in cycles of the machine's clock."""
        if self.device is None:
            return self
        device, core = self.device, Fraction(clock_hz)
        return DramSpec.model_construct(
            {"outstanding", "device"},
            bandwidth_bytes_per_cycle=float(device.bandwidth_bytes_per_second / core),
            latency_cycles=ceil(device.latency_ticks * core / Fraction(device.timing.clock_hz)),
            burst_bytes=device.organization.burst_bytes,
            outstanding=self.outstanding,
            device=device,
        )

    def to_file(self, written: dict[str, Any]) -> dict[str, Any]:
        """``written``, a dump by alias, without what follows from the device."""
        return written if self.device is None else {key: value for key, value in written.items() if key not in _PLAIN}


@cache
def _preset(name: str) -> dict[str, Any]:
    path = next(path for path in gallery.drams() if path.stem == name)
    return dict(Document.read(path).value)


def _overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, section by section."""
    both = {key: base[key] for key in changes if key in base}
    deeper = {
        key: _overlaid(below, changes[key])
        for key, below in both.items()
        if isinstance(below, Mapping) and isinstance(changes[key], Mapping)
    }
    return {**base, **changes, **deeper}


__all__ = ["DramDevice", "DramEnergy", "DramOrganization", "DramSpec", "DramTiming", "PagePolicy"]
