"""Synthesis: the pieces of a machine are what its whole array consists of; every failure says what to do."""

from __future__ import annotations

import itertools
import json
import math
import os
import tempfile
from pathlib import Path

import pytest

from accel.arch.load import load_arch
from accel.arch.registers import pe_registers
from accel.arch.spec import Dataflow
from accel.arch.technology import load_technology
from accel.cost.area import pe_um2, requantizer_um2
from accel.cost.requantizer import requantizer_parts
from accel.errors import AccelError
from accel.numerics.requantize import REQUANTIZERS
from accel.rtl import yosys
from accel.rtl.design import Design
from accel.rtl.sources import modules, modules_under
from accel.rtl.synth import edge_register_bits, pe_of, pieces_of, requantizer_of
from accel.rtl.top import top_text
from accel.rtl.yosys import CellLibrary, find_library, read_library, synthesize, synthesize_text
from accel.synthesizing import synthesize_machine
from tests.machines import machine
from tests.rtl.tools import covered_machines, needs_synthesis

ROWS, COLUMNS = 2, 3
SHIFTS = ("shift_rne", "shift_floor", "shift_half_up")


def small(dataflow: Dataflow, overlap: str = "double_buffered", **array: object) -> Design:
    """Products of 8 bits in sums of 8: no bit of any register is a copy of another one."""
    described = machine(
        ROWS, COLUMNS, dataflow, overlap, weight="int4", activation="int4", accumulator_bits=8, array=dict(array)
    )
    return Design(described, dataflow, length_bits=4, address_bits=1)


@needs_synthesis
@pytest.mark.parametrize(
    ("design", "control_bits"),
    [
        (small("weight_stationary"), 1),
        (small("weight_stationary", "none"), 1),
        (small("input_stationary", vertical_hop_latency_cycles=2, multiplier_latency_cycles=1), 1),
        (small("output_stationary"), 3),
        (small("output_stationary", "none"), 3),
        (small("output_stationary", shift_out="none", accumulate_latency_cycles=1), 3),
        (small("output_stationary", shift_out="right", horizontal_hop_latency_cycles=2), 3 * 2),
        (small("output_stationary", accumulator_preload=True), 3),
    ],
)
def test_a_pes_registers_are_those_of_the_description(design: Design, control_bits: int) -> None:
    """Flip-flops that yosys leaves, against words counted from the machine's fields, and what travels beside them.

    Beside an operand: the bank that it is for, or first, last and bank. Captures wait for the sum as many cycles as the
    adder has (and one more, which is the hop to the right), and loads travel with a hop of more than one cycle.
    """
    array = design.machine.array
    counted = pe_registers(array, design.dataflow).bits(design.machine.pe) + control_bits
    if design.output_stationary:
        counted += 3 * array.multiplier_latency_cycles
        captures = array.overlap == "double_buffered" and array.shift_out != "none"
        counted += array.accumulate_latency_cycles * captures
    elif array.overlap == "double_buffered":
        counted += 2 * (array.vertical_hop_latency_cycles - 1)
    piece = pe_of(design)
    assert synthesize(piece.module, piece.parameters, find_library()).flip_flops == counted


