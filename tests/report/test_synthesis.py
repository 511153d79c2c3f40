"""The synthesis's page: blocks, parts, and what they are in PEs, from a record made by hand."""

from __future__ import annotations

import json

from rich.console import Console

from accel.report.synthesis import synthesis_table
from accel.synthesis import Block, Synthesis


def block(part: str, name: str, count: int, area_um2: float, model_um2: float | None) -> Block:
    return Block(part, name, "sa_any", {"BITS": 8}, count, 100, 10, area_um2 / 25, area_um2, model_um2)


SYNTHESIS = Synthesis(
    machine="edge",
    technology="45nm",
    library="cells018",
    yosys="Yosys 0.23",
    reference=block("array, weight stationary", "PE of int8 x int8, sums of 32 bits", 1, 20_000, 500),
    blocks=(
        block("array, weight stationary", "PE", 100, 40_000, 750),
        block("array, weight stationary", "edge register bit", 1000, 100, 5),
        block("array, weight stationary", "sequencer", 1, 10_000, None),
        block("vector unit", "requantizer lane", 4, 150_000, 5_000),
    ),
)


def page(width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(synthesis_table(SYNTHESIS, width))
    return captured.get()


def words(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.strip(" │┃").startswith(start))
    return line.replace("│", " ").split()


def test_relative_areas_by_hand() -> None:
    """PEs: 100 of twice the reference, 150 by the model; registers 1000 x 100 um2 = 5 PEs, 10 by the model."""
    array = SYNTHESIS.parts["array, weight stationary"]
    assert SYNTHESIS.in_reference_pes(array) == 200 + 5 + 0.5
    assert SYNTHESIS.model_in_reference_pes(array) == 150 + 10
    assert SYNTHESIS.model_in_reference_pes([array[2]]) is None
    assert list(SYNTHESIS.parts) == ["array, weight stationary", "vector unit"]


def test_the_whole_table() -> None:
    text = page(140)
    assert words(text, "PE ") == ["PE", "100", "10", "1,600", "40,000", "100", "160k", "97.3%", "200", "150", "0.75"]
    registers = ["edge", "register", "bit", "100", "10", "4", "100", "1,000", "4000", "2.4%", "5.00", "10.0", "2.00"]
    assert words(text, "edge register") == registers
    assert words(text, "sequencer") == ["sequencer", "100", "10", "400", "10,000", "1", "400", "0.2%", "0.50", "-", "-"]
    assert words(text, "array,") == ["array,", "weight", "stationary", "164k", "100%", "206", "160", "0.78"]
    assert words(text, "vector unit") == ["vector", "unit", "24.0k", "100%", "30.0", "40.0", "1.33"]
    assert "20,000 µm² in the library (800 NAND2), 500 µm² in the cost model (45nm)" in " ".join(text.split())
    assert "Yosys 0.23; cells and areas: cells018" in text


def test_a_narrow_terminal_gets_fewer_columns() -> None:
    text = page(80)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert words(text, "PE ") == ["PE", "1,600", "100", "97.3%", "200", "150", "0.75"]


def test_json_has_the_comparison() -> None:
    record = json.loads(SYNTHESIS.to_json())
    assert (record["machine"], record["reference"]["area_um2"]) == ("edge", 20_000)
    lanes = record["blocks"][3]
    assert (lanes["total_area_um2"], lanes["total_nand2"]) == (600_000, 24_000)
    assert (lanes["reference_pes"], lanes["model_reference_pes"]) == (30, 40)
    assert record["blocks"][2]["model_reference_pes"] is None
