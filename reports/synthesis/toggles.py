"""Energy of a synthesized module on data: its netlist simulated with the library's own cell models and delays (so that
glitches count), every transition of every net weighted by what the library says it costs.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from accel.rtl.toolchain import find_iverilog
from accel.rtl.yosys import CellLibrary, Netlist

_INSTANCE = re.compile(r"^  (\w+) (\S+) \(\n((?:    \.\w+\(.*\),?\n)+)  \);$", re.MULTILINE)
_PIN = re.compile(r"\.(\w+)\((.*)\)")
_VECTOR = re.compile(r"^  wire \[(\d+):(\d+)\] (\S+)\s*;", re.MULTILINE)
_ASSIGN = re.compile(r"^  assign (.+) = (.+);$", re.MULTILINE)
_LOAD, _SLEW = 1, 0
"""Which entry of an energy table: a load of one or two gates, the fastest edge."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Picojoules of one clock cycle, on average."""

    logic_pj: float
    """Nets driven by gates."""
    registers_pj: float
    """Nets driven by flip-flops, and what flip-flops take of their clock."""

    @property
    def total_pj(self) -> float:
        return self.logic_pj + self.registers_pj


@dataclass(frozen=True, slots=True)
class _Pin:
    capacitance_pf: float
    energy_pj: float
    """Inside the cell, of one transition of this pin, rising and falling on average."""
    is_output: bool


def energy_by_toggles(netlist: Netlist, library: CellLibrary, stimulus: str, cycles: int) -> Energy:
    """Simulate a netlist and add up what its transitions cost.

    Parameters
    ----------
    stimulus
        Verilog inside a test bench: declares and drives the ports, instantiates ``netlist dut(...)``, and after any
        cycles that do not count calls ``$dumpvars(1, dut)`` for ``cycles`` clock cycles and ``$finish``.
    """
    find_iverilog()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "netlist.v").write_text(netlist.verilog)
        (folder / "bench.v").write_text(f"`timescale 1ns/10ps\nmodule bench;\n{stimulus}\nendmodule\n")
        files = ["bench.v", "netlist.v", str(library.models)]
        command = ["iverilog", "-g2012", "-gspecify", "-Ttyp", "-s", "bench", "-o", "bench.vvp", *files]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, timeout=300)
        toggles = _toggles(folder / "bench.vcd")
    pins, volts = _liberty(library.path)
    loads_pf: dict[str, float] = defaultdict(float)
    drivers: dict[str, tuple[str, float]] = {}
    clock_pj = 0.0
    flip_flop_clock = {cell: _clock_pin(pins[cell]) for cell in library.flip_flops}
    source = _sources(netlist.verilog)
    inputs_pj: list[tuple[str, float]] = []
    for cell, _, connections in _INSTANCE.findall(netlist.verilog):
        for name, net in _PIN.findall(connections):
            pin, net = pins[cell][name], source(net)
            if pin.is_output:
                drivers[net] = (cell, pin.energy_pj)
            elif cell in library.flip_flops and name == flip_flop_clock[cell]:
                clock_pj += 2 * (pin.energy_pj + pin.capacitance_pf * volts**2 / 2)
            else:
                loads_pf[net] += pin.capacitance_pf
                inputs_pj.append((net, pin.energy_pj))
    logic_pj, registers_pj = 0.0, clock_pj * cycles
    for net, (cell, inside_pj) in drivers.items():
        spent_pj = toggles[net] * (inside_pj + loads_pf[net] * volts**2 / 2)
        if cell in library.flip_flops:
            registers_pj += spent_pj
        else:
            logic_pj += spent_pj
    registers_pj += sum(toggles[net] * inside_pj for net, inside_pj in inputs_pj)
    return Energy(logic_pj / cycles, registers_pj / cycles)


def _toggles(path: Path) -> Counter[str]:
    """Transitions of every bit in a value change dump, by its name in the netlist."""
    names: dict[str, list[str]] = {}
    last: dict[str, str] = {}
    counts: Counter[str] = Counter()
    lines = path.open()
    for line in lines:
        if line.startswith("$var"):
            words = line.split()
            width, code, name = int(words[2]), words[3], words[4].lstrip("\\")
            bits = [name] if width == 1 else [f"{name}[{bit}]" for bit in reversed(range(width))]
            names[code] = bits
        elif line.startswith("$enddefinitions"):
            break
    for line in lines:
        if line[0] in "01xz":
            value, code = line[0], line[1:-1]
        elif line[0] == "b":
            value, code = line[1:-1].split()
        else:
            continue
        bits = names[code]
        value = value.rjust(len(bits), "x" if value[0] == "x" else "0")
        before = last.get(code)
        last[code] = value
        if before is not None:
            for name, was, now in zip(bits, before, value, strict=True):
                if was != now:
                    counts[name] += 1
    return counts


