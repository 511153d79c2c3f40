"""Emitted folders: what is in them, that every tool takes it, and that nobody's files are lost."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from accel.arch.load import load_arch, parse_machine
from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.rtl import emit as emit_module
from accel.rtl.emit import emit
from accel.rtl.sources import modules, modules_under
from tests.machines import DATAFLOWS, machine
from tests.rtl.tools import covered_machines, needs_iverilog, needs_verilator, needs_yosys

SUFFIXES = {"weight_stationary": "ws", "output_stationary": "os", "input_stationary": "is"}


def small(machine: Machine, rows: int = 3, columns: int = 2, lanes: int = 2) -> Machine:
    """The same machine with fewer PEs, so that tools are through with it in a moment."""
    array = machine.array.model_copy(update={"rows": rows, "columns": columns})
    return machine.model_copy(update={"array": array, "vector": machine.vector.model_copy(update={"lanes": lanes})})


def tops(folder: Path) -> list[str]:
    """The generated ones."""
    return [Path(name).stem for name in (folder / "files.f").read_text().split() if not name.startswith("rtl/sa_")]


def ran(command: list[str], folder: Path) -> str:
    """Run a tool; what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout + done.stderr


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in tree(folder) if (folder / name).is_file()}


def row(readme: str, *cells: str) -> str:
    """The rest of the table row that begins with these cells."""
    found = re.search(rf"^\| {re.escape(' | '.join(cells))} \| (.*) \|$", readme, re.MULTILINE)
    assert found is not None, cells
    return found[1]


# ---- every tool takes it

GALLERY = {path.stem: small(load_arch(path)) for path in covered_machines()}


def variant(dataflow: str, overlap: str, **fields: Any) -> Machine:
    pe = {key: fields.pop(key) for key in ("weight", "activation", "overflow", "accumulator_bits") if key in fields}
    bits = {"partial_sum_bits": fields.pop("partial_sum_bits")} if "partial_sum_bits" in fields else {}
    shape = {"rows": fields.pop("rows", 2), "columns": fields.pop("columns", 3)}
    return machine(**shape, dataflow=dataflow, overlap=overlap, lanes=1, array=fields, pe=bits, **pe)


SLOW = {
    "multiplier_latency_cycles": 2,
    "accumulate_latency_cycles": 1,
    "vertical_hop_latency_cycles": 2,
    "horizontal_hop_latency_cycles": 3,
    "input_latency_cycles": 1,
    "output_latency_cycles": 2,
}
NARROW = {"weight": "int1", "activation": "uint2", "accumulator_bits": 8, "overflow": "saturate"}
WIDE = {"weight": "uint16", "activation": "int16", "accumulator_bits": 64, "partial_sum_bits": 40}
VARIANTS = {
    "ws, one PE": variant("weight_stationary", "none", rows=1, columns=1),
    "os, one PE": variant("output_stationary", "none", rows=1, columns=1),
    "ws, one row, narrow": variant("weight_stationary", "double_buffered", rows=1, **NARROW),
    "is, one column, wide": variant("input_stationary", "double_buffered", columns=1, **WIDE),
    "ws, none, slow": variant("weight_stationary", "none", **SLOW),
    "is, double, slow, serialized": variant("input_stationary", "double_buffered", short_folds="serialized", **SLOW),
    "os, none, right": variant("output_stationary", "none", shift_out="right", **NARROW),
    "os, none, bus, preload": variant("output_stationary", "none", shift_out="none", accumulator_preload=True),
    "os, double, right, slow": variant("output_stationary", "double_buffered", shift_out="right", **SLOW),
    "os, double, bus, wide": variant("output_stationary", "double_buffered", shift_out="none", **WIDE),
    "os, double, down, preload, slow, serialized": variant(
        "output_stationary", "double_buffered", accumulator_preload=True, short_folds="serialized", **SLOW
    ),
}
MACHINES = GALLERY | VARIANTS


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("emitted")
    places = {name: folder / re.sub(r"\W+", "_", name) for name in MACHINES}
    for name, place in places.items():
        emit(MACHINES[name], place)
    return places


@needs_verilator
@pytest.mark.parametrize("name", MACHINES)
def test_verilator_has_nothing_to_say(name: str, emitted: dict[str, Path]) -> None:
    for top in tops(emitted[name]):
        command = ["verilator", "--lint-only", "-Wall", "-f", "files.f", "--top-module", top]
        assert ran(command, emitted[name]) == ""


