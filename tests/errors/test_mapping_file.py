"""Mapping files: read back exactly, and one bad file for each message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.explore.fusion import plan
from accel.flow.ir import Flow
from accel.flow.lower import lower
from accel.mapping.file import dump_mappings, load_mappings
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network

ARCH = machine(30, 30, buffers=(2048, 2048, 8192))


def network() -> Flow:
    net = Builder()
    net.max_pool(net.conv(net.input(1, 6, 9, 9), 6, groups=6), (2, 2), (2, 2))
    return lower(net.graph())


GOOD = """\
network: test
machine: test-30x30
layers:
  conv0:
    dataflow: weight_stationary
    outer: pixels
    tile: {g: 6, b: 1, oh: 9, ow: 9, n: 1, k: 9}
    groups_at_once: 3
  maxpool1:
    tile: {b: 1, c: 6, h: 4, w: 4}
"""


def read(tmp_path: Path, text: str, arch: Machine = ARCH) -> tuple:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return load_mappings(path, network(), arch)[1]


def test_the_good_one(tmp_path: Path) -> None:
    conv, pool = read(tmp_path, GOOD)
    assert str(conv) == "ws g6 b1 oh9 ow9 n1 k9 pixels outer 3 groups at once"
    assert str(pool) == "vector b1 c6 h4 w4"
    assert dump_mappings(network(), ARCH, (conv, pool)) == GOOD
    assert read(tmp_path, GOOD.replace("    groups_at_once: 3\n", ""))[0] == replace(conv, groups_at_once=1)


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "another network": (
        lambda text: text.replace("network: test", "network: resnet18"),
        "1:10: this mapping is for the network 'resnet18', and this one is 'test'",
    ),
    "another machine": (
        lambda text: text.replace("test-30x30", "edge-32x32"),
        "2:10: this mapping is for the machine 'edge-32x32', and this one is 'test-30x30'",
    ),
    "no machine": (
        lambda text: text.replace("machine: test-30x30\n", ""),
        "1:1: a mapping file lacks machine; it has the keys network, machine, layers",
    ),
    "another key": (
        lambda text: text.replace("layers:", "effort: 3\nlayers:"),
        "3:1: unknown key 'effort'; legal are network, machine, layers",
    ),
    "layers are a list": (
        lambda text: text[: text.index("layers:")] + "layers: [conv0, maxpool1]\n",
        "3:9: layers is no mapping; it has a key for each layer of the network",
    ),
    "unknown layer": (
        lambda text: text + "  maxpool2:\n    tile: {b: 1, c: 6, h: 4, w: 4}\n",
        "11:3: the network has no layer 'maxpool2' that is mapped; did you mean 'maxpool1'?",
    ),
    "missing layer": (
        lambda text: text[: text.index("  maxpool1")],
        "3:1: layer 'maxpool1' has no mapping here; every layer needs one",
    ),
    "layer twice": (
        lambda text: text + "  maxpool1:\n    tile: {b: 1, c: 6, h: 4, w: 4}\n",
        "11:3: the key 'maxpool1' is here twice; it stands in line 9 already",
    ),
    "empty layer": (
        lambda text: text[: text.index("    tile: {b: 1, c")],
        "9:3: 'maxpool1' is no mapping; it has the keys tile, fused_with, window_rows",
    ),
    "dataflow of vector work": (
        lambda text: text + "    dataflow: weight_stationary\n",
        "11:5: unknown key 'dataflow'; legal are tile, fused_with, window_rows",
    ),
    "no dataflow": (
        lambda text: text.replace("    dataflow: weight_stationary\n", ""),
        "4:3: 'conv0' lacks dataflow; it has the keys dataflow, outer, tile, groups_at_once, fused_with, window_rows",
    ),
    "dataflow that the machine lacks": (
        lambda text: text.replace("weight_stationary", "output_stationary"),
        "5:15: dataflow is 'output_stationary', which test-30x30 does not have; legal are weight_stationary "
        "(and 1 more in this file)",
    ),
    "unknown order": (
        lambda text: text.replace("outer: pixels", "outer: rows"),
        "6:12: outer is 'rows', which a mapping does not have; legal are pixels, channels",
    ),
    "tile larger than the loop": (
        lambda text: text.replace("oh: 9", "oh: 10"),
        "7:28: a tile of 10 is larger than its loop; the loop oh runs 9 times",
    ),
    "tile of nothing": (
        lambda text: text.replace("w: 4}", "w: 0}"),
        "10:33: w is 0; legal is a whole number from 1 to 4; the loop w runs 4 times",
    ),
    "negative tile": (
        lambda text: text.replace("w: 4}", "w: -2}"),
        "10:33: w is -2; legal is a whole number from 1 to 4; the loop w runs 4 times",
    ),
    "half a tile": (
        lambda text: text.replace("w: 4}", "w: 1.5}"),
        "10:33: w is 1.5; legal is a whole number from 1 to 4; the loop w runs 4 times",
    ),
    "a truth as a tile": (
        lambda text: text.replace("w: 4}", "w: true}"),
        "10:33: w is True; legal is a whole number from 1 to 4; the loop w runs 4 times",
    ),
    "loop missing in a tile": (
        lambda text: text.replace(", w: 4}", "}"),
        "10:5: 'tile' lacks w; it has the keys b, c, h, w",
    ),
    "loop unknown in a tile": (
        lambda text: text.replace("w: 4}", "w: 4, kh: 2}"),
        "10:36: unknown key 'kh'; did you mean 'h'?",
    ),
    "groups in pieces": (
        lambda text: text.replace("k: 9}", "k: 6}").replace("groups_at_once: 3", "groups_at_once: 1"),
        "7:11: a tile of 6 groups cuts them along n or k; let g be 1, or n 1 and k 9",
    ),
    "too many groups at once": (
        lambda text: text.replace("groups_at_once: 3", "groups_at_once: 4"),
        "8:21: groups_at_once is 4; the array, the dataflow and the tile leave room for 3",
    ),
    "more groups at once than in the tile": (
        lambda text: text.replace("g: 6", "g: 2"),
        "8:21: groups_at_once is 3; the array, the dataflow and the tile leave room for 2",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_message(name, tmp_path: Path) -> None:
    edit, expected = BAD[name]
    with pytest.raises(AccelError) as error:
        read(tmp_path, edit(GOOD))
    assert str(error.value) == f"{tmp_path}/m.yaml:{expected}"


FUSED = """\
network: test
machine: test-30x30
layers:
  conv0:
    dataflow: weight_stationary
    outer: pixels
    tile: {g: 6, b: 1, oh: 2, ow: 9, n: 1, k: 9}
    groups_at_once: 3
    fused_with: maxpool1
    window_rows: 4
  maxpool1:
    tile: {b: 1, c: 6, h: 1, w: 4}
