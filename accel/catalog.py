"""What the listings show: the main figures of each machine, DRAM device and network of the gallery."""

from __future__ import annotations

from accel.arch.dram import DramDevice
from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.cost.area import area_of
from accel.gallery import drams, machines
from accel.networks import networks

_SHORT = {"weight_stationary": "ws", "output_stationary": "os", "input_stationary": "is"}


def peak_tops(machine: Machine) -> float:
    """Tera-operations per second with every PE busy on operands of its own widths, a MAC being two operations."""
    return 2 * macs_per_cycle(machine) * machine.clock_hz / 1e12


def macs_per_cycle(machine: Machine) -> float:
    """Of operands as wide as the PEs."""
    step = machine.pe.step(machine.pe.weight, machine.pe.activation)
    return machine.array.rows * machine.array.columns * step.products / step.cycles


def machine_rows() -> list[dict[str, object]]:
    """One row for each machine of the gallery."""
    return [_machine_row(load_arch(path)) for path in machines()]


def _machine_row(machine: Machine) -> dict[str, object]:
    array, pe, buffers = machine.array, machine.pe, machine.buffers
    on_chip = sum(b.capacity_bytes for b in (buffers.weight, buffers.activation, buffers.accumulator))
    return {
        "name": machine.name,
        "array": f"{array.rows}x{array.columns}",
        "dataflow": " ".join(_SHORT[dataflow] for dataflow in array.dataflow),
        "operands": str(pe.weight) if pe.weight == pe.activation else f"{pe.weight} x {pe.activation}",
        "sum_bits": pe.accumulator_bits,
        "mhz": f"{machine.clock_hz / 1e6:g}",
        "peak_tops": f"{peak_tops(machine):.3g}",
        "buffers_kib": f"{on_chip / 1024:g}",
        "dram_b_per_cycle": f"{machine.dram.bandwidth_bytes_per_cycle:.4g}",
        "description": machine.description,
    }


def dram_rows() -> list[dict[str, object]]:
    """One row for each DRAM device of the gallery."""
    return [_dram_row(path.stem, DramDevice.named(path.stem)) for path in drams()]


def _dram_row(name: str, device: DramDevice) -> dict[str, object]:
    shape, timing = device.organization, device.timing
    return {
        "name": name,
        "channels": f"{device.channels} x {shape.channel_width_bits} bits",
        "gb_per_s": f"{float(device.bandwidth_bytes_per_second) / 1e9:g}",
        "gib": f"{device.capacity_bytes / 2**30:g}",
        "banks": shape.banks,
        "row_b": shape.row_bytes,
        "burst_b": shape.burst_bytes,
        "latency_ns": f"{device.latency_ticks / timing.clock_hz * 1e9:.3g}",
        "description": device.description,
    }


def machine_figures(machine: Machine) -> list[tuple[str, str]]:
    """What follows from a machine's fields: peak figures and area."""
    area = area_of(machine, load_technology(machine.technology))
    macs = macs_per_cycle(machine)
    bandwidth = machine.dram.bandwidth_bytes_per_cycle
    return [
        ("peak", f"{peak_tops(machine):.4g} TOPS ({macs:g} MACs a cycle)"),
        ("DRAM bandwidth", f"{bandwidth * machine.clock_hz / 1e9:.4g} GB/s"),
        ("balance", f"{macs / bandwidth:.4g} MACs for each DRAM byte"),
        (
            "area",
            f"{area.total_mm2:.3g} mm2: array {area.array_mm2:.3g}, weight buffer {area.weight_buffer_mm2:.3g}, "
            f"activation buffer {area.activation_buffer_mm2:.3g}, "
            f"accumulator buffer {area.accumulator_buffer_mm2:.3g}, vector unit {area.vector_mm2:.3g}",
        ),
    ]


def network_rows() -> list[dict[str, object]]:
    """One row for each network of the gallery."""
    rows: list[dict[str, object]] = []
    for info in networks():
        integer = [file for file in info.files if file.top1 is not None]
        default = next((file for file in integer if file.name == info.default_file), None)
        rows.append(
            {
                "name": info.name,
                "input": "x".join(map(str, info.input_shape)),
                "macs": f"{info.macs:,}",
                "weights": f"{info.weights:,}",
                "precision": ", ".join(sorted({file.precision for file in info.files})),
                "top1": "" if default is None or default.top1 is None else f"{default.top1:.2%}",
                "files": "ships" if info.folder else f"accel networks make {info.name} --out {info.name}",
                "description": info.description,
            }
        )
    return rows
