"""ZigZag 3.9.1 and this package on ZigZag's own ResNet-18 and machine: python reports/validation/zigzag_dse.py

Needs the extra `zigzag`. Takes a minute or two, nearly all of it ZigZag's.
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

from networks import ConvShape, conv_shapes, gallery_file, options
from page import HERE, Page, percent, publish, table
from peer import in_new_process
from runs import layers_apart, on_array

import accel
from accel.result import LayerResult

NETWORK = "resnet18"
MACHINE = HERE / "machines" / "zigzag-tpu-like.yaml"
MAC_PJ = 0.04
"""zigzag-dse 3.9.1, inputs/hardware/tpu_like.yaml, as the following."""
SRAM_READ_PJ, SRAM_WRITE_PJ = 416.16 / 256, 378.4 / 256
"""A byte; the file's figures are for 2048 bits."""
DRAM_READ_PJ, DRAM_WRITE_PJ = 700 / 8, 750 / 8
"""A byte; the file's figures are for 64 bits."""
COMPONENTS = ("MAC", "in the PEs", "SRAM", "DRAM")


def run_zigzag(folder: str, kept: bool) -> dict[str, Any]:
    """In this process: ZigZag's own network on its own machine, least latency; tensors kept on chip or not."""
    import logging

    import zigzag
    from zigzag.api import get_hardware_performance_zigzag

    logging.disable(logging.WARNING)
    inputs = Path(zigzag.__file__).parent / "inputs"
    begin, before = time.perf_counter(), time.process_time()
    energy, latency, found = get_hardware_performance_zigzag(
        str(inputs / "workload" / "resnet18.onnx"),
        str(inputs / "hardware" / "tpu_like.yaml"),
        str(inputs / "mapping" / "tpu_like.yaml"),
        opt="latency",
        dump_folder=folder,
        loma_show_progress_bar=False,
        exploit_data_locality=kept,
    )
    used = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - before}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    layers = [_zigzag_layer(estimate) for estimate, _ in found[0][1]]
    return {"energy_pj": energy, "cycles": latency, "layers": layers, "peak_mb": peak_mb, **used}


def _zigzag_layer(estimate: Any) -> dict[str, Any]:
    sizes = {str(name): int(size) for name, size in estimate.layer.layer_dim_sizes.items()}
    kept = {str(operand): list(map(float, levels)) for operand, levels in estimate.mem_energy_breakdown.items()}
    output, weight, moved = (kept[name] for name in ("O", "W", "I"))
    return {
        "name": estimate.layer.name,
        "pixels": sizes.get("OX", 1) * sizes.get("OY", 1),
        "window": sizes["C"] * sizes.get("FX", 1) * sizes.get("FY", 1),
        "filters": sizes["K"],
        "temporal_cycles": float(estimate.ideal_temporal_cycle),
        "cycles": float(estimate.latency_total2),
        # Levels from the PE outwards: sums, SRAM, DRAM; weights, DRAM; SRAM, DRAM. What is kept on chip has no DRAM.
        "energy_pj": [
            float(estimate.mac_energy),
            output[0] + weight[0],
            output[1] + moved[0],
            sum(output[2:]) + weight[1] + sum(moved[1:]),
        ],
    }


def zigzag_in_new_process(kept: bool) -> dict[str, Any]:
    """``run_zigzag``, with a memory peak of its own."""
    print("ZigZag", "with" if kept else "without", "tensors on chip", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        return in_new_process(__file__, [folder, kept])


def at_their_prices(layer: LayerResult) -> list[float]:
    """Energy of what this package counts, at the machine file's prices; its PEs have no memory that is priced there."""
    did = layer.actions
    sram = SRAM_READ_PJ * (did.activation_buffer_read_bytes + did.accumulator_buffer_read_bytes)
    sram += SRAM_WRITE_PJ * (did.activation_buffer_write_bytes + did.accumulator_buffer_write_bytes)
    dram = DRAM_READ_PJ * did.dram_read_bytes + DRAM_WRITE_PJ * did.dram_write_bytes
    return [MAC_PJ * did.macs, 0.0, sram, dram]


def own_energy(layer: LayerResult) -> list[float]:
    """Energy by this package's own technology."""
    energy = layer.energy
    sram = energy.activation_buffer_pj + energy.accumulator_buffer_pj
    return [energy.mac_pj, energy.registers_pj + energy.weight_buffer_pj, sram, energy.dram_pj]


def measure(path: Path, theirs: dict[str, Any]) -> dict[str, Any]:
    """Both tools, layer by layer."""
    machine = accel.load_arch(MACHINE)
    accel.estimate(accel.load_network(path), machine)
    begin, before = time.perf_counter(), time.process_time()
    network = accel.load_network(path)
    accel.estimate(network, machine)
    used = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - before}
    result = layers_apart(network, machine)
    layers = []
    every = zip(
        on_array(result), conv_shapes(network), theirs["default"]["layers"], theirs["kept"]["layers"], strict=True
    )
    for ours, shape, other, kept in every:
        check_shape(shape, other)
        layers.append(
            {
                "layer": ours.name,
                "zigzag": other,
                "zigzag_kept": kept,
                "compute": ours.cycles.compute,
                "cycles": ours.cycles.total,
                "energy_pj": own_energy(ours),
                "energy_at_their_prices_pj": at_their_prices(ours),
            }
        )
    return {"layers": layers, "zigzag": theirs, "accel": {"cycles": result.latency_cycles, **used}}


