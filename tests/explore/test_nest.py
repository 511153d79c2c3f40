"""One nest's search against timing every mapping of a space that is defined here once more."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import ceil

import pytest

from accel import api
from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.compile import compile_graph, fit_to_machine
from accel.cost.prices import prices_of
from accel.errors import AccelError
from accel.explore import nest
from accel.explore.objective import OBJECTIVES, Figures, check_objective, counts
from accel.flow.ir import Flow, FlowOp
from accel.flow.lower import lower
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.residency import Residency, nothing_stays
from accel.mapping.search import choose
from accel.mapping.space import Room, footprint
from accel.records import result_of
from accel.sim.simulate import run_clock
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network

Mapping = ArrayMapping | VectorMapping
prices = cache(prices_of)


def layers() -> dict[str, Flow]:
    convolution, grouped, depthwise, linear, pool, add = (Builder() for _ in range(6))
    convolution.conv(convolution.input(1, 2, 4, 3), 3, (2, 2), pads=(0, 0, 0, 0))
    grouped.conv(grouped.input(1, 4, 3, 3), 4, (2, 2), groups=2, pads=(0, 0, 1, 0))
    depthwise.conv(depthwise.input(1, 5, 4, 4), 5, groups=5)
    linear.linear(linear.input(3, 11), 7)
    pool.max_pool(pool.input(1, 6, 9, 7), (3, 3), (2, 2))
    x = add.input(2, 5, 3, 4)
    add.add(x, x)
    nets = {"conv": convolution, "grouped": grouped, "depthwise": depthwise, "linear": linear, "pool": pool, "add": add}
    return {name: lower(net.graph()) for name, net in nets.items()}


def all_mappings(op: FlowOp, flow: Flow, arch: Machine, sides: dict[str, list[int]]) -> Iterator[Mapping]:
    """Every mapping with tile sizes of ``sides`` that fits."""
    size, room = op.sizes, Room.whole(op, arch)
    for tile in itertools.product(*sides.values()):
        if footprint(op, flow, arch, room, tile).excess(arch, room):
            continue
        if not op.on_array:
            yield VectorMapping(*tile)
            continue
        g, b, oh, ow, n, k = tile
        depth = size["c"] * size["kh"] * size["kw"]
        whole = (n, k) == (size["n"], depth)
        if g > 1 and not whole:
            continue
        for dataflow, outer in itertools.product(arch.array.dataflow, ("pixels", "channels")):
            beside = 1
            if dataflow == "weight_stationary" and whole:
                beside = max(1, min(g, arch.array.rows // depth, arch.array.columns // n))
            for groups_at_once in range(1, beside + 1):
                yield ArrayMapping(dataflow, g, b, oh, ow, n, k, outer, groups_at_once)


def sizes_of(op: FlowOp) -> dict[str, int]:
    size = op.sizes
    if not op.on_array:
        return {name: size[name] for name in "bchw"}
    return {name: size[name] for name in ("g", "b", "oh", "ow", "n")} | {"k": size["c"] * size["kh"] * size["kw"]}


def alone(op: FlowOp, flow: Flow, arch: Machine) -> Residency:
    return nothing_stays(replace(flow, ops=(op,)), arch)


def cost(op: FlowOp, flow: Flow, arch: Machine, mapping: Mapping) -> Figures:
    return nest.time(op, flow, arch, alone(op, flow, arch), prices(arch), mapping)[0]


def search(op: FlowOp, flow: Flow, arch: Machine, objective: str = "cycles", seed: int = 0) -> nest.Found:
    (start,) = choose(replace(flow, ops=(op,)), arch)
    assert start is not None
    return nest.search(
        op, flow, arch, alone(op, flow, arch), prices(arch), check_objective(objective), "full", seed, start
    )


@pytest.fixture(autouse=True)
def _to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nest.BUDGET, "full", 10**6)


@pytest.mark.parametrize("name", layers())
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_small_spaces_are_searched_whole(name, objective) -> None:
    """Every size of every loop; of more than 500 mappings, 150 drawn ones."""
    flow = layers()[name]
    (op,) = flow.ops
    rng = random.Random(f"{name} {objective}")
    dataflow = rng.choice([*DATAFLOWS, "weight_stationary"])
    fields = rng.choice([{}, {"bandwidth": "1 B/cycle"}, {"double_buffered": False}, {"width": "2 B/cycle"}])
    arch = machine(12, 3, dataflow, buffers=rng.choice([(512, 1024, 1024), (128, 256, 288)]), **fields)
    sides = {name: list(range(1, size + 1)) for name, size in sizes_of(op).items()}
    every = list(all_mappings(op, flow, arch, sides))
    drawn = every if len(every) < 500 else rng.sample(every, 150)
    best = min(cost(op, flow, arch, mapping).rank(objective) for mapping in drawn)
    found = search(op, flow, arch, objective)
    assert found.optimal
    assert found.figures.rank(objective)[0] <= best[0] * (1 + 1e-12)
    if drawn is every:
        assert found.figures.rank(objective) == pytest.approx(best, rel=1e-12)
    assert found.figures == cost(op, flow, arch, found.mapping)
    assert found.timed <= found.candidates


@pytest.fixture(scope="module")
def digits() -> tuple[Flow, Machine]:
    arch = load_arch("edge-32x32")
    return lower(fit_to_machine(api.load_network("digits-resnet8").graph, arch)), arch


@pytest.mark.parametrize(
    "name", ["stem_quant", "stage1.conv2_quant", "stage2.add_quant", "stage2.conv2_quant", "stage3.conv2_quant", "pool"]
)
def test_larger_ones_are_no_worse_than_all_equal_parts(name, digits) -> None:
    """Into at most six parts along each loop, n and k in whole folds of 32; of more than 150 mappings, 150 drawn."""
    flow, arch = digits
    (op,) = (op for op in flow.ops if op.name == name)
    sides = {}
    for loop, size in sizes_of(op).items():
        unit = 32 if loop in ("n", "k") else 1
        sides[loop] = sorted({min(size, unit * ceil(ceil(size / unit) / parts)) for parts in (1, 2, 3, 4, 6)})
    every = list(all_mappings(op, flow, arch, sides))
    every = random.Random(name).sample(every, min(len(every), 150))
    best = min(cost(op, flow, arch, mapping).cycles for mapping in every)
    found = search(op, flow, arch)
    assert found.optimal
    assert found.figures.cycles <= best


def test_a_budget_ends_the_search_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Builder()
    net.conv(net.input(1, 16, 12, 12), 24)
    flow = lower(net.graph())
    arch = machine(bandwidth="2 B/cycle")
    whole = search(flow.ops[0], flow, arch)
    monkeypatch.setitem(nest.BUDGET, "full", 0)
    cut = search(flow.ops[0], flow, arch)
    assert whole.optimal
    assert not cut.optimal
    assert cut.timed == 1 < whole.timed
    assert whole.figures.cycles <= cut.figures.cycles


def test_equal_seeds_draw_equal_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nest, "LARGE", 200)
    net = Builder()
    net.conv(net.input(1, 64, 12, 12), 24)
    flow = lower(net.graph())
    arch = machine(buffers=(4096, 4096, 4096))
    tilings = [nest.tilings(flow.ops[0], flow, arch, "full", seed) for seed in (3, 3, 4)]
    assert (tilings[0] == tilings[1]).all()
    assert tilings[0].shape != tilings[2].shape or (tilings[0] != tilings[2]).any()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_where_nothing_fits_every_objective_says_what_binds(objective) -> None:
    """One output of the pool reads 9 x 9 values; half of 128 B holds 64 of these 81."""
    net = Builder()
    net.average_pool(net.input(1, 3, 9, 9), (9, 9), (1, 1))
    flow = lower(net.graph())
    arch = machine(buffers=(128, 128, 1024))
    message = r"needs 81 bytes in the activation buffer, and a half of it holds 64 \(17 too few\)"
    with pytest.raises(AccelError, match=message):
        choose(flow, arch)
    with pytest.raises(AccelError, match=message):
        nest.search(
            flow.ops[0],
            flow,
            arch,
            nothing_stays(flow, arch),
            prices(arch),
            objective,
            "full",
            0,
            VectorMapping(1, 1, 1, 1),
        )


def test_an_unknown_objective() -> None:
    with pytest.raises(AccelError) as error:
        check_objective("speed")
    assert str(error.value) == '"speed" is no objective of a mapping search; these are: cycles, energy, edp, dram-bytes'


def test_figures_are_those_of_the_record() -> None:
    """Prices of single actions add up to the energy that ``estimate`` reports."""
    net = residual_network()
    arch = machine()
    program = compile_graph(net.graph(net.last), arch)
    clock = run_clock(program, arch)
    record = result_of("test", 1, arch, program, clock, None)
    for layer, program_layer, cycles in zip(record.layers, program.layers, clock.cycles, strict=True):
        figures = Figures.of(cycles.total, counts(program_layer.actions), prices(arch))
        assert figures.energy_pj == pytest.approx(layer.energy.total_pj, rel=1e-9)
        assert figures.dram_bytes == layer.actions.dram_read_bytes + layer.actions.dram_write_bytes
        assert figures.rank("edp")[0] == figures.energy_pj * figures.cycles
