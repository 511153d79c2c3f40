"""A DRAM from its constraints alone: between which commands how many ticks lie, and nothing else.

``broken`` looks at a list of commands, whoever made it; ``Reference`` makes one, each command at its earliest tick, by
trying all earlier commands. Slow, and written from the meaning of the parameters, not from the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from accel.arch.dram import DramDevice
from accel.sim.dram import Command

ANYWHERE, GROUP, BANK = "channel", "bank group", "bank"


def gaps(device: DramDevice) -> dict[tuple[str, str], list[tuple[str, str, int]]]:
    """For each pair of commands, where it binds, by what name, and how many ticks lie between at least."""
    t, burst = device.timing, device.burst_ticks
    written = t.cwl_ticks + burst
    return {
        ("ACT", "ACT"): [
            (ANYWHERE, "tRRD_S", t.rrd_s_ticks),
            (GROUP, "tRRD_L", t.rrd_l_ticks),
            (BANK, "tRC", t.rc_ticks),
        ],
        ("ACT", "RD"): [(BANK, "tRCD", t.rcd_ticks)],
        ("ACT", "WR"): [(BANK, "tRCD", t.rcd_ticks)],
        ("ACT", "PRE"): [(BANK, "tRAS", t.ras_ticks)],
        ("ACT", "REF"): [(ANYWHERE, "tRC", t.rc_ticks)],
        ("PRE", "ACT"): [(BANK, "tRP", t.rp_ticks)],
        ("PRE", "REF"): [(ANYWHERE, "tRP", t.rp_ticks)],
        ("RD", "RD"): [(ANYWHERE, "tCCD_S", t.ccd_s_ticks), (GROUP, "tCCD_L", t.ccd_l_ticks)],
        ("WR", "WR"): [(ANYWHERE, "tCCD_S", t.ccd_s_ticks), (GROUP, "tCCD_L", t.ccd_l_ticks)],
        ("RD", "WR"): [(ANYWHERE, "tRTW", t.rtw_ticks)],
        ("WR", "RD"): [(ANYWHERE, "tWTR_S", written + t.wtr_s_ticks), (GROUP, "tWTR_L", written + t.wtr_l_ticks)],
        ("RD", "PRE"): [(BANK, "tRTP", t.rtp_ticks)],
        ("WR", "PRE"): [(BANK, "tWR", written + t.wr_ticks)],
        ("REF", "ACT"): [(ANYWHERE, "tRFC", t.rfc_ticks)],
        ("REF", "REF"): [(ANYWHERE, "tRFC", t.rfc_ticks)],
    }


def _binds(where: str, first: Command, second: Command, device: DramDevice) -> bool:
    if first.channel != second.channel:
        return False
    group = device.organization.banks_per_group
    same_group = first.bank // group == second.bank // group
    return where == ANYWHERE or (where == GROUP and same_group) or (where == BANK and first.bank == second.bank)


def broken(device: DramDevice, commands: Iterable[Command]) -> Iterator[str]:
    """Every constraint that two commands break, and every command that finds its bank in the wrong state."""
    table = gaps(device)
    for channel in range(device.channels):
        mine = [command for command in commands if command.channel == channel]
        for at, second in enumerate(mine):
            for first in mine[:at]:
                for where, name, ticks in table.get((first.name, second.name), []):
                    if _binds(where, first, second, device) and second.tick - first.tick < ticks:
                        yield f"{name} is {ticks}: {first}, {second}"
        activates = [command.tick for command in mine if command.name == "ACT"]
        for first, fifth in zip(activates, activates[4:], strict=False):
            if fifth - first < device.timing.faw_ticks:
                yield f"tFAW: activates at {first} and {fifth}"
        yield from _wrong_states(mine)
        yield from _refreshes_out_of_time(device, mine)
        yield from _data_that_meet(device, mine)


def _wrong_states(commands: list[Command]) -> Iterator[str]:
    rows: dict[int, int] = {}
    for command in commands:
        found = rows.get(command.bank)
        match command.name:
            case "ACT":
                if found is not None:
                    yield f"{command} finds row {found} open"
                rows[command.bank] = command.row
            case "PRE":
                if rows.pop(command.bank, None) != command.row:
                    yield f"{command} finds {found}"
            case "REF":
                if rows:
                    yield f"{command} finds {rows} open"
            case _:
                if found != command.row:
                    yield f"{command} finds {found}"


def _refreshes_out_of_time(device: DramDevice, commands: list[Command]) -> Iterator[str]:
    """The k-th is due after k tREFI, and never put off for as long as that again."""
    interval = device.timing.refi_ticks
    for number, command in enumerate((c for c in commands if c.name == "REF"), start=1):
        if not number * interval <= command.tick < (number + 1) * interval:
            yield f"refresh {number} at {command.tick}"


def _data_that_meet(device: DramDevice, commands: list[Command]) -> Iterator[str]:
    to_data = {"RD": device.timing.cl_ticks, "WR": device.timing.cwl_ticks}
    starts = [command.tick + to_data[command.name] for command in commands if command.name in to_data]
    for first, second in pairwise(starts):
        if second - first < device.burst_ticks:
            yield f"data at {first} and {second}"


class Reference:
    """Bursts in order, each command at the first tick that all earlier commands allow."""

    def __init__(self, device: DramDevice, outstanding: int) -> None:
        self.device, self.outstanding = device, outstanding
        self.commands: list[Command] = []
        self.arrivals: list[int] = []
        self.requests: list[int] = []
        self.table = gaps(device)
        self.refreshes = [0] * device.channels

    def serve(self, runs: Iterable[tuple[int, int]], ready: int, write: bool) -> tuple[int, int, int]:
        size, before = self.device.organization.burst_bytes, len(self.arrivals)
        for address, count in runs:
            for burst in range(address // size, -(-(address + count) // size) if count else 0):
                self._burst(burst, ready, write)
        if len(self.arrivals) == before:
            return ready, ready, ready
        return self.requests[before], self.requests[-1], max(self.arrivals[before:])

    def place(self, burst: int) -> tuple[int, int, int]:
        """Channel, bank of the channel, row of a burst."""
        shape = self.device.organization
        sizes = {
            "row": shape.rows,
            "bank": shape.banks_per_group,
            "bankgroup": shape.bank_groups,
            "column": shape.columns // shape.burst_length,
            "channel": self.device.channels,
        }
        found = {}
        for part in reversed(self.device.mapping.split("_")):
            burst, found[part] = divmod(burst, sizes[part])
        return found["channel"], found["bankgroup"] * shape.banks_per_group + found["bank"], found["row"]

    def _burst(self, burst: int, ready: int, write: bool) -> None:
        channel, bank, row = self.place(burst)
        back = len(self.arrivals) - self.outstanding
        window = self.arrivals[back] if back >= 0 else 0
        request = max(ready, window, self.requests[-1] if self.requests else 0)
        while True:
            kept, found = len(self.commands), self._open_row(channel, bank)
            if found is not None and found != row:
                self._issue("PRE", channel, bank, found, request)
            if found != row:
                self._issue("ACT", channel, bank, row, request)
            column = self._issue("WR" if write else "RD", channel, bank, row, request)
            if column < (self.refreshes[channel] + 1) * self.device.timing.refi_ticks:
                break
            del self.commands[kept:]
            self._refresh(channel)
        if self.device.page_policy == "closed":
            self._issue("PRE", channel, bank, row, 0)
        timing = self.device.timing
        to_data = timing.cwl_ticks if write else timing.cl_ticks
        self.arrivals.append(column + to_data + self.device.burst_ticks + timing.interface_ticks)
        self.requests.append(request)

    def _refresh(self, channel: int) -> None:
        self.refreshes[channel] += 1
        due = self.refreshes[channel] * self.device.timing.refi_ticks
        for bank in range(self.device.organization.banks):
            found = self._open_row(channel, bank)
            if found is not None:
                self._issue("PRE", channel, bank, found, due)
        self._issue("REF", channel, -1, -1, due)

    def _open_row(self, channel: int, bank: int) -> int | None:
        mine = (c for c in reversed(self.commands) if (c.channel, c.bank) == (channel, bank))
        last = next(mine, None)
        return None if last is None or last.name == "PRE" else last.row

    def _issue(self, name: str, channel: int, bank: int, row: int, floor: int) -> int:
        tick = floor
        wanted = Command(name, channel, bank, row, tick)
        for earlier in self.commands:
            for where, _, ticks in self.table.get((earlier.name, name), []):
                if _binds(where, earlier, wanted, self.device):
                    tick = max(tick, earlier.tick + ticks)
        if name == "ACT":
            activates = [c.tick for c in self.commands if c.name == "ACT" and c.channel == channel]
            if len(activates) >= 4:
                tick = max(tick, activates[-4] + self.device.timing.faw_ticks)
        self.commands.append(wanted._replace(tick=tick))
        return tick
