"""The registers that cost and energy count are those that a synthesis tool finds in the RTL, bit for bit."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.registers import edge_registers
from accel.arch.spec import Machine
from accel.cost.area import pe_register_bits
from accel.rtl.design import Design, design_of
from accel.rtl.sources import modules, modules_under
from accel.rtl.toolchain import find_yosys
from accel.rtl.top import top_text
from tests.machines import DATAFLOWS, machine
from tests.rtl.tools import needs_yosys

PE = re.compile(r"array\.g_row\[(\d+)\]\.g_column\[(\d+)\]\.pe\.(.*)")
# What travels beside the data, and what is not the array: neither is counted.
CONTROL = {"bank_skew", "control_skew", "load_skew", "settle", "beside", "sequencer", "accumulators", "array"}
CONTROL_OF_A_PE = {"control", "load_down", "until_settled"}


def registers(design: Design) -> Counter[str]:
    """Bits of registers by the module that they are in, flags of overflow apart; nothing is optimized away."""
    text = "\n".join([*(modules()[name] for name in modules_under(design.module)), top_text(design)])
    script = f"read_verilog -sv design.sv; hierarchy -check -top {design.name}; proc; flatten; write_json netlist.json"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.sv").write_text(text)
        subprocess.run([find_yosys().path, "-q", "-p", script], cwd=folder, check=True, timeout=120)
        netlist = json.loads(Path(folder, "netlist.json").read_text())["modules"][design.name]
    flags = {path: set(net["bits"]) for path, net in netlist["netnames"].items() if path.endswith(".overflow")}
    found: Counter[str] = Counter()
    for name, cell in netlist["cells"].items():
        if "dff" in cell["type"]:
            # A cell is named after its module's place.
            place = name.partition("$procdff")[0].removeprefix("$flatten").replace("\\", "")
            bits = cell["connections"]["Q"]
            is_flag = flags.get(f"{place}overflow") == set(bits)
            found[place.removeprefix("core.") + ("overflow" if is_flag else "")] += len(bits)
    return found


def data_bits(design: Design) -> tuple[dict[tuple[int, int], int], int, dict[tuple[int, int], int]]:
    """Bits of data in each PE and around them, and of control in each PE."""
    values = design.parameters
    array = design.machine.array
    travelling = 3 if design.output_stationary else 1  # which bank; where results stay, first and last, too
    loads = not design.output_stationary or array.accumulator_preload
    inside: Counter[tuple[int, int]] = Counter()
    control: Counter[tuple[int, int]] = Counter()
    around = 0
    for path, bits in registers(design).items():
        parts = set(re.split(r"\.|\[", path))
        if place := PE.match(path):
            if "overflow" in parts:
                continue
            beside = bits if parts & CONTROL_OF_A_PE else values["COLUMN_STEP"] * travelling if "right" in parts else 0
            at = int(place[1]), int(place[2])
            inside[at] += bits - beside
            control[at] += beside
        elif "load_entry" in parts or "initial_skew" in parts:
            # Without anything to load nothing reads them, and they are not there.
            around += bits - (2 * values["INPUT_LATENCY"] if "load_entry" in parts else 0) if loads else 0
        elif "." in path and not parts & CONTROL:
            around += bits - (travelling * values["INPUT_LATENCY"] if "stream_entry" in parts else 0)
    return dict(inside), around, dict(control)


@st.composite
def small_machines(draw: st.DrawFn) -> Machine:
    hop, latency, size = st.integers(1, 3), st.sampled_from([0, 0, 1, 2]), st.integers(1, 3)
    types = st.builds("{}int{}".format, st.sampled_from(["", "u"]), st.integers(1, 8)) | st.just("bipolar")
    fields: dict[str, Any] = {
        "shift_out": draw(st.sampled_from(["down", "right", "none"])),
        "accumulator_preload": draw(st.booleans()),
        "vertical_hop_latency_cycles": draw(hop),
        "horizontal_hop_latency_cycles": draw(hop),
    }
    for name in ("multiplier", "accumulate", "input", "output"):
        fields[f"{name}_latency_cycles"] = draw(latency)
    return machine(
        rows=draw(size),
        columns=draw(size),
        dataflow=draw(st.sampled_from(DATAFLOWS)),
        overlap=draw(st.sampled_from(["none", "double_buffered"])),
        weight=draw(types),
        activation=draw(types),
        overflow=draw(st.sampled_from(["wrap", "saturate"])),
        array=fields,
        pe={"partial_sum_bits": draw(st.integers(17, 32))},
    )


@needs_yosys
@settings(max_examples=40, deadline=None)
@given(small_machines())
def test_registers_are_those_of_the_rtl(small: Machine) -> None:
    array, (dataflow,) = small.array, small.array.dataflow
    design = design_of(small, dataflow)
    inside, around, control = data_bits(design)
    places = {(r, c) for r in range(array.rows) for c in range(array.columns)}
    assert inside == dict.fromkeys(places, pe_register_bits(small))
    assert around == edge_registers(array, dataflow).bits(small.pe)

    # What is left out: a bank that is selected (and where results stay, first and last) with each operand that moves
    # right, two catches that travel down with what is loaded, a capture that waits until a sum has settled.
    doubled = array.overlap == "double_buffered"
    catches = 2 * (design.parameters["ROW_STEP"] - 1) if doubled else 0
    beside = array.horizontal_hop_latency_cycles + catches
    if dataflow == "output_stationary":
        beside = 3 * (array.horizontal_hop_latency_cycles + array.multiplier_latency_cycles)
        beside += catches if array.accumulator_preload else 0
        beside += 1 + array.accumulate_latency_cycles if doubled and array.shift_out != "none" else 0
    assert control == dict.fromkeys(places, beside)
