"""Eyeriss's AlexNet, layer by layer, beside a systolic array of its size: python reports/validation/eyeriss.py"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from chain import Chain
from page import HERE, Page, percent, publish, table
from runs import dram_bytes, layers_apart

import accel

IMAGES, CLOCK_HZ, BITS = 4, 200e6, 16
PUBLISHED = {
    "conv1": {"processing_ms": 16.5, "total_ms": 20.9, "mw": 332, "active": 0.92, "dram_mb": 5.0},
    "conv2": {"processing_ms": 39.2, "total_ms": 41.9, "mw": 288, "active": 0.80, "dram_mb": 4.0},
    "conv3": {"processing_ms": 21.8, "total_ms": 23.6, "mw": 266, "active": 0.93, "dram_mb": 3.0},
    "conv4": {"processing_ms": 16.0, "total_ms": 18.4, "mw": 235, "active": 0.93, "dram_mb": 2.1},
    "conv5": {"processing_ms": 10.0, "total_ms": 10.5, "mw": 236, "active": 0.93, "dram_mb": 1.3},
}
"""Y.-H. Chen et al., Eyeriss, JSSC 52(1), 2017, table V: AlexNet, batch of 4, core at 200 MHz, 1 V."""


def alexnet(folder: Path) -> accel.Network:
    """The five convolutions, with the pooling between them; two groups in the second, fourth and fifth."""
    net = Chain("alexnet", (IMAGES, 3, 227, 227), BITS)
    net.conv("conv1", 96, 11, stride=4)
    net.max_pool("pool1", 3, 2)
    net.conv("conv2", 256, 5, pad=2, groups=2)
    net.max_pool("pool2", 3, 2)
    net.conv("conv3", 384, 3, pad=1)
    net.conv("conv4", 384, 3, pad=1, groups=2)
    net.conv("conv5", 256, 3, pad=1, groups=2)
    return accel.load_network(net.save(folder / "alexnet.onnx"))


def measure() -> list[dict[str, Any]]:
    """Both sides of every layer."""
    machine = accel.load_arch(HERE / "machines" / "eyeriss-12x14.yaml")
    with tempfile.TemporaryDirectory() as folder:
        result = layers_apart(alexnet(Path(folder)), machine)
    rows = []
    for layer in result.layers:
        if layer.name not in PUBLISHED:
            continue
        busy = layer.cycles.compute + layer.cycles.fill_drain
        rows.append(
            {
                "layer": layer.name,
                "macs": layer.macs,
                "published": PUBLISHED[layer.name],
                "bound_ms": layer.macs / result.pe_count / CLOCK_HZ * 1e3,
                "array_ms": busy / CLOCK_HZ * 1e3,
                "total_ms": layer.cycles.total / CLOCK_HZ * 1e3,
                "chip_energy_mj": (layer.energy.total_pj - layer.energy.dram_pj) / 1e9,
                "dram_mb": dram_bytes([layer]) / 1e6,
            }
        )
    return rows


def page(rows: list[dict[str, Any]]) -> Page:
    """Text and tables."""
    names = [row["layer"] for row in rows]
    times = [
        (
            row["layer"],
            f"{row['macs'] / 1e6:.1f}",
            f"{row['bound_ms']:.1f}",
            f"{row['published']['processing_ms']:.1f}",
            f"{row['array_ms']:.1f}",
            percent(row["array_ms"], row["published"]["processing_ms"]),
            f"{row['published']['total_ms']:.1f}",
            f"{row['total_ms']:.1f}",
            percent(row["total_ms"], row["published"]["total_ms"]),
        )
        for row in rows
    ]
    processing = sum(row["published"]["processing_ms"] for row in rows)
    array = sum(row["array_ms"] for row in rows)
    totals = sum(row["published"]["total_ms"] for row in rows), sum(row["total_ms"] for row in rows)
    theirs = [row["published"]["mw"] * row["published"]["processing_ms"] / 1e3 for row in rows]
    energies = [
        (
            row["layer"],
            f"{energy:.2f}",
            f"{row['chip_energy_mj']:.2f}",
            f"{row['chip_energy_mj'] / energy:.2f}",
            f"{row['published']['dram_mb']:.1f}",
            f"{row['dram_mb']:.1f}",
        )
        for row, energy in zip(rows, theirs, strict=True)
    ]
    ratio = sum(row["chip_energy_mj"] for row in rows) / sum(theirs)
    text = "\n\n".join(
        [
            table(
                (
                    "layer",
                    "MMAC",
                    "all PEs busy, ms",
                    "processing, chip",
                    "array, accel",
                    "",
                    "in all, chip",
                    "accel",
                    "",
                ),
                times,
            ),
            f"AlexNet's {len(names)} convolutions, four images: a systolic array of Eyeriss's 12 x 14 PEs is busy for "
            f"{array:.1f} ms where the chip processes for {processing:.1f} ms ({percent(array, processing)}); with all "
            f"waits for DRAM it takes {totals[1]:.1f} ms, the chip {totals[0]:.1f} ms.",
            "![Milliseconds by layer](eyeriss.png)",
            COMPARED,
            "## Energy and DRAM",
            table(
                ("layer", "chip, mJ", "accel without DRAM, mJ", "ratio", "DRAM, chip, MB", "DRAM, accel, MB"),
                energies,
            ),
            DEVIATIONS.format(ratio=f"{ratio:.2f}"),
        ]
    )
    result = (
        f"array busy {percent(array, processing)} against the chip's processing time; "
        f"{totals[1]:.0f} ms with all waits, {totals[0]:.0f} ms on the chip; on-chip energy {ratio:.2f} times"
    )
    return Page("eyeriss", "Eyeriss's AlexNet", result, text, {"rows": rows})


COMPARED = """\
## What is compared