@needs_synthesis
@pytest.mark.parametrize(
    ("design", "beside_operands_bits", "far_edge_bits"),
    [
        (small("weight_stationary"), 1, 0),
        (small("weight_stationary", "none"), 0, 0),
        (small("weight_stationary", input_latency_cycles=1, output_latency_cycles=2), 1, 0),
        (small("output_stationary"), 2, COLUMNS * 8),  # nothing comes from above the first row
        (small("output_stationary", "none"), 1, 0),
        (small("output_stationary", shift_out="none"), 1, 0),
    ],
)
def test_the_pieces_make_the_whole_array(design: Design, beside_operands_bits: int, far_edge_bits: int) -> None:
    """Flip-flops of a whole array, sequencer and accumulators included, are those of its pieces.

    Less what PEs at the right and lower edge pass on to nobody, and what is beside no operand of this machine. Where
    control has bits to spare, a few more or fewer flip-flops remain of it in one place than in the other.
    """
    library = find_library()
    text = "\n".join(modules()[name] for name in modules_under(design.module)) + top_text(design, "whole")
    whole = synthesize_text(text, "whole", {}, library).flip_flops
    pieces = [piece for piece in pieces_of(design.machine) if piece.dataflow == design.dataflow]
    pieces = [piece for piece in pieces if "edge" not in piece.name and "sequencer" not in piece.name]
    flip_flops = sum(piece.count * synthesize(piece.module, piece.parameters, library).flip_flops for piece in pieces)
    sequencer = {"DOUBLE_BUFFERED": int(design.machine.array.overlap != "none"), "LENGTH_BITS": 4, "ADDRESS_BITS": 1}
    sequencer |= {"LOAD_CYCLES": ROWS * (not design.output_stationary)}
    sequencer |= {
        "SHIFT_CYCLES": design.beats * (design.output_stationary and design.machine.array.shift_out != "none")
    }
    flip_flops += synthesize("sa_sequencer", sequencer, library).flip_flops
    flip_flops += edge_register_bits(design)
    memory = 2 * design.lanes * 8
    control_bits = 3 if design.output_stationary else 1
    passed_on = ROWS * (4 + beside_operands_bits)
    if design.output_stationary or design.machine.array.overlap != "none":
        passed_on += COLUMNS * 4
    unused = ROWS * COLUMNS * (control_bits - beside_operands_bits) + far_edge_bits
    assert whole == pytest.approx(flip_flops + memory - passed_on - unused, abs=4)


def test_parameters_and_counts_come_from_the_machine() -> None:
    edge = load_arch("edge-32x32")
    pieces = {piece.name: piece for piece in pieces_of(edge)}
    assert pieces["PE"].count == 1024
    assert pieces["PE"].parameters["HELD_BITS"] == pieces["PE"].parameters["MOVING_BITS"] == 8
    assert (pieces["PE"].parameters["DOUBLE_BUFFERED"], pieces["PE"].parameters["EXACT"]) == (1, 1)
    # Skew of both operands, a triangle each of 496 bytes, of the banks along the rows and the loads along the columns;
    # alignment of 32-bit sums; an address of 11 bits, two flags and a valid bit for 63 cycles.
    assert pieces["edge register bit"].count == 496 * (8 + 8 + 32) + 31 * 1 + 31 * 2 + (32 + 31) * (11 + 3)
    assert pieces["accumulator adder"].count == pieces["requantizer lane"].count == 32
    lane = pieces["requantizer lane"].parameters
    assert (lane["ACCUMULATOR_BITS"], lane["TOTAL_BITS"], lane["VALUE_BITS"], lane["SATURATE"]) == (32, 32, 8, 0)
    assert pieces["shared register bit"].count == 3 * 3 * 9 + 4
    exchanged = machine(weight="int4", activation="uint8", dataflow="input_stationary", overflow="saturate")
    parameters = pieces_of(exchanged)[0].parameters
    assert (parameters["MOVING_BITS"], parameters["MOVING_SIGNED"]) == (4, 1)
    assert (parameters["HELD_BITS"], parameters["HELD_SIGNED"]) == (8, 0)
    assert (parameters["SATURATE"], parameters["EXACT"]) == (1, 0)
    assert requantizer_of(exchanged).parameters["SATURATE"] == 1


@needs_synthesis
@pytest.mark.parametrize("requantizer", ["mantissa8_half_away", "shared_exponent8", *SHIFTS])
def test_registers_of_integer_requantizers_are_the_cost_models(requantizer: str) -> None:
    given = machine(requantizer=requantizer, weight="int2", activation="int4", accumulator_bits=8)
    lane = requantizer_of(given)
    assert lane.parameters["FLOAT32"] == 0
    flip_flops = synthesize(lane.module, lane.parameters, find_library()).flip_flops
    assert flip_flops == requantizer_parts(given).register_bits


@needs_synthesis
def test_a_total_takes_no_more_registers_than_it_has_bits() -> None:
    narrow = {"accumulator_bits": 12, "pe": {"final_sum_bits": 9}}
    given = machine(requantizer="shift_floor", weight="int2", activation="int4", **narrow)
    lane = requantizer_of(given)
    assert (lane.parameters["ACCUMULATOR_BITS"], lane.parameters["TOTAL_BITS"]) == (12, 9)
    flip_flops = synthesize(lane.module, lane.parameters, find_library()).flip_flops
    assert flip_flops == requantizer_parts(given).register_bits


