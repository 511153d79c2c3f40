"""Thresholds in hardware against ``Thresholds.apply``: ties, extremes, channels that fall, levels out of reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import api
from accel.arch.spec import Machine
from accel.gallery import workloads_dir
from accel.numerics.mac import saturate
from accel.numerics.qtype import BIPOLAR, QType
from accel.numerics.thresholds import Thresholds
from accel.rtl import requantize as hardware
from accel.rtl.build import compile_model
from accel.rtl.thresholds import Comparisons, comparisons_of, signs
from tests.graph.test_normalize import layer
from tests.machines import machine
from tests.rtl.faults import Fault
from tests.rtl.requantizers import SOURCES, shell
from tests.rtl.tools import needs_iverilog, needs_verilator, needs_yosys

BENCH = Path(__file__).with_name("thresholds_bench.sv")
MODULE = "sa_requantize_thresholds"
MOST = 15
STAGES = 3
"""From a total to its value."""
# As thresholds_bench.sv lays out its vectors.
VECTOR = np.dtype(
    [("total", ">i8"), ("thresholds", ">i8", (MOST,)), ("beyond", ">u2"), ("falling", "u1"), ("lowest", ">i4")]
)

Array = npt.NDArray[Any]


# ---- a lane under iverilog, every total of 8 bits


def edges(total_bits: int, levels: int) -> Thresholds:
    """Channels with thresholds at, and out of, the reach of totals, and equal ones; all rising, then all falling."""
    least, greatest = -(1 << (total_bits - 1)), (1 << (total_bits - 1)) - 1
    rng = np.random.default_rng(total_bits)
    rows = [
        [least - 1] * levels,
        [least] * levels,
        [greatest] * levels,
        [greatest + 1] * levels,
        [0] * levels,
        range(-(levels // 2), levels - levels // 2),
        *rng.integers(least - 2, greatest + 3, (4, levels)),
    ]
    values = np.sort(np.array([list(row) for row in rows], np.int64), axis=1)
    falling = np.repeat([False, True], len(values))
    return Thresholds(np.concatenate([values, values]), falling, lowest=0)


def under_icarus(
    steps: Thresholds, qtype: QType, totals: Array, total_bits: int, comparators: int, sources: list[Path], folder: Path
) -> Array:
    """(totals, channels) values of a lane, each total with the thresholds of every channel."""
    words = comparisons_of(steps, qtype, total_bits, comparators)
    vectors = np.zeros((len(totals), len(words.words)), VECTOR)
    vectors["total"], vectors["lowest"] = totals[:, None], words.lowest
    vectors["thresholds"][..., ::-1][..., :comparators] = words.words
    vectors["beyond"] = (words.beyond << np.arange(comparators)).sum(axis=1)
    vectors["falling"] = words.falling
    digits = (vectors.tobytes() + bytes((STAGES - 1) * VECTOR.itemsize)).hex()
    step = 2 * VECTOR.itemsize
    (folder / "vectors").write_text("\n".join(digits[at : at + step] for at in range(0, len(digits), step)))
    parameters = {"TOTAL_BITS": total_bits, "VALUE_BITS": qtype.bits, "THRESHOLDS": comparators}
    given_to = [f"-P{BENCH.stem}.{name}={value}" for name, value in parameters.items()]
    shell("iverilog", "-g2012", "-s", BENCH.stem, *given_to, "-o", folder / "bench", BENCH, *sources)
    shell("vvp", folder / "bench", f"+vectors={folder / 'vectors'}", f"+results={folder / 'results'}")
    values = (folder / "results").read_text().split()[STAGES - 1 :]
    return np.array(values, int).reshape(vectors.shape)


def wrong_values(sources: list[Path], folder: Path, total_bits: int = 8, levels: int = 15, qtype: str = "uint4") -> int:
    """How many values of a lane are not the formula's: of 15 comparators some may be idle."""
    made = QType.parse(qtype)
    steps = replace(edges(total_bits, levels), lowest=made.min)
    least = -(1 << (total_bits - 1))
    totals = np.arange(256) + least if total_bits == 8 else np.unique(saturate(near(steps), total_bits))
    found = under_icarus(steps, made, totals, total_bits, MOST, sources, folder)
    wanted = steps.apply(np.repeat(totals[:, None], len(steps.values), axis=1), made)
    return int(np.count_nonzero(found != (wanted.astype(np.int64) & ((1 << made.bits) - 1))))