@needs_iverilog
@pytest.mark.parametrize("name", MACHINES)
def test_iverilog_has_nothing_to_say(name: str, emitted: dict[str, Path]) -> None:
    """But of time scales, which files without delays need not have."""
    for top in tops(emitted[name]):
        command = ["iverilog", "-g2012", "-Wall", "-Wno-timescale", "-t", "null", "-s", top, "-c", "files.f"]
        assert ran(command, emitted[name]) == ""


@needs_yosys
@pytest.mark.parametrize("name", MACHINES)
def test_yosys_finds_no_fault(name: str, emitted: dict[str, Path]) -> None:
    """No latch, no loop, no wire with two drivers or with none."""
    files = (emitted[name] / "files.f").read_text().replace("\n", " ")
    for top in tops(emitted[name]):
        script = (
            f"read_verilog -sv {files}; hierarchy -check -top {top}; proc; check -assert; select -assert-none t:$dl*"
        )
        assert ran(["yosys", "-q", "-p", script], emitted[name]) == ""


@needs_verilator
def test_an_array_of_full_size(tmp_path: Path) -> None:
    emit(load_arch("gemmini-16x16"), tmp_path / "out")
    for top in tops(tmp_path / "out"):
        command = ["verilator", "--lint-only", "-Wall", "-f", "files.f", "--top-module", top]
        assert ran(command, tmp_path / "out") == ""


@pytest.mark.parametrize(
    "tool", [pytest.param("iverilog", marks=needs_iverilog), pytest.param("verilator", marks=needs_verilator)]
)
def test_the_commands_of_the_readme_work(tool: str, emitted: dict[str, Path], tmp_path: Path) -> None:
    """Lint, and a simulation that passes, as a person would copy them: one after the other into one shell."""
    folder = emitted["scale-sim-3"]
    lines = [line.strip() for line in (folder / "README.md").read_text().splitlines() if line.startswith("    ")]
    mine = [line for line in lines if tool in line or (tool == "verilator" and "/V" in line)]
    assert len(mine) == {"iverilog": 1, "verilator": 3}[tool]
    said = ran(["bash", "-e", "-c", "\n".join(mine).replace("/tmp", str(tmp_path))], folder)
    assert "PASSED" in said


@needs_yosys
def test_yosys_commands_of_the_readme_work(emitted: dict[str, Path]) -> None:
    folder = emitted["scale-sim-3"]
    lines = [line.strip() for line in (folder / "README.md").read_text().splitlines() if line.startswith("    yosys")]
    said = [ran(["bash", "-c", line], folder) for line in lines]
    assert said[0] == ""
    assert "Number of cells:" in said[1]


@needs_iverilog
@pytest.mark.parametrize("name", MACHINES)
def test_the_testbenches_pass(name: str, emitted: dict[str, Path], tmp_path: Path) -> None:
    for listing in (emitted[name] / "testbench").glob("*.f"):
        program = tmp_path / f"{listing.stem}.vvp"
        command = ["iverilog", "-g2012", "-s", f"{listing.stem}_testbench", "-o", str(program), "-c", listing.name]
        ran(command, listing.parent)
        assert "PASSED" in ran(["vvp", "-n", str(program)], listing.parent)


# ---- what is in it


def test_what_is_written(tmp_path: Path) -> None:
    files = emit(machine(rows=3, columns=2), tmp_path / "out")
    needed = {f"rtl/{name}.sv" for name in modules_under("sa_operand_stationary", "sa_requantizer")}
    bench = [".f", "_testbench.sv", "_stimulus.txt", "_expected.txt"]
    assert {str(path.relative_to(tmp_path / "out")) for path in files} == needed | {
        *(f"testbench/test_3x2_ws{end}" for end in bench),
        "testbench/sa_testbench.sv",
        "rtl/test_3x2_ws.sv",
        "rtl/test_3x2_requantizer.sv",
        "files.f",
        "README.md",
        "manifest.json",
    }
    assert files[-1].name == "manifest.json"
    assert all(path.is_file() for path in files)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "rtl/sa_output_stationary.sv" not in needed


def test_modules_are_written_as_they_are(emitted: dict[str, Path]) -> None:
    for path in (emitted["scale-sim-3"] / "rtl").glob("sa_*.sv"):
        assert path.read_text() == modules()[path.stem]


