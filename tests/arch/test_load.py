"""Machine files in, machines out, and back."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings

from accel import gallery
from accel.arch.load import dump_machine, load_arch, parse_machine
from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.errors import AccelError
from tests.arch.strategies import machines

EDGE = (gallery.models_dir() / "machines" / "edge-32x32.yaml").read_text()


@settings(max_examples=60, deadline=None)
@given(machines())
def test_machines_survive_the_way_through_yaml(machine: Machine) -> None:
    assert parse_machine(dump_machine(machine), "drawn.yaml") == machine


def test_the_edge_machine_field_by_field() -> None:
    machine = load_arch("edge-32x32")
    assert (machine.name, machine.clock_hz, machine.technology) == ("edge-32x32", 1e9, "45nm")
    assert (machine.array.rows, machine.array.columns) == (32, 32)
    assert (machine.array.dataflow, machine.array.overlap) == (("weight_stationary",), "double_buffered")
    assert (str(machine.pe.weight), str(machine.pe.activation)) == ("int8", "int8")
    assert (machine.pe.accumulator_bits, machine.pe.partial_sum_bits, machine.pe.overflow) == (32, 32, "wrap")
    buffers = machine.buffers
    assert buffers.weight.capacity_bytes == 128 * 1024
    assert buffers.activation.capacity_bytes == buffers.accumulator.capacity_bytes == 256 * 1024
    assert (buffers.weight.width_bytes_per_cycle, buffers.accumulator.width_bytes_per_cycle) == (32, 128)
    dram = machine.dram
    assert (dram.bandwidth_bytes_per_cycle, dram.latency_cycles, dram.burst_bytes) == (16, 100, 64)
    assert (machine.vector.lanes, machine.vector.requantizer) == (32, "float32_rne")


def test_dram_in_seconds_follows_the_clock() -> None:
    text = EDGE.replace("16 B/cycle", "12.8 GB/s").replace("100 cycles", "80 ns").replace("1 GHz", "500 MHz")
    dram = parse_machine(text, "slow.yaml").dram
    assert (dram.bandwidth_bytes_per_cycle, dram.latency_cycles) == (25.6, 40)


def test_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(EDGE.replace("name: edge-32x32", "name: mine"))
    (tmp_path / "no-ending").write_text(EDGE.replace("name: edge-32x32", "name: no-ending"))
    (tmp_path / "gemmini-16x16").mkdir()  # a folder of results does not hide the gallery
    for name, path in {"mine": "mine.yaml", "no-ending": "no-ending", "gemmini-16x16": "gemmini-16x16"}.items():
        assert load_arch(path).name == name
        assert load_arch(Path(path)).name == name
    assert load_arch("./no-ending").name == "no-ending"
    assert load_arch(tmp_path / "mine.yaml").name == "mine"
    with pytest.raises(AccelError, match="no machine of the gallery is called 'mine'"):
        load_arch("mine")


def test_a_technology_beside_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "machines"
    folder.mkdir()
    figures = (gallery.models_dir() / "technology" / "45nm.yaml").read_text()
    (folder / "warm.yaml").write_text(figures.replace("name: 45nm", "name: warm"))
    (tmp_path / "cold.yaml").write_text(figures.replace("name: 45nm", "name: cold"))
    monkeypatch.chdir("/")
    for technology, name in (("warm.yaml", "warm"), ("./warm.yaml", "warm"), ("../cold.yaml", "cold")):
        path = folder / "mine.yaml"
        path.write_text(EDGE.replace("technology: 45nm", f"technology: {technology}"))
        machine = load_arch(path)
        assert load_technology(machine.technology).name == name
        assert parse_machine(dump_machine(machine), "elsewhere.yaml") == machine


def test_anchors_share_values() -> None:
    text = EDGE.replace("weight: {capacity: 128", "weight: &same {capacity: 128").replace(
        "activation: {capacity: 256 KiB, width: 32 B/cycle}", "activation: *same"
    )
    machine = parse_machine(text, "shared.yaml")
    assert machine.buffers.weight == machine.buffers.activation


def test_loading_is_quick() -> None:
    load_arch("edge-32x32")
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        load_arch("edge-32x32")
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.1


def test_importing_is_quick() -> None:
    code = "import time; import accel.arch.load; print(time.process_time())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.5
