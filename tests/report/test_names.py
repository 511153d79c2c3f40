import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.report.names import short_names

from .synthetic import resnet18, resnet50


def test_names_that_fit_are_left_alone():
    names = ["/layer1/layer1.0/conv1/Conv_quant", "fc"]
    assert short_names(names, 33) == names


def test_paths_lose_what_says_nothing():
    names = [
        "/conv1/Conv_quant",
        "/layer1/layer1.0/conv1/Conv_quant",
        "/layer1/layer1.0/Add_quant",
        "/layer1/layer1.0/downsample/downsample.0/Conv_quant",
        "/Flatten",
    ]
    assert short_names(names, 30) == [
        "conv1",
        "layer1.0.conv1",
        "layer1.0.Add",  # layer1.0 holds other nodes too, so the operator must be named
        "layer1.0.downsample.0",
        "Flatten",
    ]


def test_two_nodes_of_one_module_keep_their_operators():
    assert short_names(["/encoder/block/MatMul", "/encoder/block/Add"], 20) == [
        "encoder.block.MatMul",
        "encoder.block.Add",
    ]


def test_paths_that_would_become_alike_are_kept():
    """``a/b`` and ``a.b`` are two names; joined by dots they would be one."""
    assert short_names(["/a.long.name/Conv", "/a/long/name/Conv", "/x"], 14) == [
        "/a.lon…me/Conv",
        "/a/lon…me/Conv",
        "/x",
    ]


def test_what_is_too_long_loses_its_middle():
    assert short_names(["encoder_block_one", "encoder_block_two"], 9) == ["enco…_one", "enco…_two"]


def test_the_cut_goes_where_it_keeps_names_apart():
    """Alike at the end, so the usual cut in the middle would make them one."""
    names = [f"unit{number}_with_a_very_long_common_ending" for number in range(10, 30)]
    assert len(set(short_names(names, 8))) == len(names)


@pytest.mark.parametrize("result", [resnet18(), resnet50()], ids=["resnet18", "resnet50"])
@pytest.mark.parametrize("width", [12, 14, 16, 20, 24, 40])
def test_layers_of_real_networks_stay_apart(result, width):
    short = short_names([layer.name for layer in result.layers], width)
    assert len(set(short)) == len(result.layers)
    assert max(map(len, short)) <= width


@given(
    st.lists(st.text(st.sampled_from("ab/._$"), min_size=1, max_size=20), min_size=1, max_size=8), st.integers(1, 20)
)
def test_any_names_any_width(names, width):
    short = short_names(names, width)
    assert len(short) == len(names)
    assert all(1 <= len(name) <= width for name in short)
    # Equal names stay equal: shortening adds no difference.
    assert len(set(short)) <= len(set(names))
