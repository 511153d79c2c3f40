"""Figures are held against the records by what is drawn, not by pictures of yesterday."""

import dataclasses
import hashlib
import itertools
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from accel.report.bars import cycles_figure, energy_figure, error_figure
from accel.report.labels import Box, place_labels
from accel.report.palette import BOUNDS, CAUSES, COMPONENTS
from accel.report.plots import save_plots
from accel.report.roofline import points, roofline_figure
from accel.report.timeline import envelope, occupancy_figure
from accel.result import Cycles, Energy
from accel.studies.bottleneck import bound, operations

from .synthetic import digits, estimate, resnet18, resnet50, without_layers

ALL = [f"{name}.{kind}" for name in ("cycles", "energy", "error", "occupancy", "roofline") for kind in ("png", "svg")]


def heights_by_colour(axes):
    """Bar colour -> sum of heights."""
    sums: dict[str, float] = {}
    for bar in axes.patches:
        colour = to_hex(bar.get_facecolor()).upper()
        sums[colour] = sums.get(colour, 0.0) + bar.get_height()
    return sums


def layers_like(result, *changes):
    """A result with one layer, the first, for each change."""
    first = result.layers[0]
    return dataclasses.replace(result, layers=tuple(dataclasses.replace(first, **change) for change in changes))


def with_sqnr(*levels_db):
    error = digits().layers[0].error
    return layers_like(digits(), *({"error": dataclasses.replace(error, sqnr_db=level)} for level in levels_db))


@pytest.mark.parametrize("result", [digits(), resnet18(), resnet50()], ids=["8", "32", "73"])
def test_cycles_are_stacked_by_cause(result):
    (axes,) = cycles_figure(result).axes
    drawn = heights_by_colour(axes)
    for cause in CAUSES:
        assert drawn[cause.colour] == sum(getattr(layer.cycles, cause.field) for layer in result.layers)
    assert sum(drawn.values()) == result.latency_cycles
    tops = {}
    for bar in axes.patches:
        place = round(bar.get_x() + bar.get_width() / 2)
        tops[place] = max(tops.get(place, 0), bar.get_y() + bar.get_height())
    assert list(tops.values()) == [layer.cycles.total for layer in result.layers if layer.unit != "view"]


def test_energy_is_stacked_by_component_and_summed_beside():
    result = resnet18()
    axes, sums = energy_figure(result).axes
    drawn = heights_by_colour(axes)
    beside = {to_hex(bar.get_facecolor()).upper(): bar.get_width() for bar in sums.patches}
    for component in COMPONENTS:
        total_j = 1e-12 * sum(getattr(layer.energy, component.field) for layer in result.layers)
        assert drawn[component.colour] == pytest.approx(total_j)
        assert beside[component.colour] == pytest.approx(total_j)
    assert sums.get_title("left") == "Whole network: 5.69 mJ"


def test_titles_tell_network_machine_and_batch():
    for figure in (cycles_figure(digits()), energy_figure(digits()), error_figure(digits()), roofline_figure(digits())):
        assert figure.axes[0].get_title("left").endswith("\ndigits-resnet8 on edge-32x32, batch 1")


def test_layers_carry_their_table_numbers():
    labels = [label.get_text() for label in cycles_figure(resnet18()).axes[0].get_xticklabels()]
    assert labels[0] == "conv1  1"
    assert labels[-1] == "fc  32"  # 31 is a reshape: it has a number and no bar
    assert len(labels) == 31


def test_error_is_drawn_where_there_is_one():
    (axes,) = error_figure(digits()).axes
    of_layers = [line.get_data() for line in axes.lines if line.get_label() in ("array layers", "vector layers")]
    drawn = {place: level for data in of_layers for place, level in zip(*data, strict=True)}
    assert drawn == pytest.approx(dict(enumerate(layer.error.sqnr_db for layer in digits().layers)))
    assert error_figure(estimate(digits())) is None