"""
NARROW = machine(30, 30, buffers=(2048, 700, 8192))
"""The 486 bytes between the layers cannot stay whole beside tiles."""


def test_a_good_pair(tmp_path: Path) -> None:
    """Rows of 9 pixels and 6 channels; 4 of them are 216 bytes of 700."""
    path = tmp_path / "m.yaml"
    path.write_text(FUSED)
    residency, mappings = load_mappings(path, network(), NARROW)
    (window,) = residency.windows
    assert (window.first, window.last, window.rows, window.size_bytes, window.offset) == (0, 1, 4, 216, 484)
    assert dump_mappings(network(), NARROW, mappings, windows=residency.windows) == FUSED


LEGAL_ROWS = "legal is a whole number from 2 to 9; tiles of 2 and 1 rows need 2, and the tensor has 9"

BAD_PAIRS: dict[str, tuple[Callable[[str], str], str]] = {
    "no rows": (
        lambda text: text.replace("    window_rows: 4\n", ""),
        "4:3: 'conv0' has no window_rows; a fused layer has fused_with and window_rows",
    ),
    "with itself": (
        lambda text: text.replace("fused_with: maxpool1", "fused_with: conv0"),
        "9:17: 'conv0' cannot be fused with 'conv0'; it can be with maxpool1",
    ),
    "with nothing": (
        lambda text: text.replace("fused_with: maxpool1", "fused_with:"),
        "9:5: 'conv0' cannot be fused with None; it can be with maxpool1",
    ),
    "another one first": (
        lambda text: (
            text.replace("    fused_with: maxpool1\n    window_rows: 4\n", "")
            + "    fused_with: conv0\n    window_rows: 2\n"
        ),
        "11:17: 'maxpool1' cannot be fused with 'conv0'; these can: conv0 with maxpool1",
    ),
    "the last layer": (
        lambda text: text + "    fused_with: conv0\n    window_rows: 2\n",
        "13:17: 'maxpool1' cannot be fused with 'conv0'; no two layers can here",
    ),
    "too few rows": (
        lambda text: text.replace("window_rows: 4", "window_rows: 1"),
        f"10:18: window_rows is 1; {LEGAL_ROWS}",
    ),
    "more rows than there are": (
        lambda text: text.replace("window_rows: 4", "window_rows: 10"),
        f"10:18: window_rows is 10; {LEGAL_ROWS}",
    ),
    "rows in words": (
        lambda text: text.replace("window_rows: 4", "window_rows: four"),
        f"10:18: window_rows is 'four'; {LEGAL_ROWS}",
    ),
    "rows in halves": (
        lambda text: text.replace("window_rows: 4", "window_rows: 4.0"),
        f"10:18: window_rows is 4.0; {LEGAL_ROWS}",
    ),
    "half of the channels": (
        lambda text: text.replace("c: 6", "c: 3"),
        "12:11: a fused layer's tile has rows of one image, with all channels; let b be 1 and c 6",
    ),
    "channels outside": (
        lambda text: text.replace("outer: pixels", "outer: channels"),
        "6:12: a fused layer goes from rows to rows; let outer be pixels",
    ),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_message_about_a_pair(name, tmp_path: Path) -> None:
    edit, expected = BAD_PAIRS[name]
    with pytest.raises(AccelError) as error:
        read(tmp_path, edit(FUSED), NARROW)
    assert str(error.value) == f"{tmp_path}/m.yaml:{expected}"


def test_a_window_that_does_not_fit(tmp_path: Path) -> None:
    """9 rows are 486 bytes of 400."""
    text = FUSED.replace("window_rows: 4", "window_rows: 9").replace("oh: 2", "oh: 1")
    with pytest.raises(AccelError) as error:
        read(tmp_path, text, machine(30, 30, buffers=(2048, 400, 8192)))
    assert str(error.value) == (
        f"{tmp_path}/m.yaml:10:18: a window of 9 rows takes 486 bytes; the activation buffer has 400 left for it"
    )


def test_fused_layers_have_half_of_the_accumulators(tmp_path: Path) -> None:
    """6 groups of 2 x 9 sums of 4 bytes; a quarter of 1600."""
    with pytest.raises(AccelError) as error:
        read(tmp_path, FUSED, machine(30, 30, buffers=(2048, 700, 1600)))
    assert str(error.value) == (
        f"{tmp_path}/m.yaml:7:11: this tile needs 432 bytes in the accumulator buffer, and a quarter of it holds 400 "
        "(32 too few); make it smaller"
    )


def test_an_overfull_buffer_says_by_how_much(tmp_path: Path) -> None:
    """6 channels of 9 x 9 are 486 activations, and half of 900 B holds 450 of them."""
    arch = machine(30, 30, buffers=(2048, 900, 8192))
    with pytest.raises(AccelError) as error:
        read(tmp_path, GOOD, arch)
    assert str(error.value) == (
        f"{tmp_path}/m.yaml:7:11: this tile needs 486 bytes in the activation buffer, and a half of it holds 450 "
        "(36 too few); make it smaller"
    )


def test_tensors_that_stay_leave_less_of_a_buffer(tmp_path: Path) -> None:
    """9 x 9 pixels of 6 channels are read, 486 B; the 486 B that come out stay, and leave half of 928 - 486 B."""
    net = Builder()
    net.max_pool(net.conv(net.input(1, 6, 9, 9), 6, (1, 1), pads=(0, 0, 0, 0)), (9, 9), (9, 9))
    text = """\
