"""Sums that saturate once, on their way to the requantizer: a network of 4 bits on such hardware, right and wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accel.arch.spec import Machine
from accel.gallery import models_dir, workloads_dir
from accel.rtl import requantize
from tests.conftest import Ran
from tests.rtl.faults import Fault
from tests.rtl.tools import needs_verilator

pytestmark = needs_verilator

FINAL_SUM_BITS = 9
"""Of sums that take up to 11."""
WRAPPING = Fault(
    "a finished sum wraps",
    "sa_total",
    "fits_total ? low_bits : {below_zero, {(TOTAL_BITS - 1) {!below_zero}}}",
    "low_bits",
    "",
    "integers",
)


@pytest.fixture
def verify(accel: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """A trained network, quantized to 4 bits, on a smaller machine of LLSQ's kind whose finished sums saturate."""
    monkeypatch.chdir(tmp_path)
    text = (models_dir() / "machines" / "llsq-32x32.yaml").read_text()
    text = re.sub("(rows|columns): 32", r"\1: 16", text).replace("  split_operands: true\n", "")
    text = re.sub(r" *final_sum_bits:.*\n", "", text)
    Path("machine.yaml").write_text(text.replace("  overflow:", f"  final_sum_bits: {FINAL_SUM_BITS}\n  overflow:"))
    images = workloads_dir() / "digits_resnet8" / "images.npz"
    bits = ("--weights", 4, "--activations", 4, "--first-last", 4, "--requantizer", "shared_exponent8")
    assert accel("quantize", "digits-resnet8", "--calibrate", images, *bits, "--out", "w4a4.onnx").code == 0
    return lambda *words: accel("verify", "w4a4.onnx", "--arch", "machine.yaml", "--rtl", *words)


def test_a_network_whose_sums_saturate_at_their_end(verify: Callable[..., Ran]) -> None:
    ran = verify("--json")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["passed"]
    assert len(record["rtl"]) == 10
    overflows = [(check["simulated_overflows"], check["rtl_overflows"]) for check in record["rtl"]]
    assert all(simulated == rtl for simulated, rtl in overflows)
    assert sum(rtl for _, rtl in overflows) > 100


LAYER = "layer 3, stage1.conv1"


def difference(ran: Ran) -> tuple[int, int, int]:
    """The sum named in a report, and what the RTL and the simulator make of it."""
    assert ran.code == 1, ran.err
    said = " ".join(ran.out.split())
    found = re.search(
        rf"differ in {LAYER}: of the sum (-?\d+) the RTL's requantizer makes (\S+), the simulator (\d+)", said
    )
    assert found is not None, said
    return int(found[1]), int(found[2]), int(found[3])


def test_sums_that_wrap_at_their_end(verify: Callable[..., Ran], put_in: Callable[[Fault], None]) -> None:
    put_in(WRAPPING)
    total, rtl, simulator = difference(verify("--layers", 3))
    assert total > 0
    assert rtl < simulator


def test_a_wrong_width(verify: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    right = requantize.lane_parameters

    def wider(machine: Machine, *rest: Any) -> dict[str, int | bool]:
        return right(machine, *rest) | {"TOTAL_BITS": FINAL_SUM_BITS + 1}

    monkeypatch.setattr(requantize, "lane_parameters", wider)
    total, rtl, simulator = difference(verify("--layers", 3))
    assert total > 0
    assert rtl > simulator
