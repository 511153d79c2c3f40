"""What do PEs and requantizers cost? Run it anywhere: python reports/synthesis/measure.py [--liberty FILE].

Synthesizes the RTL's PEs, its requantizer, and multipliers and adders alone, of many widths, for the cell library that
``accel synth`` takes (and for another one that --liberty names, areas only); runs the netlists on random data and adds
up what their toggles cost; holds the cost model and published figures against it. Writes synthesis.json, README.md and
synthesis.png beside this file. Takes a minute or two, a few more with --liberty.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import benches
from page import draw, page
from toggles import energy_by_toggles

from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.cost.area import pe_um2
from accel.cost.requantizer import requantizer_parts
from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS as UNITS
from accel.numerics.requantize import FixedPoint
from accel.rtl.design import design_of
from accel.rtl.synth import pe_of, requantizer_of
from accel.rtl.toolchain import find_yosys
from accel.rtl.yosys import CellLibrary, find_library, read_library, synthesize

HERE = Path(__file__).parent
EDGE, TECHNOLOGY = load_arch("edge-32x32"), load_technology("45nm")
WIDTHS = [(1, 1), (2, 2), (2, 8), (3, 3), (4, 4), (4, 8), (6, 6), (8, 8), (8, 16), (12, 12), (16, 16), (24, 24)]
ADDERS = [8, 16, 24, 32]
# Weight, activation and sum bits; array and PE fields where they are not those of a plain weight-stationary PE.
PES = [
    ((8, 8, 32), {}, {}),
    ((1, 1, 16), {}, {}),
    ((2, 2, 16), {}, {}),
    ((4, 4, 16), {}, {}),
    ((2, 8, 24), {}, {}),
    ((4, 8, 24), {}, {}),
    ((8, 8, 16), {}, {}),
    ((8, 8, 24), {}, {}),
    ((8, 16, 32), {}, {}),
    ((16, 16, 32), {}, {}),
    ((16, 16, 48), {}, {}),
    ((4, 4, 16), {}, {"overflow": "saturate"}),
    ((8, 8, 24), {}, {"overflow": "saturate"}),
    ((8, 8, 32), {}, {"overflow": "saturate"}),
    ((8, 8, 32), {"overlap": "double_buffered"}, {}),
    ((8, 8, 32), {"dataflow": ("output_stationary",)}, {}),
    ((8, 8, 32), {"dataflow": ("output_stationary",), "overlap": "double_buffered"}, {}),
]
# Unit and sum bits.
REQUANTIZERS = [
    *(("float32_rne", bits) for bits in (16, 24, 32, 48, 64)),
    *((name, 32) for name in UNITS if name != "float32_rne"),
    *(("mantissa16_half_away", bits) for bits in (16, 64)),
]
BIT_FUSION = {2: (1297.07, 325616), 4: (3066.01, 659402), 8: (8171.73, 1627500), 16: (26870.48, 4821500)}
"""hsharma35/bitfusion @04ec1c8, results/systolic_array_synth.csv, 4 x 4 PEs of one precision: um2, nW at 500 MHz."""


@dataclass(frozen=True, slots=True)
class Row:
    """One module: synthesized, run, and by the cost model."""

    kind: str
    name: str
    cells: int
    flip_flops: int
    nand2: float
    area_um2: float
    logic_pj: float
    registers_pj: float
    model_um2: float
    model_pj: float
    other_um2: float | None
    """In the library that --liberty named."""

    @property
    def energy_pj(self) -> float:
        return self.logic_pj + self.registers_pj


class Study:
    """Synthesizes and runs one module after the other."""

    def __init__(self, library: CellLibrary, other: CellLibrary | None) -> None:
        self.library, self.other = library, other

    def row(self, kind: str, name: str, module: str, parameters: dict[str, int], bench: str, model: tuple) -> Row:
        print(f"{kind} {name}", file=sys.stderr)
        netlist = synthesize(module, parameters, self.library)
        energy = energy_by_toggles(netlist, self.library, bench, benches.CYCLES)
        other_um2 = None if self.other is None else synthesize(module, parameters, self.other).area_um2
        area_um2 = netlist.area_um2
        nand2 = area_um2 / self.library.nand2_um2
        figures = (netlist.cell_count, netlist.flip_flops, nand2, area_um2, energy.logic_pj, energy.registers_pj)
        return Row(kind, name, *figures, *model, other_um2)

    def multiplier(self, a_bits: int, b_bits: int) -> Row:
        parameters = {"A_BITS": a_bits, "B_BITS": b_bits, "SUM_BITS": a_bits + b_bits}
        model = TECHNOLOGY.multiplier_um2(a_bits, b_bits), TECHNOLOGY.multiply_pj(a_bits, b_bits)
        bench = benches.multiplier(a_bits, b_bits)
        return self.row("multiplier", f"{a_bits} x {b_bits}", "sa_multiply", parameters, bench, model)

    def adder(self, bits: int) -> Row:
        model = TECHNOLOGY.adder_um2(bits), TECHNOLOGY.add_pj(bits)
        return self.row("adder", f"{bits}", "sa_add", {"BITS": bits, "EXACT": 1}, benches.adder(bits), model)

    def pe(self, bits: tuple[int, int, int], array: dict, pe: dict) -> Row:
        machine = machine_with(bits, array, pe)
        design = design_of(machine, machine.array.dataflow[0])
        piece, (weight_bits, activation_bits, sum_bits) = pe_of(design), bits
        bench = benches.pe_result_stays if design.output_stationary else benches.pe_operand_stays
        words = [f"int{weight_bits} x int{activation_bits}, {sum_bits}"]
        words += ["saturating"] * (machine.pe.overflow == "saturate")
        words += ["output stationary"] * design.output_stationary
        words += ["double buffered"] * (machine.array.overlap == "double_buffered")
        model = pe_um2(machine, TECHNOLOGY), pe_pj(machine)
        stimulus = bench(activation_bits, weight_bits, sum_bits)
        return self.row("PE", ", ".join(words), piece.module, piece.parameters, stimulus, model)

    def requantizer(self, name: str, sum_bits: int) -> Row:
        vector = EDGE.vector.model_copy(update={"requantizer": name})
        machine = machine_with((8, 8, sum_bits), {}, {}).model_copy(update={"vector": vector})
        piece, parts, unit = requantizer_of(machine), requantizer_parts(machine), UNITS[name]
        model = parts.um2(TECHNOLOGY), parts.pj(TECHNOLOGY)
        integer = isinstance(unit, FixedPoint)
        bench = benches.fixed_point(sum_bits, unit.factor_bits) if integer else benches.requantizer(sum_bits)
        return self.row("requantizer", f"`{name}`, {sum_bits}", piece.module, piece.parameters, bench, model)


def machine_with(bits: tuple[int, int, int], array: dict, pe: dict) -> Machine:
    """One PE of these widths; weight stationary and not double buffered unless ``array`` says otherwise."""
    weight_bits, activation_bits, sum_bits = bits
    types = {"weight": QType(weight_bits, signed=True), "activation": QType(activation_bits, signed=True)}
    widths = {"accumulator_bits": sum_bits, "partial_sum_bits": sum_bits}
    return EDGE.model_copy(
        update={
            "array": EDGE.array.model_copy(update={"overlap": "none", "rows": 4, "columns": 4} | array),
            "pe": EDGE.pe.model_copy(update=types | widths | pe),
        }
    )


def pe_pj(machine: Machine) -> float:
    """A cycle of a PE by the cost model: a MAC, and the registers that take a new value in every cycle."""
    pe, (dataflow,) = machine.pe, machine.array.dataflow
    moving_bits = pe.activation.bits + (pe.weight.bits if dataflow == "output_stationary" else 0)
    choice_pj = TECHNOLOGY.multiplex_pj(pe.partial_sum_bits) if pe.overflow == "saturate" else 0.0
    mac_pj = TECHNOLOGY.multiply_pj(pe.weight.bits, pe.activation.bits) + TECHNOLOGY.add_pj(pe.partial_sum_bits)
    return mac_pj + choice_pj + TECHNOLOGY.register_pj(moving_bits + pe.partial_sum_bits)


def bit_fusion_row(bits: int) -> dict[str, float]:
    """One of its PEs, and a PE of such operands here, with sums of four products: what they are relative to 8 bits."""
    area_um2, power_nw = BIT_FUSION[bits]
    machine = machine_with((bits, bits, 2 * bits + 2), {}, {})
    by_product = bits**2 / 64
    mac = TECHNOLOGY.multiplier_um2(8, 8), TECHNOLOGY.multiply_pj(8, 8)
    rule = TECHNOLOGY.multiplier_um2(bits, bits), TECHNOLOGY.multiply_pj(bits, bits)
    area, energy = pe_um2(machine, TECHNOLOGY), pe_pj(machine)
    return {
        "bits": bits,
        "published_um2": area_um2 / 16,
        "published_pj": power_nw / 16 / 500e6 * 1e3,
        "model_um2": area,
        "model_pj": energy,
        "product_rule_um2": area - rule[0] + by_product * mac[0],
        "product_rule_pj": energy - rule[1] + by_product * mac[1],
    }


def main() -> None:
    """Synthesize, run, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--liberty", type=Path, help="another library to compare areas with")
    options = parser.parse_args()
    other = None if options.liberty is None else read_library(options.liberty)
    study = Study(find_library(), other)
    rows = [study.multiplier(*widths) for widths in WIDTHS]
    rows += [study.adder(bits) for bits in ADDERS]
    rows += [study.pe(*pe) for pe in PES]
    rows += [study.requantizer(*unit) for unit in REQUANTIZERS]
    record = {
        "yosys": find_yosys().version,
        "library": study.library.name,
        "other_library": None if other is None else other.name,
        "cycles": benches.CYCLES,
        "rows": [asdict(row) for row in rows],
        "bit_fusion": [bit_fusion_row(bits) for bits in BIT_FUSION],
    }
    (HERE / "synthesis.json").write_text(json.dumps(record, indent=2) + "\n")
    (HERE / "README.md").write_text(page(record))
    draw(record, HERE / "synthesis.png")
    print(HERE / "README.md")


if __name__ == "__main__":
    main()