def test_files_stand_behind_those_they_build_on(emitted: dict[str, Path]) -> None:
    listed = [Path(name).stem for name in (emitted["scale-sim-3"] / "files.f").read_text().split()]
    assert len(set(listed)) == len(listed)
    for place, name in enumerate(listed):
        if name in modules():
            assert set(modules_under(name)) <= set(listed[: place + 1])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_parameters_are_the_machines(dataflow: str, tmp_path: Path) -> None:
    """Where an operand stays, sums wait for the adder on their way down: 2 + 1 cycles from row to row."""
    emit(variant(dataflow, "double_buffered", activation="uint4", accumulator_bits=24, **SLOW), tmp_path / "out")
    text = (tmp_path / "out" / "rtl" / f"test_2x3_{SUFFIXES[dataflow]}.sv").read_text()
    values = dict(re.findall(r"^    parameter \w+ (\w+) = ([^,]+),", text, re.MULTILINE))
    moving, other = (("8", "1'b1"), ("4", "1'b0")) if dataflow == "input_stationary" else (("4", "1'b0"), ("8", "1'b1"))
    expected = {
        "ROWS": "2",
        "COLUMNS": "3",
        "MOVING_BITS": moving[0],
        "MOVING_SIGNED": moving[1],
        "OTHER_BITS": other[0],
        "OTHER_SIGNED": other[1],
        "SUM_BITS": "24",
        "ACCUMULATOR_BITS": "24",
        "SATURATE": "1'b0",
        "DOUBLE_BUFFERED": "1'b1",
        "ROW_STEP": "2" if dataflow == "output_stationary" else "3",
        "COLUMN_STEP": "3",
        "MULTIPLIER_LATENCY": "2",
        "INPUT_LATENCY": "1",
        "OUTPUT_LATENCY": "2",
    }
    assert {key: values[key] for key in expected} == expected


def test_the_manifest_has_the_machine(emitted: dict[str, Path]) -> None:
    record = json.loads((emitted["gemmini-16x16"] / "manifest.json").read_text())
    assert parse_machine(json.dumps(record["machine"]), "manifest.json") == GALLERY["gemmini-16x16"]


