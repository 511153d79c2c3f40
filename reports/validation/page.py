"""What all pages of this folder share: tables, one page with its record, and the index of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ORDER = (
    "scale_sim",
    "rtl_arrays",
    "nvdla",
    "eyeriss",
    "gemmini",
    "tpu_v1",
    "zigzag_dse",
    "energy_area",
)
_FIGURE = re.compile(r"[+-]?[\d,.]+( ?%)?|-?")
INDEX = """\
# Held against the world

Each page is written by the script of its name, `python reports/validation/NAME.py`, which computes everything again
with the package as it is and leaves NAME.md, NAME.json and a picture. Published figures stand in the scripts with
their sources. Machines are described once, from what their authors say, and what they do not say is an assumption that
the page states: nothing is fitted to a row. Deviations are therefore results too, and each page explains its own.
The others run layer by layer, but for additions on NVDLA, and so layers run one behind another here as well. Where
whole networks are compared, a page also says what fused layers make of them.

Networks are made under `build/networks` when they are first needed, or taken from `--networks FOLDER`, which holds
them as `accel networks make resnet50 --out FOLDER/resnet50` leaves them. Two pages run another tool, which comes with
an extra of its own: `pip install -e '.[scale-sim]'` and `pip install -e '.[zigzag]'`; with `--keep` they take its part
from the last record.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One comparison, finished."""

    name: str
    title: str
    result: str
    """One line for the index."""
    text: str
    record: dict[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; integers get separators of thousands, columns of figures are set to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numbers = [all(_FIGURE.fullmatch(row[column]) for row in cells) for column in range(len(header))]
    rule = ["---:" if number else "---" for number in numbers]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *cells])


def percent(ours: float, theirs: float) -> str:
    """By how much ours is above (or below) theirs."""
    return f"{ours / theirs - 1:+.1%}"


def publish(page: Page) -> None:
    """Write page and record, and the index of all pages that there are."""
    record = {"title": page.title, "result": page.result, **page.record}
    (HERE / f"{page.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (HERE / f"{page.name}.md").write_text(f"# {page.title}\n\n{page.text.strip()}\n")
    rows = []
    for name in ORDER:
        path = HERE / f"{name}.json"
        if path.exists():
            known = json.loads(path.read_text())
            rows.append((f"[{known['title']}]({name}.md)", known["result"]))
    (HERE / "README.md").write_text(f"{INDEX}\n{table(('page', 'result'), rows)}\n")
    print(page.text)
