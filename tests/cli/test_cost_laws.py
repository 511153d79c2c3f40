"""``accel cost-laws``: tables, a record, rows, and sentences."""

from __future__ import annotations

import json

import pytest

SHORT = ("cost-laws", "digits-resnet8", "--arch", "edge-32x32", "--weights", 4, "--activations", 4, "--first-last", 8)


def test_tables_json_and_csv(accel) -> None:
    ran = accel(*SHORT)
    assert (ran.code, ran.err) == (0, "")
    assert "if weights 4 bits, activations 4 bits, first and last layer 8 bits" in " ".join(ran.out.split())
    record = json.loads(accel(*SHORT, "--json").out)
    # 77,072 weights, of which 144 in the stem and 640 in the classifier stay at 8 bits
    assert record["totals"]["memory_bits"] == 4 * 77_072 + 4 * (144 + 640)
    assert record["totals"]["macs"] == 3_052_160
    rows = accel(*SHORT, "--csv").out.splitlines()
    assert len(rows) == 1 + len(record["layers"])


def test_without_a_machine_and_with_one_that_has_not_these_widths(accel) -> None:
    alone = accel("cost-laws", "digits-resnet8")
    assert (alone.code, alone.err) == (0, "")
    wide = accel("cost-laws", "digits-resnet8", "--arch", "edge-32x32", "--weights", 16)
    assert wide.code == 0
    assert wide.err == (
        "note: no cycles on edge-32x32: stem_quant, stage1.conv1_quant, stage1.conv2_quant and 7 more have int16 "
        "weights, and the processing elements take int8\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", 0), "--weights is 0; legal are 1 to 16 bits"),
        (("--activations", 17), "--activations is 17; legal are 1 to 16 bits"),
        (("--json", "--csv"), "--json and --csv both want standard output; give one of them; --out writes both files"),
    ],
)
def test_mistakes(accel, options, message) -> None:
    assert accel("cost-laws", "digits-resnet8", *options) == (2, "", f"error: {message}\n")
