"""Energy and area of the 45 nm technology against published points: python reports/validation/energy_area.py"""

from __future__ import annotations

import argparse
import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from page import HERE, Page, publish, table

import accel
from accel.arch.spec import Machine
from accel.arch.technology import Technology, load_technology
from accel.cost.area import pe_register_bits, pe_um2
from accel.cost.multiplier import operation_pj

KIB, MIB = 1024, 1 << 20
HOROWITZ = "Horowitz, ISSCC 2014"
PATTERSON = "Hennessy and Patterson, 6th ed., fig. 1.13"
REBUILT = "CACTI of hwcomponents-cacti 1.0.40"
CACTI_7 = "CACTI 7.0 @1ffd8df, itrs-lstp"
NANGATE = "NanGate 45 nm, DFF_X1, at 0.9 V"
OCONNOR = "O'Connor et al., MICRO 2017"
EYERISS = "Eyeriss, relative to a MAC of 16 bits"
BIT_FUSION = "hsharma35/bitfusion @04ec1c8, synthesized"
GIVEN, SHAPE, OPEN, OTHER = "given", "shape given", "held out", "another kind"


@dataclass(frozen=True, slots=True)
class Point:
    """One published figure, and what the model says."""

    kind: str
    what: str
    published: float
    model: float
    role: str
    """``given``: the model is made of it; ``shape given``: of its ratios; ``held out``: the model has not seen it;
    ``another kind``: of memory, which the model does not claim to describe."""
    source: str

    @property
    def ratio(self) -> float:
        """The model's over the published."""
        return self.model / self.published


def arithmetic(technology: Technology) -> list[Point]:
    """Adders, multipliers, registers."""
    add, multiply = technology.add_pj, technology.multiply_pj
    adder, multiplier = technology.adder_um2, technology.multiplier_um2
    energy, area = "arithmetic, pJ", "arithmetic, um2"
    return [
        Point(energy, "add, 8 bits", 0.03, add(8), OPEN, HOROWITZ),
        Point(energy, "add, 16 bits", 0.05, add(16), OPEN, HOROWITZ),
        Point(energy, "add, 32 bits", 0.1, add(32), GIVEN, HOROWITZ),
        Point(energy, "multiply, 8 bits", 0.2, multiply(8, 8), GIVEN, HOROWITZ),
        Point(energy, "multiply, 32 bits", 3.1, multiply(32, 32), OPEN, HOROWITZ),
        Point(energy, "register, a bit", 0.009, technology.register_pj(1), OPEN, NANGATE),
        Point(area, "adder, 8 bits", 36, adder(8), OPEN, PATTERSON),
        Point(area, "adder, 16 bits", 67, adder(16), OPEN, PATTERSON),
        Point(area, "adder, 32 bits", 137, adder(32), GIVEN, PATTERSON),
        Point(area, "multiplier, 8 bits", 282, multiplier(8, 8), GIVEN, PATTERSON),
        Point(area, "multiplier, 32 bits", 3495, multiplier(32, 32), OPEN, PATTERSON),
    ]


def memories(technology: Technology) -> list[Point]:
    """Reads and writes by size and width."""
    read, write = technology.sram_read_pj, technology.sram_write_pj
    energy, area = "memory, pJ", "memory, um2 a bit"
    points = [
        Point(energy, f"read 64 bits, {size}", published, read(capacity, 64), GIVEN, HOROWITZ)
        for size, capacity, published in (("8 KiB", 8 * KIB, 10), ("32 KiB", 32 * KIB, 20), ("1 MiB", MIB, 100))
    ]
    points += [
        Point(energy, f"read 64 bits, {size}", published, read(capacity, 64), OPEN, CACTI_7)
        for size, capacity, published in (
            ("8 KiB", 8 * KIB, 7.1),
            ("32 KiB", 32 * KIB, 19.5),
            ("1 MiB", MIB, 106),
            ("4 MiB", 4 * MIB, 215),
        )
    ]
    for width, reads, writes in ((64, 25.9, 19.6), (128, 39.3, 36.0), (256, 51.8, 66.2)):
        points.append(Point(energy, f"read {width} bits, 64 KiB", reads, read(64 * KIB, width), SHAPE, REBUILT))
        points.append(Point(energy, f"write {width} bits, 64 KiB", writes, write(64 * KIB, width), SHAPE, REBUILT))
    bit = technology.sram_um2(1) / 8
    points.append(Point(area, "8 KiB, one port of 64 bits", 0.40, bit, OPEN, CACTI_7))
    points.append(Point(area, "4 MiB, one port of 64 bits", 0.47, bit, OPEN, CACTI_7))
    return points


def outside(technology: Technology) -> list[Point]:
    """DRAM, a bit."""
    bit = technology.dram_pj(1) / 8
    return [
        Point("DRAM, pJ a bit", "LPDDR4", 8, bit, GIVEN, "hwcomponents-library"),
        Point("DRAM, pJ a bit", "HBM2", 3.97, bit, OTHER, OCONNOR),
        Point("DRAM, pJ a bit", "GDDR5", 14, bit, OTHER, OCONNOR),
        Point("DRAM, pJ a bit", "DDR3 with its interface, middle", 1950 / 64, bit, OTHER, HOROWITZ),
    ]


def hierarchy(technology: Technology) -> list[Point]:
    """What a word of 16 bits costs in each place, relative to a MAC."""
    mac = technology.multiply_pj(16, 16) + technology.add_pj(32)
    buffer = technology.sram_read_pj(100 * KIB, 64) / 4
    return [
        Point("relative", "buffer of 100 KB over MAC", 6, buffer / mac, OPEN, EYERISS),
        Point("relative", "DRAM over MAC", 200, technology.dram_pj(2) / mac, OPEN, EYERISS),
    ]