def near(steps: Thresholds) -> Array:
    """Sums at the thresholds, and next to them."""
    return (steps.values.reshape(-1, 1) + np.arange(-1, 2)).ravel()


LANE = [path for path in SOURCES if path.stem == MODULE]


@needs_iverilog
@pytest.mark.parametrize(
    ("total_bits", "levels", "qtype"),
    [(8, 15, "uint4"), (8, 15, "int4"), (8, 3, "uint2"), (8, 1, "uint1"), (8, 9, "uint8"), (24, 15, "int4")],
)
def test_every_total_of_8_bits_and_the_edges_of_24(total_bits: int, levels: int, qtype: str, tmp_path: Path) -> None:
    assert wrong_values(LANE, tmp_path, total_bits, levels, qtype) == 0


FAULTS = (
    Fault("a tie is below", MODULE, "total < threshold", "total <= threshold", "", "values"),
    Fault("totals have no sign", MODULE, "total < threshold", "$unsigned(total) < $unsigned(threshold)", "", "values"),
    Fault("falling is ignored", MODULE, "below == falling", "!below && (falling || !falling)", "", "values"),
    Fault("nothing is beyond", MODULE, "beyond[i] || ", "", "", "values"),
    Fault("the last one is not counted", MODULE, "$countones(reached)", "$countones(reached >> 1)", "", "values"),
    Fault("the result begins at 0", MODULE, "lowest[VALUE_BITS-1:0] + ", "", "", "values"),
)


@needs_iverilog
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_shows(fault: Fault, tmp_path: Path) -> None:
    (path,) = LANE
    text = path.read_text()
    assert text.count(fault.text) == 1
    broken = tmp_path / path.name
    broken.write_text(text.replace(fault.text, fault.instead))
    assert wrong_values([broken], tmp_path, qtype="int4") > 0


# ---- the whole requantizer under Verilator

MACHINES: dict[str, tuple[Machine, QType]] = {
    "15 of totals narrower than the accumulators": (
        machine(threshold_steps=15, accumulator_bits=16, pe={"final_sum_bits": 10}),
        QType(4, signed=True),
    ),
    "3 of 64 bits, saturating": (
        machine(threshold_steps=3, accumulator_bits=64, overflow="saturate", requantizer="shift_floor"),
        QType(2, signed=False),
    ),
    "signs": (
        machine(weight="int4", activation="int4", accumulator_bits=12, requantizer="mantissa8_half_away"),
        BIPOLAR,
    ),
}