def check_shape(shape: ConvShape, other: dict[str, Any]) -> None:
    """The two networks are the same, or there is nothing to compare."""
    if (shape.pixels, shape.window, shape.filters) != (other["pixels"], other["window"], other["filters"]):
        raise SystemExit(f"{shape.name} has another shape than ZigZag's {other['name']}")


def page(record: dict[str, Any]) -> Page:
    """Text and tables."""
    layers, zigzag, ours = record["layers"], record["zigzag"]["default"], record["accel"]
    rows: list[tuple[object, ...]] = []
    for layer in layers:
        other = layer["zigzag"]
        rows.append(
            (
                layer["layer"].removesuffix("_quant"),
                round(other["temporal_cycles"]),
                layer["compute"],
                round(other["cycles"]),
                round(layer["zigzag_kept"]["cycles"]),
                layer["cycles"],
                percent(layer["cycles"], layer["zigzag_kept"]["cycles"]),
            )
        )
    sums = [sum(int(row[column]) for row in rows) for column in range(1, 6)]  # type: ignore[call-overload]
    rows.append(("all", *sums, percent(sums[4], sums[3])))
    equal = sum(layer["compute"] == layer["zigzag"]["temporal_cycles"] for layer in layers)
    rest = [sum(int(row[column]) for row in rows[1:-1]) for column in (4, 5)]  # type: ignore[call-overload]
    ratio = zigzag["cpu_seconds"] / ours["cpu_seconds"]
    text = "\n\n".join(
        [
            table(
                (
                    "layer",
                    "ZigZag, temporal",
                    "accel, compute",
                    "ZigZag, in all",
                    "ZigZag, tensors kept",
                    "accel, in all",
                    "",
                ),
                rows,
            ),
            f"ZigZag's ResNet-18 on ZigZag's tpu_like: the cycles in which the array works are equal in {equal} of "
            f"{len(layers)} layers. After the first layer this package takes {percent(rest[1], rest[0])} in all, both "
            "keeping tensors on chip; in the first one ZigZag uses 3 of 32 rows.",
            "![Cycles by layer, energy by component](zigzag_dse.png)",
            COMPARED,
            DEVIATIONS,
            "## Energy",
            table(("mJ", *COMPONENTS, "in all"), list(_energies(layers))),
            ENERGY,
            "## Time",
            table(
                ("", "seconds", "CPU seconds", "ZigZag's CPU time over it"),
                [
                    ("ZigZag 3.9.1", f"{zigzag['seconds']:.0f}", f"{zigzag['cpu_seconds']:.0f}", "1"),
                    (
                        "`accel.estimate`, mapping search included",
                        f"{ours['seconds']:.2f}",
                        f"{ours['cpu_seconds']:.2f}",
                        f"{ratio:.0f}",
                    ),
                ],
            ),
            f"ZigZag, at its default search limit, needed {zigzag['peak_mb']:.0f} MB. Neither time contains the start "
            "of Python; both contain reading the network.",
        ]
    )
    result = (
        f"array cycles equal in {equal} of {len(layers)} layers; {percent(rest[1], rest[0])} cycles in all after the "
        f"first layer, in 1/{ratio:.0f} of the CPU time"
    )
    return Page("zigzag_dse", "ZigZag 3.9.1, its ResNet-18 on its tpu_like", result, text, record)


