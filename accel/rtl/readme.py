"""The page beside emitted RTL: what the files are, ports, parameters, timing, and how to run tools on them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from math import prod

from accel.arch.spec import Machine
from accel.arch.timing import ArrayTiming
from accel.numerics.requantize import REQUANTIZERS, FixedPoint
from accel.rtl import requantizer_top
from accel.rtl.design import Design
from accel.rtl.top import PORTS, meaning

_PORT_MEANINGS = {
    "clk": "the machine's clock; everything happens at its rising edge",
    "reset": "synchronous; hold it for {reset} clocks, so that the skew registers are flushed",
    "fold_valid": "a fold is there, and what it loads is in its buffer",
    "fold_ready": "the fold is taken in this clock, if it is valid",
    "fold_length": "operands that the fold streams, at least 1",
    "fold_address": "row of the accumulator buffer for its first results; further ones follow",
    "fold_accumulate": "1: add to what is there; 0: replace it",
    "load_enable": "`load_data` is taken in this clock",
    "load_row": "the row it has to be; the last row comes first",
    "load_data": "{load}, a column of the array in each lane",
    "stream_request": "an operand is wanted",
    "stream_index": "which one of its fold",
    "stream_valid": "the operand is there, and taken in this clock; a clock without is a bubble",
    "stream_data": "{moving}, a row of the array in each lane",
    "other_data": "{other}, a column of the array in each lane; valid with `stream_data`",
    "enter_first": "the operand that enters is the first of its fold",
    "result_valid": "results are out at the end of this clock",
    "result_last": "they are the last ones of their fold",
    "read_address": "row of the accumulator buffer to read",
    "read_sums": "its sums, in the same clock",
    "overflows": "additions that did not fit; each clock's number, counted some clocks late",
}
_EXAMPLE_FOLDS = 8


def readme_text(machine: Machine, designs: Sequence[Design]) -> str:
    """Markdown for the folder that holds the RTL of a machine."""
    parts = [
        _introduction(machine, designs),
        _commands(designs),
        *(_design(design) for design in designs),
        _requantizer(machine, requantizer_top.name_of(designs[0])),
        _left_out(machine),
    ]
    return "\n".join(parts)


def _introduction(machine: Machine, designs: Sequence[Design]) -> str:
    array, pe = machine.array, machine.pe
    overflow = "saturate" if pe.overflow == "saturate" else "wrap around"
    shape = f"""{array.rows} x {array.columns} PEs, {pe.weight} weights, {pe.activation} activations; sums of
        {pe.partial_sum_bits} bits in the array and {pe.accumulator_bits} bits in the accumulators {overflow} where
        they do not fit. SystemVerilog (IEEE 1800-2012), as Verilator 5, Icarus Verilog 11 and yosys 0.23 read it."""
    if pe.weight.bipolar or pe.activation.bipolar:
        shape += """ On the array's ports -1 and +1 have two bits, 11 and 01; 00 is for rows and columns that a fold
            leaves idle. As outputs they have one."""
    files = [
        *(
            (f"`rtl/{design.name}.sv`", f"the array, {_words(design.dataflow)}: parameters, ports")
            for design in designs
        ),
        (f"`rtl/{requantizer_top.name_of(designs[0])}.sv`", "the requantizer: parameters, ports"),
        ("`rtl/sa_*.sv`", "the modules, written by hand; the same for every machine"),
        ("`files.f`", "all of `rtl/`, for the command line of a simulator"),
        *((f"`testbench/{design.name}*`", "a testbench, what it runs, and what to expect of it") for design in designs),
        ("`manifest.json`", "the machine, and what was written"),
    ]
    description = machine.description or "An accelerator around a systolic array."
    heading = f"# {' '.join(machine.name.split())}\n\n{_paragraph(description)}\n{_paragraph(shape)}\n"
    return heading + _table(("file", "what it is"), files)


def _commands(designs: Sequence[Design]) -> str:
    name = designs[0].name
    bench = f"{name}_testbench"
    files = "$(tr '\\n' ' ' < files.f)"
    small = "-set ROWS 2 -set COLUMNS 2 -set ADDRESS_BITS 1"
    return f"""## Tools

