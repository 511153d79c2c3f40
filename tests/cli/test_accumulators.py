"""``accel accumulators``: tables, a record, rows, and sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from accel import api
from accel.gallery import workloads_dir

INT8 = workloads_dir() / "digits_resnet8" / "int8.onnx"
SHORT = ("accumulators", "digits-resnet8", "--images", 2, "--bits", "16, 15")


def test_tables_json_and_csv(accel) -> None:
    ran = accel(*SHORT)
    assert (ran.code, ran.err) == (0, "")
    assert "Accumulator bits of digits-resnet8, 2 images" in ran.out
    record = json.loads(accel(*SHORT, "--json").out)
    assert record["widths"] == [16, 15]
    assert record == json.loads(api.accumulators(api.load_network("digits-resnet8"), images=2, bits=[16, 15]).to_json())
    rows = accel(*SHORT, "--csv").out.splitlines()
    assert len(rows) == 1 + len(record["layers"]) * 2 * 3


def test_a_machine_a_file_and_random_numbers(accel, tmp_path) -> None:
    ran = accel("accumulators", INT8, "--arch", "gemmini-16x16", "--bits", "20")
    assert "folds of gemmini-16x16, 1 image" in ran.out
    assert ran.err == (
        "note: no input was given, so it is seeded random numbers; sums of real images may need more bits\n"
    )
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 16, 16), np.float32))
    np.save(tmp_path / "labels.npy", np.array([1, 2, 3]))
    given = ("--input", tmp_path / "x.npy", "--labels", tmp_path / "labels.npy", "--images", 2, "--json")
    record = json.loads(accel("accumulators", INT8, "--bits", "20", *given).out)
    # Twice the same image: at most one of the two labels is right.
    assert (record["images"], record["notes"]) == (2, [])
    assert record["wide_top1"] in (0.0, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bits", "20;16"), "--bits is '20;16'; list widths in bits, such as 8,6,4"),
        (("--bits", ""), "--bits is ''; list widths in bits, such as 8,6,4"),
        (("--bits", "16,12,16"), "--bits has 16 twice; name each width once"),
        (("--bits", "16,1"), "--bits has a width of 1; accumulators have 2 to 64 bits"),
        (("--bits", "65"), "--bits has a width of 65; accumulators have 2 to 64 bits"),
        (("--json", "--csv"), "--json and --csv both want standard output; give one of them; --out writes both files"),
        (("--images", "361"), "the input: 361 images are asked for, and there are 360, 1 in a batch; "
         "ask for a multiple of 1 up to 360"),
    ],
)  # fmt: skip
def test_mistakes(accel, options, message) -> None:
    assert accel("accumulators", "digits-resnet8", *options) == (2, "", f"error: {message}\n")
