"""Machines for tests, small enough that every layer takes several tiles."""

from __future__ import annotations

from typing import Any

from accel.arch.spec import Machine

DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")


def machine(
    rows: int = 4,
    columns: int = 5,
    dataflow: str = "weight_stationary",
    overlap: str = "double_buffered",
    weight: str = "int8",
    activation: str = "int8",
    accumulator_bits: int = 32,
    overflow: str = "wrap",
    buffers: tuple[int, int, int] = (512, 1024, 1024),
    double_buffered: bool = True,
    bandwidth: str = "8 B/cycle",
    latency: str = "20 cycles",
    width: str = "64 B/cycle",
    lanes: int = 4,
    requantizer: str = "float32_rne",
    adder: str = "float32",
    threshold_steps: int = 0,
    array: dict[str, Any] | None = None,
    pe: dict[str, Any] | None = None,
) -> Machine:
    """A machine with the fields that tests vary; ``array`` and ``pe`` override single fields."""
    names = ("weight", "activation", "accumulator")
    return Machine.model_validate(
        {
            "name": f"test-{rows}x{columns}",
            "clock": "1 GHz",
            "technology": "45nm",
            "array": {"rows": rows, "columns": columns, "dataflow": dataflow, "overlap": overlap} | (array or {}),
            "pe": {
                "weight": weight,
                "activation": activation,
                "accumulator_bits": accumulator_bits,
                "overflow": overflow,
            }
            | (pe or {}),
            "buffers": {
                name: {"capacity": f"{size} B", "width": width, "double_buffered": double_buffered}
                for name, size in zip(names, buffers, strict=True)
            },
            "dram": {"bandwidth": bandwidth, "latency": latency, "burst": "16 B"},
            "vector": {"lanes": lanes, "requantizer": requantizer, "adder": adder, "threshold_steps": threshold_steps},
        }
    )
