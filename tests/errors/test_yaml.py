"""One bad file for each message: NAME.yaml beside NAME.expected, the exact text of the error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from accel.arch.load import dump_machine, load_arch, parse_machine
from accel.arch.technology import load_technology
from accel.errors import AccelError

EDGE = dump_machine(load_arch("edge-32x32"))
HERE = Path(__file__).parent
LOADERS: dict[str, Callable[[Path], Any]] = {"machines": load_arch, "technology": load_technology}
CASES = sorted(path for folder in LOADERS for path in (HERE / folder).glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(AccelError) as error:
        LOADERS[path.parent.name](Path(path.name))
    assert f"{error.value}\n" == path.with_suffix(".expected").read_text()


def test_every_case_is_whole() -> None:
    assert len(CASES) > 90
    for folder in LOADERS:
        names = {path.stem for path in (HERE / folder).glob("*.yaml")}
        assert names == {path.stem for path in (HERE / folder).glob("*.expected")}


def refused(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(AccelError) as error:
        load_arch(path)
    return str(error.value).replace(str(path), "m.yaml")


def test_not_utf8(tmp_path: Path) -> None:
    message = refused(tmp_path, "name: x\nsource: Universität\n".encode("latin-1"))
    assert message == "m.yaml:2: this is not UTF-8 text; save the file as UTF-8"


def test_control_character(tmp_path: Path) -> None:
    assert refused(tmp_path, b"name: x\nsource: a\0b\n") == "m.yaml:2: this is not YAML: character 0 is not allowed"


def test_no_bytes_at_all(tmp_path: Path) -> None:
    assert refused(tmp_path, b"") == "m.yaml: the file is empty"


def test_nested_too_deeply(tmp_path: Path) -> None:
    assert refused(tmp_path, b"[" * 3000) == "m.yaml: this is nested too deeply"


def test_aliases_that_multiply_do_not_explode(tmp_path: Path) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    lines = ["a: &a [x, x]"] + [f"{new}: &{new} [*{old}, *{old}]" for old, new in pairwise(names)]
    assert refused(tmp_path, "\n".join(lines).encode()).startswith("m.yaml:1:1: ")


def test_byte_order_mark_is_fine(tmp_path: Path) -> None:
    assert "is missing" in refused(tmp_path, b"\xef\xbb\xbfname: x\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/m.yaml", "nowhere/m.yaml: there is no such file"),
        ("m.yml", "m.yml: there is no such file"),
        ("folder/", "folder: this is a folder, not a file"),
        ("folder", "folder: this is a folder, not a file; name a machine's YAML file"),
        ("/dev/null", "/dev/null: this is not a file"),
    ],
)
def test_not_a_file(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AccelError) as error:
        load_arch(name)
    assert str(error.value) == message


def test_unknown_gallery_name() -> None:
    with pytest.raises(AccelError) as error:
        load_arch("edge-32x23")
    message = str(error.value)
    found, _, names = message.partition("? the gallery has ")
    assert found == "no machine of the gallery is called 'edge-32x23'; did you mean 'edge-32x32'"
    assert "gemmini-16x16, gemmini-mesh-16x16, " in names
    assert message.endswith("; a path ends in .yaml")
    with pytest.raises(AccelError, match=r"^no technology of the gallery is called '44nm'; did you mean '45nm'\? "):
        load_technology("44nm")


def test_text_of_any_origin() -> None:
    with pytest.raises(AccelError, match=r"^<text>:1:7: name is 3; legal is a text$"):
        parse_machine(EDGE.replace("edge-32x32", "3", 1), "<text>")
