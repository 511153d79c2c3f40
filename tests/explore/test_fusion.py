"""Which layers take turns without being told: only where that costs no cycles, and saves traffic."""

from __future__ import annotations

import pytest

from accel.compile import compile_graph
from accel.explore.fusion import plan
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.fusion import links, pairs
from accel.mapping.residency import plan_residency
from accel.mapping.search import choose
from accel.sim.engine import run
from tests.fused import chain
from tests.machines import machine
from tests.networks import Builder


def tall(channels: int = 4, size: int = 32) -> Builder:
    """Two convolutions with a tensor of 4 KiB in between."""
    net = Builder()
    net.conv(net.conv(net.input(1, channels, size, size), channels), channels)
    return net


def test_a_tensor_that_does_not_fit_passes_through_a_window() -> None:
    """4 x 32 x 32 B do not fit a buffer of 3 KiB, a few rows of 128 B do: nothing of it is stored or loaded."""
    arch = machine(buffers=(1024, 3072, 4096), bandwidth="1 B/cycle")
    program = compile_graph(tall().graph(), arch)
    (window,) = program.residency.windows
    assert window.tensor == "conv0_out"
    assert window.size_bytes == window.rows * 4 * 32 < 3072
    first, second = program.layers
    assert first.actions.dram_write_bytes == 0
    assert second.actions.dram_read_bytes == program.places["conv1.weight"].size_bytes
    assert "conv0_out" not in program.places


def test_where_it_fits_it_stays_whole() -> None:
    residency, _ = plan(lower(tall().graph()), machine(buffers=(1024, 1 << 15, 4096)))
    assert residency.windows == ()
    assert "conv0_out" in residency.kept


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary", "input_stationary"])
@pytest.mark.parametrize("bandwidth", ["1 B/cycle", "64 B/cycle"])
def test_no_slower_than_apart(dataflow, bandwidth) -> None:
    """The clock weighs each pair alone; in the network, what it gains may shift by what overlaps at its borders."""
    fused = 0
    for seed in range(6):
        arch = machine(8, 8, dataflow=dataflow, bandwidth=bandwidth, buffers=(1024, 1500, 2048))
        flow = lower(chain(seed, size=20).graph(chain(seed, size=20).last))
        residency, mappings = plan(flow, arch)
        stays = plan_residency(flow, arch)
        turns = run(emit(flow, arch, mappings, residency), arch)
        apart = run(emit(flow, arch, choose(flow, arch, stays), stays), arch)
        assert max(turns.done) <= max(apart.done) * 1.005
        fused += len(residency.windows)
    assert fused > 0 or bandwidth != "1 B/cycle"


def test_a_layer_takes_turns_with_one_other() -> None:
    net = Builder()
    x = net.input(1, 4, 32, 32)
    for _ in range(4):
        x = net.conv(x, 4)
    flow = lower(net.graph())
    arch = machine(buffers=(1024, 3072, 4096), bandwidth="1 B/cycle")
    stays = plan_residency(flow, arch)
    assert list(links(flow, stays)) == [(0, 1), (1, 2), (2, 3)]
    assert len(list(pairs(flow, arch, stays))) == 3
    residency, _ = plan(flow, arch)
    assert sorted((window.first, window.last) for window in residency.windows) == [(0, 1), (2, 3)]


def test_weights_that_do_not_fit_together_would_be_loaded_for_every_row() -> None:
    """Two layers of 4 x 4 x 3 x 3 = 144 B of weights."""
    flow = lower(tall().graph())
    for capacity, count in ((288, 1), (287, 0)):
        arch = machine(buffers=(capacity, 3072, 4096))
        assert len(list(pairs(flow, arch, plan_residency(flow, arch)))) == count
