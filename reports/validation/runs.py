"""What the comparisons read off a result."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import accel
from accel.arch.spec import Machine
from accel.compile import fit_to_machine
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.residency import plan_residency
from accel.mapping.search import choose
from accel.records import estimate_program
from accel.result import LayerResult


def layers_apart(network: accel.Network, machine: Machine) -> accel.Result:
    """As ``accel.estimate``, but no two layers take turns: for what runs layer by layer, or is reported so."""
    graph = fit_to_machine(network.graph, machine)
    flow = lower(graph)
    residency = plan_residency(flow, machine)
    program = emit(flow, machine, choose(flow, machine, residency), residency)
    return estimate_program(network.name, graph.batch, machine, program)


def causes(layers: tuple[LayerResult, ...] | list[LayerResult]) -> dict[str, int]:
    """Cycles by cause, all layers together."""
    counts: Counter[str] = Counter()
    for layer in layers:
        counts.update(dataclasses.asdict(layer.cycles))
    return dict(counts)


def on_array(result: accel.Result) -> list[LayerResult]:
    """The layers that multiply."""
    return [layer for layer in result.layers if layer.unit == "array"]


def cycles(layers: tuple[LayerResult, ...] | list[LayerResult]) -> int:
    """Their latency."""
    return sum(layer.cycles.total for layer in layers)


def dram_bytes(layers: tuple[LayerResult, ...] | list[LayerResult]) -> int:
    """What they read from DRAM and write there."""
    return sum(layer.actions.dram_read_bytes + layer.actions.dram_write_bytes for layer in layers)


def summary(result: accel.Result) -> dict[str, Any]:
    """A run's totals, plain."""
    array = on_array(result)
    return {
        "machine": result.machine,
        "macs": result.macs,
        "cycles": result.latency_cycles,
        "array_layer_cycles": cycles(array),
        "causes": causes(result.layers),
        "dram_bytes": dram_bytes(result.layers),
        "energy_pj": result.energy_pj,
        "utilization": result.utilization,
        "frames_per_second": result.frames_per_second,
        "accel_version": result.accel_version,
    }
