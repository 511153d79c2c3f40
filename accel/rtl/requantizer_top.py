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
_PORTS = (
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
    ("input", "wire", "1", "by_thresholds", "the sums are compared, and `low` is what no threshold makes"),
    ("input", "wire", "LANES*THRESHOLDS*TOTAL_BITS", "thresholds", "of each lane's channel; a clock behind the sums"),
    ("input", "wire", "LANES*THRESHOLDS", "beyond", "a threshold is above every total, whatever its word says"),
    ("input", "wire", "LANES", "falling", "a lane's totals reach the thresholds that they are below"),
    ("output", "wire", "1", "valid_out", f"a set of outputs is there, {LATENCY_CYCLES} clocks behind its sums"),
    ("output", "wire", "LANES*VALUE_BITS", "values", "the outputs"),
    ("output", "wire", "$clog2(2*LANES+1)", "overflows", "sums that did not fit with their bias, and totals"),
)
_OF_THRESHOLDS = ("by_thresholds", "thresholds", "beyond", "falling")
_MEANING = {
    "ACCUMULATOR_BITS": "pe.accumulator_bits",
    "BIAS_BITS": "of a bias in an ONNX file",
    "TOTAL_BITS": "pe.final_sum_bits; of a sum with its bias",
    "SCALE_BITS": "of an encoded scale",
    "VALUE_BITS": "pe.activation: outputs are the next layer's activations",
    "SATURATE": "pe.overflow",
    "THRESHOLDS": "vector.threshold_steps, and one where outputs are -1 and +1",
}


def parameters_of(machine: Machine) -> dict[str, tuple[int | bool, str]]:
    """The module's parameters, in its order: value, and where it comes from."""
    lane = lane_parameters(machine, machine.pe.activation)
    return {
        "LANES": (machine.vector.lanes, "vector.lanes"),
        **{name: (value, _MEANING.get(name, "vector.requantizer")) for name, value in lane.items()},
    }


def ports_of(machine: Machine) -> list[tuple[str, str, str, str, str]]:
    """Direction, type, width, name and meaning of the top's ports; none are for thresholds where there are none."""
    compares = parameters_of(machine)["THRESHOLDS"][0]
    return [port for port in _PORTS if compares or port[3] not in _OF_THRESHOLDS]


def name_of(design: Design) -> str:
    """Of the top module of the machine that a design belongs to, such as ``edge_32x32_requantizer``."""
    return f"{design.name.rpartition('_')[0]}_requantizer"


def text(machine: Machine, name: str) -> str:
    """SystemVerilog of the top module, called ``name``."""
    parameters = parameters_of(machine)
    ports, last_parameter, last_port = ports_of(machine), list(parameters)[-1], _PORTS[-1][3]
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
        for way, kind, width, port, _ in ports
    ]
    lines += [");", f"    {MODULE} #("]
    lines += [f"        .{key}({key}){',' if key != last_parameter else ''}" for key in parameters]
    lines += ["    ) core ("]
    # The module has the ports of one threshold where there is none.
    idle = {port: f"{{({width.replace('*THRESHOLDS', '')}){{1'b0}}}}" for _, _, width, port, _ in _PORTS}
    wires = idle | {port: port for *_, port, _ in ports}
    lines += [f"        .{port}({wire}){',' if port != last_port else ''}" for port, wire in wires.items()]
    return "\n".join([*lines, "    );", "endmodule", ""])