@st.composite
def given_to(draw: st.DrawFn, arch: Machine, made: QType) -> hardware.RequantizerInput:
    """Sums at and around thresholds, at the accumulators' bounds, and anywhere; all wrap, as drawn ones may."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits, total_bits = arch.pe.accumulator_bits, arch.pe.delivered_sum_bits
    stride = 2 if made.bipolar else 1
    steps = max(arch.vector.threshold_steps, int(made.bipolar))
    levels = draw(st.integers(1, min(steps, (made.max - made.min) // stride)))
    channels, spread = draw(st.integers(1, 5)), draw(st.integers(1, total_bits + (total_bits < 62)))
    limit = min(1 << spread, 2**62)
    values = np.sort(rng.integers(-limit, limit, (channels, levels)), axis=1)
    highest = made.max - stride * levels
    lowest = draw(st.integers(made.min, highest)) if not made.bipolar else -1
    thresholds = Thresholds(values, rng.random(channels) < 0.5, lowest, stride)
    channel = rng.integers(0, channels, 300)
    at = values[channel, rng.integers(0, levels, 300)] + rng.integers(-1, 2, 300)
    least, greatest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    anywhere = rng.integers(least, greatest, 300, endpoint=True)
    bounds = rng.choice([least, greatest, 0, -1], 300)
    sums = np.where(rng.random(300) < 0.6, at, np.where(rng.random(300) < 0.7, anywhere, bounds))
    biases = rng.integers(-9, 10, 300) * (rng.random(300) < 0.5)
    return hardware.RequantizerInput(
        sums=np.clip(sums - biases, least, greatest),
        biases=biases,
        scales=np.zeros(300, np.int64),
        zero_point=0,
        qtype=made,
        clamp=None,
        thresholds=None if made.bipolar and draw(st.booleans()) else thresholds,
        channels=channel,
    )


def totals_of(arch: Machine, given: hardware.RequantizerInput) -> tuple[Array, int]:
    """In python's integers, as an accumulator of 64 bits overflows them too."""
    pe = arch.pe
    limit, final_limit = 1 << (pe.accumulator_bits - 1), 1 << (pe.delivered_sum_bits - 1)
    exact = given.sums.astype(object) + given.biases
    wrapped = (exact + limit) % (2 * limit) - limit
    narrow = np.clip(exact, -limit, limit - 1) if pe.overflow == "saturate" else wrapped
    final = np.clip(narrow, -final_limit, final_limit - 1)
    return final.astype(np.int64), int((narrow != exact).sum() + (final != narrow).sum())


@needs_verilator
@pytest.mark.parametrize("name", MACHINES)
def test_the_requantizer_is_the_formula(name: str) -> None:
    arch, made = MACHINES[name]
    executable = compile_model(hardware.requantizer_model(arch, made))

    @settings(max_examples=60, deadline=None)
    @given(given_to(arch, made))
    def check(drawn: hardware.RequantizerInput) -> None:
        totals, lost = totals_of(arch, drawn)
        values, overflows = hardware.requantize(executable, arch, drawn, "layer")
        steps = drawn.thresholds or Thresholds(np.zeros((5, 1), np.int64), np.zeros(5, bool), -1, 2)
        wanted = [
            steps.part(slice(c, c + 1)).apply(total[None], made)[0]
            for total, c in zip(totals, drawn.channels, strict=True)
        ]
        assert values.tolist() == [int(value) for value in wanted]
        assert overflows == lost

    check()


@needs_verilator
@pytest.mark.parametrize(("clamp", "wanted"), [(None, [-1, 1, 1]), ((1, 1), [1, 1, 1]), ((-1, -1), [-1, -1, -1])])
def test_signs_that_are_clamped(clamp: tuple[int, int] | None, wanted: list[int]) -> None:
    arch, made = MACHINES["signs"]
    executable = compile_model(hardware.requantizer_model(arch, made))
    zeros = np.zeros(3, np.int64)
    sums = np.array([-2048, 0, 2047])
    given = hardware.RequantizerInput(sums, zeros, zeros, 0, made, clamp, None, np.arange(3))
    assert hardware.requantize(executable, arch, given, "layer")[0].tolist() == wanted
    assert signs(clamp).apply(sums[:, None], made).ravel().tolist() == wanted


def test_a_stride_that_no_hardware_adds() -> None:
    with pytest.raises(ValueError, match="thresholds that add 3 each, to results of int4"):
        comparisons_of(Thresholds(np.zeros((1, 1), np.int64), np.array([False]), 0, 3), QType(4, True), 8, 1)


# ---- whole networks

BREVITAS = workloads_dir() / "brevitas"


