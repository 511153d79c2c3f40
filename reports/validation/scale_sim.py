"""SCALE-Sim 3.0.0 and this package on the same layers: python reports/validation/scale_sim.py

Needs the extra `scale-sim`. Takes half an hour, nearly all of it SCALE-Sim's.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from networks import ConvShape, conv_shapes, gallery, options
from page import HERE, Page, publish, table
from peer import in_new_process
from runs import layers_apart

sys.path.insert(0, str(HERE.parents[1]))

import accel
from accel.arch.spec import Dataflow, Machine
from tests.arch.public_arrays import scale_sim_3

NETWORK = "resnet18"
DATAFLOWS: dict[str, Dataflow] = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}
SIZES = ((32, 32), (32, 128), (128, 128))
TIMED = ("ws", 32, 32)
ROOMY_BYTES = 64 << 20
"""A buffer that takes any layer whole."""
CONFIG = """\
[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {columns}
IfmapSramSzkB = 1024
FilterSramSzkB = 1024
OfmapSramSzkB = 1024
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {dataflow}
Bandwidth = 10
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


def run_scale_sim(dataflow: str, rows: int, columns: int, layers: list[list[int]]) -> dict[str, Any]:
    """In this process: SCALE-Sim on layers (input side, kernel, channels, filters, stride)."""
    from scalesim.scale_sim import scalesim

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "run.cfg").write_text(CONFIG.format(rows=rows, columns=columns, dataflow=dataflow))
        topology, layout = ["Layer, H, W, R, S, Channels, Filters, Stride,"], ["Layer,"]
        for number, (side, kernel, channels, filters, stride) in enumerate(layers):
            topology.append(f"l{number}, {side}, {side}, {kernel}, {kernel}, {channels}, {filters}, {stride},")
            layout.append(f"l{number}, " + "1, " * 20)
        (folder / "topology.csv").write_text("\n".join(topology) + "\n")
        (folder / "layout.csv").write_text("\n".join(layout) + "\n")
        begin, before = time.perf_counter(), time.process_time()
        tool = scalesim(
            save_disk_space=True,
            verbose=False,
            config=str(folder / "run.cfg"),
            topology=str(folder / "topology.csv"),
            layout=str(folder / "layout.csv"),
        )
        tool.run_scale(top_path=str(folder))
        used = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - before}
        report = (folder / "run" / "COMPUTE_REPORT.csv").read_text().splitlines()[1:]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    # Columns: layer, total with prefetch, total, stalls, ...
    return {"cycles": [int(float(line.split(",")[2])) for line in report], "peak_mb": peak_mb, **used}


def scale_sim(dataflow: str, rows: int, columns: int, shapes: list[ConvShape]) -> dict[str, Any]:
    """The same in a process of its own; layers of equal shape are run once, but all where time is measured."""
    every = [[shape.input_side, shape.kernel, shape.channels, shape.filters, shape.stride] for shape in shapes]
    wanted = (
        every if (dataflow, rows, columns) == TIMED else [list(shape) for shape in dict.fromkeys(map(tuple, every))]
    )
    print(f"SCALE-Sim: {dataflow} {rows} x {columns}, {len(wanted)} layers", file=sys.stderr)
    found = in_new_process(__file__, [dataflow, rows, columns, wanted])
    by_shape = {tuple(shape): cycles for shape, cycles in zip(wanted, found["cycles"], strict=True)}
    return {**found, "layers_run": len(wanted), "cycles": [by_shape[tuple(shape)] for shape in every]}


def array_machine(dataflow: str, rows: int, columns: int) -> Machine:
    """The gallery's description of SCALE-Sim's array, with room for any layer."""
    plain = accel.load_arch("scale-sim-3")
    roomy = {
        name: getattr(plain.buffers, name).model_copy(update={"capacity_bytes": ROOMY_BYTES})
        for name in ("weight", "activation", "accumulator")
    }
    array = plain.array.model_copy(update={"rows": rows, "columns": columns, "dataflow": (DATAFLOWS[dataflow],)})
    return plain.model_copy(update={"array": array, "buffers": plain.buffers.model_copy(update=roomy)})