@pytest.mark.parametrize(
    ("levels_db", "said"),
    [
        ((30.0, math.inf), "least 30.0 dB, at layer 1"),
        ((math.inf, math.inf), "none"),
        ((math.nan, 12.0), "least 12.0 dB, at layer 2"),
        ((3.0, -5.5), "least -5.5 dB, at layer 2"),
        ((-math.inf, 5.0), "least -∞ dB, at layer 1"),
    ],
)
def test_errors_at_their_limits(levels_db, said, tmp_path):
    figure = error_figure(with_sqnr(*levels_db))
    (axes,) = figure.axes
    assert axes.get_title("left").startswith(f"Error by layer, against the float network: {said}\n")
    assert [text.get_text() for text in axes.texts] == ["exact"] * sum(not level < math.inf for level in levels_db)
    low, high = axes.get_ylim()
    drawn = [line.get_ydata() for line in axes.lines if line.get_label() == "array layers"]
    assert np.shape(drawn) == (1, 2)
    assert np.all((low <= np.array(drawn)) & (np.array(drawn) <= high))
    assert all(low <= level <= high for level in levels_db if math.isfinite(level))
    figure.savefig(tmp_path / "error.png")


def test_operations_and_intensity_by_hand():
    """100 MACs are 200 operations; over 50 + 30 bytes that is 2.5 a byte; in 40 cycles, 5 a cycle."""
    layer = digits().layers[0]
    actions = dataclasses.replace(layer.actions, dram_read_bytes=50, dram_write_bytes=30)
    array = {"macs": 100, "actions": actions, "cycles": Cycles(compute=30, vector=10)}
    adds = dataclasses.replace(actions, vector_requantize=16, vector_add=17, vector_scaled_add=3, vector_compare=4)
    vector = {"macs": 0, "unit": "vector", "actions": adds, "cycles": Cycles(vector=20)}
    result = layers_like(digits(), array, vector)
    assert [operations(layer) for layer in result.layers] == [200, 40]
    (below,), (above,) = points(result)
    assert (above.number, above.unit, above.intensity, above.rate, above.cycles) == (1, "array", 2.5, 5.0, 40)
    assert (below.number, below.unit, below.intensity, below.rate, below.cycles) == (2, "vector", 0.5, 2.0, 20)


def test_layers_at_one_place_share_a_point():
    layer = digits().layers[0]
    total = layer.cycles.total
    near = dataclasses.replace(layer.cycles, vector=layer.cycles.vector + round(0.05 * total))
    far = dataclasses.replace(layer.cycles, vector=layer.cycles.vector + total)
    drawn = points(layers_like(digits(), {}, {"cycles": near}, {"cycles": far}))
    assert sorted(tuple(point.number for point in group) for group in drawn) == [(1, 2), (3,)]
    assert sum(point.cycles for group in drawn for point in group) == total + near.total + far.total


@pytest.mark.parametrize("result", [digits(), resnet18(), resnet50()], ids=["8", "32", "73"])
def test_roofline_has_every_layer_under_the_roofs(result):
    placed = [point for group in points(result) for point in group]
    numbers = [point.number for point in placed]
    busy = [number for number, layer in enumerate(result.layers, 1) if layer.cycles.total]
    assert sorted(numbers) == busy
    axes = roofline_figure(result).axes[0]
    (roof,) = [line for line in axes.lines if len(line.get_xdata()) == 3]
    (_, ridge, right), (_, top, flat) = roof.get_data()
    assert top == flat == 2 * 1024
    assert ridge == 2 * 1024 / 16
    for point in placed:
        assert point.rate <= min(2 * 1024, 16 * point.intensity)
        low, high = axes.get_xlim()
        assert low < point.intensity < high == right
    drawn = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    assert len(drawn) == len(placed)  # a marker each, in its bound's colour
    assert [line.get_color() for line in drawn] == [BOUNDS[point.bound] for point in placed]
    assert {point.bound for point in placed} == {bound(result.layers[number - 1]) for number in busy}
    key = {text.get_text() for text in axes.texts}
    assert {str(number) for number in busy} <= key


