"""Gemmini's published ResNet-50 cycles beside the gallery's gemmini-16x16: python reports/validation/gemmini.py"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
from networks import gallery_file, options
from page import HERE, Page, percent, publish, table
from runs import layers_apart, summary

import accel
from accel.networks import with_batch

NETWORK, IMAGES, MACHINE = "resnet50", 4, "gemmini-16x16"
PUBLISHED_CYCLES = 153_709_356
PUBLISHED_UTILIZATION = 0.40
"""Of 256 PEs; both from ucb-bar/gemmini, pull request 69."""
LATER_UTILIZATION = 0.51
"""ucb-bar/gemmini, pull request 90."""
BANDWIDTHS = (16, 8, 4, 2)
"""Bytes a cycle; the first is the machine's own."""


def measure(path: Path) -> dict[str, Any]:
    """One image, four at a time, and four with less bandwidth."""
    machine = accel.load_arch(MACHINE)
    model = onnx.load(path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "int8.onnx")
        onnx.save(with_batch(model, IMAGES), file)
        batch = accel.load_network(file)
    single = summary(layers_apart(accel.load_network(path), machine))
    runs = []
    for bandwidth in BANDWIDTHS:
        dram = machine.dram.model_copy(update={"bandwidth_bytes_per_cycle": float(bandwidth)})
        slower = machine.model_copy(update={"dram": dram})
        fused = accel.estimate(batch, slower).latency_cycles
        run = summary(layers_apart(batch, slower))
        runs.append({"bandwidth_bytes_per_cycle": bandwidth, "fused_cycles": fused, **run})
    return {"single": single, "runs": runs, "pe_count": machine.array.rows * machine.array.columns}


def page(record: dict[str, Any]) -> Page:
    """Text and tables."""
    own, slow, pes = record["runs"][0], record["runs"][-1], record["pe_count"]
    later = own["macs"] / (LATER_UTILIZATION * pes)

    def busy(run: dict[str, Any], cycles: int) -> str:
        return f"{run['macs'] / pes / cycles:.0%}"

    rows = [
        ("published, pull request 69", PUBLISHED_CYCLES, f"{PUBLISHED_UTILIZATION:.0%}", ""),
        (
            "published, pull request 90: 51 %",
            round(later),
            f"{LATER_UTILIZATION:.0%}",
            percent(later, PUBLISHED_CYCLES),
        ),
        ("accel, whole network", own["cycles"], busy(own, own["cycles"]), percent(own["cycles"], PUBLISHED_CYCLES)),
        (
            "accel, its convolutions alone",
            own["array_layer_cycles"],
            busy(own, own["array_layer_cycles"]),
            percent(own["array_layer_cycles"], PUBLISHED_CYCLES),
        ),
        (
            "accel, with fused layers",
            own["fused_cycles"],
            busy(own, own["fused_cycles"]),
            percent(own["fused_cycles"], PUBLISHED_CYCLES),
        ),
        ("all PEs busy", round(own["macs"] / pes), "100%", percent(own["macs"] / pes, PUBLISHED_CYCLES)),
    ]
    images = PUBLISHED_UTILIZATION * PUBLISHED_CYCLES * pes / (own["macs"] / IMAGES)
    ratio = own["cycles"] / PUBLISHED_CYCLES
    text = "\n\n".join(
        [
            table((f"ResNet-50, {IMAGES} images, 16 x 16", "cycles", "MACs of the possible ones", ""), rows),
            f"The machine described takes {ratio:.2f} times the cycles that were published first, and "
            f"{own['cycles'] / later:.2f} times those of a month later: it has Gemmini's array and widths, and no "
            "trouble in keeping them busy.",
            "![Where the cycles go](gemmini.png)",
            ASSUMPTIONS.format(images=f"{images:.2f}"),
            "## What bandwidth does",
            table(
                (
                    "DRAM, bytes a cycle",
                    "cycles",
                    "of the published",
                    "compute",
                    "vector unit",
                    "waits and the rest",
                    "with fused layers",
                ),
                [_bandwidth(run) for run in record["runs"]],
            ),
            DEVIATIONS.format(fused=_fused(own), fused_slow=_fused(slow), slow=slow["bandwidth_bytes_per_cycle"]),
        ]
    )
    result = f"{ratio:.2f} times the published cycles ({busy(own, own['cycles'])} of the MACs against 40 %, later 51 %)"
    return Page("gemmini", "Gemmini's ResNet-50", result, text, record)


