"""A result as one page that needs nothing else: the totals, the figures, the layers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from accel.report.columns import energy_columns, layer_columns, title, use_columns
from accel.report.fit import Column
from accel.report.totals import totals_rows
from accel.result import Result

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .18rem .7rem; text-align: right; white-space: nowrap; vertical-align: bottom; }
td.text, th.text, .totals td { text-align: left; }
.totals td { vertical-align: top; } .totals td:last-child { white-space: normal; color: #555; }
.totals td:nth-child(2) { font-weight: 600; }
thead th { border-bottom: 1.5px solid #222; } tfoot td { border-top: 1.5px solid #222; font-weight: 600; }
tbody tr:nth-child(even) { background: #f5f5f5; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
footer { color: #777; margin-top: 2rem; font-size: .85rem; }
"""


def html_page(result: Result, drawings: Mapping[str, str] | None = None) -> str:
    """A self-contained HTML page.

    Parameters
    ----------
    result
        The record.
    drawings
        What a figure shows -> its SVG document, such as those of ``save_plots``.
    """
    heading = escape(title(result))
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{heading}</title><style>{_STYLE}</style></head><body>',
        f"<h1>{heading}</h1>",
        _totals(result),
        *(_image(name, drawing) for name, drawing in (drawings or {}).items()),
        "<h2>Layers</h2>",
        _table(layer_columns(result)),
        "<h2>Units and buffers</h2>",
        _table(use_columns(result)),
        "<h2>Energy in µJ</h2>",
        _table(energy_columns(result)),
        f"<footer>accel {escape(result.accel_version)}. Exact numbers are in result.json and the CSV files.</footer>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _totals(result: Result) -> str:
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in totals_rows(result))
    return '<table class="totals">' + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _image(name: str, drawing: str) -> str:
    """As an image, so that the ids inside one drawing cannot meet those of another."""
    data = base64.b64encode(drawing.encode()).decode()
    return f'<img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}">'


def _table(columns: Sequence[Column]) -> str:
    head = "".join(_cell("th", column, column.header.replace("\n", " ")) for column in columns)
    cells = ([_cell("td", column, text) for text in column.cells] for column in columns)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells, strict=True))
    foot = "".join(_cell("td", column, column.total) for column in columns)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        f"<tfoot><tr>{foot}</tr></tfoot></table></div>"
    )


def _cell(tag: str, column: Column, text: str) -> str:
    kind = ' class="text"' if column.text else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
