"""The machine as written: an array of processing elements, buffers, one DRAM and a vector unit.

Attributes are plain numbers with the unit in the name. The YAML keys differ where a file says a quantity together
with its unit: ``clock: 1 GHz`` becomes ``clock_hz``. From Python both spellings are legal,
``BufferSpec(capacity="1 KiB", ...)`` and ``BufferSpec(capacity_bytes=1024, ...)``. Everything is frozen, unknown keys
are refused, and nothing is coerced.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from accel.arch import rules
from accel.arch.base import Spec
from accel.arch.dram import DramDevice, DramSpec
from accel.arch.multiplier import Multiplier, Step, step_of
from accel.arch.qtype import PeType
from accel.arch.units import CAPACITY, CLOCK, WIDTH
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.digits import passes
from accel.numerics.qtype import QType

Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]
Overlap = Literal["none", "double_buffered"]
ShortFolds = Literal["overlapped", "serialized"]
ShiftOut = Literal["down", "right", "none"]
Overflow = Literal["wrap", "saturate"]
Requantizer = Literal[
    "float32_rne",
    "q31_double_rounding",
    "q31_floor_nudge",
    "q31_half_away",
    "q31_half_up",
    "mantissa16_half_away",
    "mantissa8_half_away",
    "shift_rne",
    "shift_floor",
    "shift_half_up",
    "shared_exponent8",
]
Adder = Literal["float32", "q31_double_rounding", "q21_half_up", "mantissa16_half_away"]

_DATAFLOW_NAMES = ["weight_stationary", "output_stationary", "input_stationary"]
_ONE_DATAFLOW = {"type": "string", "enum": _DATAFLOW_NAMES}
_DATAFLOW_SCHEMA = {
    "anyOf": [_ONE_DATAFLOW, {"type": "array", "items": _ONE_DATAFLOW, "minItems": 1, "uniqueItems": True}]
}
Dataflows = Annotated[
    tuple[Dataflow, ...], BeforeValidator(rules.as_dataflows), WithJsonSchema(_DATAFLOW_SCHEMA, mode="validation")
]


class ArraySpec(Spec):
    """The systolic array: its size, what stays in place, and when things move."""

    rows: int = Field(ge=1, le=512, description="Rows of PEs; the reduction (or output rows) of a fold fits in them.")
    columns: int = Field(ge=1, le=512, description="Columns of PEs.")
    dataflow: Dataflows = Field(
        description="Which operand stays in the PEs; of a list of them, the mapper picks one for each layer."
    )
    overlap: Overlap = Field(
        description="Whether the next stationary operand travels in (or results travel out) behind the running wave."
    )
    short_folds: ShortFolds = Field(
        default="overlapped",
        description=(
            "Double buffered only: a fold whose stream S is shorter than the next operand's load takes max(S, load) "
            "cycles when overlapped, S + load when serialized."
        ),
    )
    shift_out: ShiftOut = Field(
        default="down",
        description=(
            "How output-stationary results leave: down the columns (one beat a row), right along the rows "
            "(one beat a column), or not at all (a bus, no beats)."
        ),
    )
    accumulator_preload: bool = Field(
        default=False,
        description="Output stationary: initial partial sums are shifted in first, one row a cycle.",
    )
    multiplier_latency_cycles: int = Field(
        default=0, ge=0, le=16, description="Pipeline registers between multiplier and adder."
    )
    accumulate_latency_cycles: int = Field(
        default=0,
        ge=0,
        le=16,
        description=(
            "Pipeline registers behind the adder; where sums move through the rows, every hop down takes that much "
            "longer."
        ),
    )
    vertical_hop_latency_cycles: int = Field(
        default=1, ge=1, le=16, description="Registers between a PE and the one below it."
    )
    horizontal_hop_latency_cycles: int = Field(
        default=1, ge=1, le=16, description="Registers between a PE and the one to its right."
    )
    input_latency_cycles: int = Field(
        default=0, ge=0, le=16, description="Registers in front of the array, on every operand's way in."
    )
    output_latency_cycles: int = Field(
        default=0, ge=0, le=16, description="Registers behind the array, on every result's way out."
    )


class PeSpec(Spec):
    """A processing element: a multiplier, an adder and their registers."""

    weight: PeType = Field(description="Type of a weight in the array, int1 to int16, uint1 to uint16 or bipolar.")
    activation: PeType = Field(
        description="Type of an activation in the array, int1 to int16, uint1 to uint16 or bipolar."
    )
    accumulator_bits: int = Field(ge=8, le=64, description="Width of a sum in the accumulator buffer (signed).")
    partial_sum_bits: int = Field(
        default_factory=lambda fields: fields.get("accumulator_bits", 64),
        ge=8,
        le=64,
        description="Width of a sum inside the array (signed); as wide as the accumulators unless given.",
    )
    final_sum_bits: int | None = Field(
        default=None,
        ge=8,
        le=64,
        description=(
            "Width to which a finished sum, bias included, saturates on its way to the requantizer; as wide as the "
            "accumulators unless given."
        ),
    )
    overflow: Overflow = Field(
        default="wrap", description="What a sum that does not fit does: wrap around, or saturate at each addition."
    )

    multiplier: Multiplier = Field(
        default="parallel",
        description=(
            "parallel: a product of the PE's widths a cycle; bit_serial: a cycle for each bit of an activation; "
            "bit_serial_both: for each pair of bits; composable: several products of narrower operands a cycle; "
            "xnor: of operands of -1 and +1."
        ),
    )
    products: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Products along the reduction that a PE makes at a time and adds to its sum in one addition.",
    )

    split_operands: bool = Field(
        default=False,
        description=(
            "Operands wider than the PE's go through the array in passes, digit by digit, and the accumulators add the "
            "passes' sums, shifted; the PE then takes operands of either sign."
        ),
    )

    @model_validator(mode="after")
    def _widths_are_consistent(self) -> Self:
        rules.check_multiplier(self)
        rules.check_sum_widths(self)
        return self

    @property
    def delivered_sum_bits(self) -> int:
        """Width of a finished sum at the requantizer."""
        return self.accumulator_bits if self.final_sum_bits is None else self.final_sum_bits

    def step(self, weight: QType, activation: QType) -> Step:
        """What one place of a stream takes for a layer with operands of these types."""
        widths = self.weight, self.activation
        turns = passes(weight, activation, self.weight.bits, self.activation.bits) if self.split_operands else ()
        if len(turns) < 2:
            return step_of(self.multiplier, self.products, widths, (weight, activation))
        # The highest digit may be narrower, and takes as long as the others.
        digits = turns[0].weight.qtype, turns[0].activation.qtype
        return replace(step_of(self.multiplier, self.products, widths, digits), passes=turns)


class BufferSpec(Spec):
    """One on-chip buffer (scratchpad)."""

    capacity_bytes: Annotated[int, CAPACITY] = Field(alias="capacity", description="Capacity, both halves together.")
    width_bytes_per_cycle: Annotated[float, WIDTH] = Field(
        alias="width", description="Port width: what one access moves, one access a cycle."
    )
    double_buffered: bool = Field(
        default=True, description="A tile is filled or emptied while another is in use; else one at a time."
    )
    banks: int = Field(default=2, ge=1, le=64, description="Banks of equal size, one behind the other.")
    ports: int = Field(
        default=2,
        ge=1,
        le=2,
        description=(
            "Of each bank: two, one to read and one to write, or one for both; banks of one port serve one transfer, "
            "tile or result at a time."
        ),
    )

    @property
    def slots(self) -> int:
        """Tiles that it holds at a time."""
        return 2 if self.double_buffered else 1

    @property
    def tile_bytes(self) -> int:
        """What one tile may take: half of the capacity when double buffered."""
        return self.capacity_bytes // self.slots


class BuffersSpec(Spec):
    """The on-chip buffers."""

    weight: BufferSpec = Field(description="Holds weights on their way to the array.")
    activation: BufferSpec = Field(description="Holds activations for the array and the vector unit to read.")
    accumulator: BufferSpec = Field(
        description="Holds sums until the vector unit takes them, and its results until they are stored."
    )

    @property
    def by_name(self) -> dict[str, BufferSpec]:
        """All of them, in the order of ``accel.result.BufferBytes``."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class VectorSpec(Spec):
    """The vector unit: requantization, residual additions, pooling."""

    lanes: int = Field(ge=1, le=4096, description="Elements processed in a cycle.")
    requantizer: Requantizer = Field(
        default="float32_rne",
        description=(
            "How sums become activations: times a float32 number (float32_rne), times an integer and shifted (q31_*, "
            "mantissa*, shared_exponent8), or shifted only (shift_*); the rest of the name is the rounding."
        ),
    )
    adder: Adder = Field(
        default="float32",
        description=(
            "How two activations of different scales are added: in float32 as onnxruntime does, or each times an "
            "integer and shifted; in integers, means and changes of scale go through the requantizer as well."
        ),
    )
    threshold_steps: int = Field(
        default=0,
        ge=0,
        le=255,
        description=(
            "Thresholds that a lane compares a sum with in a cycle, 2^b - 1 for results of b bits; a layer with more "
            "of them is requantized instead, its biases rounded."
        ),
    )

    @property
    def arithmetic(self) -> Arithmetic:
        """By whose rules it makes integers."""
        return Arithmetic(self.requantizer, self.adder)


