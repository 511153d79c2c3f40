"""Records survive JSON, infinities included; totals follow from the layers."""

from __future__ import annotations

import dataclasses
import json
import math

from accel.result import BufferBytes, Result
from accel.verification import Comparison, TensorCheck, Verification


def one_layer() -> Result:
    from accel.result import Actions, Cycles, Energy, LayerResult, NumericError

    layer = LayerResult(
        "conv",
        "conv",
        "array",
        "1x2x3x4",
        "",
        1000,
        Cycles(10, 5, vector=5),
        0.5,
        Actions(macs=1000),
        Energy(mac_pj=250.0),
    )
    exact = NumericError(math.inf, 1.0, 0.0, 0.0)
    layers = (layer, dataclasses.replace(layer, error=exact))
    steps = {"weight": ((0, 16), (30, 0))}
    return Result("n", "m", "simulation", 2, 1e9, 100, 100.0, 8.0, 6.0, BufferBytes(1, 2, 3), layers, occupancy=steps)


def test_json_is_standard_and_reads_back() -> None:
    result = one_layer()
    data = json.loads(result.to_json(), parse_constant=lambda word: 1 / 0)
    assert data["layers"][1]["error"]["sqnr_db"] == "inf"
    assert data["totals"]["latency_cycles"] == 40
    assert Result.from_json(result.to_json()) == result


def test_totals_by_hand() -> None:
    """Two layers of 20 cycles and 1000 MACs at 1 GHz: 40 ns, 2000 MACs, 500 pJ, batch 2."""
    result = one_layer()
    assert result.latency_cycles == 40
    assert result.latency_ms == 40e-6
    assert result.utilization == 2000 / (100 * 40)
    assert math.isclose(result.average_power_w, 500e-12 / 40e-9)
    assert math.isclose(result.tops, 2 * 2000 / 40e-9 / 1e12)
    assert math.isclose(result.tops_per_w, 2 * 2000 / 500e-12 / 1e12)
    assert math.isclose(result.frames_per_second, 2 / 40e-9)


def check(**differences: int) -> TensorCheck:
    return TensorCheck(
        "l",
        "conv",
        "t",
        **{  # type: ignore[arg-type]
            kind: Comparison(differences.get(kind, 0), 9, "at [0]")
            for kind in ("simulator_alone", "simulator_end_to_end", "witness_alone", "witness_end_to_end")
        },
    )


def verification(item: TensorCheck, **fields: object) -> Verification:
    return Verification("n", "m", (check(), item), 5, 5, "onnxruntime", **fields)  # type: ignore[arg-type]


def test_any_difference_fails_and_is_named() -> None:
    assert verification(check()).passed
    for kind in ("simulator_alone", "simulator_end_to_end", "witness_alone", "witness_end_to_end"):
        failed = verification(check(**{kind: 1}))
        assert not failed.passed
        assert failed.first_difference[1] == kind


def test_a_doubted_witness_proves_nothing() -> None:
    assert verification(check(witness_alone=1), doubt_alone="no VNNI").passed
    assert not verification(check(witness_end_to_end=1), doubt_alone="no VNNI").passed
    assert verification(check(witness_end_to_end=1), doubt_end_to_end="float islands").passed
    assert verification(dataclasses.replace(check(witness_alone=1), witness_note="a tie")).passed
    assert not verification(dataclasses.replace(check(simulator_alone=1), witness_note="a tie")).passed


def test_cycles_that_differ_fail() -> None:
    assert not dataclasses.replace(verification(check()), simulated_cycles=6).passed
