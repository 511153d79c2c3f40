"""What one action costs in energy, and one component in area, in a silicon technology.

A technology file holds published figures, each with its source beside it; this module holds the rules that carry a
figure over to other widths and sizes. Rules with one published point each are proportional: a multiplier to the cells
of its array, an adder and a register to their width. A memory's energy is interpolated between published points on
logarithmic axes, so that it meets every one of them, and extrapolated with the outermost slope.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from accel import gallery
from accel.arch.base import Spec
from accel.arch.check import check
from accel.arch.document import Document, read_text
from accel.arch.load import resolve
from accel.arch.units import CAPACITY

MULTIPLIER_BITS = 8
"""Width of both operands of the published multiplier."""
ADDER_BITS = 32
"""Width of the published adder."""
AND_GATE_ADDERS = 0.25
"""An AND gate in full adders: by area 1.064 to 4.256 um2 in the NanGate 45 nm library, 32 to 120 in OSU's 0.18 um."""
XNOR_GATE_ADDERS = 0.375
"""An XNOR gate in full adders: 1.596 to 4.256 um2 in the NanGate library, 56 to 120 in OSU's."""
MULTIPLEXER_ADDERS = 0.4375
"""A multiplexer of two bits in full adders: 1.862 to 4.256 um2 in the NanGate library, 48 to 120 in OSU's."""


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Sourced(Spec):
    """A figure and where it comes from."""

    value: float = Field(gt=0, description="The figure, in the unit that the key's name ends in.")
    source: str = Field(min_length=1, description="Where it was published or how it was measured.")


class SizePoint(Spec):
    """Energy of one read of a memory of some size."""

    capacity_bytes: Annotated[int, CAPACITY] = Field(alias="capacity", description="Size of the memory.")
    read_pj: float = Field(gt=0, description="Energy of one read.")


class WidthPoint(Spec):
    """Energy of one access to a memory with a port of some width."""

    width_bits: int = Field(ge=1, le=65536, description="Width of the port.")
    read_pj: float = Field(gt=0, description="Energy of one read.")
    write_pj: float = Field(gt=0, description="Energy of one write.")