class Machine(Spec):
    """An accelerator, complete."""

    name: str = Field(min_length=1, max_length=100, description="What tables and results call this machine.")
    description: str = Field(default="", description="What it is, in a sentence or two.")
    source: str = Field(default="", description="Where its numbers come from.")
    clock_hz: Annotated[float, CLOCK] = Field(alias="clock", description="Clock of the array and everything on chip.")
    technology: str = Field(
        default="45nm",
        min_length=1,
        description="Energy and area per action: a technology of the gallery, or a file beside this one, by its path.",
    )
    array: ArraySpec = Field(description="The systolic array.")
    pe: PeSpec = Field(description="The processing elements.")
    buffers: BuffersSpec = Field(description="The on-chip buffers.")
    dram: DramSpec = Field(description="The memory outside.")
    vector: VectorSpec = Field(description="The vector unit.")

    @field_validator("dram", mode="after")
    @classmethod
    def _dram_in_cycles(cls, dram: DramSpec, info: ValidationInfo) -> DramSpec:
        return dram.at_clock(info.data["clock_hz"]) if "clock_hz" in info.data else dram

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        rules.check_serial(self.pe, self.array.dataflow)
        for needed in rules.least_tiles(self.array.rows, self.array.columns, self.array.dataflow, self.pe):
            rules.check_buffer(needed, getattr(self.buffers, needed.buffer))
        return self

    def to_file(self) -> dict[str, Any]:
        """Keys and values as a YAML file would say them; ``parse_machine`` reads them back to an equal machine."""
        written = self.model_dump(mode="json", by_alias=True)
        return {**written, "dram": self.dram.to_file(written["dram"])}


__all__ = [
    "Adder",
    "ArraySpec",
    "BufferSpec",
    "BuffersSpec",
    "Dataflow",
    "DramDevice",
    "DramSpec",
    "Machine",
    "Overflow",
    "Overlap",
    "PeSpec",
    "QType",
    "Requantizer",
    "ShiftOut",
    "ShortFolds",
    "Spec",
    "VectorSpec",
]
