"""``accel sensitivity``: tables, a record, rows, and sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from accel.gallery import workloads_dir

FLOAT = workloads_dir() / "digits_resnet8" / "float.onnx"


def test_tables_json_and_csv(accel, tmp_path) -> None:
    ran = accel("sensitivity", "digits-resnet8", "--images", 3, "--bits", 2, "--arch", "edge-32x32")
    assert (ran.code, ran.err) == (0, "")
    assert "Sensitivity of digits-resnet8 on edge-32x32, 3 images" in ran.out
    with np.load(FLOAT.parent / "images.npz") as data:
        np.save(tmp_path / "images.npy", data["images"][:3])
        np.save(tmp_path / "labels.npy", data["labels"][:3])
    given = ("--calibrate", tmp_path / "images.npy", "--labels", tmp_path / "labels.npy", "--bits", 2)
    record = json.loads(accel("sensitivity", FLOAT, *given, "--json").out)
    assert (record["network"], record["images"], record["base"]["top1"]) == ("digits_resnet8/float", 3, 1.0)
    assert record["base_costs"]["cycles"] is None
    rows = accel("sensitivity", FLOAT, *given, "--csv").out.splitlines()
    assert len(rows) == 2 + len(record["rows"]) == 2 + 2 * 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("digits-resnet8", "--bits", "4,0"), "--bits has a width of 0; legal are 1 to 16 bits"),
        (("digits-resnet8", "--bits", "17"), "--bits has a width of 17; legal are 1 to 16 bits"),
        (("digits-resnet8", "--bits", "4,4"), "--bits has 4 twice; name each width once"),
        (("digits-resnet8", "--bits", "four"), "--bits is 'four'; list widths in bits, such as 8,6,4"),
        (
            ("digits-resnet8", "--images", "999"),
            "the calibration images: 999 images are asked for, and there are 360; ask for up to 360",
        ),
        ((FLOAT,), f"{FLOAT}: there are no calibration images; give some with --calibrate images.npz"),
    ],
)
def test_mistakes(accel, words, message) -> None:
    assert accel("sensitivity", *words) == (2, "", f"error: {message}\n")