class SizeCurve(Spec):
    """Read energy by size, at the width of the first point of the width curve."""

    points: Annotated[tuple[SizePoint, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=2, description="Published points, the smallest memory first."
    )
    source: str = Field(min_length=1, description="Where the points were published.")

    @field_validator("points")
    @classmethod
    def _ascend(cls, points: tuple[SizePoint, ...]) -> tuple[SizePoint, ...]:
        _check_ascending([point.capacity_bytes for point in points], "capacity")
        return points


class WidthCurve(Spec):
    """Access energy by width, at one size; only its ratios are used."""

    points: Annotated[tuple[WidthPoint, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=2, description="Published points, the narrowest port first."
    )
    source: str = Field(min_length=1, description="Where the points were published.")

    @field_validator("points")
    @classmethod
    def _ascend(cls, points: tuple[WidthPoint, ...]) -> tuple[WidthPoint, ...]:
        _check_ascending([point.width_bits for point in points], "width_bits")
        return points


class EnergyFigures(Spec):
    """Energy of one action."""

    multiply_8x8_pj: Sourced = Field(description="Integer multiplication of two 8-bit operands.")
    add_32_pj: Sourced = Field(description="Integer addition of 32 bits.")
    register_bit_pj: Sourced = Field(description="One bit of a register written, its clock included.")
    sram_by_size: SizeCurve = Field(description="On-chip memory: reads by size.")
    sram_by_width: WidthCurve = Field(description="On-chip memory: reads and writes by port width.")
    dram_bit_pj: Sourced = Field(description="One bit moved between DRAM and the chip.")


class AreaFigures(Spec):
    """Area of one component."""

    multiply_8x8_um2: Sourced = Field(description="Integer multiplier of two 8-bit operands.")
    add_32_um2: Sourced = Field(description="Integer adder of 32 bits.")
    register_bit_um2: Sourced = Field(description="One bit of a register.")
    sram_bit_um2: Sourced = Field(
        description="One bit of on-chip memory, its share of decoders and amplifiers included."
    )


class LeakageFigures(Spec):
    """Power that flows whatever happens, by area."""

    logic_mw_per_mm2: Sourced = Field(description="Leakage of logic and registers.")
    sram_mw_per_mm2: Sourced = Field(description="Leakage of on-chip memory.")


class Technology(Spec):
    """A silicon technology: figures, and the rules that scale them.

    Without ``leakage`` in the file, leakage is not modelled and its energy is 0.
    """

    name: str = Field(min_length=1, description="What tables call this technology.")
    description: str = Field(default="", description="What it stands for, and how far to trust it.")
    energy: EnergyFigures = Field(description="Energy of one action.")
    area: AreaFigures = Field(description="Area of one component.")
    leakage: LeakageFigures | None = Field(default=None, description="Static power; not modelled unless given.")

    def multiply_pj(self, weight_bits: int, activation_bits: int) -> float:
        """One integer multiplication: proportional to the multiplier's cells."""
        return self.energy.multiply_8x8_pj.value * _multiplier_size(weight_bits, activation_bits)

    def add_pj(self, bits: int) -> float:
        """One integer addition: proportional to its width."""
        return self.energy.add_32_pj.value * bits / ADDER_BITS

    def multiplex_pj(self, bits: int) -> float:
        """One choice between two words of ``bits``: in proportion to an adder, as their areas are."""
        return MULTIPLEXER_ADDERS * self.add_pj(bits)

    def register_pj(self, bits: int) -> float:
        """``bits`` of registers written once."""
        return self.energy.register_bit_pj.value * bits

    def sram_read_pj(self, capacity_bytes: int, width_bits: float) -> float:
        """One read of ``width_bits`` from an on-chip memory of ``capacity_bytes``."""
        return self._sram_pj(capacity_bytes, width_bits, [point.read_pj for point in self.energy.sram_by_width.points])

    def sram_write_pj(self, capacity_bytes: int, width_bits: float) -> float:
        """One write of ``width_bits`` to an on-chip memory of ``capacity_bytes``."""
        return self._sram_pj(capacity_bytes, width_bits, [point.write_pj for point in self.energy.sram_by_width.points])

    def dram_pj(self, size_bytes: int) -> float:
        """``size_bytes`` moved between DRAM and the chip."""
        return self.energy.dram_bit_pj.value * 8 * size_bytes

    def multiplier_um2(self, weight_bits: int, activation_bits: int) -> float:
        """An integer multiplier: proportional to its cells."""
        return self.area.multiply_8x8_um2.value * _multiplier_size(weight_bits, activation_bits)

    def adder_um2(self, bits: int) -> float:
        """An integer adder: proportional to its width."""
        return self.area.add_32_um2.value * bits / ADDER_BITS

    def multiplexer_um2(self, bits: int) -> float:
        """A multiplexer of two words of ``bits``: in proportion to an adder."""
        return MULTIPLEXER_ADDERS * self.adder_um2(bits)

    def register_um2(self, bits: int) -> float:
        """``bits`` of registers."""
        return self.area.register_bit_um2.value * bits

    def sram_um2(self, capacity_bytes: int) -> float:
        """An on-chip memory of ``capacity_bytes``."""
        return self.area.sram_bit_um2.value * 8 * capacity_bytes

    def _sram_pj(self, capacity_bytes: int, width_bits: float, by_width_pj: list[float]) -> float:
        """Energy by size, times the ratio of this width to the one that the sizes were published for.

        A port wider than the widest published one is made of several such memories side by side, each with its share
        of the capacity: beyond that width the energy for a bit falls no further.
        """
        widths = [float(point.width_bits) for point in self.energy.sram_by_width.points]
        sizes = [(float(point.capacity_bytes), point.read_pj) for point in self.energy.sram_by_size.points]
        banks = max(1.0, width_bits / widths[-1])
        by_size_pj = _interpolate(sizes, capacity_bytes / banks)
        at_width_pj = _interpolate(list(zip(widths, by_width_pj, strict=True)), width_bits / banks)
        return banks * by_size_pj * at_width_pj / self.energy.sram_by_width.points[0].read_pj


def load_technology(name_or_path: str | Path) -> Technology:
    """Load a technology: a YAML file, or a technology of the gallery by its name.

    Raises
    ------
    AccelError
        Anything wrong in the file, with its line and column; an unknown name, with the nearest one.
    """
    path = resolve(name_or_path, gallery.technologies, "technology")
    return _technology(read_text(path), str(path))


@cache
def _technology(text: str, filename: str) -> Technology:
    """What a file with this text says; every estimate asks again."""
    return check(Document.parse(text, filename), Technology, {})


def multiplier_adders(weight_bits: int, activation_bits: int) -> float:
    """The cells of an array multiplier, in full adders.

    Each bit of one operand times each bit of the other is an AND gate; the partial products of one operand are added
    to each other in rows of adders, one row and one column fewer than there are bits. The product of the widths alone
    is too much for narrow operands: of 2 x 2 bits, the partial products are half of the cells, of 8 x 8 a quarter.

    Examples
    --------
    >>> multiplier_adders(1, 1), multiplier_adders(4, 4), multiplier_adders(8, 8)
    (0.25, 13.0, 65.0)
    """
    return AND_GATE_ADDERS * weight_bits * activation_bits + (weight_bits - 1) * (activation_bits - 1)


def _multiplier_size(weight_bits: int, activation_bits: int) -> float:
    return multiplier_adders(weight_bits, activation_bits) / multiplier_adders(MULTIPLIER_BITS, MULTIPLIER_BITS)


def _interpolate(points: Sequence[tuple[float, float]], x: float) -> float:
    """Piecewise power law through ``points``; outside of them, the outermost one goes on."""
    above = next((index for index, (at, _) in enumerate(points) if x <= at), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(above, 1) - 1], points[max(above, 1)]
    exponent = math.log(y1 / y0) / math.log(x1 / x0)
    return y1 if x == x1 else y0 * (x / x0) ** exponent


def _check_ascending(values: Sequence[int], key: str) -> None:
    if any(after <= before for before, after in itertools.pairwise(values)):
        raise PydanticCustomError("inconsistent", "are not in ascending order of {key}; sort them", {"key": key})
