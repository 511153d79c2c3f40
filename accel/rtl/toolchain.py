"""The outside programs that RTL needs: where they are, which version they have, and what to do when one is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from accel.errors import AccelError

_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on this machine."""

    name: str
    path: str
    version: str
    """As the program says it, one line."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    package: str
    """Of Debian and Ubuntu."""
    ask: str
    """The option that makes it say its version."""
    pattern: str = ""
    """Finds the version's number in what it says; empty: any version will do."""
    least: tuple[int, int] = (0, 0)


# Verilator 5 changed how a clock is scheduled; the other two are the oldest that the RTL was tried on.
_VERILATOR = _Wanted("verilator", "verilator", "--version", r"Verilator (\d+)\.(\d+)", (5, 0))
_IVERILOG = _Wanted("iverilog", "iverilog", "-V", r"Icarus Verilog version (\d+)\.(\d+)", (11, 0))
_YOSYS = _Wanted("yosys", "yosys", "-V", r"Yosys (\d+)\.(\d+)", (0, 23))
_MAKE = _Wanted("make", "make", "--version")
_COMPILERS = ("g++", "clang++", "c++")


def find_verilator() -> Tool:
    """Verilator 5.0 or newer.

    Raises
    ------
    AccelError
        It is missing, does not run, or is too old; the hint names the package to install. So do all ``find_``
        functions here.
    """
    return _find(_VERILATOR, os.environ.get("PATH", ""))


def find_iverilog() -> Tool:
    """Icarus Verilog 11 or newer."""
    return _find(_IVERILOG, os.environ.get("PATH", ""))


def find_yosys() -> Tool:
    """Yosys 0.23 or newer."""
    return _find(_YOSYS, os.environ.get("PATH", ""))


def find_make() -> Tool:
    """Make, of any version."""
    return _find(_MAKE, os.environ.get("PATH", ""))


def find_compiler() -> Tool:
    """The C++ compiler: the one that CXX names, or else g++, clang++ or c++."""
    path = os.environ.get("PATH", "")
    if chosen := os.environ.get("CXX"):
        if shutil.which(chosen, path=path) is None:
            raise AccelError(f"CXX names the compiler {chosen}, which is not there", hint="unset it, or name another")
        return _find(_Wanted(chosen, "g++", "--version"), path)
    name = next((name for name in _COMPILERS if shutil.which(name, path=path)), _COMPILERS[0])
    return _find(_Wanted(name, "g++", "--version"), path)


@cache
def _find(wanted: _Wanted, path: str) -> Tool:
    """Ask once for each search path: a version costs a process."""
    place = shutil.which(wanted.name, path=path)
    if place is None:
        raise AccelError(f"{wanted.name} is not installed, or not on PATH", hint=_install(wanted))
    place = os.path.abspath(place)  # Tools run in folders of their own.
    said = _version_text(wanted, place)
    found = re.search(wanted.pattern, said)
    if found is None:
        raise AccelError(f"{place} does not say which version of {wanted.name} it is", hint=_install(wanted))
    if found.groups() and tuple(map(int, found.groups())) < wanted.least:
        raise AccelError(
            f"{place} has version {'.'.join(found.groups())}, and {'.'.join(map(str, wanted.least))} is the oldest "
            "that will do",
            hint=f"install a newer one, as Debian 12 and Ubuntu 24.04 have it: apt-get install {wanted.package}",
        )
    first = said[found.start() :].strip().splitlines()
    return Tool(wanted.name, place, first[0] if first else "")


def _version_text(wanted: _Wanted, place: str) -> str:
    try:
        ran = subprocess.run(
            [place, wanted.ask],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        raise _unusable(wanted, place, error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise _unusable(wanted, place, f"no answer to {wanted.ask} in {_ANSWER_SECONDS} s") from error
    if ran.returncode != 0:
        lines = (ran.stderr.strip() or ran.stdout.strip()).splitlines()
        raise _unusable(wanted, place, lines[0] if lines else f"exit code {ran.returncode}")
    return ran.stdout


def _unusable(wanted: _Wanted, place: str, reason: str) -> AccelError:
    return AccelError(
        f"{place} cannot be run ({reason})", hint=f"repair it: apt-get install --reinstall {wanted.package}"
    )


def _install(wanted: _Wanted) -> str:
    return f"install it from the system's packages: apt-get install {wanted.package}"
