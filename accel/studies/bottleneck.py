"""The record of a search for bottlenecks: what bounds each layer, and what more of each resource would bring."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from accel.plain import finite
from accel.result import LayerResult, Result

OPERATIONS_PER_MAC = 2


@dataclass(frozen=True, slots=True)
class More:
    """The same network on the same machine with more of one thing, mapped anew or as it was, whichever is quicker."""

    resource: str
    change: str
    """From what to what: ``16 B/cycle -> 32 B/cycle``."""
    cycles: int | None
    """None: there is no such machine, or the network does not run on it."""
    energy_pj: float | None
    area_mm2: float | None
    """On chip: the DRAM has none."""
    problem: str = ""
    """Why not; empty where it runs."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A network on a machine: its layers and what bounds them, and the machine with one more of each resource."""

    result: Result
    """The estimate."""
    more: tuple[More, ...]

    def speedup(self, more: More) -> float | None:
        """How many times as fast."""
        return None if not more.cycles else self.result.latency_cycles / more.cycles

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON: layers in order, with the figures that follow from them."""
        result = self.result
        timed = [(number, layer) for number, layer in enumerate(result.layers, 1) if layer.cycles.total]
        data = {
            "network": result.network,
            "machine": result.machine,
            "batch": result.batch,
            "latency_cycles": result.latency_cycles,
            "energy_pj": result.energy_pj,
            "area_mm2": result.area.total_mm2 if result.area else None,
            "operations_per_cycle": OPERATIONS_PER_MAC * result.macs_per_cycle,
            "dram_bytes_per_cycle": result.dram_bytes_per_cycle,
            "dram_sustained_bytes_per_cycle": result.dram_sustained_bytes_per_cycle,
            "layers": [_layer(result, number, layer) for number, layer in timed],
            "more": [{**dataclasses.asdict(more), "speedup": self.speedup(more)} for more in self.more],
        }
        return json.dumps(finite(data), indent=indent, allow_nan=False)


BOUNDS = {
    "compute": "compute",
    "fill_drain": "fill and drain",
    "vector": "vector unit",
    "bandwidth": "DRAM bandwidth",
    "latency": "DRAM latency",
    "width": "buffer width",
}
"""Field of ``CriticalPath`` -> what bounds a layer that spends most of its critical path there."""


def bound(layer: LayerResult) -> str:
    """What most of a layer's critical path went to: the first of equals, empty for a layer that takes no time."""
    cycles = dataclasses.asdict(layer.critical)
    return BOUNDS[max(cycles, key=lambda name: cycles[name])] if layer.cycles.total else ""


def operations(layer: LayerResult) -> int:
    """Two for each MAC on the array; each requantization, addition and comparison of a vector-unit layer is one."""
    if layer.macs:
        return OPERATIONS_PER_MAC * layer.macs
    done = layer.actions
    return done.vector_requantize + done.vector_add + done.vector_scaled_add + done.vector_compare


def intensity(layer: LayerResult) -> float:
    """Operations per byte of DRAM traffic; infinite where there is none."""
    moved_bytes = layer.actions.dram_read_bytes + layer.actions.dram_write_bytes
    return operations(layer) / moved_bytes if moved_bytes else math.inf


def roof(result: Result, layer: LayerResult) -> float | None:
    """Operations per cycle that array and DRAM allow at the layer's intensity; None for a layer without MACs."""
    if not layer.macs:
        return None
    return min(OPERATIONS_PER_MAC * result.macs_per_cycle, intensity(layer) * result.dram_sustained_bytes_per_cycle)


def _layer(result: Result, number: int, layer: LayerResult) -> dict[str, Any]:
    total = layer.cycles.total
    return {
        "number": number,
        "name": layer.name,
        "op": layer.op,
        "unit": layer.unit,
        "bound": bound(layer),
        "latency_cycles": total,
        "cycles": dataclasses.asdict(layer.cycles),
        "critical": dataclasses.asdict(layer.critical),
        "busy": {unit: cycles / total for unit, cycles in dataclasses.asdict(layer.busy).items()},
        "operations": operations(layer),
        "operations_per_dram_byte": intensity(layer),
        "operations_per_cycle": operations(layer) / total,
        "roof_operations_per_cycle": roof(result, layer),
    }