@needs_synthesis
def test_comparators_register_what_they_say_its_count_and_the_value() -> None:
    plain, comparing = (
        machine(requantizer="shift_floor", weight="int2", activation="int4", accumulator_bits=8, threshold_steps=steps)
        for steps in (0, 7)
    )
    lanes = [requantizer_of(given) for given in (plain, comparing)]
    without, with_them = (synthesize(lane.module, lane.parameters, find_library()) for lane in lanes)
    assert with_them.flip_flops - without.flip_flops == 7 + 3 + 4
    technology = load_technology("45nm")
    model = requantizer_um2(comparing, technology) - requantizer_um2(plain, technology)
    assert model == pytest.approx(7 * technology.adder_um2(8))


@pytest.mark.parametrize("requantizer", REQUANTIZERS)
def test_every_requantizer_has_a_lane(requantizer: str) -> None:
    lane = requantizer_of(machine(requantizer=requantizer))
    assert lane.parameters.get("SCALE_BITS", 32) == REQUANTIZERS[requantizer].word_bits


@pytest.mark.parametrize("path", covered_machines(), ids=lambda path: path.stem)
def test_every_machine_of_the_gallery_has_pieces(path: Path) -> None:
    described = load_arch(path)
    pieces = pieces_of(described)
    for piece in pieces:
        assert piece.count > 0
        text = modules()[piece.module]
        assert all(f" {name} =" in text or f"{name}   " in text for name in piece.parameters)
    parts = list(dict.fromkeys(piece.part for piece in pieces))
    assert len(parts) == len(described.array.dataflow) + 1
    assert parts[-1] == "vector unit"


@needs_synthesis
def test_a_machine_beside_its_cost_model() -> None:
    described = machine(dataflow="output_stationary", weight="int2", activation="int2", accumulator_bits=8)
    seen: list[tuple[str, int, int]] = []
    synthesis = synthesize_machine(described, lambda *what: seen.append(what))
    technology = load_technology("45nm")
    blocks = {block.name: block for block in synthesis.blocks}
    assert blocks["PE"].model_um2 == pytest.approx(pe_um2(described, technology))
    assert blocks["requantizer lane"].model_um2 == pytest.approx(requantizer_parts(described).um2(technology))
    assert blocks["edge register bit"].area_um2 == find_library().areas_um2["DFFPOSX1"]
    assert blocks["edge register bit"].model_um2 == technology.register_um2(1)
    assert blocks["accumulator adder"].model_um2 == technology.adder_um2(8)
    assert blocks["sequencer"].model_um2 is None
    assert synthesis.reference.model_um2 == pytest.approx(282 + 137 + (8 + 8 + 32) * 5.98)
    assert (
        synthesis.in_reference_pes([synthesis.reference])
        == synthesis.model_in_reference_pes([synthesis.reference])
        == 1
    )
    assert all(block.nand2 == block.area_um2 / 24 for block in synthesis.blocks)
    assert [text for text, *_ in seen].count("synthesizing sa_delay") == 1, "one bit of a register is like another"
    record = json.loads(synthesis.to_json())
    whole = sum(block["reference_pes"] for block in record["blocks"] if block["part"].startswith("array"))
    assert whole == pytest.approx(synthesis.in_reference_pes(synthesis.parts["array, output stationary"]))
    assert record["blocks"][0]["total_area_um2"] == 20 * blocks["PE"].area_um2


@needs_synthesis
def test_cells_are_counted_and_overflows_reported_to_nobody() -> None:
    library = find_library()
    assert synthesize("sa_delay", {"BITS": 3, "CYCLES": 2}, library).cells == {"DFFPOSX1": 6}
    plain, reporting = (synthesize("sa_add", {"BITS": 8, "EXACT": exact}, library) for exact in (1, 0))
    assert reporting.area_um2 == pytest.approx(plain.area_um2, rel=0.06), "the mapper finds one or the other form"
    assert "overflow" not in reporting.verilog
    assert synthesize("sa_add", {"BITS": 8, "SATURATE": 1}, library).area_um2 > plain.area_um2
    by_hand = math.fsum(library.areas_um2[cell] * count for cell, count in plain.cells.items())
    assert plain.area_um2 == pytest.approx(by_hand)
    assert plain.verilog.count(" (\n    .") == plain.cell_count


