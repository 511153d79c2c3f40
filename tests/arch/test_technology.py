"""Figures of a technology: anchors met exactly, and how other widths and sizes follow from them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from accel import gallery
from accel.arch.technology import Technology, load_technology

TECHNOLOGY = load_technology("45nm")
KIB = 1024


def test_integer_anchors() -> None:
    """Horowitz, ISSCC 2014: multiply 8 / 32 bits 0.2 / 3.1 pJ, add 8 / 16 / 32 bits 0.03 / 0.05 / 0.1 pJ."""
    assert TECHNOLOGY.multiply_pj(8, 8) == 0.2
    assert TECHNOLOGY.add_pj(32) == 0.1
    assert TECHNOLOGY.add_pj(16) == 0.05
    assert TECHNOLOGY.multiply_pj(32, 32) == pytest.approx(3.1, rel=0.21)
    assert TECHNOLOGY.add_pj(8) == pytest.approx(0.03, rel=0.17)


def test_multipliers_follow_their_cells_and_adders_the_width() -> None:
    """8 x 8: 64 AND gates of 1/4 and 7 x 7 adders are 65; 4 x 8: 8 + 21; 4 x 4: 4 + 9; 1 x 1: one AND gate."""
    assert TECHNOLOGY.multiply_pj(4, 8) == TECHNOLOGY.multiply_pj(8, 4) == pytest.approx(0.2 * 29 / 65)
    assert TECHNOLOGY.multiply_pj(4, 4) == pytest.approx(0.2 / 5)
    assert TECHNOLOGY.multiply_pj(1, 1) == pytest.approx(0.2 * 0.25 / 65)
    assert TECHNOLOGY.multiplier_um2(16, 16) == pytest.approx(282 * (64 + 225) / 65)
    assert TECHNOLOGY.register_pj(40) == pytest.approx(40 * 0.009)
    assert TECHNOLOGY.dram_pj(64) == 64 * 8 * 8


def test_the_published_multiplier_is_its_cells_at_the_published_adder() -> None:
    """Two figures that the rule does not connect: 65 adders at a 32nd of the 32-bit adder are the 8 x 8 multiplier."""
    assert TECHNOLOGY.multiply_pj(8, 8) == pytest.approx(65 * TECHNOLOGY.add_pj(1), rel=0.02)
    assert TECHNOLOGY.multiplier_um2(8, 8) == pytest.approx(65 * TECHNOLOGY.adder_um2(1), rel=0.02)


@pytest.mark.parametrize(
    ("widths", "nangate45_um2", "osu018_um2"),
    [
        ((2, 2), 10.6, 312),
        ((3, 3), 37.2, 1065),
        ((2, 8), 67.8, 2437),
        ((4, 4), 75.5, 2326),
        ((4, 8), 162.3, 4640),
        ((6, 6), 229.6, 6542),
        ((4, 16), 367.9, 10957),
        ((8, 16), 841.1, 25251),
        ((16, 16), 1834.1, 56533),
        ((24, 24), 4200.1, 127371),
    ],
)
def test_multipliers_keep_their_proportions_in_other_libraries(
    widths: tuple[int, int], nangate45_um2: float, osu018_um2: float
) -> None:
    """Synthesized with yosys 0.23 for two libraries, relative to 8 x 8: 454.3 and 13248 um2 there."""
    here = TECHNOLOGY.multiplier_um2(*widths) / TECHNOLOGY.multiplier_um2(8, 8)
    assert nangate45_um2 / 454.3 == pytest.approx(here, rel=0.25)
    assert osu018_um2 / 13248 == pytest.approx(here, rel=0.25)


@pytest.mark.parametrize(("capacity_kib", "read_pj"), [(8, 10.0), (32, 20.0), (1024, 100.0)])
def test_memory_meets_horowitz_exactly(capacity_kib: int, read_pj: float) -> None:
    assert TECHNOLOGY.sram_read_pj(capacity_kib * KIB, 64) == pytest.approx(read_pj, rel=1e-12)


@pytest.mark.parametrize(
    ("width_bits", "read_pj", "write_pj"), [(64, 25.9, 19.6), (128, 39.3, 36.0), (256, 51.8, 66.2)]
)
def test_memory_agrees_with_cacti_at_64_kib(width_bits: int, read_pj: float, write_pj: float) -> None:
    """Another source than the anchors, at a size between them: 7 % apart, and the same by width."""
    assert TECHNOLOGY.sram_read_pj(64 * KIB, width_bits) == pytest.approx(read_pj, rel=0.07)
    assert TECHNOLOGY.sram_write_pj(64 * KIB, width_bits) == pytest.approx(write_pj, rel=0.07)
    ratio = TECHNOLOGY.sram_write_pj(64 * KIB, width_bits) / TECHNOLOGY.sram_read_pj(64 * KIB, 64)
    assert ratio == pytest.approx(write_pj / 25.9, rel=1e-12)


def test_between_and_beyond_the_points_by_hand() -> None:
    """Between 8 and 32 KiB energy doubles over a factor of four, so it goes with the root; 1.5 decades above, too."""
    assert TECHNOLOGY.sram_read_pj(16 * KIB, 64) == pytest.approx(10 * math.sqrt(2))
    assert TECHNOLOGY.sram_read_pj(2 * KIB, 64) == pytest.approx(5)
    assert TECHNOLOGY.sram_read_pj(32 * 1024 * KIB, 64) == pytest.approx(500)  # another factor of 32, another of 5
    assert TECHNOLOGY.sram_read_pj(8 * KIB, 32) == pytest.approx(10 * 25.9 / 39.3)


@pytest.mark.parametrize("banks", [2, 4, 32])
def test_a_port_wider_than_published_is_banks_side_by_side(banks: int) -> None:
    capacity = 128 * KIB
    assert TECHNOLOGY.sram_read_pj(capacity * banks, 256 * banks) == pytest.approx(
        banks * TECHNOLOGY.sram_read_pj(capacity, 256)
    )


@given(st.integers(1, 2**36), st.integers(1, 2**36), st.floats(1, 2**16), st.floats(1, 2**16))
def test_memory_grows_with_size_and_width(size: int, other: int, width: float, wider: float) -> None:
    size, other = sorted((size, other))
    width, wider = sorted((width, wider))
    for energy in (TECHNOLOGY.sram_read_pj, TECHNOLOGY.sram_write_pj):
        assert 0 < energy(size, width) <= energy(other, width) * (1 + 1e-9)
        assert energy(size, width) <= energy(size, wider) * (1 + 1e-9)


def test_area_anchors() -> None:
    """Hennessy and Patterson, 6th ed., fig. 1.13: adders 36 / 67 / 137 um2, multipliers 282 / 3495 um2."""
    assert (TECHNOLOGY.multiplier_um2(8, 8), TECHNOLOGY.adder_um2(32)) == (282, 137)
    assert TECHNOLOGY.adder_um2(16) == pytest.approx(67, rel=0.03)
    assert TECHNOLOGY.adder_um2(8) == pytest.approx(36, rel=0.05)
    assert TECHNOLOGY.multiplier_um2(32, 32) == pytest.approx(3495, rel=0.52)
    assert TECHNOLOGY.register_um2(10) == pytest.approx(59.8)
    assert TECHNOLOGY.sram_um2(64 * KIB) == pytest.approx(0.45 * 64 * KIB * 8)


@pytest.mark.parametrize("path", gallery.technologies(), ids=lambda path: path.stem)
def test_every_figure_has_its_source(path: Path) -> None:
    technology = load_technology(path)
    assert technology.leakage is None
    data = YAML(typ="safe", pure=True).load(path.read_text())
    assert data["name"] == technology.name
    for group in ("energy", "area"):
        assert set(data[group]) == set(type(getattr(technology, group)).model_fields)
        for figure in data[group].values():
            assert len(figure["source"]) > 10


def test_technologies_survive_a_dump() -> None:
    assert Technology.model_validate(TECHNOLOGY.model_dump(mode="json", by_alias=True)) == TECHNOLOGY
