"""Operands of -1 and +1 on the RTL: gates instead of multipliers, and a 0 for bubbles and idle rows and columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accel import api
from accel.arch.spec import Machine
from accel.rtl.design import design_of
from accel.rtl.emit import emit
from accel.rtl.icarus import bench_sources
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Stimulus, Tile, stimulus_of
from tests.graph.models import binary_network
from tests.machines import DATAFLOWS, machine
from tests.rtl.faults import Fault, differences
from tests.rtl.requantizers import VERILOG, shell
from tests.rtl.tools import needs_iverilog, needs_verilator, needs_yosys


def binary(dataflow: str = "weight_stationary", multiplier: str = "xnor", rows: int = 3, columns: int = 2) -> Machine:
    types = {"weight": "bipolar", "activation": "bipolar", "pe": {"multiplier": multiplier}}
    return machine(rows, columns, dataflow, accumulator_bits=16, buffers=(4096,) * 3, **types)


@pytest.mark.parametrize(("one", "other"), list(itertools.product((-1, 0, 1), repeat=2)))
def test_the_bits_make_the_product(one: int, other: int) -> None:
    """As sa_multiply has it: the lower bit is that there is an operand, the upper one its sign."""
    there = one & other & 1
    minus = there & ((one ^ other) >> 1)
    assert there - 2 * minus == one * other


def work(arch: Machine) -> Stimulus:
    """Folds that leave rows and columns idle, with bubbles: of one bit, either would add something to a sum."""
    (dataflow,) = arch.array.dataflow
    rng = np.random.default_rng(3)
    tiles = []
    for number, (pixels, k, channels) in enumerate([(5, 7, 3), (2, 3, 2), (6, 1, 1)]):
        operands = (rng.choice([-1, 1], shape).astype(np.int8) for shape in ((k, pixels), (k, channels)))
        tiles.append(Tile((tuple(operands),), True, number, 200, 200, number))
    return stimulus_of(design_of(arch, dataflow, accumulator_rows=64), tiles)


@needs_iverilog
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("multiplier", ["xnor", "parallel"])
def test_idle_pes_and_bubbles_count_nothing(dataflow: str, multiplier: str) -> None:
    assert differences(work(binary(dataflow, multiplier))) == set()


@needs_iverilog
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_sums_of_more_products_than_fit(dataflow: str, overflow: str) -> None:
    """300 times +1 in 8 bits, in the PE or behind the array."""
    arch = binary(dataflow)
    pe = arch.pe.model_copy(update={"accumulator_bits": 8, "partial_sum_bits": 8, "overflow": overflow})
    ones = np.ones((300, 2), np.int8)
    tile = Tile(((ones, ones),), True, 0, 20, 20)
    stimulus = stimulus_of(design_of(arch.model_copy(update={"pe": pe}), dataflow, accumulator_rows=64), [tile])
    assert simulated(stimulus).overflows > 0
    assert differences(stimulus) == set()


FAULTS = (
    Fault("OR instead of XNOR", "sa_multiply", "a[A_BITS-1] ~^ b[B_BITS-1]", "a[A_BITS-1] | b[B_BITS-1]", "", "sums"),
    Fault("an idle row counts", "sa_multiply", "a[0] && b[0]", "a[0] == b[0]", "", "sums"),
    Fault("-1 counts as 0", "sa_multiply", "{there && !same, there}", "{1'b0, there && same}", "", "sums"),
)


@needs_iverilog
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_in_a_gate(fault: Fault, put_in: Callable[[Fault], None]) -> None:
    put_in(fault)
    stimulus = work(binary())
    assert fault.shows in differences(stimulus, bench_sources(stimulus.design))


@needs_verilator
@pytest.mark.parametrize(("dataflow", "multiplier"), [("weight_stationary", "xnor"), ("output_stationary", "parallel")])
def test_a_binary_network(dataflow: str, multiplier: str, tmp_path: Path) -> None:
    network = api.load_network(binary_network(tmp_path / "net.onnx"))
    found = api.verify(network, binary(dataflow, multiplier), rtl=True)
    assert found.passed
    # 7 channels of 6 x 6 pixels, 4 of 4 x 4, 5 results, for two images each: all of them signs.
    assert [check.integers and check.integers.elements for check in found.rtl] == [2 * 252, 2 * 64, 2 * 5]


@needs_verilator
@needs_yosys
@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_tools_take_what_is_emitted(dataflow: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    emit(binary(dataflow, rows=2), out)
    files = [out / line for line in (out / "files.f").read_text().split()]
    tops = [path.stem for path in (out / "rtl").glob("test_*.sv")]
    assert len(tops) == 2
    assert "-1 and +1 have two bits, 11 and 01" in " ".join((out / "README.md").read_text().split())
    for top in tops:
        assert shell("verilator", "--lint-only", "-Wall", "--top-module", top, *files) == ""
        script = f"read_verilog -sv {' '.join(map(str, files))}; hierarchy -check -top {top}; proc; check -assert"
        assert "Warning" not in shell("yosys", "-p", script)


@needs_yosys
def test_a_gate_is_smaller_than_a_multiplier_of_the_same_bits() -> None:
    cells = []
    for gates in (0, 1):
        given = {"A_BITS": 2, "B_BITS": 2, "XNOR": gates}
        parameters = " ".join(f"-chparam {name} {value}" for name, value in given.items())
        files = f"{VERILOG / 'sa_delay.sv'} {VERILOG / 'sa_multiply.sv'}"
        script = f"read_verilog -sv {files}; hierarchy -top sa_multiply {parameters}; synth -flatten; stat"
        said = shell("yosys", "-p", script).rpartition("Number of cells:")[2]
        cells.append(int(said.split()[0]))
    assert cells[1] <= 4 < cells[0]
