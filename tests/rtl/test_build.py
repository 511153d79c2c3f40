"""Compilations: what they are found by, what they leave, how they fail. Most need no Verilator: stand-ins play it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from accel.errors import AccelError
from accel.rtl import build, cache, memory
from accel.rtl.build import Model, compile_model, is_compiled, model_of
from accel.rtl.design import design_of
from accel.rtl.toolchain import find_compiler, find_verilator
from tests.machines import machine
from tests.rtl.tools import needs_verilator

ADDER = """module adder #(parameter int BITS = 4) (
    input wire [BITS-1:0] a, input wire [BITS-1:0] b, output wire [BITS-1:0] sum
);
    assign sum = a + b;  // wraps around
endmodule
"""
HARNESS = """#include "Vdut.h"
#include "limits.h"
#include <cstdio>
int main() {
    Vdut dut;
    dut.a = LIMIT;
    dut.b = OTHER;
    dut.eval();
    std::printf("%d\\n", int(dut.sum));
    return 0;
}
"""
MODEL = Model(
    top="adder",
    sources={"adder.sv": ADDER},
    harness={"main.cpp": HARNESS, "limits.h": "#define LIMIT 9\n"},
    parameters={"BITS": 4},
    defines={"OTHER": 8},
)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "accel" / "rtl"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tools that make a shell script of the harness. ``make`` notes each call in the file that is returned."""
    folder, calls = tmp_path / "tools", tmp_path / "calls"
    folder.mkdir()
    tools = {
        "verilator": """if [ "$1" = --version ]; then echo "Verilator 5.006"; exit; fi
eval "$BEFORE_VERILATOR"
touch Vdut.mk""",
        "g++": 'echo "g++ 12.2.0"',
        "make": f"""if [ "$1" = --version ]; then echo "GNU Make 4.3"; exit; fi
echo $$ >> {calls}
eval "$BEFORE_MAKE"
cp main.cpp Vdut && chmod +x Vdut""",
    }
    for name, text in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("CXX", raising=False)
    return calls


def script(text: str) -> Model:
    """A model that the stand-ins make into a script."""
    return replace(MODEL, harness={"main.cpp": f"#!/bin/sh\n{text}\n"})


def output_of(executable: Path) -> str:
    return subprocess.run([executable], check=True, capture_output=True, text=True).stdout


def executables(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if os.access(path, os.X_OK)]


# ---- with the real tools


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that has Verilator's own library: compiled once, it takes most of the time of a small model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return compile_model(MODEL).parent


@pytest.fixture
def real(runtime: Path, cache_folder: Path) -> None:
    """The real tools, and a cache that has nothing but that library."""
    cache_folder.mkdir(parents=True)
    for path in runtime.glob("*.o"):
        shutil.copy(path, cache_folder)


@needs_verilator
def test_parameters_defines_and_headers_arrive(real: None) -> None:
    """9 + 8 in 4 bits are 1; in 5 bits, 17; 9 + 5 in 4 bits are 14."""
    assert output_of(compile_model(MODEL)) == "1\n"
    assert output_of(compile_model(replace(MODEL, parameters={"BITS": 5}))) == "17\n"
    assert output_of(compile_model(replace(MODEL, defines={"OTHER": 5}))) == "14\n"


@needs_verilator
def test_a_cache_folder_with_a_blank_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    assert output_of(compile_model(MODEL)) == "1\n"


@needs_verilator
def test_a_compiler_with_a_blank_in_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And named from here, while it runs in another folder."""
    (tmp_path / "my tools").mkdir()
    (tmp_path / "my tools" / "cxx").symlink_to(find_compiler().path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXX", "my tools/cxx")
    assert output_of(compile_model(MODEL)) == "1\n"


@needs_verilator
def test_a_folder_that_make_cannot_work_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my files").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "my files"))
    with pytest.raises(AccelError, match="set TMPDIR to a folder without blanks in its path; all that it said is in"):
        compile_model(MODEL)


@needs_verilator
def test_hardware_that_does_not_compile(real: None, cache_folder: Path) -> None:
    broken = replace(MODEL, sources={"adder.sv": ADDER.replace("a + b", "a + c")})
    with pytest.raises(AccelError) as error:
        compile_model(broken)
    (log,) = cache_folder.glob("*.log")
    assert str(error.value) == (
        "Verilator cannot compile adder: %Error: adder.sv:4:22: Can't find definition of variable: 'c'; "
        f"all that it said is in {log}"
    )
    assert "Can't find definition" in log.read_text()
    assert executables(cache_folder) == []


@needs_verilator
def test_a_harness_that_does_not_compile(real: None, cache_folder: Path) -> None:
    broken = replace(MODEL, harness={**MODEL.harness, "main.cpp": HARNESS.replace("dut.a", "dut.c")})
    with pytest.raises(AccelError) as error:
        compile_model(broken)
    (log,) = cache_folder.glob("*.log")
    first, last = "the C++ compiler cannot compile adder: main.cpp:6:9: error: ", f"all that it said is in {log}"
    assert str(error.value).startswith(first)
    assert str(error.value).endswith(last)
    assert executables(cache_folder) == []


@needs_verilator
def test_an_error_of_verilator_that_must_not_be_waived() -> None:
    """With blocking and other assignments to one variable, 5.006 computes wrong data; later ones may do it right."""
    if not find_verilator().version.startswith("Verilator 5.006"):
        pytest.skip("this Verilator is not 5.006, which Debian 12 has")
    text = """module adder #(parameter int BITS = 4) (
    input wire clk, input wire [BITS-1:0] a, input wire [BITS-1:0] b, output wire [BITS-1:0] sum);
    logic [2*BITS-1:0] lanes;
    always_comb lanes[BITS-1:0] = a;
    always_ff @(posedge clk) lanes[2*BITS-1:BITS] <= b;
    assign sum = lanes[BITS-1:0] + lanes[2*BITS-1:BITS];
