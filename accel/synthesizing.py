"""A machine synthesized piece by piece, each piece beside what the cost model says of it."""

from __future__ import annotations

from collections.abc import Callable

from accel.arch.spec import ArraySpec, Machine, PeSpec
from accel.arch.technology import Technology, load_technology
from accel.cost.area import pe_um2, requantizer_um2, sum_adder_um2
from accel.numerics.qtype import QType
from accel.rtl.synth import REFERENCE_PE, Piece, pieces_of
from accel.rtl.toolchain import find_yosys
from accel.rtl.yosys import CellLibrary, Netlist, find_library, synthesize
from accel.synthesis import Block, Synthesis

Progress = Callable[[str, int, int], None]


def synthesize_machine(machine: Machine, progress: Progress | None = None) -> Synthesis:
    """Synthesize the pieces of a machine's arrays and vector unit.

    Raises
    ------
    AccelError
        Yosys or its cell library is missing, or fails; the RTL does not cover the machine.
    """
    report = progress or (lambda text, done, total: None)
    yosys, library = find_yosys(), find_library()
    technology = load_technology(machine.technology)
    pieces = pieces_of(machine)
    netlists: dict[tuple[str, tuple[tuple[str, int], ...]], Netlist] = {}

    def block(piece: Piece, of: Machine, done: int) -> Block:
        key = (piece.module, tuple(piece.parameters.items()))
        if key not in netlists:
            report(f"synthesizing {piece.module}", done, len(pieces) + 1)
            netlists[key] = synthesize(piece.module, piece.parameters, library)
        return _block(piece, netlists[key], library, _model_um2(piece, of, technology))

    return Synthesis(
        machine=machine.name,
        technology=technology.name,
        library=library.name,
        yosys=yosys.version,
        reference=block(REFERENCE_PE, _reference(machine), 0),
        blocks=tuple(block(piece, machine, done) for done, piece in enumerate(pieces, 1)),
    )


def _block(piece: Piece, netlist: Netlist, library: CellLibrary, model_um2: float | None) -> Block:
    return Block(
        part=piece.part,
        name=piece.name,
        module=piece.module,
        parameters=piece.parameters,
        count=piece.count,
        cells=netlist.cell_count,
        flip_flops=netlist.flip_flops,
        nand2=netlist.area_um2 / library.nand2_um2,
        area_um2=netlist.area_um2,
        model_um2=model_um2,
    )


def _model_um2(piece: Piece, machine: Machine, technology: Technology) -> float | None:
    match piece.module:
        case "sa_pe_operand_stays" | "sa_pe_result_stays":
            array = machine.array.model_copy(update={"dataflow": (piece.dataflow,)})
            return pe_um2(machine.model_copy(update={"array": array}), technology)
        case "sa_delay":
            return technology.register_um2(1)
        case "sa_add":
            return sum_adder_um2(machine, technology, machine.pe.accumulator_bits)
        case "sa_requantizer_lane":
            return requantizer_um2(machine, technology)
    return None


def _reference(machine: Machine) -> Machine:
    """A machine with the PE that others are compared with."""
    array = ArraySpec(rows=1, columns=1, dataflow=("weight_stationary",), overlap="none")
    pe = PeSpec(weight=QType(8, signed=True), activation=QType(8, signed=True), accumulator_bits=32)
    return machine.model_copy(update={"array": array, "pe": pe})
