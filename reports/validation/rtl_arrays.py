"""Cycles counted on other people's hardware, against this simulator's array: python reports/validation/rtl_arrays.py

Needs Icarus Verilog, which runs this package's RTL of the same arrays. The counts and their sources are those that the
tests hold everything to, tests/arch/public_arrays.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from page import HERE, Page, publish, table

sys.path.insert(0, str(HERE.parents[1]))

from accel.arch.timing import ArrayTiming
from accel.rtl.design import Design, design_of
from accel.rtl.icarus import bench_sources, compile_icarus, replay_icarus
from accel.rtl.replay import Response
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Stimulus, Tile, stimulus_of
from tests.arch.public_arrays import AXIS, GEMMINI, OPENTPU, PublicArray, Run, scale_sim_rtl

AFTER_RESET, IDLE_CYCLES = 20, 11
OWNERS = {
    "axis-systolic-array": AXIS,
    "OpenTPU": OPENTPU,
    "Gemmini's mesh": GEMMINI,
    "SCALE-Sim's RTL": scale_sim_rtl(16, 16),
}


def stimulus_for(design: Design, array: PublicArray) -> Stimulus:
    """Each run on an array that the one before has left, with random operands that fill all PEs."""
    rng, spec = np.random.default_rng(7), design.machine.array
    load_cycles = ArrayTiming.of(spec, design.dataflow).load_cycles
    tiles, ready = [], AFTER_RESET
    for run in array.runs:
        down = run.folds * spec.rows
        k, pixels = (run.stream, down) if design.output_stationary else (down, run.stream)
        product = tuple(rng.integers(-128, 128, (k, width), np.int8) for width in (pixels, spec.columns))
        begins = ready + (load_cycles + IDLE_CYCLES if array.in_place else 0)
        tiles.append(Tile((product,), True, load_ready=ready, stream_ready=begins))
        ready = begins + run.cycles + load_cycles + IDLE_CYCLES
    return stimulus_of(design, tiles)


def cycles_of(stimulus: Stimulus, response: Response, in_place: bool) -> list[int]:
    """Of each run: from its first load (or, operands being there, its first operand) to its last result."""
    of_tile = np.array([place.tile for place in stimulus.places])
    counts = []
    for number, tile in enumerate(stimulus.tiles):
        stamps = response.stamps[of_tile == number]
        counts.append(int(stamps[-1, 2]) + 1 - (int(stamps[0, 0]) if in_place else tile.load_ready))
    return counts


def measure(owner: str, array: PublicArray) -> list[dict[str, Any]]:
    """One machine under one dataflow: the law, the simulator and the RTL."""
    design = design_of(array.described(), array.dataflow)
    stimulus = stimulus_for(design, array)
    with tempfile.TemporaryDirectory() as folder:
        hardware = replay_icarus(compile_icarus(bench_sources(design), Path(folder)), stimulus)
    ours = simulated(stimulus)
    spec, timing = design.machine.array, array.timing
    before = timing.load_cycles if array.in_place else 0
    rows = []
    runs: list[tuple[Run, int, int]] = list(
        zip(
            array.runs,
            cycles_of(stimulus, ours, array.in_place),
            cycles_of(stimulus, hardware, array.in_place),
            strict=True,
        )
    )
    for number, (run, of_simulator, of_rtl) in enumerate(runs):
        exact = _exact(stimulus.tiles[number])
        rows.append(
            {
                "owner": owner,
                "machine": array.machine,
                "array": f"{spec.rows} x {spec.columns}",
                "latencies": [spec.multiplier_latency_cycles, spec.accumulate_latency_cycles],
                "dataflow": array.dataflow,
                "stream": run.stream,
                "folds": run.folds,
                "counted": run.cycles,
                "law": timing.sequence_cycles([run.stream] * run.folds) - before,
                "simulated": of_simulator,
                "rtl": of_rtl,
                "sums_exact": bool((hardware.sums[number][0] == exact).all() and (ours.sums[number][0] == exact).all()),
            }
        )
    return rows


def _exact(tile: Tile) -> np.ndarray[Any, Any]:
    ((activations, weights),) = tile.operands
    return activations.T.astype(np.int64) @ weights.astype(np.int64)


def page(points: list[dict[str, Any]]) -> Page:
    """Text and tables."""
    met = sum(p["counted"] == p["law"] == p["simulated"] == p["rtl"] for p in points)
    exact = sum(p["sums_exact"] for p in points)
    header = ("array", "size", "dataflow", "stream", "folds", "on theirs", "law", "simulated", "our RTL", "")
    rows = [
        (
            p["owner"],
            p["array"],
            p["dataflow"].replace("_", " "),
            p["stream"],
            p["folds"],
            p["counted"],
            p["law"],
            p["simulated"],
            p["rtl"],
            "equal" if p["counted"] == p["law"] == p["simulated"] == p["rtl"] else "**differs**",
        )
        for p in points
    ]
    text = "\n\n".join(
        [
            table(header, rows),
            f"Cycles of {len(points)} runs on four arrays that other people wrote: {met} are met to the cycle by the "
            "law that estimates use, by the simulator and by this package's own RTL of the same machine.",
            "![Counted and simulated](rtl_arrays.png)",
            TEXT,
            f"All operands were random int8 and filled every PE; sums of the simulator and of the RTL are numpy's in "
            f"{exact} of {len(points)} runs.",
        ]
    )
    result = f"{met} of {len(points)} runs on four public arrays met to the cycle, by law, simulator and RTL"
    return Page("rtl_arrays", "Other people's RTL", result, text, {"points": points})


TEXT = """\
## Where the counts come from

