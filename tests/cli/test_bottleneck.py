"""``accel bottleneck``: tables, a record, a folder, and sentences."""

from __future__ import annotations

import json

import pytest

from accel import api
from accel.arch.load import dump_machine
from accel.result import Result
from tests.machines import machine

SHORT = ("bottleneck", "digits-resnet8", "--arch", "edge-32x32")


def test_the_worst_layer_and_the_best_change_come_first(accel, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    ran = accel(*SHORT)
    assert (ran.code, ran.err) == (0, "")
    layers, more = ran.out.split("What more of each resource would bring")
    record = json.loads(accel(*SHORT, "--json").out)
    lost = {layer["number"]: layer["latency_cycles"] - layer["critical"]["compute"] for layer in record["layers"]}
    rows = [words for line in layers.splitlines() if (words := line.split()) and words[0].isdigit()]
    numbers = [int(row[0]) for row in rows]
    assert [lost[number] for number in numbers] == sorted(lost.values(), reverse=True)
    best = max(record["more"], key=lambda entry: entry["speedup"] or 0.0)
    first = next(line for line in more.splitlines() if line.startswith(best["resource"]))
    assert more.splitlines().index(first) == 3
    assert f"{best['speedup']:.3f}x" in first
    assert f"{best['cycles']:,}" in first


def test_the_record_and_the_folder_are_the_estimates(accel, tmp_path) -> None:
    estimate = api.estimate(api.load_network("digits-resnet8"), api.load_arch("edge-32x32"))
    record = json.loads(accel(*SHORT, "--json", "--out", tmp_path / "results").out)
    assert (record["network"], record["machine"]) == (estimate.network, estimate.machine)
    assert record["latency_cycles"] == estimate.latency_cycles
    assert record["energy_pj"] == estimate.energy_pj
    by_name = {entry["resource"]: entry for entry in record["more"]}
    assert by_name["DRAM bandwidth"]["change"] == "16 B/cycle -> 32 B/cycle"
    assert Result.from_json((tmp_path / "results" / "result.json").read_text()) == estimate
    for name in ("roofline.svg", "occupancy.svg"):
        assert (tmp_path / "results" / "plots" / name).is_file()


def test_a_change_that_cannot_be_is_a_row_with_its_reason(accel, tmp_path) -> None:
    file = tmp_path / "tall.yaml"
    file.write_text(dump_machine(machine(512, 4, buffers=(1 << 14, 1 << 18, 1 << 14), bandwidth="64 B/cycle")))
    ran = accel("bottleneck", "digits-resnet8", "-a", file)
    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if line.startswith("array rows")).split()
    assert row[-4:] == ["-"] * 4
    words = " ".join(ran.out.split())
    assert "array rows (512 -> 1024): array.rows is 1024; legal is a whole number from 1 to 512" in words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("digits-resnet8", "-a", "edge"), "no machine of the gallery is called 'edge'"),
        (("no.onnx", "-a", "edge-32x32"), "no.onnx: there is no such file"),
        (("digits-resnet8", "-a", "xnor-32x32"), "int8 weights, and the processing elements take bipolar"),
    ],
)
def test_mistakes(accel, words, message) -> None:
    ran = accel("bottleneck", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(accel, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ran = accel(*SHORT, "--out", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "the folder holds files that are no results (notes.txt)" in ran.err