endmodule
"""
    with pytest.raises(AccelError, match="BLKANDNBLK"):
        compile_model(replace(MODEL, sources={"adder.sv": text}))


@needs_verilator
@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_the_replay_harness_around_an_array(dataflow: str, real: None) -> None:
    model = model_of(design_of(machine(rows=2, columns=3, dataflow=dataflow), dataflow))  # type: ignore[arg-type]
    assert model.elements == 6
    assert not is_compiled(model)
    executable = compile_model(model)
    assert is_compiled(model)
    ran = subprocess.run([executable], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: ")


# ---- what a compilation is found by

OTHERS = {
    "top": replace(MODEL, top="other"),
    "hardware": replace(MODEL, sources={"adder.sv": ADDER.replace("a + b", "a - b")}),
    "file name": replace(MODEL, sources={"other.sv": ADDER}),
    "harness": replace(MODEL, harness={**MODEL.harness, "main.cpp": HARNESS + "\n"}),
    "header": replace(MODEL, harness={**MODEL.harness, "limits.h": "#define LIMIT 8\n"}),
    "parameter": replace(MODEL, parameters={"BITS": 5}),
    "define": replace(MODEL, defines={"OTHER": 9}),
    "define, not parameter": replace(MODEL, parameters={}, defines={"OTHER": 8, "BITS": 4}),
    "waveforms": replace(MODEL, trace=True),
}


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_changes_the_result_changes_the_name(what: str, stand_ins: Path) -> None:
    compile_model(MODEL)
    assert is_compiled(MODEL)
    assert not is_compiled(OTHERS[what])


def test_comments_of_the_hardware_do_not_matter(stand_ins: Path) -> None:
    compile_model(MODEL)
    assert is_compiled(replace(MODEL, sources={"adder.sv": ADDER.replace("wraps around", "or so")}))


@pytest.mark.parametrize("tool", ["verilator", "g++"])
def test_another_version_of_a_tool_compiles_again(tool: str, stand_ins: Path, tmp_path: Path, monkeypatch) -> None:
    compile_model(MODEL)
    newer = tmp_path / "newer"
    newer.mkdir()
    says = {"verilator": "Verilator 5.020", "g++": "g++ 13.1"}[tool]
    (newer / tool).write_text(f'#!/bin/sh\necho "{says}"\n')
    (newer / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{newer}:{os.environ['PATH']}")
    assert not is_compiled(MODEL)


def test_machines_that_differ_in_name_only_are_compiled_once(stand_ins: Path) -> None:
    one = machine(rows=2, columns=2)
    two = one.model_copy(update={"name": "another"})
    models = [model_of(design_of(each, "weight_stationary")) for each in (one, two)]
    assert build._Compilation.of(models[0]).name == build._Compilation.of(models[1]).name


def test_a_second_time_nothing_runs(stand_ins: Path) -> None:
    model = script("echo made")
    first = compile_model(model)
    assert compile_model(model) == first
    assert output_of(first) == "made\n"
    assert len(stand_ins.read_text().split()) == 1


# ---- at the same time, and stopped


def _compiling(model_text: str, **environment: str) -> subprocess.Popen[str]:
    """Another process that compiles ``script(model_text)`` and says where the executable is."""
    program = f"from tests.rtl.test_build import *; print(compile_model(script({model_text!r})))"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_compile_once(stand_ins: Path) -> None:
    others = [_compiling("echo made", BEFORE_MAKE="sleep 1") for _ in range(2)]
    places = {other.communicate(timeout=60)[0].strip() for other in others}
    assert len(places) == 1
    assert output_of(Path(places.pop())) == "made\n"
    assert len(stand_ins.read_text().split()) == 1


@pytest.fixture
def stuck(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A process whose ``make`` has started something that takes for ever."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    other = _compiling("echo made", BEFORE_MAKE='mktemp -p "$TMPDIR"; sleep 600')
    deadline = time.monotonic() + 30
    while not stand_ins.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    yield other
    other.kill()
    other.communicate()


def _alive(process_group: int) -> bool:
    """Whether something in the group runs; the dead that nobody has buried, as where process 1 is no init, do not."""
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(process_group, 0)
        except ProcessLookupError:
            return False
        return True
    return any(state not in "ZX" and group == process_group for state, group in _processes())


def _processes() -> Iterator[tuple[str, int]]:
    """State and group of each process: fields 3 and 5 of proc_pid_stat(5); the second may hold blanks and brackets."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, group, *_ = stat.read_text().rpartition(")")[2].split()
            yield state, int(group)


