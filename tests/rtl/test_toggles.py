"""Bits that toggle in the RTL's own registers, under Icarus Verilog, against those that the simulator counts.

The RTL clocks every register in every cycle, and lets bubbles be zeros; the simulator counts values only. Which
contents are values is seen by running the same folds once more with all operands 1: then no value is 0.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accel.arch.multiplier import in_array
from accel.arch.spec import Machine
from accel.result import Activity
from accel.rtl.design import Design, design_of
from accel.rtl.icarus import bench_sources, compile_icarus, replay_icarus
from accel.rtl.stimulus import Tile, rows_needed, stimulus_of
from accel.sim.activity import OperandWidths, tile_activity
from accel.sim.array import Sums
from tests.machines import machine
from tests.rtl.tools import needs_iverilog

Matrix = npt.NDArray[np.int64]
Dump = dict[str, list[int]]
"""What each register holds in each cycle, by its path below the array's module; unknown bits are 0."""

KEEPS = re.compile(r"\.pe\.(stationary|sum$|g_sum)|held_skew|load_entry")
"""Registers that hold a value for longer than a cycle, or see one that waits outside of the array."""


def dumps(design: Design, folder: Path, *products: tuple[Matrix, Matrix]) -> list[Dump]:
    """Run each product (k, m), (k, n), and behind it one of zeros that pushes out what the array still holds."""
    waves = folder / "waves.vcd"
    dump = f'$dumpfile("{waves}"); $dumpvars(0, {design.name}_testbench.dut.core);'
    sources = {"dump.sv": f"module dump; initial begin {dump} end endmodule\n"} | bench_sources(design)
    program = compile_icarus(sources, folder)
    zeros = np.zeros((60, 60), np.int64), np.zeros((60, 1), np.int64)
    found = []
    for product in products:
        replay_icarus(program, stimulus_of(design, [Tile((product,), True), Tile((zeros,), True, slot=1)]))
        found.append(read(waves.read_text(), f"{design.name}_testbench.dut.core."))
    return found


def read(vcd: str, root: str) -> Dump:
    """Registers (and products) of a VCD file at every rising edge, before they change."""
    head, _, body = vcd.partition("$enddefinitions $end")
    scope: list[str] = []
    paths: dict[str, str] = {}
    for line in head.splitlines():
        words = line.split()
        match words[:1]:
            case ["$scope"]:
                scope.append(words[2])
            case ["$upscope"]:
                scope.pop()
            case ["$var"] if words[1] == "reg" or words[4] in ("product", "clk"):
                paths.setdefault(words[3], ".".join([*scope, words[4]]).removeprefix(root))
    clock = next(code for code, path in paths.items() if path == "clk")
    now = dict.fromkeys(paths, 0)
    seen: dict[str, list[int]] = {code: [] for code in paths}
    for moment in body.split("\n#"):
        changes = [line for line in moment.splitlines() if line[:1] in ("b", "0", "1", "x", "z")]
        if f"1{clock}" in changes:
            for code, values in seen.items():
                values.append(now[code])
        for line in changes:
            bits, code = line[1:].split() if line[0] == "b" else (line[0], line[1:])
            if code in now:
                now[code] = int(re.sub("[^01]", "0", bits), 2)
    return {paths[code]: values for code, values in seen.items()}


def lanes_of(design: Design, path: str) -> list[tuple[str, int]]:
    """What a register is made of, the lowest bits first, again and again: kinds and widths."""
    values, doubled = design.parameters, design.machine.array.overlap == "double_buffered"
    moving, other = ("operand", int(values["MOVING_BITS"])), ("operand", int(values["OTHER_BITS"]))
    sums, stays = ("sum", int(values["SUM_BITS"])), design.output_stationary
    control = ("", 3 if stays else 1)
    # Behind the array there is a result when a valid bit beside it says so: there the last sum of a fold is one.
    behind = ("result" if stays and (not doubled or values["SHIFT_OUT"] == 0) else "sum", sums[1])
    kinds = {
        r"stream_entry\.": [other] * (design.machine.array.columns if stays else 0)
        + [moving] * design.machine.array.rows
        + [control],
        r"load_entry\.": [other] * design.machine.array.columns + [("", 2)],
        r"moving_skew\.": [moving],
        r"(held|other)_skew\.": [other],
        r"(align|g_align.*|leave)\.": [behind],
        r".*\.pe\.right\.": [moving, control],
        r".*\.pe\.down\.": [other] if stays else [sums],
        r".*\.pe\.stationary\.g_(single|double)\.(bank|down)": [other],
        r".*\.pe\.g_shadow\.until_settled": [],
        r".*\.pe\.(sum|g_sum\..*|g_shadow\..*)$": [sums],
        r".*\.pe\.product$": [("product", moving[1] + other[1]), ("", sums[1])],
    }
    if stays:
        del kinds[r"load_entry\."]
    return next((lanes for pattern, lanes in kinds.items() if re.match(pattern, path)), [])


