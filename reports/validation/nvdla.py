"""NVDLA's published ResNet-50 table beside systolic arrays of its sizes: python reports/validation/nvdla.py"""

from __future__ import annotations

from typing import Any

from networks import conv_shapes, gallery, options
from page import HERE, Page, percent, publish, table
from runs import dram_bytes, layers_apart, summary

import accel

NETWORK = "resnet50-v1"
PUBLISHED = {2048: 269, 1024: 153, 512: 93, 256: 46, 128: 20, 64: 7.3, 32: 3.6}
"""MACs -> frames/s; NVDLA Primer, nvdla.org, performance on ResNet-50, int8, 1 GHz."""
WINOGRAD_SAVES = 2.25
"""Multiplications of a 3x3 convolution of stride 1 over those of Winograd's F(2x2, 3x3): 36 / 16."""


def measure(network: accel.Network) -> list[dict[str, Any]]:
    """Every configuration."""
    winograd_macs = sum(
        shape.pixels * shape.window * shape.filters / (WINOGRAD_SAVES if (shape.kernel, shape.stride) == (3, 1) else 1)
        for shape in conv_shapes(network)
    )
    rows = []
    for macs, published in PUBLISHED.items():
        machine = accel.load_arch(HERE / "machines" / f"nvdla-{macs}.yaml")
        run = summary(layers_apart(network, machine))
        fused = accel.estimate(network, machine)
        bandwidth = machine.dram.bandwidth_bytes_per_cycle * machine.clock_hz
        rows.append(
            {
                "macs": macs,
                "published": published,
                "fused_frames_per_second": fused.frames_per_second,
                "fused_bytes": dram_bytes(fused.layers),
                "array_layers_per_second": machine.clock_hz / run["array_layer_cycles"],
                "mac_bound": macs * machine.clock_hz / run["macs"],
                "winograd_bound": macs * machine.clock_hz / winograd_macs,
                "bandwidth_gb_s": bandwidth / 1e9,
                "published_bytes_at_most": bandwidth / published,
                "run": run,
            }
        )
    return rows


def page(rows: list[dict[str, Any]]) -> Page:
    """Text and tables."""
    whole = [row["run"]["frames_per_second"] for row in rows]
    header = (
        "MACs",
        "published",
        "accel",
        "",
        "with fused layers",
        "its convolutions alone",
        "",
        "all MACs busy",
        "with Winograd",
    )
    lines = [
        (
            row["macs"],
            _figure(row["published"]),
            _figure(fps),
            percent(fps, row["published"]),
            _figure(row["fused_frames_per_second"]),
            _figure(row["array_layers_per_second"]),
            percent(row["array_layers_per_second"], row["published"]),
            _figure(row["mac_bound"]),
            _figure(row["winograd_bound"]),
        )
        for row, fps in zip(rows, whole, strict=True)
    ]
    ratios = [fps / row["published"] for row, fps in zip(rows, whole, strict=True)]
    gains = [row["fused_frames_per_second"] / fps - 1 for row, fps in zip(rows, whole, strict=True)]
    spared = [1 - row["fused_bytes"] / row["run"]["dram_bytes"] for row in rows]
    convolutions = [row["array_layers_per_second"] / row["published"] for row in rows]
    text = "\n\n".join(
        [
            table(header, lines),
            f"Frames a second of ResNet-50: a systolic array with NVDLA's multipliers, buffer and bandwidth, and no "
            f"Winograd, reaches {min(ratios):.2f} to {max(ratios):.2f} times the published figure, and "
            f"{min(convolutions):.2f} to {max(convolutions):.2f} times without the layers that NVDLA fuses into "
            "convolutions.",
            "![Frames a second by size](nvdla.png)",
            ASSUMPTIONS,
            "## Where the cycles go",
            table(
                (
                    "MACs",
                    "compute",
                    "fill & drain",
                    "waits for memory",
                    "vector unit",
                    "MB moved",
                    "with fused layers",
                    "MB at most, published",
                ),
                [_causes(row) for row in rows],
            ),
            DEVIATIONS.format(spared=_range(spared), gains=_range(gains)),
        ]
    )
    result = (
        f"{min(ratios):.2f} to {max(ratios):.2f} times the frames of NVDLA's sheet on seven machines without Winograd; "
        f"{min(convolutions):.2f} to {max(convolutions):.2f} times for its convolutions alone"
    )
    return Page("nvdla", "NVDLA's ResNet-50 table", result, text, {"rows": rows})


