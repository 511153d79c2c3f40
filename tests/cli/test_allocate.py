"""``accel allocate``: tables, a record, a YAML file, and sentences."""

from __future__ import annotations

import json

import pytest

SHORT = ("allocate", "digits-resnet8", "--images", 2, "--bits", "8,4")


def test_tables_json_and_yaml(accel, tmp_path) -> None:
    out = tmp_path / "layers.yaml"
    ran = accel(*SHORT, "--budget", "bops=0.5x", "--out", out)
    assert (ran.code, ran.err) == (0, f"{out}\n")
    assert "Bits of digits-resnet8 for bops=0.5x" in " ".join(ran.out.split())
    again = accel(*SHORT, "--budget", "bops=0.5x", "--out", out)
    assert again == (
        2,
        "",
        f"error: {out}: the file exists already; choose another name, or replace it: --overwrite\n",
    )
    record = json.loads(accel(*SHORT, "--budget", "bops=0.5x", "--out", out, "--overwrite", "--json").out)
    lines = ["# for accel quantize --bits, with --scales float32_rne"]
    lines += [
        f"{x['name']}: {{weights: {x['weight_bits']}, activations: {x['activation_bits']}}}" for x in record["layers"]
    ]
    assert out.read_text().splitlines() == lines
    assert accel("quantize", "digits-resnet8", "--bits", out, "--out", tmp_path / "mixed.onnx").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "latency=0.7x"), "--budget limits the latency, which only a machine has; add --arch"),
        (("--budget", "latncy=0.7x"), "--budget limits 'latncy'; did you mean 'latency'?"),
        (("--budget", "bops=1x", "--out", "."), ".: this is a folder, not a file; name the YAML file to write"),
    ],
)
def test_mistakes(accel, words, message) -> None:
    assert accel(*SHORT, *words) == (2, "", f"error: {message}\n")


def test_nothing_is_written_where_no_allocation_meets_the_budget(accel, tmp_path) -> None:
    out = tmp_path / "layers.yaml"
    ran = accel(*SHORT, "--budget", "bops=0.1x", "--out", out)
    assert ran.code == 2
    assert "no allocation meets bops=0.1x; the closest is bops=0.25x;" in ran.err
    assert list(tmp_path.iterdir()) == []
