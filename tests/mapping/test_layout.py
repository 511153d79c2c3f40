"""Addresses: the pieces of a box, against a walk over its elements; and places that do not overlap."""

from __future__ import annotations

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.mapping.layout import Layout, Place, Runs, runs_of
from accel.mapping.program import Load
from tests.machines import machine
from tests.networks import residual_network

SIDES = st.integers(1, 5)


@st.composite
def boxes(draw):
    shape = draw(st.tuples(SIDES, SIDES, SIDES, SIDES))
    box = []
    for size in shape:
        low = draw(st.integers(0, size))
        box.append((low, draw(st.integers(low, size))))
    return shape, tuple(box)


@given(boxes(), st.sampled_from([1, 2, 4, 7, 8, 16, 32]), st.integers(0, 3), st.sampled_from([1, 4, 16, 64]))
def test_pieces_and_bursts_are_those_of_the_elements(drawn, bits, start, burst) -> None:
    """Channels innermost: element (b, c, h, w) has the bits from ((b * H + h) * W + w) * C + c, times their number."""
    shape, box = drawn
    _, channels, height, width = shape
    place = Place(start * burst, 0)
    found = runs_of(place, shape, bits, box)
    covered: list[int] = []
    for b, h, w, c in product(*(range(*box[axis]) for axis in (0, 2, 3, 1))):
        first = 8 * place.address + (((b * height + h) * width + w) * channels + c) * bits
        covered.extend(range(first, first + bits))
    assert found.run_bits * found.count == len(covered)
    starts, ends = found.pieces()
    if not covered:
        assert found.bursts(burst) == 0
        return
    assert {byte for low, high in zip(starts, ends, strict=True) for byte in range(low, high)} == {
        bit // 8 for bit in covered
    }
    # In the order of the pieces, a burst is moved again unless it is the one that was moved last.
    moved: list[int] = []
    for low, high in zip(starts, ends, strict=True):
        for number in range(low // burst, (high - 1) // burst + 1):
            if not moved or moved[-1] != number:
                moved.append(number)
    assert found.bursts(burst) == len(moved)


def test_a_quarter_of_the_channels_by_hand() -> None:
    """8 x 8 pixels of 64 channels, 16 of them wanted: 64 pieces of 16 B, each in a burst of 64 B of its own."""
    found = runs_of(Place(0, 4096), (1, 64, 8, 8), 8, ((0, 1), (16, 32), (0, 8), (0, 8)))
    assert found == Runs(16 * 8, 16 * 8, ((8, 8 * 64 * 8), (8, 64 * 8)))
    assert found.bursts(64) == 64
    assert found.bursts(16) == 64
    assert runs_of(Place(0, 4096), (1, 64, 8, 8), 8, ((0, 1), (0, 64), (2, 4), (0, 8))).bursts(64) == 2 * 8


def test_places_do_not_overlap_and_transfers_stay_inside() -> None:
    net = residual_network(batch=2)
    arch = machine()
    program = compile_graph(net.graph(net.last), arch)
    places = sorted(set(program.places.values()), key=lambda place: place.address)
    assert all(place.address % arch.dram.burst_bytes == 0 for place in places)
    assert all(one.address + one.size_bytes <= other.address for one, other in pairwise(places))
    for load in (i for i in program.instructions if isinstance(i, Load)):
        place = program.places[load.tensor]
        starts, ends = load.runs.pieces()
        assert place.address <= starts.min()
        assert ends.max() <= place.address + place.size_bytes


def test_what_stays_on_chip_has_no_address() -> None:
    net = residual_network()
    flow = lower(net.graph(net.last))
    name = flow.ops[0].write.tensor
    assert name in Layout(flow, 64, {}).places
    assert name not in Layout(flow, 64, {name: None}).places