@pytest.mark.parametrize("result", [digits(), resnet18(), resnet50()], ids=["8", "32", "73"])
def test_letters_on_the_roofline_are_apart(result):
    """With the real extents of the drawn text, not the estimates that placed it."""
    figure = roofline_figure(result)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    inside = [
        text for text in axes.texts if re.fullmatch("[A-Z]", text.get_text()) and text.get_position()[0] < 7.2 * 72
    ]
    assert len(inside) == len(points(result))
    boxes = [Text.get_window_extent(text) for text in inside]  # without the lines that lead to the markers
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_layers_without_dram_traffic_stay_in_the_figure(tmp_path):
    layer = digits().layers[0]
    cached = dataclasses.replace(layer.actions, dram_read_bytes=0, dram_write_bytes=0)
    result = layers_like(digits(), {"actions": cached}, {})
    assert points(result)[-1][0].intensity == math.inf
    roofline_figure(result).savefig(tmp_path / "roofline.png")


def test_what_requests_in_flight_sustain_is_a_roof_of_its_own():
    """4 of 16 bytes a cycle: the dashed roof meets the array's at 2 * 1024 / 4 operations a byte."""
    axes = roofline_figure(dataclasses.replace(digits(), dram_sustained_bytes_per_cycle=4.0)).axes[0]
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert (dashed.get_xdata()[-1], dashed.get_ydata()[-1]) == (512, 2048)
    assert any("4 sustained" in text.get_text() for text in axes.texts)
    assert not [line for line in roofline_figure(digits()).axes[0].lines if line.get_linestyle() == "--"]


def test_buffers_over_time_are_drawn_against_their_capacity():
    result = digits()
    panels = occupancy_figure(result).axes
    for axes, name in zip(panels, ("weight", "activation", "accumulator"), strict=True):
        (capacity,) = [line for line in axes.lines if len(set(line.get_ydata())) == 1 and line.get_ydata()[0] > 1]
        assert capacity.get_ydata()[0] == getattr(result.buffers, name)
        most, least = (area.get_paths()[0].vertices[:, 1].max() for area in axes.collections)
        assert most == least == max(taken for _, taken in result.occupancy[name])
    assert "at most 8.00 KiB taken (3.1%)" in panels[1].get_title("left")  # eight layers, 1 KiB more each; of 256
    assert occupancy_figure(dataclasses.replace(result, occupancy={})) is None


def test_more_steps_than_can_be_seen_are_two_areas():
    """10 and 100 bytes in turn, every cycle of 5,000: always 10, at times 100."""
    layer = dataclasses.replace(digits().layers[0], cycles=Cycles(compute=5000))
    steps = tuple((cycle, 100 if cycle % 2 else 10) for cycle in range(5000))
    result = dataclasses.replace(digits(), layers=(layer,), occupancy={"weight": steps})
    axes = occupancy_figure(result).axes[0]
    assert [area.get_paths()[0].vertices[:, 1].max() for area in axes.collections] == [100, 10]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 99)), max_size=40), st.integers(1, 50))
def test_an_envelope_holds_every_step_between_its_borders(gaps, slots):
    steps, cycle = [], 0
    for gap, taken in gaps:
        cycle += gap
        steps.append((cycle, taken))
    end = cycle + 5
    borders, least, most = envelope(steps, end, slots)
    assert borders[0] == 0
    assert borders[-1] == end
    assert len(least) == len(most) == len(borders) - 1
    for at in range(end):
        taken = next((amount for begin, amount in reversed(steps) if begin <= at), 0)
        place = np.searchsorted(borders, at, side="right") - 1
        assert least[place] <= taken <= most[place]
    if len(steps) < slots:
        assert np.array_equal(least, most)