def _ends(process_group: int) -> bool:
    """The system may take a moment to bury the dead."""
    deadline = time.monotonic() + 30
    while _alive(process_group) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _alive(process_group)


def test_ctrl_c_leaves_nothing_running_and_nothing_behind(
    stuck: subprocess.Popen[str], stand_ins: Path, tmp_path: Path, cache_folder: Path
) -> None:
    group = int(stand_ins.read_text())
    assert _alive(group)
    stuck.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in stuck.communicate(timeout=30)[1]
    assert _ends(group)
    assert executables(cache_folder) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_killed_compilation_leaves_no_broken_one(
    stuck: subprocess.Popen[str], stand_ins: Path, cache_folder: Path
) -> None:
    stuck.kill()
    stuck.communicate(timeout=30)
    os.killpg(int(stand_ins.read_text()), signal.SIGKILL)
    assert executables(cache_folder) == []
    assert output_of(compile_model(script("echo made"))) == "made\n"


# ---- refused


def test_a_cache_folder_that_cannot_be(tmp_path: Path, stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(AccelError) as error:
        compile_model(MODEL)
    assert str(error.value) == (
        f"{tmp_path}/file/accel/rtl: compiled hardware cannot be kept here (Not a directory); "
        "set XDG_CACHE_HOME to a folder that you may write to"
    )
    assert not stand_ins.exists()


def test_an_array_too_large_for_the_memory(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 8_000_000_000)
    with pytest.raises(AccelError) as error:
        compile_model(replace(MODEL, elements=65536))
    assert str(error.value) == (
        "to compile the RTL of an array of 65,536 PEs takes about 27.5 GB of memory, and 8.0 GB are available; "
        "free some, or give the array fewer rows or columns: about 19,047 PEs fit"
    )
    assert not stand_ins.exists()


def test_what_is_compiled_already_needs_no_memory(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = replace(MODEL, elements=65536)
    monkeypatch.setattr(memory, "available_bytes", lambda: 64_000_000_000)
    made = compile_model(large)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1)
    assert compile_model(large) == made


MESSAGES = {
    "memory": (
        "g++: fatal error: Killed signal terminated program cc1plus",
        "g++: fatal error: Killed signal terminated program cc1plus; "
        "it ran out of memory: close other programs, or take a smaller array; ",
    ),
    "no error": ("compiling\nstopped at 3", "stopped at 3; "),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_what_a_compiler_says(what: str, stand_ins: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, reported = MESSAGES[what]
    monkeypatch.setenv("BEFORE_MAKE", f"printf '{said}\\n' | grep . ; exit 2")
    with pytest.raises(AccelError) as error:
        compile_model(MODEL)
    (log,) = cache_folder.glob("*.log")
    assert str(error.value) == f"the C++ compiler cannot compile adder: {reported}all that it said is in {log}"


def test_a_compiler_that_says_nothing(stand_ins: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, who, does, reported in (
        ("BEFORE_MAKE", "the C++ compiler", "exit 2", "exit code 2"),
        ("BEFORE_MAKE", "the C++ compiler", "exit 0", "it ended without Vdut"),
        ("BEFORE_VERILATOR", "Verilator", "kill -SEGV $$", "exit code -11"),
        ("BEFORE_VERILATOR", "Verilator", "exit 0", "it ended without Vdut.mk"),
    ):
        monkeypatch.setenv(variable, does)
        with pytest.raises(AccelError) as error:
            compile_model(MODEL)
        assert str(error.value) == f"{who} cannot compile adder: {reported}"
    assert [path.suffix for path in cache_folder.iterdir()] == [".lock"]


# ---- the cache


def test_the_oldest_files_go(cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four files three stay: not the oldest, unless it was wanted again."""
    monkeypatch.setattr(cache, "_KEPT_FILES", 3)
    source = tmp_path / "source"
    source.write_text("x")
    for age, name in ((300, "a"), (200, "b"), (100, "c")):
        cache.keep(source, name)
        os.utime(cache_folder / name, (time.time() - age,) * 2)
    assert cache.cached("a") == cache_folder / "a"
    cache.keep(source, "d")
    assert sorted(path.name for path in cache_folder.iterdir()) == ["a", "c", "d"]


def test_a_name_tells_where_a_part_ends() -> None:
    assert len({cache.key_of("ab", "c"), cache.key_of("a", "bc"), cache.key_of("abc"), cache.key_of("c", "ab")}) == 4
