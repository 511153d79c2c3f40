"""Networks of any width on PEs of every kind: the golden model's integers, and cycles that follow the widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import SERIAL_DATAFLOWS
from accel.arch.rules import product_bits
from accel.arch.timing import ArrayTiming
from accel.mapping.compile import compile_graph, fit_to_machine
from accel.numerics.qtype import QType
from accel.sim.simulate import estimate_cycles
from tests.conftest import Ran
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network
from tests.sim.test_simulate import check

KINDS = ("parallel", "bit_serial", "bit_serial_both", "composable")
widths = st.builds(QType, st.integers(1, 8), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_integers_are_the_golden_model_s(data: st.DataObject) -> None:
    multiplier = data.draw(st.sampled_from(KINDS))
    products = data.draw(st.sampled_from([1, 1, 2, 3, 8]))
    activation, weight = data.draw(widths), data.draw(widths)
    narrow = data.draw(st.booleans())
    least = product_bits(QType(8, weight.signed), QType(8, activation.signed)) + (products - 1).bit_length()
    net = residual_network(seed=data.draw(st.integers(0, 99)), qtype=activation, weight_qtype=weight)
    arch = machine(
        dataflow=data.draw(st.sampled_from(SERIAL_DATAFLOWS.get(multiplier, DATAFLOWS))),
        activation=str(QType(8, activation.signed)),
        weight=str(QType(8, weight.signed)),
        accumulator_bits=least + data.draw(st.integers(0, 2)) if narrow else 32,
        overflow=data.draw(st.sampled_from(["wrap", "saturate"])),
        buffers=(4096, 4096, 4096),
        pe={"multiplier": multiplier, "products": products, "partial_sum_bits": least if narrow else 32},
    )
    check(net, arch)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_sums_of_several_products_overflow_together(dataflow: str, overflow: str) -> None:
    """Sums no wider than four products: the golden model adds four at a time as well, and as many overflow."""
    net = Builder()
    net.last = net.conv(net.conv(net.input(1, 62, 5, 5), 46), 3, pads=(0, 0, 0, 0))
    arch = machine(
        dataflow=dataflow, accumulator_bits=18, overflow=overflow, pe={"products": 4}, buffers=(4096, 4096, 4096)
    )
    assert check(net, arch) > 100


def cycles(widths: tuple[str, str], dataflow: str = "weight_stationary", **pe: Any) -> int:
    """One layer alone: k = 64, 16 channels, 36 pixels, on 4 x 5 PEs with room and bandwidth for all of it."""
    weight, activation = map(QType.parse, widths)
    net = Builder(0, qtype=activation, weight_qtype=weight)
    net.conv(net.input(1, 64, 6, 6), 16, kernel=(1, 1), pads=(0, 0, 0, 0))
    arch = machine(dataflow=dataflow, buffers=(1 << 16,) * 3, bandwidth="4096 B/cycle", width="4096 B/cycle", pe=pe)
    graph = fit_to_machine(net.graph(), arch)
    (spent,) = estimate_cycles(compile_graph(graph, arch), arch)
    return spent.compute


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_compute_cycles_by_hand(dataflow: str) -> None:
    """64 / 4 row folds x 4 column folds x 36 pixels, or 9 x 4 folds of 64."""
    parallel = 16 * 4 * 36 if dataflow == "weight_stationary" else 9 * 4 * 64
    assert cycles(("int8", "int8"), dataflow) == parallel
    assert cycles(("int4", "int4"), dataflow) == parallel
    assert cycles(("int8", "int8"), dataflow, multiplier="bit_serial") == 8 * parallel
    assert cycles(("int8", "int3"), dataflow, multiplier="bit_serial") == 3 * parallel
    assert cycles(("int8", "int3"), dataflow, multiplier="bit_serial", products=8) == 3 * parallel // 8
    assert cycles(("int4", "int4"), dataflow, multiplier="composable") == parallel // 4
    assert cycles(("int2", "int8"), dataflow, multiplier="composable") == parallel // 4
    assert cycles(("int2", "int2"), dataflow, multiplier="composable") == parallel // 16


def test_both_operands_bit_by_bit() -> None:
    parallel = 9 * 4 * 64
    for weight_bits, activation_bits in ((1, 1), (2, 3), (8, 8)):
        names = f"int{weight_bits}", f"int{activation_bits}"
        serial = cycles(names, "output_stationary", multiplier="bit_serial_both")
        assert serial == weight_bits * activation_bits * parallel


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("run", "digits-resnet8", "--images", "1", "--activity"), "toggled bits are not counted"),
        (("run", "digits-resnet8", "--images", "1", "--layer", "2", "--waves", "w.vcd"), "is not in the RTL"),
        (("verify", "digits-resnet8", "--rtl"), "is not in the RTL"),
    ],
)
@pytest.mark.parametrize(
    ("arch", "found"), [("bismo-8x8", "multiplier bit_serial_both"), ("bit-fusion-16x32", "multiplier composable")]
)
def test_what_only_parallel_pes_have(
    words: tuple[str, ...], refused: str, arch: str, found: str, accel: Callable[..., Ran]
) -> None:
    ran = accel(*words, "--arch", arch)
    assert ran.code == 2
    assert refused in ran.err
    assert found in ran.err


@pytest.mark.parametrize("arch", ["edge-32x32-serial", "bit-fusion-16x32", "bismo-8x8"])
def test_gallery(arch: str, accel: Callable[..., Ran]) -> None:
    assert accel("verify", "digits-resnet8", "--arch", arch).code == 0


class BitSerialArray:
    """Registers of a bit-serial array, stepped: bits of activations move right, weights stay or move down.

    A PE adds the weight, shifted by the bit's place, to its product if the bit is 1; the bit of the sign takes it
    away. With the last bit the product joins the sum.
    """

    def __init__(self, rows: int, columns: int, bits: int) -> None:
        self.rows, self.columns, self.bits = rows, columns, bits

    def weights_stay(self, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, int]:
        """(m, rows) times (rows, columns), and the cycles from the first bit to the last sum."""
        m, bits = len(x), self.bits
        bit = np.full((self.rows, self.columns), -1)  # place and value of the bit in each PE: 2 * place + value
        product = np.zeros((self.rows, self.columns), np.int64)
        sums = np.zeros((self.rows + 1, self.columns), np.int64)  # what each PE hands down
        results: list[list[int]] = [[] for _ in range(self.columns)]
        clock = 0
        while any(len(column) < m for column in results):
            bit[:, 1:] = bit[:, :-1]
            for r in range(self.rows):
                place, number = (clock - r) % bits, (clock - r) // bits
                inside = clock >= r and number < m
                bit[r, 0] = 2 * place + (int(x[number, r]) >> place & 1) if inside else -1
            above = sums.copy()
            for r in range(self.rows):
                for c in range(self.columns):
                    if bit[r, c] < 0:
                        continue
                    place, value = bit[r, c] // 2, bit[r, c] % 2
                    partial = value * int(w[r, c]) << place
                    product[r, c] = (0 if place == 0 else product[r, c]) + (-partial if place == bits - 1 else partial)
                    if place == bits - 1:
                        sums[r + 1, c] = above[r, c] + product[r, c]
                        if r == self.rows - 1:
                            results[c].append(int(sums[r + 1, c]))
            clock += 1
        return np.array(results).T, clock


@pytest.mark.parametrize(("rows", "columns", "bits", "m"), [(1, 1, 1, 1), (3, 4, 5, 6), (4, 2, 8, 3), (5, 5, 2, 9)])
def test_the_law_of_bit_serial_arrays(rows: int, columns: int, bits: int, m: int) -> None:
    """An operand of b bits takes b cycles, a hop one: m b + R + C - 2 until the last sum is made, and one to leave."""
    rng = np.random.default_rng(bits)
    x = rng.integers(-(1 << bits - 1), 1 << bits - 1, (m, rows))
    w = rng.integers(-128, 128, (rows, columns))
    made, clocks = BitSerialArray(rows, columns, bits).weights_stay(x, w)
    assert made.tolist() == (x @ w).tolist()
    assert clocks == m * bits + rows + columns - 2
    timing = ArrayTiming.of(machine(rows, columns).array, "weight_stationary")
    # The law counts until the sum is in the register behind the bottom row.
    assert timing.streaming_cycles(m * bits) == clocks
