"""A machine's page: prose on top, sections with their fields, what follows from them below."""

from __future__ import annotations

from rich.console import Console

from accel.report.machine import machine_page

ROWS = (
    ("", "name", "small-npu", "", None, "What it is called."),
    ("", "source", "a paper", "", "", "Where it comes from."),
    ("", "clock", "800", "MHz", None, "Of everything."),
    ("array", "rows", "16", "PEs", None, "How many."),
    ("array", "overlap", "none", "", "none", "What hides."),
    ("dram", "latency", "20", "cycles", "0", "How long."),
)


def page(width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(machine_page(ROWS, [("peak", "0.4 TOPS")], width))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_every_field_stands_in_its_section() -> None:
    lines = page(160)
    assert lines[:2] == ["small-npu", "a paper"]
    assert [line.split() for line in lines if line.strip()][2:] == [
        ["field", "value", "unit", "default", "meaning"],
        ["clock", "800", "MHz", "Of", "everything."],
        ["array"],
        ["rows", "16", "PEs", "How", "many."],
        ["overlap", "none", "none", "What", "hides."],
        ["dram"],
        ["latency", "20", "cycles", "0", "How", "long."],
        ["peak", "0.4", "TOPS"],
    ]
    assert next(line for line in lines if "rows" in line).startswith("  rows")
    heads = lines[next(i for i, line in enumerate(lines) if line.startswith("field"))]
    latency = next(line for line in lines if "latency" in line)
    for head, cell in (("value", "20"), ("unit", "cycles"), ("default", "0"), ("meaning", "How long.")):
        assert latency[heads.index(head) :].startswith(cell)


def test_a_narrow_terminal_leaves_the_meanings_out() -> None:
    text = "\n".join(page(80))
    assert "meaning" not in text
    assert "How" not in text
    assert "cycles" in text