def _fused(run: dict[str, Any]) -> str:
    return f"{1 - run['fused_cycles'] / run['cycles']:.0%}"


def _bandwidth(run: dict[str, Any]) -> tuple[object, ...]:
    compute, vector = (run["causes"].get(key, 0) / run["cycles"] for key in ("compute", "vector"))
    shares = (f"{share:.0%}" for share in (compute, vector, 1 - compute - vector))
    ratio = f"{run['cycles'] / PUBLISHED_CYCLES:.2f}"
    return run["bandwidth_bytes_per_cycle"], run["cycles"], ratio, *shares, run["fused_cycles"]


ASSUMPTIONS = """\
## What is compared

Published: 153,709,356 cycles at 40 % utilization (ucb-bar/gemmini, pull request 69, February 2021), and 51 % a month
later, with global averaging on the accelerator (pull request 90; its cycles here are what 51 % of the MACs' bound
makes). The requests name neither configuration nor images. 40 % of 256 PEs over that many cycles are {images} times
the MACs of one image (v1.5, stride in the 3x3 convolution), which fits the default 16 x 16 and a batch of four; so
does the network here.

Here: `gemmini-16x16` of the gallery. Array, widths, buffer sizes, DMA bus and units that scale results come from
Gemmini's paper and configuration; the cycles of its mesh are met one by one ([rtl_arrays](rtl_arrays.md)). DRAM's
latency is chosen, its bandwidth is that of the 128-bit bus, and the scratchpad is split into two halves. Layers run
one behind another, as Gemmini's library calls them; *with fused layers* is what `accel estimate` plans by default,
where two layers may take turns so that the tensor between them stays on chip."""
DEVIATIONS = """\
## Why they deviate

- **Issue.** Gemmini's instructions go through a reorder buffer that checks each against those in flight; request 69
  itself lists what it mended there: hazards seen where there were none, delays of read-after-write checks, the choice
  of tiles. Here a program is there before it runs, its dependencies are known, and nothing is late to be issued. That
  is why compute takes the largest share here and less than half of theirs.
- **The core.** What Gemmini does not do, its RISC-V core does in software, as global averaging before request 90,
  which was worth a fifth of the time. Here all of it is done by the vector unit.
- **Residual additions** take three steps of a lane here, one for each operand and one for the Relu behind, and there
  are four lanes: the largest part that is not compute. Gemmini scales and adds matrices while it moves them into its
  accumulator.
- **Fused layers** save {fused} of the cycles, and {fused_slow} where DRAM has {slow} bytes a cycle. Most pairs are an
  addition and the convolution before it. Together they spare the DRAM a tensor, but their results need as many steps
  of the lanes as before, and in the first stages, where tensors are too large to stay whole, lanes have more to do
  than the array.
- **Memory.** A chip around Gemmini has a shared L2 cache in front of its DRAM, and a core with requests of its own.
  Here a transfer takes its bytes over the bus and a latency. The second table shows how far bandwidth alone would have
  to fall to explain the difference.
- **Mesh.** Nothing: both take 16 cycles a fold in steady state."""


def draw(record: dict[str, Any]) -> None:
    """Cycles by cause at each bandwidth, beside the published total."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    bars = [f"accel\n{run['bandwidth_bytes_per_cycle']} B/cycle" for run in record["runs"]]
    bottom = [0.0] * len(bars)
    for cause, color in (("compute", "#0072B2"), ("vector", "#009E73"), ("rest", "#D55E00")):
        heights = []
        for run in record["runs"]:
            known = run["causes"]
            rest = run["cycles"] - known.get("compute", 0) - known.get("vector", 0)
            heights.append((rest if cause == "rest" else known.get(cause, 0)) / 1e6)
        label = {"compute": "compute", "vector": "vector unit", "rest": "waits, fill & drain"}[cause]
        axes.bar(bars, heights, bottom=bottom, color=color, label=label, width=0.6)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.bar(["published\n2021"], [PUBLISHED_CYCLES / 1e6], color="#999999", width=0.6, label="published total")
    axes.set(ylabel="cycles, millions", title=f"ResNet-50, {IMAGES} images, 16 x 16 PEs")
    axes.legend()
    figure.savefig(HERE / "gemmini.png", dpi=130)


def main() -> None:
    chosen = options(__doc__).parse_args()
    record = measure(gallery_file(NETWORK, chosen.networks))
    draw(record)
    publish(page(record))


if __name__ == "__main__":
    main()
