"""The testbench in SystemVerilog around a design, and what it is given and leaves behind: text, to read and to edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from accel.rtl.design import Design
from accel.rtl.replay import STAMPS, Response
from accel.rtl.stimulus import Int64Array, Stimulus, sums_of
from accel.rtl.top import PORTS, port_range

_FOLDER = Path(__file__).resolve().parent / "testbench"
_HEADER = (
    "magic",
    "folds",
    "tiles",
    "operands",
    "rows",
    "columns",
    "lanes",
    "moving_bits",
    "other_bits",
    "accumulator_bits",
    "reset_cycles",
    "cycle_limit",
)
_FOLD = (
    "length",
    "address",
    "accumulate",
    "load_ready",
    "stream_ready",
    "hold",
    "hold_at",
    "moving",
    "moving_rows",
    "moving_row_stride",
    "moving_step_stride",
    "other",
    "other_rows",
    "other_columns",
    "other_row_stride",
    "other_column_stride",
)
_TILE = ("end", "address", "rows")
_OPERANDS_IN_A_LINE = 32


def driver_text() -> str:
    """The hand-written module that drives and judges any design."""
    return (_FOLDER / "sa_testbench.sv").read_text(encoding="utf-8")


def bench_text(design: Design, stimulus: str = "stimulus.txt", expected: str = "expected.txt") -> str:
    """SystemVerilog of a simulation's top: a design and ``sa_testbench``, wired up.

    Parameters
    ----------
    stimulus, expected
        Files that are read unless the simulator's command line names others.
    """
    values = design.parameters
    sizes = {name: values[name] for name in ("ROWS", "COLUMNS", "MOVING_BITS", "OTHER_BITS")}
    sizes |= {
        "LANES": design.lanes,
        "LOAD_BITS": values["SUM_BITS" if design.output_stationary else "OTHER_BITS"],
        "ACCUMULATOR_BITS": values["ACCUMULATOR_BITS"],
        "LENGTH_BITS": values["LENGTH_BITS"],
        "ADDRESS_BITS": values["ADDRESS_BITS"],
    }
    given = [*sizes, "ROW_BITS", "COUNT_BITS"]
    ports = [name for _, name, _ in PORTS]
    of_design = [name for name in ports if design.output_stationary or name != "other_data"]
    wires = {name: name if name in of_design else f"unused_{name}" for name in ports}
    lines = [
        f"// Runs {design.name} on the folds of a file; sa_testbench.sv says what the files hold.",
        f"module {design.name}_testbench;",
        *(f"    localparam int {name} = {value:d};" for name, value in sizes.items()),
        "    localparam int ROW_BITS = $clog2(ROWS + 1);",
        "    localparam int COUNT_BITS = $clog2(ROWS * COLUMNS + LANES + 1);",
        "",
        *(f"    wire {port_range(width)} {wires[name]};".replace("wire  ", "wire ") for _, name, width in PORTS),
        "",
        f"    {design.name} dut (",
        *_connections({name: name for name in of_design}),
        "    );",
        "    sa_testbench #(",
        *(f"        .{name}({name})," for name in given),
        f"        .RESULTS_STAY(1'b{design.output_stationary:d}),",
        f'        .STIMULUS("{stimulus}"),',
        f'        .EXPECTED("{expected}")',
        "    ) testbench (",
        *_connections(wires),
        "    );",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def stimulus_text(stimulus: Stimulus) -> str:
    """A stimulus as the testbench reads it."""
    header, folds, tiles, operands = _tables(stimulus.content)
    lines = [*_table(_HEADER[1:], [header[1:]]), *_table(_FOLD, folds), *_table(_TILE, tiles), "operands"]
    for start in range(0, len(operands), _OPERANDS_IN_A_LINE):
        lines.append(" ".join(map(str, operands[start : start + _OPERANDS_IN_A_LINE].tolist())))
    return "\n".join(lines) + "\n"


def response_text(stimulus: Stimulus, response: Response) -> str:
    """A response as the testbench writes it: what it compares with. Lanes that hold no result are 0."""
    lines = ["sums"]
    design = stimulus.design
    for tile, rows, sums in zip(stimulus.tiles, stimulus.rows_of_tile, response.sums, strict=True):
        buffer = np.zeros(rows * design.lanes, np.int64)
        buffer[sums_of(design, tile, np.arange(buffer.size))] = sums
        lines += _lines(buffer.reshape(rows, design.lanes).tolist())
    lines += _table([name.replace(" ", "_") for name in STAMPS], response.stamps.tolist())
    return "\n".join([*lines, "overflows", str(response.overflows)]) + "\n"


def numbers(text: str) -> Int64Array:
    """The numbers of a results file, in order."""
    lines = [line for line in text.splitlines() if not line[:1].isalpha()]
    return np.array(" ".join(lines).split(), np.int64)


def _tables(content: bytes) -> tuple[list[int], list[list[int]], list[list[int]], Int64Array]:
    header = np.frombuffer(content, np.int64, len(_HEADER)).tolist()
    sizes = dict(zip(_HEADER, header, strict=True))
    at = 8 * len(_HEADER)
    tables = []
    for count, width in ((sizes["folds"], len(_FOLD)), (sizes["tiles"], len(_TILE))):
        tables.append(np.frombuffer(content, np.int64, count * width, at).reshape(count, width).tolist())
        at += 8 * count * width
    operands = np.frombuffer(content, np.int32, sizes["operands"], at).astype(np.int64)
    return header, tables[0], tables[1], operands


def _table(names: Sequence[str], rows: Iterable[Sequence[int]]) -> list[str]:
    return [" ".join(names), *_lines(rows)]


def _lines(rows: Iterable[Sequence[int]]) -> list[str]:
    return [" ".join(map(str, row)) for row in rows]


def _connections(wires: Mapping[str, str]) -> list[str]:
    last = list(wires)[-1]
    return [f"        .{port}({wire}){',' if port != last else ''}" for port, wire in wires.items()]
