"""What the parts of a latency and of an energy are called, and their colours: the same in every table and plot.

The colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008), which people with any of the common
colour-vision deficiencies can tell apart, and two greys. A cause and a component of the same thing share one:
orange is weights, whether the array waits for them or their buffer draws energy.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.result import Cycles, Energy

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
DARK_GREY, LIGHT_GREY = "#4D4D4D", "#BBBBBB"


@dataclass(frozen=True, slots=True)
class Part:
    """One addend of a layer's latency or energy."""

    field: str
    """Its name in the record."""
    label: str
    header: str
    """A column's header, on two lines where that is narrower."""
    narrow_header: str
    colour: str


CAUSES = (
    Part("compute", "compute", "compute", "com-\npute", BLUE),
    Part("fill_drain", "fill & drain", "fill &\ndrain", "fill,\ndrain", SKY),
    Part("stall_weights", "stall on weights", "stall\nweights", "stall\nW", ORANGE),
    Part("stall_activations", "stall on activations", "stall\nactivations", "stall\nA", VERMILION),
    Part("stall_outputs", "stall on outputs", "stall\noutputs", "stall\nO", PURPLE),
    Part("vector", "vector unit", "vector\nunit", "vec-\ntor", GREEN),
)
"""Where cycles go, in the order of ``Cycles``."""

COMPONENTS = (
    Part("mac_pj", "MAC", "MAC", "MAC", BLUE),
    Part("registers_pj", "registers", "registers", "regs", SKY),
    Part("weight_buffer_pj", "weight buffer", "weight\nbuffer", "W\nbuf", ORANGE),
    Part("activation_buffer_pj", "activation buffer", "activation\nbuffer", "A\nbuf", VERMILION),
    Part("accumulator_buffer_pj", "accumulator buffer", "accumulator\nbuffer", "acc\nbuf", PURPLE),
    Part("dram_pj", "DRAM", "DRAM", "DRAM", DARK_GREY),
    Part("vector_pj", "vector unit", "vector\nunit", "vec-\ntor", GREEN),
    Part("leakage_pj", "leakage", "leakage", "leak", LIGHT_GREY),
)
"""Where energy goes, in the order of ``Energy``."""


BOUNDS = {
    "compute": BLUE,
    "fill and drain": SKY,
    "vector unit": GREEN,
    "DRAM bandwidth": DARK_GREY,
    "DRAM latency": PURPLE,
    "buffer width": ORANGE,
}
"""What may bound a layer, as ``accel.studies.bottleneck.BOUNDS`` has it -> colour."""


def cycles_of(cycles: Cycles, cause: Part) -> int:
    """The cycles that one of ``CAUSES`` took."""
    return int(getattr(cycles, cause.field))


def picojoules_of(energy: Energy, component: Part) -> float:
    """The energy that one of ``COMPONENTS`` drew."""
    return float(getattr(energy, component.field))


def largest_component(energy: Energy) -> Part:
    """The component that drew most; the first of equals."""
    return max(COMPONENTS, key=lambda component: picojoules_of(energy, component))
