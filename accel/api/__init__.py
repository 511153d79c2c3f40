"""The public face: load a machine and a network; estimate, simulate, verify; get frozen records."""

from __future__ import annotations

from accel.api.bits import accumulators, cost_laws
from accel.api.hardware import emit_rtl, synthesize
from accel.api.mapping import search_mapping
from accel.api.network import Network, load_network
from accel.api.progress import Progress
from accel.api.quantizing import allocate, quantize, sensitivity
from accel.api.simulation import Simulation, bottleneck, estimate, lowered, simulate, verify
from accel.arch.load import load_arch
from accel.precision.what_if import Widths
from accel.precision.widths import parse_widths
from accel.quantizer.options import LayerBits, QuantizeOptions
from accel.rtl.waves import Waves

__all__ = [
    "LayerBits",
    "Network",
    "Progress",
    "QuantizeOptions",
    "Simulation",
    "Waves",
    "Widths",
    "accumulators",
    "allocate",
    "bottleneck",
    "cost_laws",
    "emit_rtl",
    "estimate",
    "load_arch",
    "load_network",
    "lowered",
    "parse_widths",
    "quantize",
    "search_mapping",
    "sensitivity",
    "simulate",
    "synthesize",
    "verify",
]