@needs_verilator
@pytest.mark.parametrize(("name", "steps"), [("w4a4_qonnx", 15), ("bipolar_qonnx", 0)])
def test_what_brevitas_leaves_unfolded(name: str, steps: int) -> None:
    arch = machine(weight="int4", threshold_steps=steps)
    found = api.verify(api.load_network(BREVITAS / f"{name}.onnx"), arch, rtl=True)
    assert found.passed
    assert all(check.passed and check.sums.elements for check in found.rtl)
    assert [check.integers is not None for check in found.rtl] == [True, True, False]


@needs_verilator
@pytest.mark.parametrize("groups", [1, 2])
def test_channels_keep_their_thresholds_in_tiles(groups: int, tmp_path: Path) -> None:
    arch = machine(weight="int4", threshold_steps=15, buffers=(300, 700, 600))
    found = api.verify(api.load_network(layer(tmp_path / "net.onnx", "uint4", groups=groups)), arch, rtl=True)
    assert found.passed
    (check,) = found.rtl
    assert check.tiles > 1
    assert check.integers is not None
    assert check.integers.elements == 2 * 6 * 9 * 9


@needs_verilator
def test_corrupted_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one channel, too high by about as much as its sums differ."""

    def corrupted(*words: Any) -> Comparisons:
        right = comparisons_of(*words)
        right.words[2] += 1000
        return right

    monkeypatch.setattr(hardware, "comparisons_of", corrupted)
    arch = machine(weight="int4", threshold_steps=15)
    found = api.verify(api.load_network(BREVITAS / "w4a4_qonnx.onnx"), arch, rtl=True)
    assert not found.passed
    wrong = [check for check in found.rtl if not check.passed]
    assert wrong
    for check in wrong:
        assert check.sums.mismatches == 0
        assert check.integers is not None
        assert check.integers.first.endswith("thresholds of channel 2)")


# ---- what tools take


def words(parameters: dict[str, object], form: str) -> list[str]:
    return [form.format(name, value) for name, value in parameters.items()]


@needs_verilator
@pytest.mark.parametrize(
    "parameters",
    [
        {"TOTAL_BITS": 8, "VALUE_BITS": 1, "THRESHOLDS": 1},
        {"TOTAL_BITS": 24, "VALUE_BITS": 4, "THRESHOLDS": 15},
        {"TOTAL_BITS": 64, "VALUE_BITS": 8, "THRESHOLDS": 255},
        {"TOTAL_BITS": 32, "VALUE_BITS": 16, "THRESHOLDS": 2},
    ],
    ids=str,
)
def test_lint_finds_nothing(parameters: dict[str, object]) -> None:
    assert (
        shell("verilator", "--lint-only", "-Wall", "--top-module", MODULE, *words(parameters, "-G{}={}"), *LANE) == ""
    )
    whole = parameters | {"ACCUMULATOR_BITS": 64, "LANES": 3}
    given = words(whole, "-G{}={}")
    assert shell("verilator", "--lint-only", "-Wall", "--top-module", "sa_requantizer", *given, *SOURCES) == ""


@needs_iverilog
@pytest.mark.parametrize("count", [0, 1, 15])
def test_iverilog_has_nothing_to_say(count: int, tmp_path: Path) -> None:
    options = ("-g2012", "-Wall", "-s", "sa_requantizer", f"-Psa_requantizer.THRESHOLDS={count}")
    assert shell("iverilog", *options, "-o", tmp_path / "out", *SOURCES) == ""


@needs_yosys
@pytest.mark.parametrize("count", [1, 15])
def test_yosys_takes_it(count: int) -> None:
    files = " ".join(map(str, SOURCES))
    top = f"-top sa_requantizer -chparam THRESHOLDS {count}"
    said = shell("yosys", "-p", f"read_verilog -sv {files}; hierarchy -check {top}; proc; check -assert; stat")
    assert MODULE in said.partition("Printing statistics")[2]
    assert "Warning" not in said
