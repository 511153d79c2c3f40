"""`accel quantize` from the command line: the table, the record, the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_a_gallery_network_needs_no_images(here, accel) -> None:
    """Its float network and its own images; 77,072 weights, of which 784 in the first and last layer have 8 bits."""
    words = ("--weights", 4, "--activations", 8, "--first-last", 8)
    ran = accel("quantize", "digits-resnet8", "--out", "w4a8.onnx", *words)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0].strip() == "digits-resnet8, quantized"
    size = ((77_072 - 784) * 4 + 784 * 8) // 8
    assert f"77.1k weights in {size:,} bytes; 360 calibration images; QDQ, opset 21" in ran.out
    assert "written: w4a8.onnx" in ran.out
    assert [path.name for path in here.iterdir()] == ["w4a8.onnx"]


def test_the_record_as_json(here, accel) -> None:
    Path("bits.yaml").write_text("stage1.conv2: {weights: 4}\n")
    ran = accel("quantize", "digits-resnet8", "-o", "q.onnx", "--bits", "bits.yaml", "--json")
    record = json.loads(ran.out)
    assert (record["path"], record["images"], record["file_format"]) == ("q.onnx", 360, "qdq")
    assert {layer["name"]: layer["weight_bits"] for layer in record["layers"] if layer["weight_bits"] != 8} == {
        "stage1.conv2": 4,
        **{layer["name"]: None for layer in record["layers"] if not layer["weights"]},
    }
    assert record["weight_bits"] == 8 * 77_072 - 4 * 2304


def test_what_it_writes_runs(here, accel) -> None:
    accel("quantize", "digits-resnet8", "-o", "q.onnx")
    ran = accel("estimate", "q.onnx", "--arch", "edge-32x32", "--json")
    assert (ran.code, json.loads(ran.out)["network"]) == (0, f"{here.name}/q")


def test_help_teaches(accel) -> None:
    ran = accel("quantize", "--help")
    assert ran.code == 0
    for word in ("--calibrate", "--bits", "mantissa8_shared", "half_even", "aqt", "Try:"):
        assert word in ran.out


def test_a_quantized_file_of_the_gallery_is_not_taken_for_its_float_network(here, accel) -> None:
    ran = accel("quantize", "digits-resnet8/uint8.onnx", "-o", "q.onnx")
    assert ran.code == 2
    assert "uint8.onnx: this network is quantized already (QuantizeLinear); give the float network" in ran.err
    assert accel("quantize", "digits-resnet8/float.onnx", "-o", "q.onnx", "--requantizer", "mantissa16").code == 0
