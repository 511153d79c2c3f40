"""Programs that are there, missing, too old or broken; stand-ins in a folder of their own play the parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.errors import AccelError
from accel.rtl.toolchain import Tool, find_compiler, find_iverilog, find_make, find_verilator, find_yosys
from tests.rtl.tools import needs_iverilog, needs_verilator, needs_yosys

FINDERS: dict[str, Callable[[], Tool]] = {
    "verilator": find_verilator,
    "iverilog": find_iverilog,
    "yosys": find_yosys,
    "make": find_make,
    "g++": find_compiler,
}

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """The only folder on PATH; call it to put a program there that says something."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    def put(name: str, says: str = "", to: str = "out", code: int = 0, shell: str = "/bin/sh") -> Path:
        path = tmp_path / name
        redirect = " >&2" if to == "err" else ""
        path.write_text(f"#!{shell}\ncat <<'END'{redirect}\n{says}\nEND\nexit {code}\n".replace("cat ", "/bin/cat "))
        path.chmod(0o755)
        return path

    return put


@pytest.mark.parametrize("name", FINDERS)
def test_missing(name: str, install: Install) -> None:
    with pytest.raises(AccelError) as error:
        FINDERS[name]()
    assert str(error.value) == (
        f"{name} is not installed, or not on PATH; install it from the system's packages: apt-get install {name}"
    )


ENOUGH = [
    ("verilator", "Verilator 5.000 2022-10-29 rev v5.000"),
    ("verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)"),
    ("verilator", "Verilator 12.1"),
    ("iverilog", "Icarus Verilog version 11.0 (stable) ()"),
    ("iverilog", "Icarus Verilog version 12.0 (devel) (s20150603-1539-g2693dd32b)"),
    ("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)"),
    ("yosys", "Yosys 0.33+34 (git sha1 43b3e1a)"),
    ("make", "GNU Make 4.3"),
    ("g++", "g++ (Debian 12.2.0-14) 12.2.0"),
]


@pytest.mark.parametrize(("name", "says"), ENOUGH)
def test_recent_enough(name: str, says: str, install: Install) -> None:
    path = install(name, f"{says}\nand more")
    assert FINDERS[name]() == Tool(name, str(path), says)


TOO_OLD = [
    ("verilator", "Verilator 4.228 2022-10-01 rev v4.228", "4.228", "5.0"),
    ("verilator", "Verilator 4.038 2020-07-11 rev v4.036-114-g0cd4a57ad", "4.038", "5.0"),
    ("iverilog", "Icarus Verilog version 10.3 (stable) ()", "10.3", "11.0"),
    ("yosys", "Yosys 0.9 (git sha1 1979e0b)", "0.9", "0.23"),
]


@pytest.mark.parametrize(("name", "says", "found", "least"), TOO_OLD)
def test_too_old(name: str, says: str, found: str, least: str, install: Install) -> None:
    path = install(name, says)
    with pytest.raises(AccelError) as error:
        FINDERS[name]()
    assert str(error.value) == (
        f"{path} has version {found}, and {least} is the oldest that will do; install a newer one, as Debian 12 and "
        f"Ubuntu 24.04 have it: apt-get install {name}"
    )


def test_a_program_that_fails(install: Install) -> None:
    path = install("verilator", "Can't locate Pod/Usage.pm in @INC\nBEGIN failed", to="err", code=2)
    with pytest.raises(AccelError) as error:
        find_verilator()
    assert str(error.value) == (
        f"{path} cannot be run (Can't locate Pod/Usage.pm in @INC); repair it: apt-get install --reinstall verilator"
    )


def test_a_program_that_fails_in_silence(install: Install) -> None:
    path = install("yosys", code=3)
    with pytest.raises(AccelError, match=re.escape(f"{path} cannot be run (exit code 3)")):
        find_yosys()


def test_a_program_that_does_not_start(install: Install) -> None:
    path = install("iverilog", shell="/no/such/shell")
    with pytest.raises(AccelError, match=re.escape(f"{path} cannot be run (No such file or directory)")):
        find_iverilog()


def test_a_program_of_that_name_that_is_something_else(install: Install) -> None:
    path = install("yosys", "hello")
    with pytest.raises(AccelError, match=re.escape(f"{path} does not say which version of yosys it is")):
        find_yosys()


def test_the_first_compiler_there_is(install: Install) -> None:
    install("c++", "cc 1")
    assert find_compiler().name == "c++"


def test_g_plus_plus_comes_before_others(install: Install) -> None:
    for name in ("c++", "clang++", "g++"):
        install(name, name)
    assert find_compiler().name == "g++"


def test_cxx_names_the_compiler(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("g++", "g++ 12")
    chosen = install("my-cxx", "my-cxx 1.0")
    monkeypatch.setenv("CXX", "my-cxx")
    assert find_compiler() == Tool("my-cxx", str(chosen), "my-cxx 1.0")
    monkeypatch.setenv("CXX", "gone")
    with pytest.raises(AccelError) as error:
        find_compiler()
    assert str(error.value) == "CXX names the compiler gone, which is not there; unset it, or name another"


def test_a_path_from_here_is_good_everywhere(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools run in folders of their own."""
    there = install("make", "GNU Make 4")
    monkeypatch.chdir(there.parent.parent)
    monkeypatch.setenv("PATH", there.parent.name)
    assert find_make().path == str(there)


@needs_verilator
def test_this_computers_verilator() -> None:
    assert find_verilator().version.startswith("Verilator ")
    assert find_compiler().version


@needs_iverilog
def test_this_computers_iverilog() -> None:
    assert find_iverilog().version.startswith("Icarus Verilog version ")


@needs_yosys
def test_this_computers_yosys() -> None:
    assert find_yosys().version.startswith("Yosys ")
