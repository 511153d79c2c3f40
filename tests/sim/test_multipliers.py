"""Networks of any width on PEs of every kind: the golden model's integers, and cycles that follow the widths."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import api
from accel.arch.multiplier import SERIAL_DATAFLOWS
from accel.arch.rules import product_bits
from accel.arch.timing import ArrayTiming
from accel.compile import compile_graph, fit_to_machine
from accel.errors import AccelError
from accel.numerics.digits import PassFold, passes
from accel.numerics.mac import Accumulator, accumulate
from accel.numerics.qtype import QType
from accel.sim.simulate import run_clock
from tests.conftest import Ran
from tests.graph.models import binary_network
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


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_wider_operands_in_passes(data: st.DataObject) -> None:
    """Operands of up to 9 bits on PEs of 2 to 5, digit by digit: the golden model's integers, and its overflows."""
    multiplier = data.draw(st.sampled_from(["parallel", "parallel", "bit_serial"]))
    products = data.draw(st.sampled_from([1, 1, 3]))
    types = st.builds(QType, st.integers(1, 9), st.booleans())
    activation, weight = data.draw(types), data.draw(types)
    weight_bits, activation_bits = data.draw(st.integers(2, 5)), data.draw(st.integers(2, 5))
    least = max(8, weight_bits + activation_bits + 1 + (products - 1).bit_length())
    narrow = data.draw(st.booleans())
    net = residual_network(seed=data.draw(st.integers(0, 99)), qtype=activation, weight_qtype=weight)
    arch = machine(
        dataflow=data.draw(st.sampled_from(SERIAL_DATAFLOWS.get(multiplier, DATAFLOWS))),
        activation=str(QType(activation_bits, activation.signed)),
        weight=str(QType(weight_bits, weight.signed)),
        accumulator_bits=least + data.draw(st.integers(0, 6)) if narrow else 32,
        overflow=data.draw(st.sampled_from(["wrap", "saturate"])),
        buffers=(4096, 4096, 4096),
        pe={
            "multiplier": multiplier,
            "products": products,
            "split_operands": True,
            "partial_sum_bits": least if narrow else 32,
        },
    )
    check(net, arch)


def test_passes_that_wrap_lose_nothing_that_fits() -> None:
    """-100 * 100 in nibbles: 12 * 4 - 7 * 4 * 16 + 12 * 6 * 16 - 7 * 6 * 256 = -10000."""
    turns = passes(QType(8, signed=True), QType(8, signed=True), 4, 4)
    x, w = np.array([[100]]), np.array([[-100]])
    folds = [PassFold(np.arange(1), turn) for turn in turns]
    assert [int(turn.weight.of(w)[0, 0]) * int(turn.activation.of(x)[0, 0]) for turn in turns] == [48, -28, 72, -42]
    assert accumulate(x, w, None, Accumulator(9, 15, "wrap"), folds)[0].item() == -10000
    # 13 bits hold -4096 to 4095: 48, 48 - 448 = -400, -400 + 1152 = 752, 752 - 10752 = -10000, which saturates.
    sums, overflows = accumulate(x, w, None, Accumulator(9, 13, "saturate"), folds)
    assert (sums.item(), overflows) == (-4096, 1)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_sums_that_saturate_at_the_end(dataflow: str) -> None:
    """Exact sums, clamped once: never more overflows than results, as there are where each addition clamps."""
    net = Builder()
    net.last = net.conv(net.conv(net.input(1, 62, 5, 5), 46), 3, pads=(0, 0, 0, 0))
    arch = machine(dataflow=dataflow, buffers=(4096, 4096, 4096), pe={"final_sum_bits": 17})
    assert 0 < check(net, arch) <= 46 * 25 + 3 * 9
    always = machine(dataflow=dataflow, buffers=(4096, 4096, 4096), accumulator_bits=17, overflow="saturate")
    assert check(net, always) > 46 * 25 + 3 * 9