LIBERTY = """
library (tiny) {
  cell (NAND2X1) { area : 24; pin(A) { direction : input; } }
  cell ("DFF") {
    cell_footprint : "dff"; area : 96.5;
    ff (IQ, IQN) { next_state : "D"; }
  }
  cell (FILL) { pin(A) { direction : input; } }
}
"""


def test_a_library_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib"
    path.write_text(LIBERTY)
    library = read_library(path)
    assert library.areas_um2 == {"NAND2X1": 24, "DFF": 96.5}
    assert library.flip_flops == {"DFF"}
    assert library.nand2_um2 == 24


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(yosys, "_LIBRARY_PATHS", (tmp_path,))
    find_library.cache_clear()
    yield tmp_path
    find_library.cache_clear()


def test_a_missing_library_names_its_package(libraries: Path) -> None:
    with pytest.raises(AccelError) as caught:
        find_library()
    assert str(caught.value) == (
        "the cell library osu018_stdcells is not installed; "
        "install it from the system's packages: apt-get install qflow-tech-osu018"
    )


def test_a_broken_library_is_to_be_installed_again(libraries: Path) -> None:
    path = libraries / "osu018_stdcells.lib"
    path.write_text("not a library")
    with pytest.raises(AccelError) as caught:
        find_library()
    assert str(caught.value) == (
        f"{path}: the cell library has no cell NAND2X1; install it again: apt-get install --reinstall qflow-tech-osu018"
    )


AGAIN = "; use the system's yosys, of the version that the distribution ships: apt-get install yosys"


def tiny_library(folder: Path) -> CellLibrary:
    path = folder / "tiny.lib"
    path.write_text(LIBERTY)
    return read_library(path)


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("exit 0", "it ended without statistics"),
        ("echo 'ERROR: ABC: execution of command failed'; exit 1", "ABC: execution of command failed"),
        ("exit 139", "exit code 139"),
        (
            'echo \'{"design": {"num_cells_by_type": {"$_NAND_": 3}}}\' > cells.json; touch netlist.v',
            "it left $_NAND_ without a cell of the library",
        ),
        ("echo > cells.json; touch netlist.v", "it ended without statistics"),
    ],
)
def test_a_yosys_that_fails_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str
) -> None:
    program = tmp_path / "yosys"
    program.write_text(f'#!/bin/sh\nif [ "$1" = -V ]; then echo "Yosys 0.23"; exit 0; fi\n{does}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with pytest.raises(AccelError) as caught:
        synthesize("sa_delay", {}, tiny_library(tmp_path))
    assert str(caught.value) == f"yosys could not synthesize sa_delay ({says}){AGAIN}"


def test_a_yosys_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its mapper has on the disk by then is gone with it."""
    program = tmp_path / "yosys"
    program.write_text('#!/bin/sh\nif [ "$1" = -V ]; then echo "Yosys 0.23"; exit 0; fi\nmktemp -d\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(yosys, "_LIMIT_SECONDS", 0.2)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(AccelError, match=r"it took more than 0\.2 s"):
        synthesize("sa_delay", {}, tiny_library(tmp_path))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_without_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AccelError, match=r"yosys is not installed, or not on PATH; .* apt-get install yosys"):
        synthesize("sa_delay", {}, tiny_library(tmp_path))


@needs_synthesis
@pytest.mark.parametrize(("sum_bits", "wider"), list(itertools.pairwise((8, 16, 32))))
def test_wider_sums_take_more(sum_bits: int, wider: int) -> None:
    areas = [
        synthesize("sa_pe_operand_stays", {"SUM_BITS": bits, "MOVING_BITS": 2, "HELD_BITS": 2}, find_library()).area_um2
        for bits in (sum_bits, wider)
    ]
    assert areas[0] < areas[1]
