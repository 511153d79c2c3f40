"""The pieces that a machine's array and vector unit consist of, each to be synthesized once."""

from __future__ import annotations

from dataclasses import dataclass

from accel.arch.registers import edge_registers, result_lanes
from accel.arch.spec import Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.rtl.design import Design, check_covered, designs_of
from accel.rtl.requantize import lane_parameters

_PE_PARAMETERS = (
    "MOVING_BITS",
    "MOVING_SIGNED",
    "OTHER_BITS",
    "OTHER_SIGNED",
    "XNOR",
    "SUM_BITS",
    "SATURATE",
    "DOUBLE_BUFFERED",
    "SHIFT_OUT",
    "PRELOAD",
    "ROW_STEP",
    "COLUMN_STEP",
    "MULTIPLIER_LATENCY",
    "ACCUMULATE_LATENCY",
)
_SEQUENCER_PARAMETERS = ("DOUBLE_BUFFERED", "SERIALIZE_SHORT_FOLDS", "LENGTH_BITS", "ADDRESS_BITS")
_REQUANTIZER_STAGES = 4
_VALID_BITS = 1
_REGISTER = ("sa_delay", {"BITS": 1, "CYCLES": 1})


@dataclass(frozen=True, slots=True)
class Piece:
    """A module with its parameters, and how often a part of the machine has it."""

    name: str
    module: str
    parameters: dict[str, int]
    count: int
    dataflow: Dataflow | None = None
    """Of the array that the piece belongs to; None: the vector unit."""

    @property
    def part(self) -> str:
        """Of the machine, in words."""
        return "vector unit" if self.dataflow is None else f"array, {self.dataflow.replace('_', ' ')}"


REFERENCE_PE = Piece(
    name="PE of int8 x int8, sums of 32 bits",
    module="sa_pe_operand_stays",
    parameters={"MOVING_BITS": 8, "HELD_BITS": 8, "SUM_BITS": 32, "DOUBLE_BUFFERED": 0, "EXACT": 1},
    count=1,
    dataflow="weight_stationary",
)


def pieces_of(machine: Machine) -> list[Piece]:
    """Arrays (one for each dataflow) and vector unit of a machine, without memories.

    Every PE counts as one inside the array, though those at its right and lower edge have nobody to pass operands to.
    Registers in front of, behind and beside the PEs are alike, so that one bit is synthesized and counted.

    Raises
    ------
    AccelError
        What the machine asks for and the RTL does not cover.
    """
    check_covered(machine)
    return [piece for design in designs_of(machine) for piece in _array(design)] + _vector_unit(machine)


def edge_register_bits(design: Design) -> int:
    """Register bits around the PEs: skew, alignment, latency, and what travels beside the data.

    Beside operands of an array in which an operand stays: double buffered, the bank that they are for, and beside
    loads the bank that they are caught in. Where results stay: that an operand is the first of its fold; if results
    are caught, the last; and if sums are loaded, the bank. Beside results: their address, whether they are the last of
    a fold, whether they are added to what is there, and that they are valid.
    """
    array, timing = design.machine.array, ArrayTiming.of(design.machine.array, design.dataflow)
    doubled, shifts = timing.overlapped, array.shift_out != "none"
    loads = array.accumulator_preload or not design.output_stationary
    if design.output_stationary:
        moving_bits = 1 + (doubled and shifts) + (doubled and loads)
    else:
        moving_bits = int(doubled)
    load_bits = (2 if doubled else 1) * loads
    # One shift register along each edge, as all rows and all columns are told the same.
    control_bits = (array.rows - 1) * timing.row_step_cycles * moving_bits
    control_bits += (array.columns - 1) * timing.column_step_cycles * load_bits if doubled else 0
    control_bits += array.input_latency_cycles * (moving_bits + load_bits)
    result_bits = design.address_bits + 2 + _VALID_BITS
    return (
        edge_registers(array, design.dataflow).bits(design.machine.pe)
        + control_bits
        + _until_out_cycles(design) * result_bits
    )


def pe_of(design: Design) -> Piece:
    """A PE of a design. Where sums wrap there is nothing to find out about overflows."""
    values = design.parameters
    parameters = {name: int(values[name]) for name in _PE_PARAMETERS if name in values}
    if not design.output_stationary:
        parameters = {name.replace("OTHER", "HELD"): value for name, value in parameters.items()}
    parameters["EXACT"] = int(not values["SATURATE"])
    module = "sa_pe_result_stays" if design.output_stationary else "sa_pe_operand_stays"
    array = design.machine.array
    return Piece("PE", module, parameters, array.rows * array.columns, design.dataflow)


def requantizer_of(machine: Machine) -> Piece:
    """A lane of the requantizer, with outputs as wide as the array's activations."""
    parameters = {name: int(value) for name, value in lane_parameters(machine, machine.pe.activation).items()}
    return Piece("requantizer lane", "sa_requantizer_lane", parameters, machine.vector.lanes)


def _array(design: Design) -> list[Piece]:
    values, dataflow = design.parameters, design.dataflow
    pe = design.machine.pe
    adder = {"BITS": pe.accumulator_bits, "SATURATE": int(pe.overflow == "saturate")}
    preloads = values.get("PRELOAD", not design.output_stationary)
    sequencer = {name: int(values[name]) for name in _SEQUENCER_PARAMETERS} | {
        "LOAD_CYCLES": design.machine.array.rows if preloads else 0,
        "SHIFT_CYCLES": design.beats if values.get("SHIFT_OUT") else 0,
        "ROW_BITS": design.machine.array.rows.bit_length(),
    }
    return [
        pe_of(design),
        Piece("edge register bit", *_REGISTER, edge_register_bits(design), dataflow),
        Piece("accumulator adder", "sa_add", adder, result_lanes(design.machine.array, dataflow), dataflow),
        Piece("sequencer", "sa_sequencer", sequencer, 1, dataflow),
    ]


def _vector_unit(machine: Machine) -> list[Piece]:
    """Lanes share a delay line for the zero point and both bounds, which have a sign besides a value's bits.

    Another one has whether a set of sums is compared with thresholds.
    """
    lane = requantizer_of(machine)
    setting_bits = 3 * (machine.pe.activation.bits + 1)
    beside_bits = _VALID_BITS + (lane.parameters["THRESHOLDS"] > 0)
    shared_bits = (_REQUANTIZER_STAGES - 1) * setting_bits + _REQUANTIZER_STAGES * beside_bits
    return [lane, Piece("shared register bit", *_REGISTER, shared_bits)]


def _until_out_cycles(design: Design) -> int:
    """From an operand's cycle until its result is out; where results stay, from its fold's last, without shift-out."""
    array, timing = design.machine.array, ArrayTiming.of(design.machine.array, design.dataflow)
    pipeline = array.input_latency_cycles + array.multiplier_latency_cycles + array.output_latency_cycles
    across = timing.column_step_cycles * (array.columns - 1)
    if not design.output_stationary:
        return pipeline + timing.row_step_cycles * array.rows + across
    edge = 0 if array.shift_out == "none" else 1
    return pipeline + array.accumulate_latency_cycles + timing.row_step_cycles * (array.rows - 1) + across + edge