def _energies(layers: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    sides = {
        "ZigZag": [layer["zigzag"]["energy_pj"] for layer in layers],
        "ZigZag, tensors kept": [layer["zigzag_kept"]["energy_pj"] for layer in layers],
        "accel's counts at ZigZag's prices": [layer["energy_at_their_prices_pj"] for layer in layers],
        "accel, its 45 nm": [layer["energy_pj"] for layer in layers],
    }
    rows: list[tuple[object, ...]] = []
    for name, energies in sides.items():
        columns = [sum(column) / 1e9 for column in zip(*energies, strict=True)]
        rows.append((name, *(f"{value:.3f}" for value in columns), f"{sum(columns):.3f}"))
    return rows


COMPARED = """\
## What is compared

ZigZag's `resnet18.onnx`, `tpu_like.yaml` and its mapping file as they come with zigzag-dse 3.9.1, optimized for
latency. Here the gallery's ResNet-18, whose layers have the same shapes (the script checks each), and
[machines/zigzag-tpu-like.yaml](machines/zigzag-tpu-like.yaml), weight stationary with 32 x 32 PEs and the same
memories. *Temporal* is ZigZag's count of array steps, *compute* this package's; *in all* contains loads, waits and
stores. ZigZag turns what is not a convolution or a matrix product into nodes without cost, so pooling and residual
additions are left out here as well. On both sides layers run one behind another."""
DEVIATIONS = """\
## Why they deviate

- **The first layer.** The mapping file lays channels along one side of the array. An image has three, so 29 of 32 rows
  are idle, for each of 49 filter positions. Here a row is any position of a window: 147 of them in five folds, the
  last with 19 rows.
- **The rest of compute** is the same formula: folds of 32 x 32 weights times output pixels.
- **Loads and stores.** ZigZag adds onloading, offloading, stalls and a drain of 62 cycles to each layer in closed
  form, each layer by itself. Here one clock runs tiles of a whole network, and the next weights are fetched while
  others compute, across layers too. Where weights set the time, in the last stage at 8 bytes a cycle, both come to the
  time of the bytes.
- **What stays on chip.** By default ZigZag sends every tensor through DRAM; *tensors kept* is its option
  `exploit_data_locality`, which keeps one between a layer and the next where it fits. It does so along a chain only:
  at a residual addition, which is a node without cost to it, tensors go to DRAM. Here whatever fits stays, until its
  last reader is done, at additions as well.
- **Weights in the PEs.** A PE of tpu_like holds 128 weights and so stands for 128 folds at a time; a PE here holds
  two, and the others are in a buffer of the same bytes beside the array."""
ENERGY = """\
*At ZigZag's prices* multiplies this package's counts by the energies of ZigZag's file; what is left between that row
and ZigZag's own is what is counted. The PEs' memories have no counterpart: ZigZag reads a 128-byte memory and a 2-byte
one for every MAC, where a systolic PE clocks registers, so that column is empty there. Activations are read as often
by both; sums are written to the SRAM and read again once a fold here, where ZigZag's stay in a PE while its weights
change. The last row is this package's own technology, where the PEs' column has registers and the weight buffer; its
SRAM costs more a byte (1 MiB from published cache figures), its DRAM less (LPDDR4)."""


def draw(record: dict[str, Any]) -> None:
    """Cycles layer by layer, and energy by component."""
    from matplotlib.figure import Figure

    layers = record["layers"]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1.2])
    series = (
        ("ZigZag", "#D55E00", [layer["zigzag"]["cycles"] / 1e3 for layer in layers]),
        ("ZigZag, tensors kept", "#E69F00", [layer["zigzag_kept"]["cycles"] / 1e3 for layer in layers]),
        ("accel", "#0072B2", [layer["cycles"] / 1e3 for layer in layers]),
    )
    for number, (label, color, values) in enumerate(series):
        left.bar([at + (number - 1) * 0.27 for at in range(len(layers))], values, width=0.27, color=color, label=label)
    steps = [layer["compute"] / 1e3 for layer in layers]
    left.hlines(steps, [at - 0.4 for at in range(len(layers))], [at + 0.4 for at in range(len(layers))], "k")
    left.set_yscale("log")
    left.set_ylim(0.3, 5000)
    left.set_xticks(
        range(len(layers)), [layer["layer"].removesuffix("_quant") for layer in layers], rotation=90, fontsize=7
    )
    left.set(ylabel="thousand cycles", title="Layers (lines: this package's compute)")
    left.legend(ncols=3)
    energies = _energies(layers)
    bottom = [0.0] * len(energies)
    for number, (label, color) in enumerate(zip(COMPONENTS, ("#009E73", "#56B4E9", "#E69F00", "#999999"), strict=True)):
        heights = [float(str(row[number + 1])) for row in energies]
        right.bar(
            ["ZigZag", "ZigZag,\nkept", "accel,\nits prices", "accel,\n45 nm"],
            heights,
            bottom=bottom,
            color=color,
            label=label,
        )
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    right.set(ylabel="mJ", title="Energy of all these layers")
    right.legend(fontsize=8)
    figure.savefig(HERE / "zigzag_dse.png", dpi=130)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="keep ZigZag's part of the last record, and the times of both tools"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(run_zigzag(*json.loads(chosen.one))))
        return
    path = gallery_file(NETWORK, chosen.networks)
    if chosen.keep:
        last = json.loads((HERE / "zigzag_dse.json").read_text())
        record = measure(path, last["zigzag"])
        record["accel"] |= {key: last["accel"][key] for key in ("seconds", "cpu_seconds")}
    else:
        record = measure(path, {"default": zigzag_in_new_process(False), "kept": zigzag_in_new_process(True)})
    draw(record)
    publish(page(record))


if __name__ == "__main__":
    main()
