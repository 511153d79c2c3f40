"""The generated top of a machine's requantizer: the lanes of its vector unit, the widths of its sums and outputs."""

from __future__ import annotations

from accel.arch.spec import Machine
from accel.rtl.design import Design
from accel.rtl.requantize import lane_parameters
from accel.rtl.top import port_range

MODULE = "sa_requantizer"
"""The hand-written module that the top instantiates."""
LATENCY_CYCLES = 4
"""From sums to output integers."""
PORTS = (
    # Direction, type, width, name, and what it carries.
    ("input", "wire", "1", "clk", "the machine's clock"),
    ("input", "wire", "1", "reset", "synchronous; clears `valid_out` only"),
    ("input", "wire", "1", "valid_in", "a set of sums is there"),
    ("input", "wire", "LANES*ACCUMULATOR_BITS", "sums", "from the accumulator buffer"),
    ("input", "wire", "LANES*BIAS_BITS", "biases", "of each lane's channel; the input's zero point is folded in"),
    ("input", "wire", "LANES*SCALE_BITS", "scales", "of each lane's channel, encoded"),
    ("input", "wire signed", "VALUE_BITS+1", "zero_point", "of the outputs"),
    ("input", "wire signed", "VALUE_BITS+1", "low", "the least output: of the type, or of a clamp"),
    ("input", "wire signed", "VALUE_BITS+1", "high", "the greatest output"),
    ("output", "wire", "1", "valid_out", f"a set of outputs is there, {LATENCY_CYCLES} clocks behind its sums"),
    ("output", "wire", "LANES*VALUE_BITS", "values", "the outputs"),
    ("output", "wire", "$clog2(2*LANES+1)", "overflows", "sums that did not fit with their bias, and totals"),
)
_MEANING = {
    "ACCUMULATOR_BITS": "pe.accumulator_bits",
    "BIAS_BITS": "of a bias in an ONNX file",
    "TOTAL_BITS": "pe.final_sum_bits; of a sum with its bias",
    "SCALE_BITS": "of an encoded scale",
    "VALUE_BITS": "pe.activation: outputs are the next layer's activations",
    "SATURATE": "pe.overflow",
}


def parameters_of(machine: Machine) -> dict[str, tuple[int | bool, str]]:
    """The module's parameters, in its order: value, and where it comes from."""
    lane = lane_parameters(machine, machine.pe.activation.bits)
    return {
        "LANES": (machine.vector.lanes, "vector.lanes"),
        **{name: (value, _MEANING.get(name, "vector.requantizer")) for name, value in lane.items()},
    }


def name_of(design: Design) -> str:
    """Of the top module of the machine that a design belongs to, such as ``edge_32x32_requantizer``."""
    return f"{design.name.rpartition('_')[0]}_requantizer"


def text(machine: Machine, name: str) -> str:
    """SystemVerilog of the top module, called ``name``."""
    parameters = parameters_of(machine)
    last_parameter, last_port = list(parameters)[-1], PORTS[-1][3]
    lines = [
        f"// The requantizer of {' '.join(machine.name.split())}: generated from the machine's description.",
        f"module {name} #(",
    ]
    for key, (value, meaning) in parameters.items():
        declared = f"bit {key} = 1'b{value:d}" if isinstance(value, bool) else f"int {key} = {value}"
        lines.append(f"    parameter {declared}{',' if key != last_parameter else ''}  // {meaning}")
    lines.append(") (")
    lines += [
        f"    {way:6} {kind:11} {port_range(width):30} {port}{',' if port != last_port else ''}"
        for way, kind, width, port, _ in PORTS
    ]
    lines += [");", f"    {MODULE} #("]
    lines += [f"        .{key}({key}){',' if key != last_parameter else ''}" for key in parameters]
    lines += ["    ) core ("]
    lines += [f"        .{port}({port}){',' if port != last_port else ''}" for *_, port, _ in PORTS]
    return "\n".join([*lines, "    );", "endmodule", ""])
