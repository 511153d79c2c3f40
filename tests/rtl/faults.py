"""Small arrays with work on which every parameter matters, what tells RTL and simulator apart, and faults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from accel.errors import AccelError
from accel.rtl.compare import compare_stamps, compare_sums
from accel.rtl.design import design_of
from accel.rtl.icarus import bench_sources, compile_icarus, replay_icarus
from accel.rtl.replay import Response
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Stimulus, Tile, stimulus_of
from tests.machines import machine

OS = "output_stationary"
SLOW = {
    "vertical_hop_latency_cycles": 2,
    "horizontal_hop_latency_cycles": 2,
    "multiplier_latency_cycles": 1,
    "accumulate_latency_cycles": 1,
    "input_latency_cycles": 1,
    "output_latency_cycles": 1,
}
ARRAYS: dict[str, dict[str, Any]] = {
    "weights stay": {"array": SLOW},
    "weights stay, no overlap": {"overlap": "none"},
    "weights stay, saturating": {"overflow": "saturate"},
    "weights stay, short folds apart": {"array": {"short_folds": "serialized"}},
    "results go down": {"dataflow": OS, "array": SLOW},
    "results go down, short folds apart": {"dataflow": OS, "array": {"short_folds": "serialized"}},
    "results go down, no overlap": {"dataflow": OS, "overlap": "none"},
    "results go right, preloaded": {
        "dataflow": OS,
        "array": SLOW | {"shift_out": "right", "accumulator_preload": True},
    },
}
NARROW = {"weight": "int4", "activation": "uint5", "accumulator_bits": 11, "pe": {"partial_sum_bits": 10}}
"""Two products may overflow 10 bits, and two sums of them 11."""
# Pixels, k, channels; whether its sums add to those of the tile before; cycles by which a narrow port holds it up.
TILES = (
    (2, 8, 3, False, 0),
    (3, 6, 2, False, 0),
    (5, 1, 4, False, 0),
    (5, 4, 4, True, 3),
    (5, 7, 4, True, 0),
)
"""Folds shorter than a load or the results' way out, as long as it, and longer; edges that leave PEs idle; bubbles."""


def work_on(array: str) -> Stimulus:
    """The tiles on 3 x 2 PEs; the first leaves them before the others arrive together."""
    small = machine(3, 2, **NARROW, **ARRAYS[array])
    (dataflow,) = small.array.dataflow
    rng = np.random.default_rng(11)
    tiles: list[Tile] = []
    slot = -1
    for pixels, k, channels, adds, stretch in TILES:
        activations = rng.choice([31, *range(32)], (k, pixels), p=[0.5, *[0.5 / 32] * 32])
        # The weights of a channel lean to one side, so that many sums overflow.
        ends = np.tile([-8, 7], channels)[:channels]
        weights = np.where(rng.random((k, channels)) < 0.7, ends, rng.integers(-8, 8, (k, channels)))
        operands = activations.astype(np.uint8), weights.astype(np.int8)
        ready = 200 if tiles else 20
        slot += not adds
        tiles.append(Tile((operands,), not adds, slot, ready, ready, stretch))
    return stimulus_of(design_of(small, dataflow, accumulator_rows=64), tiles)


def on_the_rtl(stimulus: Stimulus, sources: Mapping[str, str] | None = None) -> Response:
    """Under Icarus Verilog; ``sources``: other than the design's own."""
    with TemporaryDirectory() as folder:
        return replay_icarus(compile_icarus(sources or bench_sources(stimulus.design), Path(folder)), stimulus)


def differences(stimulus: Stimulus, sources: Mapping[str, str] | None = None) -> set[str]:
    """What of the RTL's response the comparison finds wrong: sums, stamps, overflows; or that there is none."""
    expected = simulated(stimulus)
    try:
        response = on_the_rtl(stimulus, sources)
    except AccelError:
        return {"no response"}
    sums, _ = compare_sums(stimulus, response, list(expected.sums))
    stamps, _ = compare_stamps(stimulus, response, expected.stamps)
    wrong = {"sums": sums.mismatches, "stamps": stamps.mismatches, "overflows": response.overflows - expected.overflows}
    return {what for what, count in wrong.items() if count}


class Fault(NamedTuple):
    """A text of a module that is replaced, on which array it matters, and what must differ then."""

    name: str
    module: str
    text: str
    instead: str
    array: str
    shows: str

    def __str__(self) -> str:
        return self.name