def fusible(technology: Technology) -> list[Point]:
    """What a PE that composes 8 bits of 2-bit bricks costs over one that only multiplies 8 x 8."""
    machine = accel.load_arch("bit-fusion-16x32")
    fixed = machine.model_copy(update={"pe": machine.pe.model_copy(update={"multiplier": "parallel"})})
    area = pe_um2(machine, technology) / pe_um2(fixed, technology)
    energy = _pe_pj(machine, technology, 16) / _pe_pj(fixed, technology, 1)
    return [
        Point("relative", "area, fusible over fixed PE of 8 bits", 1735 / 511, area, OPEN, BIT_FUSION),
        Point("relative", "energy at 8 bits, likewise", 0.459 / 0.203, energy, OPEN, BIT_FUSION),
    ]


def _pe_pj(machine: Machine, technology: Technology, operations: int) -> float:
    """A PE's cycle with its own registers clocked."""
    products = operations * operation_pj(machine.pe, technology)
    return products + technology.add_pj(machine.pe.accumulator_bits) + technology.register_pj(pe_register_bits(machine))


def page(points: list[Point]) -> Page:
    """Text and tables."""
    held_out = [point for point in points if point.role == OPEN]
    inside = sum(1 / 1.5 <= point.ratio <= 1.5 for point in held_out)
    spread = statistics.geometric_mean(max(point.ratio, 1 / point.ratio) for point in held_out)
    rows = [
        (
            point.kind,
            point.what,
            _figure(point.published),
            _figure(point.model),
            f"{point.ratio:.2f}",
            point.role,
            point.source,
        )
        for point in points
    ]
    far = ", ".join(f"{point.what} ({point.ratio:.2f})" for point in held_out if not 1 / 1.5 <= point.ratio <= 1.5)
    text = "\n\n".join(
        [
            table(("figure", "of", "published", "model", "ratio", "", "source"), rows),
            f"The 45 nm technology against {len(points)} published figures: of {len(held_out)} that it is not made of, "
            f"{inside} are within a factor of 1.5, and the average factor is {spread:.2f}. Outside: {far}.",
            "![Model over published](energy_area.png)",
            READ,
            WHY,
        ]
    )
    result = f"{inside} of {len(held_out)} held-out figures within a factor of 1.5, {spread:.2f} on average"
    record: dict[str, Any] = {"points": [asdict(point) | {"ratio": point.ratio} for point in points]}
    return Page("energy_area", "Energy and area against published points", result, text, record)


def _figure(value: float) -> str:
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


READ = """\
## How to read it

*Given* figures are what `models/technology/45nm.yaml` is made of, so their ratio is 1. Of *shape given* ones it uses
ratios among each other, not the figures. *Held out* are figures that it has not seen, or that its file names as a
second opinion. *Another kind* of DRAM is there for the spread. Where Horowitz gives a range, the middle is taken.

PEs, multipliers of 1 to 24 bits and requantizers are held against synthesis, with Yosys in two libraries and with Bit
Fusion's published arrays, in [reports/synthesis](../synthesis/README.md), which also says what that comparison changed
in the model."""
WHY = """\
## Why they deviate

- **Wide multipliers.** The model has the cells of an array multiplier, which grow with the square of the width. At 32
  bits real ones recode an operand and so save adders. Operands end at 16 bits here; 24 x 24 in the float32 requantizer
  is the widest that is counted.
- **Narrow adders** carry their fixed part with fewer bits; the model has none.
- **Memories.** CACTI 7.0 is lower than Horowitz's caches where they are small (a cache has tags) and higher beyond a
  megabyte, where the model goes on with the slope below. The rebuilt CACTI is a third one; the shape over widths is
  taken from it.
- **DRAM** is one figure a bit, LPDDR4's. Another kind of memory is another figure: it belongs into a technology file,
  and the spread between kinds is what one must expect from leaving it.
- **Eyeriss's ratios** come from 65 nm and from a hierarchy in which a DRAM access costs 200 MACs of 16 bits. With
  LPDDR4, DRAM is cheaper; the MAC here is 45 nm.
- **Fusible PEs.** Bit Fusion's fixed PE has narrower sums than the 32 bits here, and its fusible one registers and
  multiplexers that the model leaves out: the area added is larger there. Its power is at a synthesis tool's default
  activity, which takes less from a tree of bricks than random data do."""


def draw(points: list[Point]) -> None:
    """Every ratio, by kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.22 * len(points) + 1), layout="constrained")
    axes = figure.subplots()
    colors = {GIVEN: "#BBBBBB", SHAPE: "#56B4E9", OPEN: "#0072B2", OTHER: "#E69F00"}
    for role, color in colors.items():
        places = [number for number, point in enumerate(points) if point.role == role]
        axes.semilogx([points[number].ratio for number in places], places, "o", color=color, label=role)
    axes.axvspan(1 / 1.5, 1.5, color="#EEEEEE", zorder=0)
    axes.axvline(1, color="grey", lw=0.8)
    axes.set_yticks(range(len(points)), [f"{point.what} · {point.kind}" for point in points], fontsize=7)
    axes.invert_yaxis()
    axes.set_xticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.set(xlabel="model over published (grey: within a factor of 1.5)")
    axes.legend(fontsize=8)
    figure.savefig(HERE / "energy_area.png", dpi=130)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    technology = load_technology("45nm")
    parts = (arithmetic, memories, outside, hierarchy, fusible)
    points = [point for part in parts for point in part(technology)]
    draw(points)
    publish(page(points))


if __name__ == "__main__":
    main()