network: test
machine: test-30x30
layers:
  conv0:
    dataflow: weight_stationary
    outer: pixels
    tile: {g: 1, b: 1, oh: 9, ow: 9, n: 6, k: 6}
  maxpool1:
    tile: {b: 1, c: 6, h: 1, w: 1}
"""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(AccelError) as error:
        load_mappings(path, lower(net.graph()), machine(30, 30, buffers=(2048, 928, 8192)))
    assert str(error.value) == (
        f"{path}:7:11: this tile needs 486 bytes in the activation buffer, and a half of what tensors that stay leave "
        "of it holds 221 (265 too few); make it smaller"
    )


def test_more_tiles_than_anyone_waits_for(tmp_path: Path) -> None:
    """128 x 128 pixels of 16 channels, each by itself: 262,144 tiles."""
    net = Builder()
    net.max_pool(net.input(1, 16, 256, 256), (2, 2), (2, 2))
    path = tmp_path / "m.yaml"
    path.write_text("network: test\nmachine: test-30x30\nlayers: {maxpool0: {tile: {b: 1, c: 1, h: 1, w: 1}}}\n")
    with pytest.raises(AccelError) as error:
        load_mappings(path, lower(net.graph()), ARCH)
    assert (
        str(error.value) == f"{path}:3:27: this tile cuts the layer into 262144 of them; at most 200000; make it larger"
    )


def test_no_such_file() -> None:
    with pytest.raises(AccelError, match="there is no such file"):
        load_mappings(Path("nowhere.yaml"), network(), ARCH)


@settings(max_examples=20, deadline=None)
@given(dataflow=st.sampled_from(DATAFLOWS), name=st.text(min_size=1, max_size=9), batch=st.integers(1, 2))
def test_round_trip(dataflow, name, batch, tmp_path_factory) -> None:
    """Whatever layers are called."""
    net = residual_network(batch=batch)
    arch = machine(dataflow=dataflow)
    flow = lower(net.graph(net.last))
    flow = replace(flow, ops=(replace(flow.ops[0], name=name), *flow.ops[1:]))
    residency, mappings = plan(flow, arch)
    path = tmp_path_factory.mktemp("round") / "m.yaml"
    path.write_text(dump_mappings(flow, arch, mappings, "two\nlines", residency.windows), encoding="utf-8")
    loaded, read_back = load_mappings(path, flow, arch)
    assert (loaded.kept, loaded.free_bytes, read_back) == (residency.kept, residency.free_bytes, mappings)