_WS, _OS = "weights stay", "results go down"
PRODUCT = Fault(
    "a product is wrong for one value",
    "sa_multiply",
    "assign exact = a_value * b_value;",
    "wire [PRODUCT_BITS-1:0] plain = a_value * b_value;\n"
    "            assign exact = plain == PRODUCT_BITS'(667) ? PRODUCT_BITS'(668) : plain;",
    _WS,
    "sums",
)
"""Not 23 x 29, but one more; both are primes, so that there are few others."""
ROUNDING = Fault(
    "what should be rounded is cut off",
    "sa_requantize_float32_rne",
    "SUM_BITS'(fixed[FIXED_BITS-1:24]) + SUM_BITS'(fixed_up);",
    "SUM_BITS'(fixed[FIXED_BITS-1:24]);",
    _OS,
    "integers",
)
FAULTS = (
    Fault(
        "a sum is wrong for one value",
        "sa_add",
        "wire signed [BITS-1:0] wrapped = a + b;",
        "wire signed [BITS-1:0] plain = a + b;\n"
        "    wire signed [BITS-1:0] wrapped = plain == BITS'(217) ? BITS'(216) : plain;",
        _WS,
        "sums",
    ),
    Fault(
        "the saturation bound is one too low",
        "sa_add",
        "{a[BITS-1], {(BITS - 1) {~a[BITS-1]}}}",
        "{a[BITS-1], {(BITS - 2) {~a[BITS-1]}}, a[BITS-1]}",
        "weights stay, saturating",
        "sums",
    ),
    Fault(
        "negative overflow goes unseen",
        "sa_add",
        "(a[BITS-1] == b[BITS-1])",
        "(!a[BITS-1] && !b[BITS-1])",
        _WS,
        "overflows",
    ),
    Fault(
        "the last lane's skew is one deeper",
        "sa_skew",
        "LANES - 1 - i : i)",
        "LANES - 1 - i : i) + (i == LANES - 1 ? 1 : 0)",
        _WS,
        "sums",
    ),
    Fault(
        "long delays are one short",
        "sa_delay",
        "line[CYCLES*BITS-1-:BITS]",
        "line[(CYCLES-1)*BITS-1-:BITS]",
        _WS,
        "no response",
    ),
    Fault("valid is one early", "sa_valid_delay", "valid[CYCLES-1];", "valid[CYCLES-2];", _WS, "no response"),
    Fault("banks are swapped", "sa_stationary", "select ? bank_1 : bank_0", "select ? bank_0 : bank_1", _WS, "sums"),
    Fault("only one bank is loaded", "sa_stationary", "if (load_in[1]) bank_1 <= in;", "", _WS, "sums"),
    Fault(
        "the only bank shifts on after its load",
        "sa_stationary",
        "else if (load_in[0]) bank <= in;",
        "else bank <= in;",
        "weights stay, no overlap",
        "sums",
    ),
    Fault(
        "a row too many is loaded",
        "sa_sequencer",
        "COUNT_BITS'(LOAD_CYCLES - 1);",
        "COUNT_BITS'(LOAD_CYCLES);",
        _WS,
        "stamps",
    ),
    Fault("all folds use one bank", "sa_sequencer", "if (enter_last) enter_bank <= !enter_bank;", "", _WS, "sums"),
    Fault(
        "a fold as long as its load counts as short",
        "sa_sequencer",
        "COMPARE_BITS'(length) < ",
        "COMPARE_BITS'(length) <= ",
        "weights stay, short folds apart",
        "stamps",
    ),
    Fault(
        "a short fold hides a way out",
        "sa_sequencer",
        "behind_left <= COUNT_BITS'(BEHIND_CYCLES)",
        "behind_left <= '0",
        "results go down, short folds apart",
        "stamps",
    ),
    Fault(
        "results are run over on their way out",
        "sa_sequencer",
        "COMPARE_BITS'(pending_length) >= COMPARE_BITS'(shift_left)",
        "1'b1",
        _OS,
        "no response",
    ),
    Fault(
        "a fold begins before the last is out",
        "sa_sequencer",
        "wire all_out = !in_flight || results_out;",
        "wire all_out = 1'b1;",
        "results go down, no overlap",
        "no response",
    ),
    Fault("the accumulate flag is ignored", "sa_accumulators", "accumulate ? memory[address] : '0", "'0", _WS, "sums"),
    Fault(
        "sums add to what nobody wrote",
        "sa_accumulators",
        "accumulate ? memory[address] : '0",
        "memory[address]",
        _WS,
        "no response",
    ),
    Fault("overflows are not counted", "sa_accumulators", "COUNT_BITS'($countones(lost))", "'0", _WS, "overflows"),
    Fault("a product loses its sign", "sa_multiply", "SUM_BITS'($signed(arrived))", "SUM_BITS'(arrived)", _OS, "sums"),
    Fault("an unsigned operand has a sign", "sa_multiply", "{1'b0, a}", "{a[A_BITS-1], a}", _OS, "sums"),
    Fault("sums of rows above are lost", "sa_pe_operand_stays", ".a       (sum_in)", ".a       ('0)", _WS, "sums"),
    Fault(
        "an overflow is thought to be impossible",
        "sa_array_operand_stays",
        "<= SUM_BITS - 1",
        "<= SUM_BITS + 1",
        _WS,
        "overflows",
    ),
    Fault(
        "the array is a row later than its control",
        "sa_operand_stationary",
        "ROW_STEP * ROWS +",
        "ROW_STEP * (ROWS - 1) +",
        _WS,
        "stamps",
    ),
    Fault("a sum goes on from the fold before", "sa_pe_result_stays", "first ? initial_sum : sum", "sum", _OS, "sums"),
    Fault(
        "a result is caught a clock late",
        "sa_pe_result_stays",
        "(ACCUMULATE_LATENCY + 1)",
        "(ACCUMULATE_LATENCY + 2)",
        _OS,
        "sums",
    ),
    Fault(
        "only the last row's results leave",
        "sa_array_result_stays",
        "g_row[r-1].g_column[c].result_out",
        "'0",
        _OS,
        "sums",
    ),
    Fault(
        "results that leave to the right stop",
        "sa_array_result_stays",
        "g_row[r].g_column[c-1].result_out",
        "'0",
        "results go right, preloaded",
        "sums",
    ),
    Fault(
        "the rows of results change places",
        "sa_output_stationary",
        "ADDRESS_BITS'(beat);",
        "ADDRESS_BITS'(BEATS - 1 - beat);",
        _OS,
        "sums",
    ),
    Fault("bubbles carry operands", "sa_output_stationary", "enter ? {stream_data", "1'b1 ? {stream_data", _OS, "sums"),
)
