import base64
import dataclasses
from html.parser import HTMLParser

import pytest

from accel.report.columns import layer_columns, use_columns
from accel.report.html import html_page
from accel.report.totals import totals_rows

from .synthetic import digits, estimate, resnet50, without_layers

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that tags close in order; collects cells by table, and images."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.images = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            self.images += [dict(attrs)] if tag == "img" else []
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


@pytest.mark.parametrize("result", [digits(), resnet50(), estimate(digits()), without_layers(digits())])
def test_the_page_says_what_the_tables_say(result):
    page = Page(html_page(result))
    totals, layers, uses, energies = page.tables
    assert [tuple(row) for row in totals] == totals_rows(result)
    columns = layer_columns(result)
    assert layers[0] == [column.header.replace("\n", " ") for column in columns]
    assert layers[1:-1] == [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    assert layers[-1] == [column.total for column in columns]
    columns = use_columns(result)
    assert uses[0] == [column.header.replace("\n", " ") for column in columns]
    assert uses[1:-1] == [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    assert len(energies) == len(result.layers) + 2


def test_figures_are_inside():
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><text>µ</text></svg>'
    text = html_page(digits(), {"cycles": drawing})
    (image,) = Page(text).images
    kind, data = image["src"].split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == drawing
    assert image["alt"] == "cycles"
    assert "http" not in text  # nothing is fetched


def test_names_are_text():
    layer = dataclasses.replace(digits().layers[0], name="<script>alert(1)</script>")
    result = dataclasses.replace(digits(), layers=(layer,), network="<b>&", machine='"x"')
    text = html_page(result, {"<i>": "<svg/>"})
    assert "<script" not in text
    assert "<b>" not in text
    assert Page(text).tables[1][1][1] == "<script>alert(1)</script>"
