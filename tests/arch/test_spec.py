"""What a machine may say, and what its parts owe each other."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from pydantic import ValidationError

from accel.arch.load import load_arch
from accel.arch.rules import as_dataflows, least_tiles, product_bits
from accel.arch.spec import ArraySpec, BufferSpec, Machine, PeSpec
from accel.numerics.qtype import QType
from tests.arch.strategies import machines, pes

INT8, UINT8 = QType(8, signed=True), QType(8, signed=False)


def test_defaults() -> None:
    array = ArraySpec(rows=4, columns=8, dataflow="weight_stationary", overlap="none")
    assert array.dataflow == ("weight_stationary",)
    assert (array.short_folds, array.shift_out, array.accumulator_preload) == ("overlapped", "down", False)
    assert (array.multiplier_latency_cycles, array.accumulate_latency_cycles) == (0, 0)
    assert (array.vertical_hop_latency_cycles, array.horizontal_hop_latency_cycles) == (1, 1)
    assert (array.input_latency_cycles, array.output_latency_cycles) == (0, 0)
    pe = PeSpec(weight="int8", activation="uint8", accumulator_bits=24)
    assert (pe.weight, pe.activation, pe.partial_sum_bits, pe.overflow) == (INT8, UINT8, 24, "wrap")


def test_a_list_of_dataflows_keeps_its_order() -> None:
    names = ["output_stationary", "weight_stationary"]
    assert ArraySpec(rows=1, columns=1, dataflow=names, overlap="none").dataflow == tuple(names)
    assert as_dataflows("weight_stationary") == ("weight_stationary",)


@pytest.mark.parametrize(("double_buffered", "tile_bytes"), [(True, 500), (False, 1001)])
def test_a_tile_has_half_of_a_double_buffer(double_buffered: bool, tile_bytes: int) -> None:
    buffer = BufferSpec(capacity_bytes=1001, width_bytes_per_cycle=1, double_buffered=double_buffered)
    assert buffer.tile_bytes == tile_bytes


def test_machines_are_frozen_and_nothing_is_coerced() -> None:
    machine = load_arch("edge-32x32")
    with pytest.raises(ValidationError):
        machine.name = "other"  # type: ignore[misc]
    for rows in ("8", 8.0, True, None):
        with pytest.raises(ValidationError):
            ArraySpec(rows=rows, columns=8, dataflow="weight_stationary", overlap="none")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        BufferSpec(capacity_bytes=float("nan"), width_bytes_per_cycle=1)
    with pytest.raises(ValidationError):
        BufferSpec(capacity_bytes=8, width_bytes_per_cycle=float("inf"))


def test_both_spellings_are_legal_in_python() -> None:
    by_key = BufferSpec(capacity="1 KiB", width="32 B/cycle")  # type: ignore[call-arg]
    assert by_key == BufferSpec(capacity_bytes=1024, width_bytes_per_cycle=32)


@pytest.mark.parametrize("signs", list(product([True, False], repeat=2)))
@pytest.mark.parametrize("bits", list(product(range(1, 5), repeat=2)))
def test_product_bits_hold_every_product_and_no_fewer_do(bits: tuple[int, int], signs: tuple[bool, bool]) -> None:
    weight, activation = (QType(b, signed=s) for b, s in zip(bits, signs, strict=True))
    values = [w * a for w in range(weight.min, weight.max + 1) for a in range(activation.min, activation.max + 1)]

    def holds(width: int) -> bool:
        return all(-(1 << (width - 1)) <= value < 1 << (width - 1) for value in values)

    width = product_bits(weight, activation)
    assert holds(width)
    assert width == 1 or not holds(width - 1)


@given(pes())
def test_the_least_legal_sums_are_one_bit_above_the_first_refused(pe: PeSpec) -> None:
    least = product_bits(pe.weight, pe.activation)
    for bits in range(8, 65):
        fields = {"weight": pe.weight, "activation": pe.activation, "accumulator_bits": bits}
        if bits >= least:
            assert PeSpec(**fields).partial_sum_bits == bits
        else:
            with pytest.raises(ValidationError, match="narrower than a product"):
                PeSpec(**fields)


def test_partial_sums_are_as_wide_as_the_accumulators_at_most() -> None:
    fields = {"weight": "int8", "activation": "int8", "accumulator_bits": 24}
    assert PeSpec(**fields, partial_sum_bits=24).partial_sum_bits == 24
    with pytest.raises(ValidationError, match="wider than the accumulators"):
        PeSpec(**fields, partial_sum_bits=25)


@pytest.mark.parametrize(
    ("dataflows", "weight", "activation", "accumulator"),
    [
        (("weight_stationary",), 8 * 4, 8, 4 * 4),
        (("input_stationary",), 8, 8 * 4, 4 * 4),
        (("output_stationary",), 4, 8, 8 * 4 * 4),
        (("output_stationary", "weight_stationary"), 8 * 4, 8, 8 * 4 * 4),
        (("input_stationary", "output_stationary"), 8, 8 * 4, 8 * 4 * 4),
    ],
)
def test_least_tiles_by_hand(dataflows: tuple[str, ...], weight: int, activation: int, accumulator: int) -> None:
    """8 rows x 4 columns, a byte for an operand and four for a sum."""
    pe = PeSpec(weight="int8", activation="int8", accumulator_bits=32)
    sizes = {least.buffer: least.size_bytes for least in least_tiles(8, 4, dataflows, pe)}
    assert sizes == {"weight": weight, "activation": activation, "accumulator": accumulator}


def test_narrow_operands_are_packed() -> None:
    pe = PeSpec(weight="int3", activation="int1", accumulator_bits=8)
    sizes = [least.size_bytes for least in least_tiles(5, 3, ("weight_stationary",), pe)]
    assert sizes == [6, 1, 3]  # 45 bits, 5 bits, 24 bits


@given(machines())
def test_a_byte_less_than_the_least_tile_is_refused(machine: Machine) -> None:
    fields = {name: getattr(machine, name) for name in Machine.model_fields}
    for least in least_tiles(machine.array.rows, machine.array.columns, machine.array.dataflow, machine.pe):
        for size_bytes, legal in ((least.size_bytes, True), (least.size_bytes - 1, False)):
            if size_bytes == 0:
                continue
            buffer = BufferSpec(capacity_bytes=size_bytes, width_bytes_per_cycle=1, double_buffered=False)
            fields["buffers"] = machine.buffers.model_copy(update={least.buffer: buffer})
            if legal:
                Machine(**fields)
            else:
                with pytest.raises(ValidationError, match=": 1 B too few"):
                    Machine(**fields)
