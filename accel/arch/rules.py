"""What the parts of a machine owe each other, beyond what one field can say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from accel.arch.multiplier import COMPOSABLE_BITS, SERIAL_DATAFLOWS, widest_operands
from accel.arch.units import CAPACITY
from accel.numerics.qtype import QType

if TYPE_CHECKING:
    from accel.arch.spec import BufferSpec, PeSpec


_HELD = {
    "weight_stationary": "weight",
    "output_stationary": "accumulator",
    "input_stationary": "activation",
}


@dataclass(frozen=True, slots=True)
class LeastTile:
    """The least that a buffer must hold for the array to run at its full size."""

    buffer: str
    size_bytes: int
    why: str


def as_dataflows(value: Any) -> Any:
    """One dataflow or a list of different ones, as a tuple."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        return value
    if not value:
        raise PydanticCustomError("dataflow", "is an empty list; name at least one dataflow")
    for index, name in enumerate(value):
        if name in value[:index]:
            raise PydanticCustomError("dataflow", "names '{name}' twice; name each once", {"name": name})
    return tuple(value)


def product_bits(weight: QType, activation: QType) -> int:
    """Bits of a signed number that holds every product of the two types.

    >>> product_bits(QType(8, signed=True), QType(8, signed=True))
    16
    >>> product_bits(QType(8, signed=False), QType(8, signed=False))
    17
    """
    products = [w * a for w in (weight.min, weight.max) for a in (activation.min, activation.max)]
    return max((product if product >= 0 else ~product).bit_length() for product in products) + 1


def check_multiplier(pe: PeSpec) -> None:
    """A composable multiplier is made of bricks of two bits, doubled and doubled again; XNOR multiplies -1 and +1."""
    for key, qtype in (("weight", pe.weight), ("activation", pe.activation)):
        if pe.multiplier == "xnor" and not qtype.bipolar:
            raise PydanticCustomError(
                "inconsistent",
                "is {found}, and an xnor multiplier takes bipolar operands",
                {"at": (key,), "found": str(qtype)},
            )
        if pe.multiplier == "composable" and (qtype.bits not in COMPOSABLE_BITS or qtype.bipolar):
            raise PydanticCustomError(
                "inconsistent",
                "is {found}, and a composable multiplier takes operands of 2, 4, 8 or 16 bits",
                {"at": (key,), "found": str(qtype)},
            )


def check_serial(pe: PeSpec, dataflows: tuple[str, ...]) -> None:
    """What enters bit by bit does not stay in the PEs."""
    legal = SERIAL_DATAFLOWS.get(pe.multiplier)
    for dataflow in dataflows:
        if legal is not None and dataflow not in legal:
            raise PydanticCustomError(
                "inconsistent",
                "is {found}, where an operand stays that enters a {multiplier} PE bit by bit; legal {are} {legal}",
                {
                    "at": ("array", "dataflow"),
                    "found": dataflow,
                    "multiplier": pe.multiplier,
                    "are": "is" if len(legal) == 1 else "are",
                    "legal": " and ".join(legal),
                },
            )


def check_sum_widths(pe: PeSpec) -> None:
    """Sums hold the products that are added at a time, and the accumulators hold what the array sends them.

    Narrower operands of a composable multiplier make more products, which together are no wider. Digits of operands
    that go through in passes are plain binary, all but the highest.
    """
    weight, activation, products = pe.weight, pe.activation, pe.products
    accumulator_bits, partial_sum_bits = pe.accumulator_bits, pe.partial_sum_bits
    if pe.split_operands:
        weight, activation = QType(weight.bits, signed=False), QType(activation.bits, signed=False)
    needed_bits = product_bits(weight, activation) + (products - 1).bit_length()
    for key, bits in (("accumulator_bits", accumulator_bits), ("partial_sum_bits", partial_sum_bits)):
        if bits < needed_bits:
            what = "a product" if products == 1 else f"{products} products"
            message = "is {bits}, narrower than {what} of {weight} and {activation}; legal are {needed} to 64"
            facts = {"bits": bits, "weight": str(weight), "activation": str(activation), "needed": needed_bits}
            facts["what"] = what
            raise PydanticCustomError("inconsistent", message, {"at": (key,), **facts})
    if pe.delivered_sum_bits > accumulator_bits:
        raise PydanticCustomError(
            "inconsistent",
            "is {bits}, wider than the accumulators that it comes from; legal are 8 to {accumulator}",
            {"at": ("final_sum_bits",), "bits": pe.delivered_sum_bits, "accumulator": accumulator_bits},
        )
    if partial_sum_bits > accumulator_bits:
        raise PydanticCustomError(
            "inconsistent",
            "is {bits}, wider than the accumulators that take the sums; legal are {needed} to {accumulator}",
            {
                "at": ("partial_sum_bits",),
                "bits": partial_sum_bits,
                "needed": needed_bits,
                "accumulator": accumulator_bits,
            },
        )


def least_tiles(rows: int, columns: int, dataflows: tuple[str, ...], pe: PeSpec) -> Iterator[LeastTile]:
    """What each buffer must hold at least, the most demanding dataflow deciding.

    A stationary operand is one array full of it, a streamed one is one beat: a row of activations enters the left
    edge (``rows`` of them), weights of an output-stationary array enter the top (``columns``). Sums leave one row of
    columns at a time, except that an output-stationary fold leaves the whole array.
    """
    held = {_HELD[dataflow] for dataflow in dataflows}
    weight_beat = max(columns if dataflow == "output_stationary" else rows for dataflow in dataflows)
    weight_bits, activation_bits = widest_operands(pe.multiplier, pe.products, (pe.weight, pe.activation))
    for buffer, beat, bits in (
        ("weight", weight_beat, weight_bits),
        ("activation", rows, activation_bits),
        ("accumulator", columns, pe.accumulator_bits),
    ):
        elements, shape = (rows * columns, f"{rows} x {columns}") if buffer in held else (beat, str(beat))
        yield LeastTile(buffer, -(-elements * bits // 8), f"{shape} of {bits} bits")


def check_buffer(needed: LeastTile, buffer: BufferSpec) -> None:
    """``buffer`` holds the least tile, in one half when it is double buffered."""
    short_bytes = needed.size_bytes - buffer.tile_bytes
    if short_bytes <= 0:
        return
    held = "half of it" if buffer.double_buffered else "it"
    raise PydanticCustomError(
        "inconsistent",
        "is {capacity}, and {held} does not hold one tile of the array ({why}, {needed} B): {short} B too few; "
        "legal is at least {least} B",
        {
            "at": ("buffers", needed.buffer, "capacity"),
            "capacity": CAPACITY.write(buffer.capacity_bytes),
            "held": held,
            "needed": needed.size_bytes,
            "why": needed.why,
            "short": short_bytes,
            "least": needed.size_bytes * buffer.slots,
        },
    )