Published: table V of the JSSC paper, measured silicon, 65 nm, 1 V, 200 MHz. *Processing* is the time with all DRAM
traffic hidden, *in all* is the time with what is not hidden.

Here: [machines/eyeriss-12x14.yaml](machines/eyeriss-12x14.yaml), the same PEs, clock, word and on-chip bytes, but
weight stationary and systolic: 12 positions of a window down, 14 channels across. *Array* is compute with fill and
drain, *accel* the layer's latency; layers run one behind another, as on the chip. Assumed: filters have the 8 KB of
the global buffer and the PEs' filter memories together, the rest is halved for activations and sums, DRAM is the
64-bit link at 60 MHz without compression, and sums have 32 bits. Weights are random; no figure here depends on them."""
DEVIATIONS = """\
The chip's energy is power times processing time; it does not contain DRAM.

## Why they deviate

- **Utilization.** Eyeriss maps rows of filters on rows of PEs, which leaves 7 % of them idle in most layers and 20 %
  in conv2, and between passes it reloads its memories. A systolic array folds any window into 12 rows and any channels
  into 14 columns, loads the next weights behind the running wave, and so comes closer to the bound. What it loses is
  in its buffers: every operand is read from one each time it enters the array, where Eyeriss's PEs keep rows to
  themselves.
- **Waiting for DRAM.** Eyeriss compresses activations on the link (zeros by run length), keeps sums of several images
  in the global buffer, and takes channels a few at a time, so it moves little. Here a tile of the reduction is a
  stretch of a window's positions with all their channels ([why](../../docs/decisions/0003-order-of-the-reduction.md)).
  Half of a small buffer then holds few rows of an image of 256 channels, and these are read again for each group of
  filters. In the last three layers that, not the array, sets the time: a buffer this small wants tiles of fewer
  channels, which the mapper does not have.
- **Energy** is {ratio} times the chip's. The chip is 65 nm at 1 V, the figures here are of 45 nm at 0.9 V, which alone
  makes (45/65) x (0.9)^2 = 0.56. The chip's PEs read and write memories of their own for every MAC where a systolic PE
  has registers, and its power contains clock tree, control, network and leakage, of which this model counts only the
  registers' own clocks."""


def draw(rows: list[dict[str, Any]]) -> None:
    """Four bars a layer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    series = (
        ("chip, processing", "#555555", [row["published"]["processing_ms"] for row in rows]),
        ("chip, in all", "#BBBBBB", [row["published"]["total_ms"] for row in rows]),
        ("accel, array", "#0072B2", [row["array_ms"] for row in rows]),
        ("accel, in all", "#56B4E9", [row["total_ms"] for row in rows]),
    )
    for number, (label, color, values) in enumerate(series):
        places = [at + (number - 1.5) * 0.2 for at in range(len(rows))]
        axes.bar(places, values, width=0.2, color=color, label=label)
    at = range(len(rows))
    bounds = [row["bound_ms"] for row in rows]
    axes.hlines(bounds, [x - 0.4 for x in at], [x + 0.4 for x in at], color="#D55E00", label="all PEs busy")
    axes.set_xticks(range(len(rows)), [row["layer"] for row in rows])
    axes.set(ylabel="ms, four images", title="AlexNet on 12 x 14 PEs, 200 MHz, 16 bits")
    axes.legend()
    figure.savefig(HERE / "eyeriss.png", dpi=130)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = measure()
    draw(rows)
    publish(page(rows))


if __name__ == "__main__":
    main()
