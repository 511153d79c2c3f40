"""The study's page and picture, from its record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]
_COLORS = {
    "edge-32x32": "#0072B2",
    "edge-32x32-int4": "#E69F00",
    "edge-32x32-serial": "#009E73",
    "bit-fusion-16x32": "#D55E00",
}


def text(record: Record) -> str:
    """README.md."""
    machines = list(dict.fromkeys(point["machine"] for point in record["widths"]))
    parts = [
        "# What do fewer bits cost and bring?",
        f"Written by `python reports/bits/measure.py`: {record['network']} quantized after training with "
        f"{record['calibration_images']} of its images (least squared error, per channel, unsigned where a tensor "
        f"cannot be negative, bias corrected, no retraining), run on all {record['images']} of them, every integer "
        "simulated. SQNR is that of the logits against the float network; cycles and energy are for one image. "
        "Networks with *ends 8* keep the first and the last layer at 8 bits.",
        "![Accuracy against energy and against AQT's cost](pareto.png)",
        FINDINGS,
        "## By width",
        _by_width(record["widths"], machines),
        "## Accumulators",
        "On `edge-32x32`, the sums in the array and behind it as wide as each other.",
        _table(
            ("network", "accumulator", "top-1", "SQNR, dB", "sums that did not fit"),
            [[p["network"], p["accumulator"], *_quality(p), f"{p['overflows']:,}"] for p in record["accumulators"]],
        ),
        "## Requantizers",
        "On `edge-32x32`. For the shift, the network was quantized with scales whose ratios are powers of two.",
        _table(
            ("network", "requantizer", "top-1", "SQNR, dB", "energy, µJ"),
            [
                [p["network"], f"`{p['requantizer']}`", *_quality(p), f"{p['energy_uj']:.2f}"]
                for p in record["requantizers"]
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


FINDINGS = """\
**What it shows.** Without retraining, four bits keep this network's accuracy (99.7 %), three cost two points, and two
lose most of it, the weights alone already (58.6 % at W2A4). What fewer bits bring is the machine's affair more than the
bits'. W4A4 is a quarter of W8A8 by AQT's quadratic law and by BOPs, and a half by the linear one; simulated, it takes
74 % of the energy where multipliers stay 8 x 8, 59 % where activations come bit by bit, 43 % where multipliers are
composed, and 34 % where they are 4 x 4 and 8 bits need four passes. Energy falls by less than the law because DRAM,
registers and sums do not shrink with the square of the bits. Cycles fall to 29 % of W8A8's on 4 x 4 multipliers and not
at all on 8 x 8 ones: this network stays on the chip between its layers, and the array is what it waits for. Six bits
are the clearest case against counting bits: 0.56 or 1 by the laws, they need as many passes as eight on 4 x 4
multipliers, and take less time only where every bit counts.

Keeping the first and the last layer at 8 bits costs up to 5 % of the energy and is worth 2.4 dB. Accumulators of 18
bits are too narrow for W8A8 in either mode. For W4A4 a few hundred sums of millions overflow: saturation keeps the
accuracy, wrapping around does not. Where overflow is common, saturating at every addition is no better than wrapping.
Requantizers differ by 4 dB at W8A8 between float32 and a plain shift, not in accuracy, and by less than 2 % of the
energy."""


def _by_width(points: Sequence[Record], machines: Sequence[str]) -> str:
    head = ["network", "top-1", "SQNR, dB", "BOPs", "AQT linear"]
    head += [f"{machine}: cycles, µJ" for machine in machines]
    names = list(dict.fromkeys(point["network"] for point in points))
    best = points[0]
    rows = []
    for name in names:
        here = {point["machine"]: point for point in points if point["network"] == name}
        one = here[machines[0]]
        row = [name, *_quality(one), *(f"{one[law] / best[law]:.3f}" for law in ("bops", "aqt_linear"))]
        row += [f"{here[machine]['cycles']:,}, {here[machine]['energy_uj']:.1f}" for machine in machines]
        rows.append(row)
    return _table(head, rows)


def _quality(point: Record) -> tuple[str, str]:
    return f"{point['top1']:.1%}", f"{point['sqnr_db']:.1f}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(record: Record, path: Path) -> None:
    """Accuracy against simulated energy on each machine, and against AQT's quadratic cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    points = record["widths"]
    for machine, color in _COLORS.items():
        here = [point for point in points if point["machine"] == machine]
        xs, ys = [point["energy_uj"] for point in here], [100 * point["top1"] for point in here]
        left.plot(xs, ys, "o", color=color, markersize=4, alpha=0.5)
        left.step(*_front(xs, ys), where="post", color=color, linewidth=1.2, label=machine)
    left.set(xlabel="energy of an image, µJ (simulated)", ylabel="top-1, %", title="simulated energy")
    left.legend(fontsize=7, loc="lower right")
    one = [point for point in points if point["machine"] == points[0]["machine"]]
    xs = [point["bops"] / one[0]["bops"] for point in one]
    ys = [100 * point["top1"] for point in one]
    right.plot(xs, ys, "o", color="black", markersize=4)
    right.step(*_front(xs, ys), where="post", color="black", linewidth=1.2)
    for x, y, point in zip(xs, ys, one, strict=True):
        place = {"xytext": (2, -8), "rotation": -50, "va": "top", "ha": "left"}
        right.annotate(
            point["network"], (x, y), textcoords="offset points", fontsize=7, rotation_mode="anchor", **place
        )
    right.set(xlabel="AQT's quadratic cost, W8A8 = 1", title="cost by bits alone", xscale="log")
    right.set(xlim=(0.6 * min(xs), 2), ylim=(-5, 105))
    figure.savefig(path, dpi=130)


def _front(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """Points that no other beats in both, the cheapest first."""
    front_x: list[float] = []
    front_y: list[float] = []
    for x, y in sorted(zip(xs, ys, strict=True)):
        if not front_y or y > front_y[-1]:
            front_x.append(x)
            front_y.append(y)
    return front_x, front_y
