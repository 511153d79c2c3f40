"""The verification's page: counts by comparison, doubts, notes, and the verdict in words."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from rich.console import Console

from accel.report.verification import verification_table
from accel.verification import Comparison, TensorCheck, Verification

EQUAL = Comparison(0, 1200)


def check(layer: str = "conv1", **fields: Any) -> TensorCheck:
    compared = dict.fromkeys(("simulator_alone", "simulator_end_to_end", "witness_alone", "witness_end_to_end"), EQUAL)
    return TensorCheck(layer, "conv", f"{layer}_out", **(compared | fields))


def page(*checks: TensorCheck, color: bool = False, **fields: Any) -> str:
    record = dataclasses.replace(Verification("net", "edge", checks, 1234, 1234, "onnxruntime 1.2"), **fields)
    console = Console(width=200, force_terminal=color, color_system="standard" if color else None)
    with console.capture() as captured:
        console.print(verification_table(record))
    return captured.get()


def words(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip(" │|┃").startswith(start)).split()


def test_all_equal() -> None:
    text = page(check(), check("pool", simulator_alone=Comparison(0, 30), witness_end_to_end=None))
    assert "net on edge: integers that differ" in text
    assert [word for word in words(text, "conv1") if word not in "│|┃"] == ["conv1", "conv", "1,200", *"0000"]
    assert [word for word in words(text, "pool") if word not in "│|┃"] == ["pool", "conv", "1,200", *"000-"]
    assert "cycles: estimate 1,234, simulation 1,234" in text
    assert text.splitlines()[-1].strip() == "PASSED"
    assert "difference:" not in text
    assert "no witness" not in text


def test_the_first_difference_is_named_by_its_comparison() -> None:
    wrong = Comparison(7, 1200, "at [0, 1] the simulator has 3, the reference 4")
    meanings = {
        "simulator_alone": "simulator and reference, the layer fed with the reference's inputs",
        "simulator_end_to_end": "simulator and reference, end to end",
        "witness_alone": "reference and onnxruntime, the layer fed with the reference's inputs",
        "witness_end_to_end": "reference and onnxruntime, end to end",
    }
    for column, (kind, meaning) in enumerate(meanings.items()):
        text = page(check("conv0"), check(**{kind: wrong}))
        counts = [word for word in words(text, "conv1") if word not in "│|┃"][3:]
        assert counts == ["7" if place == column else "0" for place in range(4)]
        assert f"first difference: conv1, tensor conv1_out ({meaning}): {wrong.first}" in text
        assert text.splitlines()[-1].strip() == "FAILED"


def test_differing_cycles_fail() -> None:
    assert page(check(), estimate_cycles=1233).splitlines()[-1].strip() == "FAILED"


def test_doubts_are_said_one_by_one() -> None:
    alone = page(check(), doubt_alone="no VNNI")
    assert "no witness of single layers here: no VNNI" in alone
    assert "the whole network here" not in alone
    assert "no witness of the whole network here: islands" in page(check(), doubt_end_to_end="islands")


def test_a_note_is_said_where_it_explains_a_difference() -> None:
    wrong = Comparison(1, 1200, "at [0]")
    assert "a tie" not in page(check(witness_note="a tie"))
    for kind in ("witness_alone", "witness_end_to_end"):
        text = page(check(witness_note="a tie", **{kind: wrong}))
        assert "* conv1: a tie" in text
        assert text.splitlines()[-1].strip() == "PASSED"


def test_differences_are_red_and_equal_ones_green() -> None:
    red, green = r"\x1b\[1;31m *(\d+)\x1b", r"\x1b\[32m *(\d+)\x1b"
    assert re.findall(red, page(check(), color=True)) == []
    assert re.findall(green, page(check(), color=True)) == ["0"] * 4
    text = page(check(simulator_alone=Comparison(5, 9, "at [0]")), color=True)
    assert re.findall(red, text) == ["5"]
    assert re.findall(green, text) == ["0"] * 3


def test_another_requantizer_is_information() -> None:
    """The layers that it concerns are counted alone, and everything end to end; nothing of it fails."""
    note = "it requantizes in float32, the machine by shift_rne"
    conv = [
        check(
            f"conv{n}", witness_alone=Comparison(n, 100, "", 2.0 * n), witness_end_to_end=Comparison(30, 100, "", 9.0)
        )
        for n in range(1, 6)
    ]
    conv = [dataclasses.replace(one, witness_note=note) for one in conv]
    add = dataclasses.replace(check("add", witness_alone=Comparison(0, 100)), op="add")
    text = page(*conv, add, requantizer="shift_rne", doubt_end_to_end=note)
    assert "shift_rne and onnxruntime, each layer alone: 15 of 500 integers differ, by up to 10" in text
    assert "shift_rne and onnxruntime, end to end: 150 of 1,700 integers differ, by up to 9" in text
    assert f"* conv1, conv2, conv3 and 2 more: {note}" in text
    assert f"no witness of the whole network here: {note}" in text
    assert text.splitlines()[-1].strip() == "PASSED"


def test_another_requantizer_that_makes_no_difference() -> None:
    text = page(check(), requantizer="q31_half_up")
    assert "q31_half_up and onnxruntime, each layer alone: 0 of 1,200 integers differ\n" in re.sub(" +\n", "\n", text)


def one_of(op: str, wrong: int) -> TensorCheck:
    return dataclasses.replace(
        check(op, witness_alone=Comparison(wrong, 100, "", 1.0), witness_end_to_end=Comparison(wrong, 100, "", 2.0)),
        op=op,
        witness_note="by another rule",
    )


def test_another_adder_is_information() -> None:
    checks = [one_of("conv", 0), one_of("add", 7), one_of("average_pool", 0)]
    text = page(*checks, adder="q21_half_up")
    assert "q21_half_up and onnxruntime, each layer alone: 7 of 100 integers differ, by up to 1" in text
    assert "q21_half_up and onnxruntime, end to end: 7 of 300 integers differ, by up to 2" in text
    assert text.splitlines()[-1].strip() == "PASSED"


def test_another_adder_beside_another_requantizer() -> None:
    """Means and changes of scale are the requantizer's then."""
    ops = {"conv": 1, "linear": 2, "add": 4, "average_pool": 8, "concat": 16, "requantize": 32, "max_pool": 0}
    checks = [one_of(op, wrong) for op, wrong in ops.items()]
    text = page(*checks, adder="q21_half_up", requantizer="shift_rne")
    assert "shift_rne and onnxruntime, each layer alone: 59 of 500 integers differ, by up to 1" in text
    assert "q21_half_up and onnxruntime, each layer alone: 4 of 100 integers differ, by up to 1" in text
    assert "shift_rne with q21_half_up and onnxruntime, end to end: 63 of 700 integers differ, by up to 2" in text
    without = page(*checks, requantizer="shift_rne")
    assert "shift_rne and onnxruntime, each layer alone: 3 of 200 integers differ, by up to 1" in without


def test_two_units_of_one_name() -> None:
    text = page(one_of("conv", 1), one_of("add", 2), adder="mantissa16_half_away", requantizer="mantissa16_half_away")
    assert "mantissa16_half_away and onnxruntime, each layer alone: 3 of 200 integers differ, by up to 1" in text
    assert "mantissa16_half_away and onnxruntime, end to end: 3 of 200 integers differ, by up to 2" in text


def test_what_is_excused_is_not_red() -> None:
    one = check(witness_alone=Comparison(3, 100, "", 1.0), witness_note="it requantizes otherwise")
    text = page(one, color=True)
    assert re.search(r"\x1b\[33m *3\x1b", text)
    assert "\x1b[1;31m" not in text