@pytest.fixture(scope="module")
def digits_plots(tmp_path_factory):
    return save_plots(digits(), tmp_path_factory.mktemp("digits") / "plots")


def test_files(digits_plots):
    files = list(digits_plots)
    assert [path.name for path in files] == ALL
    for path in files:
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        else:
            assert path.read_bytes().startswith(b"\x89PNG")


def test_no_figure_without_data(tmp_path):
    free = layers_like(digits(), {"energy": Energy(), "error": None})
    assert [path.name for path in save_plots(free, tmp_path / "free")] == [
        "cycles.png",
        "cycles.svg",
        "occupancy.png",
        "occupancy.svg",
        "roofline.png",
        "roofline.svg",
    ]
    assert save_plots(without_layers(digits()), tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", [r"$\frac$", "a\\b", "ein Name, länger als die Achse je war", "<&>", "{x}", "%s"])
def test_any_name_can_be_drawn(name, tmp_path):
    result = dataclasses.replace(layers_like(digits(), {"name": name}), network=name, machine=name)
    for path in save_plots(result, tmp_path):
        if path.suffix == ".svg":
            ElementTree.parse(path)


def test_same_result_same_bytes_whatever_the_style(digits_plots, tmp_path):
    """In another process, under another style, from another folder."""
    (tmp_path / "matplotlibrc").write_text("font.size: 31\nsvg.fonttype: none\naxes.facecolor: red\nsvg.hashsalt: x\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from report.synthetic import digits; from accel.report.plots import save_plots\n"
        "save_plots(digits(), Path('there'))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "7"}
    root = Path(__file__).parents[2]
    env["PYTHONPATH"] = str(root)
    subprocess.run([sys.executable, "-c", code, str(root / "tests")], cwd=tmp_path, env=env, check=True)
    here, there = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}
        for place in (digits_plots[0].parent, tmp_path / "there")
    )
    assert sorted(here) == sorted(ALL)
    assert here == there


def test_the_callers_matplotlib_is_left_alone(tmp_path):
    with mpl.rc_context({"font.size": 31.0}):
        before = dict(mpl.rcParams)
        save_plots(layers_like(digits(), {}), tmp_path)
        assert dict(mpl.rcParams) == before


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 340), st.floats(4, 25)), min_size=1, max_size=20))
def test_labels_stay_in_their_field(places):
    field = Box(250, 170, 500, 340)
    markers = [Box(x, y, extent, extent) for x, y, extent in places]
    labels = place_labels(markers, [(12.0, 8.0)] * len(markers), field)
    assert len(labels) == len(markers)
    for label in labels:
        assert label.outside(field) == pytest.approx(0, abs=1e-6)


def test_labels_of_one_place_do_not_hide_each_other():
    markers = [Box(250, 170, 12, 12)] * 3
    first, second, third = place_labels(markers, [(14.0, 8.0)] * 3, Box(250, 170, 500, 340))
    assert first.overlap(second) == second.overlap(third) == first.overlap(third) == 0


def test_labels_hide_nothing_where_there_is_room():
    markers = [Box(100 + 15 * step, 170, 12, 12) for step in range(12)]
    wall = Box(250, 185, 500, 6)
    labels = place_labels(markers, [(14.0, 8.0)] * 12, Box(250, 170, 500, 340), [wall])
    boxes = [*markers, wall, *labels]
    overlaps = np.array([[a.overlap(b) for b in labels] for a in boxes])
    np.fill_diagonal(overlaps[13:], 0)
    assert overlaps.max() == 0


def test_figures_grow_with_the_network_and_stop_growing():
    widths = [cycles_figure(result).get_size_inches()[0] for result in (digits(), resnet18(), resnet50())]
    assert widths == sorted(widths)
    deep = dataclasses.replace(resnet50(), layers=resnet50().layers * 3)
    assert isinstance(figure := cycles_figure(deep), Figure)
    assert figure.get_size_inches()[0] == 15.0
    assert len(figure.axes[0].get_xticks()) <= 80