From this folder; what they make goes elsewhere, so that the folder can be written again. Lint:

    verilator --lint-only -Wall -f files.f --top-module {name}

Simulate, with either simulator; it says PASSED, or which sum or cycle differs:

    (cd testbench && iverilog -g2012 -s {bench} -o /tmp/{name}.vvp -c {name}.f && vvp -n /tmp/{name}.vvp)
    (cd testbench && verilator --binary --timing --top-module {bench} --Mdir /tmp/{name} -f {name}.f)
    (cd testbench && /tmp/{name}/V{bench})

Read into yosys; synthesize a small array of the same PEs. By default yosys fuses multiplier and adder at the width of
the sum, and a PE comes out half as large again; hence `-noalumacc`. The accumulator buffer is a memory for each lane,
with a port that adds and one that reads, where a chip has macros: keep it small where it becomes flip-flops.

    yosys -q -p "read_verilog -sv {files}; hierarchy -check -top {name}"
    yosys -p "read_verilog -sv {files}; chparam {small} {name}; synth -noalumacc -top {name}"
"""


def _design(design: Design) -> str:
    values = [(f"`{key}`", f"{value:d}", meaning(design, key)) for key, value in design.parameters.items()]
    parameters = _table(("parameter", "value", "of the machine"), values)
    ports = _table(("port", "direction", "bits", ""), _port_rows(design))
    return f"## {design.name}\n\n{_paragraph(_dataflow(design))}\n{parameters}\n{ports}\n{_timing(design)}"


def _dataflow(design: Design) -> str:
    moving, other = _roles(design)
    if design.output_stationary:
        leaves = {"down": "down the columns", "right": "right along the rows", "none": "over a bus"}
        way = leaves[design.machine.array.shift_out]
        return f"Results stay: {moving} move right, {other} move down, and the sums of a fold leave {way} at its end."
    return f"One operand stays: {other} are loaded, {moving} move right, and sums move down."


def _port_rows(design: Design) -> list[tuple[str, ...]]:
    moving, other = _roles(design)
    timing = ArrayTiming.of(design.machine.array, design.dataflow)
    words = {
        "reset": 3 * (timing.load_cycles + timing.streaming_cycles(1)),
        "load": "initial sums of a row" if design.output_stationary else f"a row of {other} that stays",
        "moving": moving,
        "other": other,
    }
    return [
        (f"`{name}`", way, f"{_bits(design, width)}", _PORT_MEANINGS[name].format(**words))
        for way, name, width in PORTS
        if design.output_stationary or name != "other_data"
    ]


def _bits(design: Design, width: str) -> int:
    array, values = design.machine.array, design.parameters
    sizes = {
        **values,
        "LOAD_BITS": values["SUM_BITS" if design.output_stationary else "OTHER_BITS"],
        "LANES": design.lanes,
        "ROW_BITS": array.rows.bit_length(),
        "COUNT_BITS": (array.rows * array.columns + design.lanes).bit_length(),
    }
    return prod(int(sizes.get(factor, 1)) for factor in width.split("*"))


def _timing(design: Design) -> str:
    array = design.machine.array
    timing = ArrayTiming.of(array, design.dataflow)
    laws = [
        ("load", f"{timing.load_cycles}", "rows of what is loaded, one a clock"),
        ("skew of the rows", f"{timing.row_step_cycles} r", "row r works so many clocks behind row 0"),
        ("skew of the columns", f"{timing.column_step_cycles} c", "column c works so many clocks behind column 0"),
        ("flush", f"{timing.flush_cycles}", "from the clock after the last operand until the last result is out"),
        ("a fold", f"S + {timing.flush_cycles}", "from its first operand to its last result, both included"),
        ("from fold to fold", _period(timing), "from the begin of one to the begin of the next"),
    ]
    if timing.shift_out_cycles:
        laws.insert(4, ("of which shift-out", f"{timing.shift_out_cycles}", "results leave, a beat a clock"))
    lengths = sorted({1, array.rows, 4 * array.rows, 1024})
    examples = [(f"{stream:,}", *(f"{cycles:,}" for cycles in _example(timing, stream))) for stream in lengths]
    head = ("S", "a fold", "from fold to fold", f"{_EXAMPLE_FOLDS} folds, from the first load to the last result")
    return f"""Cycles of a fold that streams S operands. Cycle 0 is the first one in which an operand enters.