def test_the_readme_of_an_edge_machine(tmp_path: Path) -> None:
    """32 rows load in 32 cycles; a sum passes 32 rows and 31 further columns, and is out a cycle before the next
    operand could be: 62 cycles of flush. Eight folds of 1,024: 32 + 7 x 1024 + 1024 + 62."""
    emit(load_arch("edge-32x32"), tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert row(readme, "load").startswith("32 |")
    assert row(readme, "flush").startswith("62 |")
    assert row(readme, "a fold").startswith("S + 62 |")
    assert row(readme, "from fold to fold").startswith("max(S, 32) |")
    assert row(readme, "1", "63", "32") == f"{32 + 8 * 32 - 32 + 63}"
    assert row(readme, "1,024", "1,086", "1,024") == f"{32 + 7 * 1024 + 1024 + 62:,}"
    assert row(readme, "`load_data`", "input").startswith("256 |")
    assert row(readme, "`read_sums`", "output").startswith("1024 |")
    assert row(readme, "`load_row`", "output").startswith("6 |")
    assert row(readme, "`overflows`", "output").startswith("11 |")  # up to 32 x 32 PEs and 32 accumulators at a time


def test_the_readme_of_gemminis_mesh(tmp_path: Path) -> None:
    """Counted on MeshWithDelays: the last row is out (rows of all requests) + 33 cycles after the first request, and
    a request of fewer than 16 rows does not hide the next preload's 16."""
    emit(load_arch("gemmini-mesh-16x16"), tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert row(readme, "a fold").startswith("S + 33 |")
    assert row(readme, "from fold to fold").startswith("S; S + 16 where S < 16 |")


@needs_yosys
@pytest.mark.parametrize("name", ["gemmini-16x16", "scale-sim-3", "os, double, bus, wide", "os, none, right"])
def test_port_widths_of_the_readme_are_those_of_the_hardware(name: str, emitted: dict[str, Path]) -> None:
    """The table is made from expressions of the same names, but not by a Verilog tool."""
    folder = emitted[name]
    files = (folder / "files.f").read_text().replace("\n", " ")
    readme = (folder / "README.md").read_text()
    for top in tops(folder):
        script = f"read_verilog -sv {files}; hierarchy -top {top}; proc; write_json ports.json"
        ran(["yosys", "-q", "-p", script], folder)
        content = (folder / "ports.json").read_text()
        (folder / "ports.json").unlink()
        ports = json.loads(content)["modules"][top]["ports"]
        section = re.split(r"^## ", readme.split(f"\n## {top}\n")[1], flags=re.MULTILINE)[0]
        table = re.findall(r"^\| `(\w+)` \| (input|output) \| (\d+) \|", section, re.MULTILINE)
        assert {port: (way, int(bits)) for port, way, bits in table} == {
            port: (entry["direction"], len(entry["bits"])) for port, entry in ports.items()
        }


def test_a_machine_without_overlap_or_load(tmp_path: Path) -> None:
    """Output stationary, 2 x 3 PEs: the last PE is 1 + 2 hops away, and two rows shift out: 5 cycles after the last
    operand; nothing of it hides behind the next fold."""
    emit(variant("output_stationary", "none"), tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert row(readme, "load").startswith("0 |")
    assert row(readme, "of which shift-out").startswith("2 |")
    assert row(readme, "from fold to fold").startswith("0 + S + 5 |")


NAMES = {
    "8-bit": "array_8_bit_ws",
    "A  b\nmodule": "a_b_module_ws",
    # Verilator's own files are named otherwise where two underscores follow each other, as README's commands are not.
    "é": "array_ws",
    "a__b": "a_b_ws",
    # The hand-written modules' names begin like this, and one of them is sa_requantizer.
    "sa": "array_sa_ws",
    "SA array": "array_sa_array_ws",
    "SAP": "sap_ws",
}


@pytest.mark.parametrize("name", NAMES)
def test_any_name_makes_a_module(name: str, tmp_path: Path) -> None:
    emit(machine(rows=1, columns=1).model_copy(update={"name": name}), tmp_path / "out")
    rtl = tmp_path / "out" / "rtl"
    assert (rtl / f"{NAMES[name]}.sv").read_text().splitlines()[1] == f"module {NAMES[name]} #("
    for path in rtl.glob("sa_*.sv"):
        assert path.read_text() == modules()[path.stem]


@needs_iverilog
def test_a_testbench_without_its_files_fails(tmp_path: Path) -> None:
    """What it passes for is a comparison; with a stimulus of one's own there is none unless it is asked for."""
    emit(machine(rows=1, columns=1), tmp_path / "out")
    folder = tmp_path / "out" / "testbench"
    (bench,) = (path.stem for path in folder.glob("*.f"))
    ran(["iverilog", "-g2012", "-s", f"{bench}_testbench", "-o", str(tmp_path / "vvp"), "-c", f"{bench}.f"], folder)
    program = ["vvp", "-n", str(tmp_path / "vvp")]
    assert "PASSED" in ran(program, folder)
    (folder / f"{bench}_stimulus.txt").rename(folder / "mine.txt")
    without = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert without.returncode == 1
    assert f"FAILED: cannot read {bench}_stimulus.txt" in without.stdout
    assert "nothing to compare with" in ran([*program, "+stimulus=mine.txt"], folder)
    (folder / f"{bench}_expected.txt").rename(folder / "theirs.txt")
    (folder / "mine.txt").rename(folder / f"{bench}_stimulus.txt")
    without = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert without.returncode == 1
    assert f"FAILED: cannot read {bench}_expected.txt" in without.stdout
    assert "PASSED" in ran([*program, "+expected=theirs.txt"], folder)


def test_the_same_machine_the_same_bytes(tmp_path: Path) -> None:
    for out in ("one", "two"):
        emit(machine(), tmp_path / out)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_what_the_rtl_does_not_cover(tmp_path: Path) -> None:
    given = machine()
    vector = given.vector.model_copy(update={"requantizer": "tarot"})
    with pytest.raises(AccelError, match=r"vector\.requantizer tarot is not in the RTL"):
        emit(given.model_copy(update={"vector": vector}), tmp_path / "out")
    gates = {"weight": "bipolar", "activation": "bipolar", "pe": {"multiplier": "xnor", "products": 64}}
    with pytest.raises(AccelError, match=r"pe\.products 64 is not in the RTL, whose PEs make one product"):
        emit(machine(**gates), tmp_path / "out")
    assert tree(tmp_path) == []


# ---- the folder


def message(out: Path, overwrite: bool = False) -> str:
    """Why a folder is refused; it is as before then."""
    before = contents(out) if out.is_dir() else None
    with pytest.raises(AccelError) as caught:
        emit(machine(), out, overwrite)
    assert before is None or contents(out) == before
    return str(caught.value)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    emit(machine(dataflow="output_stationary"), tmp_path / "out")
    return tmp_path / "out"


def test_an_earlier_folder_is_kept_unless_asked(earlier: Path) -> None:
    assert message(earlier) == (
        f"{earlier}: the folder holds earlier RTL files; name another, or replace them: --overwrite"
    )


def test_an_earlier_folder_is_replaced_whole(earlier: Path, tmp_path: Path) -> None:
    (earlier / "README.md").unlink()
    emit(machine(), earlier, overwrite=True)
    emit(machine(), tmp_path / "new")
    assert contents(earlier) == contents(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "out"]


@pytest.mark.parametrize("place", ["notes.txt", "rtl/mine.sv", "testbench/wave.vcd", "rtl/deep/file", "other/file"])
def test_another_file_is_never_lost(place: str, earlier: Path) -> None:
    (earlier / place).parent.mkdir(exist_ok=True)
    (earlier / place).write_text("mine")
    shown = {"rtl/deep/file": "rtl/deep", "other/file": "other"}.get(place, place)
    assert message(earlier, overwrite=True) == (
        f"{earlier}: the folder holds files that are no RTL files ({shown}); "
        "name a new or an empty folder for the RTL files"
    )


RECORDS = {
    "not JSON": "hello",
    "a list": "[]",
    "another's": '{"files": ["precious"]}',
    "no files": '{"accel": "1", "machine": {}}',
    "strange files": '{"accel": "1", "machine": {}, "files": [1, null, "../precious", "/precious", "a/precious"]}',
}


@pytest.mark.parametrize("record", RECORDS)
def test_a_manifest_of_someone_else_is_not_ours(record: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "precious").write_text("mine")
    (tmp_path / "out" / "manifest.json").write_text(RECORDS[record])
    assert "the folder holds files that are no RTL files (a, manifest.json)" in message(
        tmp_path / "out", overwrite=True
    )
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_empty_folder_is_filled_and_a_missing_parent_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    emit(machine(), Path("."))
    emit(machine(), Path("a/b"))
    assert (tmp_path / "empty" / "a" / "b" / "README.md").is_file()


def test_a_file_is_in_the_way(tmp_path: Path) -> None:
    out = tmp_path / "f"
    out.write_text("mine")
    assert message(out) == f"{out}: this is not a folder; name a new or an empty folder for the RTL files"
    assert message(out / "below").startswith(f"{out / 'below'}: {out} is not a folder; ")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where not even root may write")
def test_a_place_that_cannot_be_written() -> None:
    assert message(Path("/proc/rtl")) == (
        "/proc/rtl: RTL files cannot be written here (No such file or directory); name a folder that you may write to"
    )


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "earlier"])
def test_a_full_disk_leaves_everything_as_it_was(overwrite: bool, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    if overwrite:
        emit(machine(), out)
    before = tree(tmp_path)
    written: list[Path] = []

    def write_text(path: Path, text: str, **_: Any) -> None:
        if len(written) == 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        path.write_bytes(text.encode())

    monkeypatch.setattr(Path, "write_text", write_text)
    assert message(out, overwrite) == (
        f"{out}: RTL files cannot be written here (No space left on device); name a folder that you may write to"
    )
    assert tree(tmp_path) == before


def test_a_stopped_run_leaves_everything_as_it_was(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> str:
        raise KeyboardInterrupt

    before = contents(earlier)
    monkeypatch.setattr(emit_module, "readme_text", stop)
    with pytest.raises(KeyboardInterrupt):
        emit(machine(), earlier, overwrite=True)
    assert contents(earlier) == before


# ---- the command


def test_the_command_says_what_it_wrote(accel, tmp_path: Path) -> None:
    ran = accel("rtl", "opentpu-8x8", "--out", tmp_path / "out")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(ran.out.split()) == [str(tmp_path / "out" / name) for name in contents(tmp_path / "out")]


def test_the_command_refuses_in_one_sentence(accel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    accel("rtl", "opentpu-8x8", "--out", out)
    assert accel("rtl", "opentpu-8x8", "--out", out) == (
        2,
        "",
        f"error: {out}: the folder holds earlier RTL files; name another, or replace them: --overwrite\n",
    )
    assert accel("rtl", "opentpu-8x8", "--out", out, "--overwrite").code == 0
