"""The generated top of a design: the ports of the hand-written module, and the machine's parameters, named."""

from __future__ import annotations

from accel.rtl.design import Design

_MEANING = {
    "ROWS": "array.rows",
    "COLUMNS": "array.columns",
    "XNOR": "pe.multiplier",
    "SUM_BITS": "pe.partial_sum_bits",
    "ACCUMULATOR_BITS": "pe.accumulator_bits",
    "SATURATE": "pe.overflow",
    "DOUBLE_BUFFERED": "array.overlap",
    "SERIALIZE_SHORT_FOLDS": "array.short_folds",
    "SHIFT_OUT": "array.shift_out: 0 none, 1 down, 2 right",
    "PRELOAD": "array.accumulator_preload",
    "COLUMN_STEP": "array.horizontal_hop_latency_cycles",
    "MULTIPLIER_LATENCY": "array.multiplier_latency_cycles",
    "ACCUMULATE_LATENCY": "array.accumulate_latency_cycles",
    "INPUT_LATENCY": "array.input_latency_cycles",
    "OUTPUT_LATENCY": "array.output_latency_cycles",
    "LENGTH_BITS": "of a fold's length",
    "ADDRESS_BITS": "of the accumulator buffer's rows",
}
PORTS = (
    # Direction as the top sees it, name, width. Where an operand stays there is no other_data.
    ("input", "clk", "1"),
    ("input", "reset", "1"),
    ("input", "fold_valid", "1"),
    ("output", "fold_ready", "1"),
    ("input", "fold_length", "LENGTH_BITS"),
    ("input", "fold_address", "ADDRESS_BITS"),
    ("input", "fold_accumulate", "1"),
    ("output", "load_enable", "1"),
    ("output", "load_row", "ROW_BITS"),
    ("input", "load_data", "COLUMNS*LOAD_BITS"),
    ("output", "stream_request", "1"),
    ("output", "stream_index", "LENGTH_BITS"),
    ("input", "stream_valid", "1"),
    ("input", "stream_data", "ROWS*MOVING_BITS"),
    ("input", "other_data", "COLUMNS*OTHER_BITS"),
    ("output", "enter_first", "1"),
    ("output", "result_valid", "1"),
    ("output", "result_last", "1"),
    ("input", "read_address", "ADDRESS_BITS"),
    ("output", "read_sums", "LANES*ACCUMULATOR_BITS"),
    ("output", "overflows", "COUNT_BITS"),
)


def top_text(design: Design, name: str | None = None) -> str:
    """SystemVerilog of the top module.

    Parameters
    ----------
    name
        Of the module; None: the design's own.
    """
    values = design.parameters
    load_bits = "SUM_BITS" if design.output_stationary else "OTHER_BITS"
    machine = " ".join(design.machine.name.split())
    lines = [
        f"// {machine}, {design.dataflow.replace('_', ' ')}: generated from the machine's description.",
        f"module {name or design.name} #(",
    ]
    lines += [_parameter(design, key, value) for key, value in values.items()]
    lines += [
        f"    localparam int LOAD_BITS = {load_bits},",
        f"    localparam int LANES = {_lanes(design)},  // sums that leave in one clock",
        "    localparam int ROW_BITS = $clog2(ROWS + 1),",
        "    localparam int COUNT_BITS = $clog2(ROWS * COLUMNS + LANES + 1)",
        ") (",
    ]
    ports = [port for port in PORTS if design.output_stationary or port[1] != "other_data"]
    lines += [
        f"    {way:6} wire {port_range(width):30} {port}{',' if port != ports[-1][1] else ''}"
        for way, port, width in ports
    ]
    lines += [");", f"    {design.module} #("]
    lines += [f"        .{key}({key}){',' if key != 'ADDRESS_BITS' else ''}" for key in values]
    lines += ["    ) core ("]
    lines += [f"        .{port}({port}){',' if port != ports[-1][1] else ''}" for _, port, _ in ports]
    lines += ["    );", "endmodule", ""]
    return "\n".join(lines)


def _parameter(design: Design, key: str, value: int | bool) -> str:
    kind, text = ("bit", f"1'b{value:d}") if isinstance(value, bool) else ("int", str(value))
    return f"    parameter {kind} {key} = {text},  // {meaning(design, key)}"


def meaning(design: Design, key: str) -> str:
    """Which fields of the machine a parameter of the design takes its value from."""
    moving, other = (
        ("pe.weight", "pe.activation")
        if design.dataflow == "input_stationary"
        else (
            "pe.activation",
            "pe.weight",
        )
    )
    if key.startswith("MOVING"):
        return f"{moving}, which moves right"
    if key.startswith("OTHER"):
        return f"{other}, which {'moves down' if design.output_stationary else 'stays'}"
    if key == "ROW_STEP":
        latency = "" if design.output_stationary else " + array.accumulate_latency_cycles"
        return f"array.vertical_hop_latency_cycles{latency}"
    return _MEANING[key]


def _lanes(design: Design) -> str:
    if not design.output_stationary:
        return "COLUMNS"
    return {"none": "ROWS * COLUMNS", "down": "COLUMNS", "right": "ROWS"}[design.machine.array.shift_out]


def port_range(width: str) -> str:
    """Of a port's declaration; nothing for a single wire."""
    return "" if width == "1" else f"[{width}-1:0]"
