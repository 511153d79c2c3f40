"""A network's search: kinds of nests once, on any number of processes, never worse than without it."""

from __future__ import annotations

import pytest

from accel.cost.prices import prices_of
from accel.explore import workers
from accel.explore.fusion import plan
from accel.explore.network import search_network, total
from accel.explore.objective import OBJECTIVES
from accel.flow.lower import lower
from accel.mapping.fusion import pairs
from accel.mapping.residency import plan_residency
from tests.machines import machine
from tests.networks import Builder


def twins() -> Builder:
    """The second and the third convolution have equal loops and types."""
    net = Builder()
    x = net.conv(net.input(1, 4, 10, 10), 8)
    net.conv(net.conv(x, 8), 8)
    return net


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_network_gets_worse(objective) -> None:
    arch = machine(bandwidth="2 B/cycle", latency="150 cycles")
    flow = lower(twins().graph())
    search = search_network(flow, arch, prices_of(arch), objective)
    assert (search.before.residency, search.before.mappings) == plan(flow, arch)
    assert total(search.after.figures).rank(objective) <= total(search.before.figures).rank(objective)


def test_equal_nests_are_searched_once() -> None:
    arch = machine()
    flow = lower(twins().graph())
    told: list[tuple[str, int, int]] = []
    search = search_network(flow, arch, prices_of(arch), progress=lambda *what: told.append(what))
    assert search.same_as == (0, 1, 1)
    assert search.found[1] is search.found[2]
    assert search.after.mappings[1] == search.after.mappings[2]
    assert [(done, in_all) for _, done, in_all in told] == [(1, 2), (2, 2)]


def test_processes_find_the_same(monkeypatch) -> None:
    monkeypatch.setattr(workers, "WORTH_SECONDS", 0.0)
    arch = machine(bandwidth="2 B/cycle")
    net = Builder()
    x = net.conv(net.input(1, 4, 10, 10), 8)
    net.conv(net.conv(net.conv(x, 8), 8), 4)
    flow = lower(net.graph())
    alone, together = (search_network(flow, arch, prices_of(arch), processes=processes) for processes in (1, 2))
    assert alone.after.mappings == together.after.mappings
    assert alone.after.residency == together.after.residency
    assert alone.found == together.found
    assert alone.after.figures == together.after.figures


def test_what_a_kind_loses_in_the_network_is_taken_back() -> None:
    """A long latency: what is best for a layer alone need not be behind another one."""
    arch = machine(latency="200 cycles", bandwidth="64 B/cycle")
    net = Builder()
    x = net.input(1, 4, 6, 6)
    for _ in range(3):
        x = net.conv(x, 4)
    net.linear(net.flatten(x), 10)
    flow = lower(net.graph())
    search = search_network(flow, arch, prices_of(arch), effort="full")
    before, after = total(search.before.figures).cycles, total(search.after.figures).cycles
    assert after < before or search.after.mappings == search.before.mappings


def tall_chain() -> Builder:
    net = Builder()
    x = net.input(1, 4, 32, 32)
    for _ in range(4):
        x = net.conv(x, 4)
    return net


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_pairs_are_part_of_what_is_searched(objective) -> None:
    """Whatever is wanted less of: passing through a window costs nothing of it on a machine with a slow DRAM."""
    arch = machine(buffers=(1024, 3072, 4096), bandwidth="1 B/cycle")
    flow = lower(tall_chain().graph())
    search = search_network(flow, arch, prices_of(arch), objective)
    assert sorted((window.first, window.last) for window in search.after.residency.windows) == [(0, 1), (2, 3)]
    assert total(search.after.figures).rank(objective) <= total(search.before.figures).rank(objective)


@pytest.mark.parametrize(
    ("bandwidth", "fused"),
    [("1 B/cycle", {"cycles": 0, "dram-bytes": 0}), ("8 B/cycle", {"cycles": 1, "dram-bytes": 0})],
)
def test_pairs_that_lose_are_let_go(bandwidth, fused) -> None:
    """9 KiB of weights do not fit 1 KiB, and are loaded again for every two rows: 6 times, to save 9 KiB of the tensor.

    With eight times the bandwidth the array works meanwhile, and only what goes through the pins is more.
    """
    net = Builder()
    net.max_pool(net.conv(net.input(1, 32, 12, 12), 32), (2, 2), (2, 2))
    flow, arch = lower(net.graph()), machine(8, 8, buffers=(1024, 7000, 8192), bandwidth=bandwidth)
    assert len(list(pairs(flow, arch, plan_residency(flow, arch)))) == 1
    for objective, count in fused.items():
        search = search_network(flow, arch, prices_of(arch), objective)
        assert len(search.after.residency.windows) == count, objective
