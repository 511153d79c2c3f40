"""What a person types, and what they get."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accel.gallery import models_dir, workloads_dir
from accel.result import Result
from accel.version import __version__

NET, ARCH = "digits-resnet8", "edge-32x32"
INT8 = workloads_dir() / "digits_resnet8" / "int8.onnx"


def test_version(accel) -> None:
    assert accel("--version") == (0, f"accel {__version__}\n", "")


def test_help_teaches_each_command(accel) -> None:
    words = {"machines", "drams", "networks", "show", "schema", "estimate", "run", "verify", "lower", "map"}
    out = accel("--help").out
    assert all(word in out for word in words)
    for word in words:
        assert accel(word, "--help").code == 0


def test_help_is_as_wide_as_the_terminal_and_not_as_the_source(accel, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    lines = [line.strip() for line in accel("map", "--help").out.splitlines()]
    (found,) = (line for line in lines if line.startswith("Lower bounds say"))
    assert found.endswith("what does not fit is refused with its line.")


@pytest.mark.parametrize("command", ["machines", "drams", "networks"])
def test_galleries_as_table_and_json(accel, command) -> None:
    rows = json.loads(accel(command, "--json").out)[command]
    table = accel(command).out
    assert rows
    assert all(row["name"] in table for row in rows)


def test_every_machine_of_the_gallery_has_a_page(accel) -> None:
    for row in json.loads(accel("machines", "--json").out)["machines"]:
        page = accel("show", row["name"])
        assert page.code == 0
        assert "partial_sum_bits" in page.out
        assert "mm2" in page.out


def test_schema_is_the_gallerys(accel) -> None:
    assert accel("schema").out == (models_dir() / "machine.schema.json").read_text()


def test_estimate_prints_every_layer_and_the_totals(accel) -> None:
    ran = accel("estimate", NET, "--arch", ARCH)
    assert ran.code == 0
    result = Result.from_json(accel("estimate", NET, "--arch", ARCH, "--json").out)
    assert all(layer.name in ran.out for layer in result.layers)
    assert f"{result.latency_cycles:,} cycles" in ran.out


def test_csv_has_one_row_a_layer_and_adds_up(accel) -> None:
    result = Result.from_json(accel("estimate", NET, "--arch", ARCH, "--json").out)
    rows = list(csv.DictReader(io.StringIO(accel("estimate", NET, "--arch", ARCH, "--csv").out)))
    assert [row["name"] for row in rows] == [layer.name for layer in result.layers]
    assert sum(int(row["macs"]) for row in rows) == result.macs == 3_052_160


def test_run_gives_the_estimates_cycles_and_more(accel) -> None:
    estimate = Result.from_json(accel("estimate", NET, "--arch", ARCH, "--json").out)
    run = Result.from_json(accel("run", NET, "--arch", ARCH, "--images", 8, "--json").out)
    assert [layer.cycles for layer in run.layers] == [layer.cycles for layer in estimate.layers]
    assert run.accuracy.images == 8
    assert run.accuracy.integer_top1 == run.accuracy.float_top1 == run.accuracy.agreement == 1.0
    assert all(layer.error is not None for layer in run.layers if layer.unit != "view")


def test_run_of_ones_own_files_writes_a_result_folder(accel, tmp_path) -> None:
    with np.load(INT8.parent / "images.npz") as data:
        np.save(tmp_path / "x.npy", data["images"][:3])
        np.save(tmp_path / "y.npy", data["labels"][:3])
    out = tmp_path / "results"
    ran = accel(
        *("run", INT8, "--arch", ARCH, "--input", tmp_path / "x.npy", "--labels", tmp_path / "y.npy"),
        *("--float", INT8.parent / "float.onnx", "--out", out),
    )
    assert ran.code == 0
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"result.json", "layers.csv", "outputs.npz"} <= names
    for plot in ("cycles", "energy", "error", "roofline"):
        assert any(plot in name and name.endswith(".png") for name in names)
        assert any(plot in name and name.endswith(".svg") for name in names)
    result = Result.from_json((out / "result.json").read_text())
    assert result.accuracy.images == 3
    with np.load(out / "outputs.npz") as outputs:
        assert outputs["logits"].shape == (3, 10)
    assert accel("run", INT8, "--arch", ARCH, "--out", out).code == 2
    assert accel("estimate", INT8, "--arch", ARCH, "--out", out, "--overwrite").code == 0


def test_random_input_is_said(accel) -> None:
    assert "seeded random numbers" in accel("run", INT8, "--arch", ARCH).err


def test_verify_passes_and_says_against_whom(accel) -> None:
    ran = accel("verify", NET, "--arch", ARCH)
    assert ran.code == 0
    assert "PASSED" in ran.out
    assert "onnxruntime" in ran.out


def test_verify_names_the_first_tensor_that_differs(accel, monkeypatch) -> None:
    from accel.sim.layer import ArrayLayer

    honest = ArrayLayer.finish

    def broken(self, sums, box, seen):
        return honest(self, sums + 4000 * (self.op.name == "stage2.conv2_quant"), box, seen)

    monkeypatch.setattr(ArrayLayer, "finish", broken)
    ran = accel("verify", NET, "--arch", ARCH)
    assert ran.code == 1
    assert "FAILED" in ran.out
    assert "first difference: stage2.conv2_quant" in ran.out
    record = json.loads(accel("verify", NET, "--arch", ARCH, "--json").out)
    assert record["passed"] is False


def test_lower_prints_each_stage(accel) -> None:
    whole = accel("lower", NET, "--arch", ARCH).out
    for stage in ("graph", "flow", "mapping", "program"):
        part = accel("lower", NET, "--arch", ARCH, "--stage", stage).out
        assert part.startswith(stage)
        assert part in whole


def test_a_reader_that_goes_ends_the_program_quietly() -> None:
    command = f"{sys.executable} -c 'from accel.cli import main; main()' verify {NET} --arch {ARCH} | true"
    script = f"{command}; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "141\n"  # not 1, which would say that verify found a difference
    assert "Traceback" not in ran.stderr


def test_the_readmes_python_runs(monkeypatch, tmp_path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    small = code.replace("simulate(network, arch)", "simulate(network, arch, images=2)")
    assert small != code
    subprocess.run([sys.executable, "-c", small], check=True)
    assert Result.from_json((tmp_path / "result.json").read_text()).kind == "simulation"


def test_the_readmes_machine_loads(accel, tmp_path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (machine,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my.yaml").write_text(machine)
    assert accel("estimate", NET, "--arch", tmp_path / "my.yaml").code == 0


def test_names_of_the_galleries_complete() -> None:
    from accel.cli.options import machine_names, network_names

    assert machine_names("edge-32x32-") == [
        "edge-32x32-int16",
        "edge-32x32-int4",
        "edge-32x32-is",
        "edge-32x32-os",
        "edge-32x32-serial",
        "edge-32x32-uint8",
    ]
    assert network_names("mob") == ["mobilenetv2"]