def test_a_sum_that_saturates_at_the_end_by_hand() -> None:
    """100 + 100 - 100 + bias 50 is 150: 127 in 8 bits, once; clamped at each addition it is 127 - 100 + 50 = 77."""
    x, w, bias = np.array([[1, 1, 1]]), np.array([[100], [100], [-100]]), np.array([50])
    at_end, overflows = accumulate(x, w, bias, Accumulator(16, 16, "wrap", final_bits=8))
    assert (at_end.item(), overflows) == (127, 1)
    always, overflows = accumulate(x, w, bias, Accumulator(8, 8, "saturate"))
    assert (always.item(), overflows) == (77, 1)
    assert accumulate(x, w, None, Accumulator(16, 16, "wrap", final_bits=8))[0].item() == 100


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
    (spent,) = run_clock(compile_graph(graph, arch), arch).cycles
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


def test_passes_by_hand() -> None:
    """int8 x int8 on 4 x 4 bits: two digits each, four passes; on 4 x 8 bits two."""
    net = Builder(0)
    net.conv(net.input(1, 64, 6, 6), 16, kernel=(1, 1), pads=(0, 0, 0, 0))
    for weight_bits, activation_bits, turns in ((4, 4, 4), (4, 8, 2), (8, 3, 3), (8, 8, 1)):
        arch = machine(
            weight=f"int{weight_bits}",
            activation=f"int{activation_bits}",
            buffers=(1 << 16,) * 3,
            bandwidth="4096 B/cycle",
            width="4096 B/cycle",
            pe={"split_operands": True},
        )
        program = compile_graph(fit_to_machine(net.graph(), arch), arch)
        (spent,) = run_clock(program, arch).cycles
        assert spent.compute == turns * 16 * 4 * 36
        (layer,) = program.layers
        macs = 64 * 16 * 36
        assert (layer.actions.macs, layer.actions.multiplier_operations) == (macs, turns * macs)
        # 16 folds along k, in each pass; all sums but the first of each result are added to another.
        assert layer.actions.accumulator_adds == (turns * 16 - 1) * 16 * 36


def test_a_layer_that_is_too_wide_is_refused_unless_operands_are_split() -> None:
    net = Builder(0)
    net.conv(net.input(1, 4, 6, 6), 6)
    with pytest.raises(AccelError, match="conv0 has int8 weights, and the processing elements take int4"):
        fit_to_machine(net.graph(), machine(weight="int4"))


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


@pytest.mark.parametrize("arch", ["edge-32x32-serial", "bit-fusion-16x32", "bismo-8x8", "llsq-32x32"])
def test_gallery(arch: str, accel: Callable[..., Ran]) -> None:
    assert accel("verify", "digits-resnet8", "--arch", arch).code == 0


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("products", [1, 3, 64])
def test_xnor_and_popcount(dataflow: str, products: int, tmp_path: Path) -> None:
    """The same integers as on wide multipliers; 45 products of the first layer take 45 places, or 15, or one."""
    pe = {"multiplier": "xnor", "products": products}
    types = {"activation": "bipolar", "weight": "bipolar"}
    arch = machine(dataflow=dataflow, accumulator_bits=16, buffers=(4096,) * 3, pe=pe, **types)
    network = api.load_network(binary_network(tmp_path / "net.onnx"))
    assert api.verify(network, arch).passed
    outputs = [api.simulate(network, on).outputs["y"] for on in (arch, machine(dataflow=dataflow))]
    assert outputs[0].tolist() == outputs[1].tolist()


@pytest.mark.parametrize(("one", "other"), list(itertools.product((-1, 1), repeat=2)))
def test_xnor_is_the_product_of_signs(one: int, other: int) -> None:
    """A bit is 1 for +1: twice the ones among the XNORs less their number is the sum of products."""
    bits = int(one > 0), int(other > 0)
    assert 2 * (1 ^ bits[0] ^ bits[1]) - 1 == one * other


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