def _causes(row: dict[str, Any]) -> tuple[object, ...]:
    run = row["run"]
    known = {key: run["causes"].get(key, 0) / run["cycles"] for key in ("compute", "fill_drain", "vector")}
    waits = 1 - sum(known.values())
    shares = (known["compute"], known["fill_drain"], waits, known["vector"])
    return (
        row["macs"],
        *(f"{share:.0%}" for share in shares),
        _figure(run["dram_bytes"] / 1e6),
        _figure(row["fused_bytes"] / 1e6),
        _figure(row["published_bytes_at_most"] / 1e6),
    )


def _range(shares: list[float]) -> str:
    return f"{100 * min(shares):.0f} to {max(shares):.0%}"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


ASSUMPTIONS = """\
## What is compared

Published: the table of the NVDLA Primer (nvdla.org), int8 at 1 GHz, seven configurations of MACs, convolution buffer
and DRAM bandwidth. It comes from NVDLA's performance sheet, an analytic model that takes the longer of DRAM time and
MAC time for each layer, with Winograd. It is not silicon, and optimistic: for AlexNet it says 895,444 cycles where the
RTL takes 2,093,882 (nvdla/hw, issue 202).

Here: one machine for each configuration, [machines/](machines), ResNet-50 v1 (stride in the first 1x1 convolution, as
in the Caffe model), one image at a time. Rows are NVDLA's atomic C, columns its atomic K, lanes of the vector unit its
SDP throughput, all from `spec/defs` of nvdla/hw where a configuration of that size is there; lanes requantize and add
with factors of 16 bits, as the SDP does. Assumed: the convolution buffer is split into halves for weights and
activations, 1024 sums a column twice, 100 ns of DRAM latency, and for 128 and 32 MACs, which no specification
describes, 16 x 8 and 8 x 4 with one lane. Layers run one behind another, as in the sheet; *with fused layers* is what
`accel estimate` plans by default, where two layers may take turns so that the tensor between them stays on chip."""
DEVIATIONS = """\
## Why they deviate

- **Residual additions.** Here they are layers of their own: both operands, on chip or from DRAM, pass the vector unit,
  which takes one step of a lane to add and one for the Relu behind, which has a scale of its own. NVDLA's SDP adds
  while a convolution's results pass through it. From 1,024 MACs to 128 that is the largest single difference; *its
  convolutions alone* leaves out whatever does not multiply, pooling with it.
- **Fused layers**, most of them an addition and the convolution before it, come closer to the SDP: {spared} of the
  bytes stay on chip. What the SDP does in one pass still takes as many steps of the lanes as before, though, and where
  lanes are few for the array's size they set the time of such a pair. So frames become {gains} more, most on the two
  smallest machines.
- **Winograd** divides the multiplications of a 3x3 convolution by 2.25, and these are nearly half of ResNet-50's. The
  last two columns of the first table bound what it can bring; where DRAM is the limit it brings nothing.
- **A sheet takes the maximum.** It has no first load, no last store, no fill and drain, no latency, and loads and
  computes of a layer overlap entirely. Here, layers run one after another, and each has a beginning and an end that
  nothing hides.
- **The smallest machines are faster here** because the sheet has them move more data: a rate far below the MACs' bound
  means that DRAM is the limit, and then the bytes a frame are those of the second table's last column. The mapping
  search finds tilings that move less.
- **Channels.** With three input channels and an array of 64 rows, NVDLA's direct convolution would leave most of the
  rows idle in the first layer; here a window's positions fill them (7 x 7 x 3 in three folds)."""


def draw(rows: list[dict[str, Any]]) -> None:
    """Rates against size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    sizes = [row["macs"] for row in rows]
    axes.loglog(sizes, [row["mac_bound"] for row in rows], ":", color="grey", label="all MACs busy")
    axes.loglog(sizes, [row["published"] for row in rows], "o-", color="#000000", label="published (sheet, Winograd)")
    axes.loglog(sizes, [row["run"]["frames_per_second"] for row in rows], "s-", color="#0072B2", label="accel")
    rates = [row["array_layers_per_second"] for row in rows]
    axes.loglog(sizes, rates, "^--", color="#D55E00", label="accel, convolutions alone")
    axes.set(xlabel="MACs", ylabel="frames a second", title="ResNet-50, int8, 1 GHz")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(HERE / "nvdla.png", dpi=130)


def main() -> None:
    chosen = options(__doc__).parse_args()
    rows = measure(gallery(NETWORK, chosen.networks))
    draw(rows)
    publish(page(rows))


if __name__ == "__main__":
    main()