Their RTL was run under Verilator or Icarus Verilog, and every result checked; the laws below met every point that was
counted. The table has counted points of the first three arrays; Gemmini's requests of 8 rows and its output-stationary
runs, and all of SCALE-Sim's RTL, are points on the laws that those counts met. What "cycles" means is theirs, and so
differs from array to array. R rows, C columns, M streamed rows, K reduction, T folds.

| array | counted | points | law |
|---|---|---|---|
| abarajithan11/axis-systolic-array @44bbe4f | first input to last output | 190 | T K + R + 2C - 2, latencies |
| UCSBarchlab/OpenTPU @ca5d381, N x N | dispatch to done, weights in place | 24 | M + 2N |
| MeshWithDelays of ucb-bar/gemmini, as configured | first request to last result | 50 | rows of requests + 33 |
| SCALE-Sim's published RTL @1d62b68, weights stay | load to last output | 12 in both | M + 3R + C - 2 |
| the same, outputs stay | until the bottom row is final | | K + R + C - 1 |

The latencies are those of multiplier and adder. A preload request of Gemmini's has 16 rows, a compute request M; at
M = 16 the next preload travels along.

## What the machines are

Each array is a YAML file of the gallery (`axis-systolic-*`, `opentpu-8x8`, `gemmini-mesh-16x16`, `scale-sim-rtl`),
and differs from a plain systolic array in a few fields: pipeline registers behind multiplier and adder, registers in
front of the array and behind it, how results leave, whether a short fold hides the next load. No field depends on a row
of this table, but for the size and, at axis-systolic-array, the two latencies with which it was configured. Where only
the sum of several latencies shows (OpenTPU's two registers, Gemmini's three), how it is shared out among input and
output is chosen, and makes no difference to any count."""


def draw(points: list[dict[str, Any]]) -> None:
    """All runs on the diagonal, or not."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    ends = [min(p["counted"] for p in points), max(p["counted"] for p in points)]
    axes.loglog(ends, ends, ":", color="grey", zorder=0)
    markers = dict(zip(OWNERS, ("o", "s", "^", "D"), strict=True))
    colors = dict(zip(OWNERS, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
    for owner in OWNERS:
        of_owner = [p for p in points if p["owner"] == owner]
        axes.loglog(
            [p["counted"] for p in of_owner],
            [p["rtl"] for p in of_owner],
            markers[owner],
            color=colors[owner],
            label=owner,
            alpha=0.7,
        )
    axes.set(xlabel="cycles counted on their RTL", ylabel="cycles of our RTL, simulator and law")
    axes.legend(fontsize=8)
    figure.savefig(HERE / "rtl_arrays.png", dpi=130)


def main() -> None:
    points = [row for owner, arrays in OWNERS.items() for array in arrays for row in measure(owner, array)]
    draw(points)
    publish(page(points))


if __name__ == "__main__":
    main()