{_table(("", "cycles", ""), laws)}
{_table(head, examples)}"""


def _example(timing: ArrayTiming, stream: int) -> tuple[int, int, int]:
    folds = [stream] * _EXAMPLE_FOLDS
    return timing.streaming_cycles(stream), timing.period(stream), timing.sequence_cycles(folds)


def _period(timing: ArrayTiming) -> str:
    if not timing.overlapped:
        return f"{timing.load_cycles} + S + {timing.flush_cycles}"
    least = timing.behind_wave_cycles
    if not least:
        return "S"
    if timing.serialized_short_folds:
        return f"S; S + {least} where S < {least}"
    return f"max(S, {least})"


def _requantizer(machine: Machine, name: str) -> str:
    values = requantizer_top.parameters_of(machine)
    bits = {key: int(value) for key, (value, _) in values.items()}
    widths = {
        "VALUE_BITS+1": bits["VALUE_BITS"] + 1,
        "$clog2(2*LANES+1)": (2 * bits["LANES"]).bit_length(),
    }
    ports = [
        (f"`{port}`", way, str(widths.get(width) or prod(bits.get(factor, 1) for factor in width.split("*"))), text)
        for way, _, width, port, text in requantizer_top.ports_of(machine)
    ]
    parameters = [(f"`{key}`", f"{value:d}", text) for key, (value, text) in values.items()]
    text = f"""Sums become activations: {_formula(machine)} {_comparison(bits["THRESHOLDS"])} A set of sums may enter in
        every clock; its outputs leave {requantizer_top.LATENCY_CYCLES} clocks later."""
    tables = (
        _table(("parameter", "value", "of the machine"), parameters),
        _table(("port", "direction", "bits", ""), ports),
    )
    return "\n".join([f"## {name}\n", _paragraph(text), *tables])


def _formula(machine: Machine) -> str:
    unit, final_bits = REQUANTIZERS[machine.vector.requantizer], machine.pe.delivered_sum_bits
    total = "sum + bias"
    if final_bits < machine.pe.accumulator_bits:
        total = f"saturate(sum + bias, {final_bits} bits)"
    if not isinstance(unit, FixedPoint):
        return f"""`clamp(round(float32({total}) * scale) + zero_point, low, high)`, the product in single precision,
            rounded half to even both times; a scale is a float32 number."""
    factor = f" above a factor of {unit.factor_bits} unsigned bits" if unit.factor_bits else ", without a factor"
    return f"""`clamp(round(({total}) * factor / 2^shift) + zero_point, low, high)`, exactly: `{unit.name}`
        {unit.meaning}. A scale is a shift of 6 bits{factor}."""


def _comparison(thresholds: int) -> str:
    if not thresholds:
        return ""
    return f"""Or they are compared (`by_thresholds`): an output is then `low` plus as many as the sum has reached of
        its channel's thresholds, {thresholds} at most, in the same clocks. A sum has reached a threshold that it is not
        below; where outputs fall as sums rise (`falling`), one that it is not above, whose word is the threshold and 1.
        What is `beyond` is above every sum."""


def _left_out(machine: Machine) -> str:
    dram = machine.dram
    memory = f"{dram.bandwidth_bytes_per_cycle:g} bytes a cycle, {dram.latency_cycles} cycles of latency"
    return f"""## What of the machine is not here

- The DRAM ({memory}) and the DMA that fetches tiles from it.
- The weight and the activation buffer, their ports, and the address generator that reads patches of an image: the
  array asks for operand `stream_index` of its fold, and whatever answers decides when it is there.
- The vector unit beside its requantizer: residual additions, pooling, and its way to the buffers.
- Technology: the clock of {machine.clock_hz / 1e6:g} MHz is the machine's word, not the result of timing analysis.
"""


def _roles(design: Design) -> tuple[str, str]:
    """The operand that moves right, and the other one."""
    return ("weights", "activations") if design.dataflow == "input_stationary" else ("activations", "weights")


def _words(text: str) -> str:
    return " ".join(text.replace("_", " ").split())


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
