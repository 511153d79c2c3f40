"""Rows of a tensor between two layers that take turns."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from accel.flow.lower import lower
from accel.mapping.fusion import links, window_of
from accel.mapping.residency import nothing_stays
from accel.mapping.window import reads_of, row_loop, rows_needed, rows_of
from tests.fused import chain, fused_program
from tests.machines import machine
from tests.networks import Builder


def two(kernel: int = 3, stride: int = 1, size: int = 8) -> tuple:
    net = Builder()
    pad = kernel // 2
    first = net.conv(net.input(2, 2, size, size), 2)
    net.conv(first, 2, (kernel, kernel), (stride, stride), (pad,) * 4)
    return lower(net.graph()).ops


def test_a_window_by_hand() -> None:
    """Tiles of 4 and 2 rows, 3x3: output rows 2 and 3 read rows 1 to 4, made with all up to row 7: rows 1 to 7."""
    assert rows_needed(*two(), 4, 2) == 7
    # Row by row, three rows around one.
    assert rows_needed(*two(), 1, 1) == 3
    # Each pixel by itself: what is made is read.
    assert rows_needed(*two(kernel=1), 4, 4) == 4
    # Tiles of 3 rows of one, 4 of the other: rows 4 to 7 are there with the last tile (6 and 7), and begin at row 4.
    assert rows_needed(*two(kernel=1), 3, 4) == 6  # of the first tile: rows 0 to 3 are there with row 5
    # Every second row of 3: output rows 1 and 2 read rows 1 to 5.
    assert rows_needed(*two(stride=2), 1, 2) == 5


def test_rows_go_on_from_image_to_image() -> None:
    maker, reader = two()
    source = reads_of(reader, maker.write.tensor)
    assert rows_of(source, reader.whole | {"b": (1, 2), "oh": (0, 2)}) == (8, 11)
    assert rows_of(maker.write, maker.whole | {"b": (1, 2), "oh": (6, 8)}) == (14, 16)


@given(seed=st.integers(0, 500), data=st.data())
def test_a_window_holds_all_rows_of_every_tile(seed, data) -> None:
    """Against a walk through all rows: what is made until a tile has its rows, without what no later tile reads."""
    net = chain(seed)
    flow, arch = lower(net.graph(net.last)), machine()
    for first, last in links(flow, nothing_stays(flow, arch)):
        maker, reader = flow.ops[first], flow.ops[last]
        sizes = [op.sizes[row_loop(op)] for op in (maker, reader)]
        rows = [data.draw(st.integers(1, size)) for size in sizes]
        source = reads_of(reader, maker.write.tensor)
        most = 0
        for low in range(0, sizes[1], rows[1]):
            tile = reader.whole | {"b": (0, 1), row_loop(reader): (low, min(low + rows[1], sizes[1]))}
            wanted = range(*rows_of(source, tile))
            made = 0
            while wanted and made <= wanted[-1]:
                made = min(made + rows[0], sizes[0])
            most = max(most, made - wanted[0] if wanted else 0)
        assert rows_needed(maker, reader, *rows) == most
        # Tiles of divisors need no more.
        parts = [data.draw(st.sampled_from([part for part in range(1, size + 1) if size % part == 0])) for size in rows]
        assert rows_needed(maker, reader, *parts) <= most


def test_a_window_lies_below_what_stays() -> None:
    """6 rows of 8 pixels and 2 channels."""
    net = Builder()
    net.conv(net.conv(net.input(1, 2, 8, 8), 2), 2)
    flow = lower(net.graph())
    window = window_of(flow, nothing_stays(flow, machine(buffers=(512, 200, 512))), 0, 1, 6)
    assert (window.tensor, window.size_bytes, window.offset) == ("conv0_out", 96, 104)


def test_links() -> None:
    """Not where somebody else reads the tensor, too, where it is the network's output, or where rows are mixed."""
    net = Builder()
    x = net.conv(net.input(1, 2, 8, 8), 2)  # 0: read by 1 and 2
    y = net.conv(x, 2)  # 1: an output
    z = net.add(x, y)  # 2 -> 3
    z = net.conv(z, 2)  # 3 -> 4
    z = net.max_pool(z, (2, 2), (2, 2))  # 4: pooled to one row
    z = net.global_pool(z)
    net.linear(net.flatten(z), 3)
    flow = lower(net.graph(y, "linear7_out"))
    assert list(links(flow, nothing_stays(flow, machine()))) == [(2, 3), (3, 4)]


def test_a_program_says_which_layers_take_turns() -> None:
    """Windows and partners, where one looks for them."""
    net = chain(3)
    program = fused_program(lower(net.graph(net.last)), machine(), random.Random(3), whole=False)
    text, names = str(program), [op.name for op in program.flow.ops]
    assert program.residency.windows
    for window in program.residency.windows:
        first, last = names[window.first], names[window.last]
        assert f"{first}: {program.layers[window.first].mapping}, fused with {last}\n" in text
        assert f"{last}: {program.layers[window.last].mapping}, fused with {first}\n" in text
        assert f"{window.tensor}, {window.rows} rows at a time\n" in text