def count(design: Design, real: Dump, ones: Dump, last_sum: int) -> tuple[Counter[str], Counter[str]]:
    """By kind, bits that toggle, and bits that are written when values arrive in registers that only pass them on."""
    toggled: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for path, contents in real.items():
        lanes, at, place = lanes_of(design, path), 0, 0
        widest = max((word.bit_length() for word in ones[path] + contents), default=0)
        while lanes and at < widest:
            kind, bits = lanes[place % len(lanes)]
            mask, kept = (1 << bits) - 1, 0
            for word, marker in zip(contents, ones[path], strict=True):
                mark = marker >> at & mask
                if kind and (mark == last_sum if kind == "result" else mark):
                    toggled[kind] += (kept ^ word >> at & mask).bit_count()
                    written[kind] += 0 if KEEPS.search(path) else bits
                    kept = word >> at & mask
            at, place = at + bits, place + 1
    return toggled, written


def simulated(small: Machine, x: Matrix, w: Matrix) -> Activity:
    pe, (dataflow,) = small.pe, small.array.dataflow
    sums = Sums(pe.partial_sum_bits, pe.accumulator_bits, pe.overflow)
    widths = OperandWidths(in_array(pe.activation).bits, in_array(pe.weight).bits)
    return tile_activity(small.array, dataflow, sums, widths, x, w)


SLOW = {"vertical_hop_latency_cycles": 2, "horizontal_hop_latency_cycles": 3}
LATE = {"multiplier_latency_cycles": 2, "input_latency_cycles": 2, "output_latency_cycles": 3}


@needs_iverilog
@pytest.mark.parametrize(
    ("dataflow", "overlap", "fields"),
    [
        ("weight_stationary", "double_buffered", {}),
        ("weight_stationary", "double_buffered", SLOW | LATE | {"accumulate_latency_cycles": 1}),
        ("weight_stationary", "none", LATE),
        ("input_stationary", "double_buffered", SLOW),
        ("output_stationary", "double_buffered", {}),
        ("output_stationary", "double_buffered", SLOW | LATE | {"accumulate_latency_cycles": 2}),
        ("output_stationary", "double_buffered", SLOW | {"shift_out": "right", "accumulate_latency_cycles": 1}),
        ("output_stationary", "double_buffered", SLOW | LATE | {"shift_out": "none"}),
        ("output_stationary", "none", SLOW | LATE),
        ("output_stationary", "none", {"shift_out": "right", "accumulator_preload": True}),
    ],
)
def test_toggles_are_those_of_the_rtl(dataflow: str, overlap: str, fields: dict[str, Any], tmp_path: Path) -> None:
    """Folds that fill 3 x 4 PEs and folds that do not, along every side."""
    small = machine(
        3, 4, dataflow, overlap, weight="int4", activation="uint6", array=fields, pe={"partial_sum_bits": 14}
    )
    m, k, n = 7, 8, 9
    rng = np.random.default_rng(3)
    x, w = rng.integers(0, 64, (k, m)), rng.integers(-8, 8, (k, n))
    design = design_of(small, dataflow, accumulator_rows=2 * rows_needed(design_of(small, dataflow), 1, 60, n))
    dump = dumps(design, tmp_path, (x, w), (np.ones_like(x), np.ones_like(w)))
    toggled, written = count(design, *dump, last_sum=k)

    seen = simulated(small, x, w)
    assert seen.operand_bits == toggled["operand"]
    assert seen.product_bits == toggled["product"]
    assert seen.sum_bits == toggled["sum"] + toggled["result"]
    if dataflow == "output_stationary":
        assert seen.operand_bits_possible == written["operand"]
        # Every sum is written where it stays and settles; shadow registers, hops and what is behind them pass it on.
        kept = m * k * n * (1 + small.array.accumulate_latency_cycles) * 14
        if overlap == "double_buffered" and small.array.shift_out != "none":
            assert seen.sum_bits_possible == kept + written["sum"]
    else:
        assert seen.sum_bits_possible == written["sum"]