def _sources(verilog: str) -> Callable[[str], str]:
    """A function from a bit's name to the name of the bit that drives it, through plain assignments."""
    ranges = {name.lstrip("\\"): (int(high), int(low)) for high, low, name in _VECTOR.findall(verilog)}
    alias = {}
    for left, right in _ASSIGN.findall(verilog):
        alias |= dict(zip(_bits(left, ranges), _bits(right, ranges), strict=True))

    def source(net: str) -> str:
        (name,) = _bits(net, ranges)
        while name in alias:
            name = alias[name]
        return name

    return source


def _bits(expression: str, ranges: Mapping[str, tuple[int, int]]) -> list[str]:
    """Single bits of a name, a slice, a constant or a concatenation, the most significant first."""
    expression = expression.strip()
    if expression.startswith("{"):
        return [bit for part in expression[1:-1].split(",") for bit in _bits(part, ranges)]
    if constant := re.fullmatch(r"(\d+)'\w+", expression):
        return ["constant"] * int(constant[1])
    plain = expression.lstrip("\\").replace(" ", "")
    part = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", plain)
    name, high, low = (part[1], int(part[2]), int(part[3])) if part else (plain, *ranges.get(plain, (-1, 0)))
    return [f"{name}[{bit}]" for bit in range(high, low - 1, -1)] or [plain]


def _clock_pin(pins: dict[str, _Pin]) -> str:
    return next(name for name in ("CLK", "CK", "C") if name in pins)


@cache
def _liberty(path: Path) -> tuple[dict[str, dict[str, _Pin]], float]:
    """Capacitance and internal energy of every pin of every cell; the supply in volts."""
    library = _Group(iter(_TOKEN.findall(re.sub(r"/\*.*?\*/|\\\n", "", path.read_text(), flags=re.DOTALL))))
    library = library.groups[0]
    cells = {}
    for cell in library.of("cell"):
        cells[cell.argument] = {pin.argument: _pin(pin) for pin in cell.of("pin")}
    return cells, float(library.values["nom_voltage"])


_TOKEN = re.compile(r'"[^"]*"|[\w.+-]+|[(){}:;,]')


class _Group:
    """A group of a Liberty file: ``name (argument) { attribute : value; attribute (values); group (...) {...} }``."""

    def __init__(self, tokens, name: str = "", argument: str = "") -> None:
        self.name, self.argument = name, argument
        self.values: dict[str, str] = {}
        self.groups: list[_Group] = []
        for word in tokens:
            if word == "}":
                return
            if word == ";":
                continue
            after = next(tokens)
            if after == ":":
                self.values[word] = next(tokens).strip('"')
            elif after == "(":
                inside = []
                while (token := next(tokens)) != ")":
                    inside.append(token.strip('"'))
                arguments = " ".join(part for part in inside if part != ",")
                self._add(word, arguments, tokens)

    def _add(self, word: str, arguments: str, tokens) -> None:
        after = next(tokens)
        if after == "{":
            self.groups.append(_Group(tokens, word, arguments))
        else:
            self.values[word] = arguments

    def of(self, name: str) -> list[_Group]:
        return [group for group in self.groups if group.name == name]


def _pin(pin: _Group) -> _Pin:
    is_output = pin.values["direction"] == "output"
    energies = []
    for power in pin.of("internal_power"):
        for kind in ("rise_power", "fall_power"):
            for table in power.of(kind):
                values = [float(word) for word in re.split(r"[,\s]+", table.values["values"]) if word]
                slews = len(re.split(r"[,\s]+", table.values["index_2" if "index_2" in table.values else "index_1"]))
                row = _LOAD if "index_2" in table.values else 0
                energies.append(values[row * slews + _SLEW])
    return _Pin(float(pin.values.get("capacitance", 0)), sum(energies) / max(len(energies), 1), is_output)
