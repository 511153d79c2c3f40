"""Banks with one port: turns by hand, and what fewer ports or banks may never do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Compute
from accel.sim.engine import run
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network


def with_ports(arch: Machine, **fields: int) -> Machine:
    """All buffers of ``arch`` with other banks or ports."""
    buffers = {
        name: getattr(arch.buffers, name).model_copy(update=fields) for name in ("weight", "activation", "accumulator")
    }
    return arch.model_copy(update={"buffers": arch.buffers.model_copy(update=buffers)})


@pytest.mark.parametrize(("ports", "banks", "begins"), [(2, 1, [16, 32]), (1, 2, [16, 32]), (1, 1, [28, 32])])
def test_a_tile_that_arrives_in_the_bank_of_another_is_waited_for(ports, banks, begins) -> None:
    """4 -> 8 features on 4 x 4, 4 a tile; buffers 4 B wide, so a tile's 48 B take 12 cycles and 4 B in a burst 4.

    W0 0..12, A 12..16, W1 16..28, each there at once. Tile 0's weights travel in from 12 to 16; it takes 4 cycles. Tile
    1's travel in from 28 to 32. Both tiles, 16 B each, lie in a buffer of 32 B: in two banks, or in a single one,
    which W1, issued first, holds from 16 to 28.
    """
    net = Builder()
    net.linear(net.input(1, 4), 8)
    arch = machine(4, 4, buffers=(32, 1024, 1024), bandwidth="64 B/cycle", latency="0 cycles", width="4 B/cycle")
    weight = arch.buffers.weight.model_copy(update={"ports": ports, "banks": banks})
    arch = arch.model_copy(update={"buffers": arch.buffers.model_copy(update={"weight": weight})})
    program = emit(lower(net.graph()), arch, [ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")])
    timeline = run(program, arch)
    assert [timeline.begin[i.index] for i in program.instructions if isinstance(i, Compute)] == begins


def test_one_port_reads_and_writes_in_turn() -> None:
    """Two folds along k write 16 sums of 4 B each, and read the first ones again: 128 + 64 B through 4 B a cycle."""
    net = Builder()
    net.linear(net.input(4, 8), 4)
    for ports, cycles in ((2, 128 // 4), (1, (128 + 64) // 4)):
        arch = with_ports(machine(4, 4, width="4 B/cycle", buffers=(4096,) * 3), ports=ports)
        program = emit(lower(net.graph()), arch, [ArrayMapping("weight_stationary", 1, 4, 1, 1, 4, 8, "pixels")])
        (compute,) = (i for i in program.instructions if isinstance(i, Compute))
        assert (compute.port, compute.port_cycles) == ("accumulator", cycles)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 50),
    dataflow=st.sampled_from(DATAFLOWS),
    double_buffered=st.booleans(),
    width=st.sampled_from(["2 B/cycle", "16 B/cycle"]),
    banks=st.sampled_from([1, 2, 4]),
    room=st.sampled_from([1024, 8192]),
)
def test_more_ports_or_banks_make_nothing_later(seed, dataflow, double_buffered, width, banks, room) -> None:
    """Halving a bank parts some that took turns, and joins none."""
    net = residual_network(seed)
    arch = machine(dataflow=dataflow, double_buffered=double_buffered, width=width, buffers=(512, room, 1024))
    shared = with_ports(arch, ports=1, banks=banks)
    program = compile_graph(net.graph(net.last), shared)
    one = run(program, shared).done
    assert all(a <= b for a, b in zip(run(program, with_ports(shared, banks=2 * banks)).done, one, strict=True))
    assert all(a <= b for a, b in zip(run(program, with_ports(shared, ports=2)).done, one, strict=True))