def compare(network: accel.Network, theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layer by layer: both tools and the formula, every dataflow and size."""
    shapes = conv_shapes(network)
    points = []
    for run in theirs:
        dataflow, rows, columns = run["dataflow"], run["rows"], run["columns"]
        result = layers_apart(network, array_machine(dataflow, rows, columns))
        layers = {layer.name: layer for layer in result.layers}
        for shape, printed in zip(shapes, run["cycles"], strict=True):
            cycles = layers[shape.name].cycles
            product = (shape.pixels, shape.window, shape.filters)
            points.append(
                {
                    "dataflow": dataflow,
                    "rows": rows,
                    "columns": columns,
                    "layer": shape.name,
                    "scale_sim": printed,
                    "formula": scale_sim_3(DATAFLOWS[dataflow], rows, columns, product),
                    "accel": cycles.compute + cycles.fill_drain,
                }
            )
    return points


def timed(network: accel.Network, machine: Machine) -> dict[str, float]:
    """Estimate, and simulation with data; kernels compiled before."""
    accel.simulate(network, machine)
    used = {}
    for name, function in (("estimate", accel.estimate), ("simulate", accel.simulate)):
        begin, before = time.perf_counter(), time.process_time()
        function(network, machine)
        used |= {f"{name}_s": time.perf_counter() - begin, f"{name}_cpu_s": time.process_time() - before}
    return used


def with_memories(network: accel.Network) -> list[dict[str, Any]]:
    """What else a machine's latency is made of."""
    rows = []
    for name in ("scale-sim-32x32", "edge-32x32"):
        result = layers_apart(network, accel.load_arch(name))
        array = [layer.cycles for layer in result.layers if layer.unit == "array"]
        compute = sum(cycles.compute for cycles in array)
        fill_drain = sum(cycles.fill_drain for cycles in array)
        rest = sum(cycles.total for cycles in array) - compute - fill_drain
        other = result.latency_cycles - compute - fill_drain - rest
        rows.append({"machine": name, "compute": compute, "fill_drain": fill_drain, "waits": rest, "other": other})
    return rows


def page(record: dict[str, Any]) -> Page:
    """Text and tables."""
    points, runs, ours = record["points"], record["scale_sim"], record["accel"]
    equal = sum(point["scale_sim"] + 1 == point["accel"] for point in points)
    by_law = sum(point["scale_sim"] == point["formula"] for point in points)
    timing = next(run for run in runs if (run["dataflow"], run["rows"], run["columns"]) == TIMED)
    ratio = timing["cpu_seconds"] / ours["simulate_cpu_s"]
    names = dict.fromkeys(point["layer"] for point in points)
    parts = [
        _totals(points, runs),
        f"Compute cycles of all {len(names)} layers of ResNet-18 that multiply: {equal} of the {len(points)} layer "
        "totals that SCALE-Sim 3.0.0 prints are this package's count less one, for three dataflows on three arrays.",
        "![Both tools, and what a memory adds](scale_sim.png)",
        COMPARED,
        DIFFERENCES,
        f"{by_law} of the {len(points)} printed totals are what these formulas say.",
        MEMORY,
        table(
            ("machine", "compute", "fill & drain", "waits for memory and vector unit", "other layers", "in all"),
            [
                (f"`{m['machine']}`", *(m[key] for key in COLUMNS), sum(m[key] for key in COLUMNS))
                for m in record["machines"]
            ],
        ),
        "## Time",
        table(
            ("32 x 32, weights stay, all layers", "seconds", "CPU seconds", "SCALE-Sim's CPU time over it"),
            [
                ("SCALE-Sim 3.0.0", f"{timing['seconds']:.0f}", f"{timing['cpu_seconds']:.0f}", "1"),
                *(
                    (label, f"{ours[f'{key}_s']:.2f}", f"{cpu:.2f}", f"{timing['cpu_seconds'] / cpu:.0f}")
                    for label, key in (
                        ("`accel.simulate`, all data, PE by PE", "simulate"),
                        ("`accel.estimate`, the same cycles", "estimate"),
                    )
                    for cpu in [ours[f"{key}_cpu_s"]]
                ),
            ],
        ),
        f"SCALE-Sim needed {timing['peak_mb'] / 1024:.1f} GB: it writes down every address that the array's edges see "
        "in every cycle, and counts the rows. This package computes what the PEs do instead, integers included, and "
        "the vector unit's layers with it. Neither time contains the start of Python.",
    ]
    result = (
        f"{equal} of {len(points)} layer totals equal (a count against a last index), "
        f"simulated with data in 1/{ratio:.0f} of the CPU time"
    )
    return Page("scale_sim", "SCALE-Sim 3.0.0 on ResNet-18", result, "\n\n".join(parts), record)


def _totals(points: list[dict[str, Any]], runs: list[dict[str, Any]]) -> str:
    rows = []
    for run in runs:
        of_run = [p for p in points if all(p[key] == run[key] for key in ("dataflow", "rows", "columns"))]
        theirs, ours = (sum(point[tool] for point in of_run) for tool in ("scale_sim", "accel"))
        same = sum(point["scale_sim"] + 1 == point["accel"] for point in of_run)
        size = f"{run['rows']} x {run['columns']}"
        name = DATAFLOWS[run["dataflow"]].replace("_", " ")
        rows.append((name, size, theirs, ours, ours - theirs, f"{same} of {len(of_run)}"))
    return table(("dataflow", "array", "SCALE-Sim", "accel", "difference", "layers equal but for 1"), rows)


COLUMNS = ("compute", "fill_drain", "waits", "other")
COMPARED = """\
## What is compared

SCALE-Sim in CALC mode, its column *Total Cycles*, against the columns *compute* and *fill & drain* of `accel estimate`
on the gallery's `scale-sim-3` with the array's size and dataflow replaced and buffers that hold any layer whole. Its
topology files know no padding and round an output's size up, so each layer is given the padded input that has the
right output."""
MEMORY = """\
## What a memory adds

32 x 32, weights stay. `scale-sim-32x32` is SCALE-Sim's array with the buffers and the DRAM of `edge-32x32`, which
itself has a second weight register in each PE. Layers run one behind another, as in SCALE-Sim."""
DIFFERENCES = """\
## Every difference

R rows, C columns, P output pixels, W window, N filters.

- **One cycle a layer.** SCALE-Sim prints the index of the last cycle. Its totals are folds x (2R + C + P - 2) - 1
  where weights stay, folds x (2R + C + N - 2) - 1 where inputs stay, folds x (R + C + W - 2) - 1 where outputs stay.
- **Results' way out.** Where outputs stay, SCALE-Sim's count ends with the last product. Results must still leave, R
  cycles a fold through the columns, which `shift_out: none` of `scale-sim-3` leaves out.
- **Tiles.** Buffers of a real size cut a layer's pixels into T tiles, and weights that stay are then loaded T times:
  (T - 1) x folds x (2R + C - 2) cycles more. SCALE-Sim's array sees whole layers, whatever its SRAM's size.
- **Overlap.** SCALE-Sim's folds follow one another: load, stream, drain. With a second register in each PE a fold
  takes max(S, R) instead of 2R + C + S - 2, S being what it streams: the difference between the second table's two
  rows.
- **Not compared:** SCALE-Sim's USER mode. It re-reads operands many times over, and sums that leave the array for
  another fold are written to DRAM and never read back, so its stalls say little about a machine that keeps them.
- **Left out by SCALE-Sim:** pooling, residual additions, requantization, and of course the integers."""


def draw(record: dict[str, Any]) -> None:
    """Both tools layer by layer; what a memory adds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    for (name, long), color in zip(DATAFLOWS.items(), ("#0072B2", "#D55E00", "#009E73"), strict=True):
        of_name = [p for p in record["points"] if p["dataflow"] == name]
        left.loglog(
            [p["scale_sim"] + 1 for p in of_name],
            [p["accel"] for p in of_name],
            ".",
            color=color,
            label=long.replace("_", " "),
            alpha=0.7,
        )
    ends = [min(p["accel"] for p in record["points"]), max(p["accel"] for p in record["points"])]
    left.loglog(ends, ends, ":", color="grey", zorder=0)
    left.set(xlabel="SCALE-Sim, cycles + 1", ylabel="accel, cycles", title="Every layer on three arrays")
    left.legend(fontsize=8)
    timed_points = [p for p in record["points"] if (p["dataflow"], p["rows"], p["columns"]) == TIMED]
    bars = {"SCALE-Sim": [sum(p["scale_sim"] for p in timed_points), 0, 0, 0]}
    bars |= {m["machine"]: [m[key] for key in COLUMNS] for m in record["machines"]}
    bottom = [0.0] * len(bars)
    labels = ("compute (SCALE-Sim: all)", "fill & drain", "waits", "other layers")
    for number, (label, color) in enumerate(zip(labels, ("#0072B2", "#56B4E9", "#D55E00", "#999999"), strict=True)):
        heights = [values[number] / 1e6 for values in bars.values()]
        right.bar(list(bars), heights, bottom=bottom, color=color, label=label, width=0.6)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    right.set(ylabel="cycles, millions", title="32 x 32, weights stay: what a memory adds", ylim=(0, 1.4 * max(bottom)))
    right.legend(fontsize=8, loc="upper right")
    figure.savefig(HERE / "scale_sim.png", dpi=130)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="keep SCALE-Sim's part of the last record, and the times of both tools"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(run_scale_sim(*json.loads(chosen.one))))
        return
    network = gallery(NETWORK, chosen.networks)
    if chosen.keep:
        last = json.loads((HERE / "scale_sim.json").read_text())
        theirs, used = last["scale_sim"], last["accel"]
    else:
        shapes = conv_shapes(network)
        theirs = [
            {"dataflow": dataflow, "rows": size[0], "columns": size[1], **scale_sim(dataflow, *size, shapes)}
            for dataflow in DATAFLOWS
            for size in SIZES
        ]
        used = timed(network, array_machine(*TIMED))
    record = {
        "scale_sim": theirs,
        "points": compare(network, theirs),
        "accel": used,
        "machines": with_memories(network),
    }
    draw(record)
    publish(page(record))


if __name__ == "__main__":
    main()
