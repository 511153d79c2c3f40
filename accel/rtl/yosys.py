"""Synthesis of single modules: yosys turns one into cells of a free standard-cell library."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from accel.errors import AccelError
from accel.rtl.sources import modules, modules_under
from accel.rtl.toolchain import find_yosys

_LIBRARY_PATHS = (Path("/usr/share/qflow/tech/osu018"), Path("/usr/local/share/qflow/tech/osu018"))
_LIBRARY_NAME = "osu018_stdcells"
_LIBRARY_PACKAGE = "qflow-tech-osu018"
_NAND2 = "NAND2X1"
_CELL = re.compile(r"^\s*cell\s*\(\s*\"?(\w+)\"?\s*\)\s*\{", re.MULTILINE)
_AREA = re.compile(r"\barea\s*:\s*([\d.]+)")
_FLIP_FLOP = re.compile(r"\bff\s*\(")
_LIMIT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class CellLibrary:
    """A standard-cell library in Liberty format."""

    name: str
    path: Path
    areas_um2: Mapping[str, float]
    """By cell."""
    flip_flops: frozenset[str]

    @property
    def nand2_um2(self) -> float:
        """Area of a NAND gate of two inputs, the usual unit of gate counts."""
        return self.areas_um2[_NAND2]

    @property
    def models(self) -> Path:
        """The same cells in Verilog."""
        return self.path.with_suffix(".v")


@dataclass(frozen=True, slots=True)
class Netlist:
    """A module as cells."""

    cells: Mapping[str, int]
    """How many of each kind."""
    flip_flops: int
    area_um2: float
    verilog: str
    """The cells and their wires."""

    @property
    def cell_count(self) -> int:
        """All cells together."""
        return sum(self.cells.values())


@cache
def find_library() -> CellLibrary:
    """The 0.18 um library of Oklahoma State University, as Debian's qflow-tech-osu018 has it.

    Raises
    ------
    AccelError
        It is not installed, or not readable as a library.
    """
    path = next((file for folder in _LIBRARY_PATHS if (file := folder / f"{_LIBRARY_NAME}.lib").is_file()), None)
    if path is None:
        install = f"install it from the system's packages: apt-get install {_LIBRARY_PACKAGE}"
        raise AccelError(f"the cell library {_LIBRARY_NAME} is not installed", hint=install)
    library = read_library(path)
    if _NAND2 not in library.areas_um2:
        again = f"install it again: apt-get install --reinstall {_LIBRARY_PACKAGE}"
        raise AccelError(f"the cell library has no cell {_NAND2}", str(path), again)
    return library


def read_library(path: Path) -> CellLibrary:
    """Areas and kinds of a Liberty file's cells."""
    text = path.read_text(encoding="utf-8", errors="replace")
    areas, flip_flops = {}, set()
    _, *cells = _CELL.split(text)
    for name, body in zip(cells[::2], cells[1::2], strict=True):
        if area := _AREA.search(body):
            areas[name] = float(area[1])
        if _FLIP_FLOP.search(body):
            flip_flops.add(name)
    return CellLibrary(path.stem, path, areas, frozenset(flip_flops))


def synthesize(module: str, parameters: Mapping[str, int], library: CellLibrary) -> Netlist:
    """Synthesize a module that ships with the package, for area.

    What it reports of overflows is left out, with the logic behind it: that is for the eyes of a simulation, and
    no part of the machine.

    Parameters
    ----------
    parameters
        Of the module; flags are 0 or 1. What is not named keeps the module's default.

    Raises
    ------
    AccelError
        Yosys or what it maps technology with is missing or fails.
    """
    texts = [modules()[name] for name in modules_under(module)]
    return synthesize_text("\n".join(texts), module, parameters, library)


def synthesize_text(text: str, top: str, parameters: Mapping[str, int], library: CellLibrary) -> Netlist:
    """Synthesize the module ``top`` of a SystemVerilog text; otherwise as ``synthesize``."""
    yosys = find_yosys()
    values = " ".join(f"-chparam {name} {value:d}" for name, value in parameters.items())
    # Fused multiply-accumulates (alumacc) would be as wide as the accumulator throughout, and half as large again.
    script = f"""
        read_verilog -sv design.sv
        hierarchy -check -top {top} {values}
        proc
        flatten
        delete -port */w:overflow */w:overflows
        opt_clean -purge
        synth -noalumacc -top {top}
        check -assert
        dfflibmap -liberty cells.lib
        abc -liberty cells.lib
        opt_clean -purge
        rename -top netlist
        write_verilog -noattr -noexpr netlist.v
        tee -o cells.json stat -json
    """
    with tempfile.TemporaryDirectory(prefix="accel-synth-") as scratch:
        folder = Path(scratch)
        (folder / "design.sv").write_text(text, encoding="utf-8")
        (folder / "script.ys").write_text(script, encoding="utf-8")
        shutil.copyfile(library.path, folder / "cells.lib")
        said = _run([yosys.path, "-q", "-s", "script.ys"], folder, top)
        counts, netlist = folder / "cells.json", folder / "netlist.v"
        # A yosys whose mapper does not run has been seen to stop there and call it success.
        statistics = counts.read_text() if counts.is_file() and netlist.is_file() else ""
        if "{" not in statistics:
            raise _failed(top, said, "it ended without statistics")
        cells = json.loads(statistics[statistics.index("{") :])["design"]["num_cells_by_type"]
        if strange := sorted(cells.keys() - library.areas_um2.keys()):
            raise _failed(top, said, f"it left {', '.join(strange)} without a cell of the library")
        return Netlist(
            cells=cells,
            flip_flops=sum(count for cell, count in cells.items() if cell in library.flip_flops),
            area_um2=sum(count * library.areas_um2[cell] for cell, count in cells.items()),
            verilog=netlist.read_text(),
        )


def _run(command: list[str], folder: Path, top: str) -> str:
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            # What its mapper leaves behind when it is stopped goes with the rest.
            env=os.environ | {"TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failed(top, "", f"it took more than {_LIMIT_SECONDS} s") from None
    if ran.returncode != 0:
        raise _failed(top, ran.stdout, f"exit code {ran.returncode}")
    return ran.stdout


def _failed(top: str, said: str, reason: str) -> AccelError:
    errors = [line.strip() for line in said.splitlines() if "ERROR" in line]
    what = errors[-1].partition("ERROR: ")[2] or errors[-1] if errors else reason
    return AccelError(
        f"yosys could not synthesize {top} ({what})",
        hint="use the system's yosys, of the version that the distribution ships: apt-get install yosys",
    )
