"""Machine files and machines of the gallery, read and checked; machines written back."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from accel import gallery
from accel.arch.check import check, nearest
from accel.arch.document import Document
from accel.arch.spec import Machine
from accel.arch.units import CLOCK
from accel.errors import AccelError


def load_arch(name_or_path: str | Path) -> Machine:
    """Load a machine: a YAML file, or a machine of the gallery by its name.

    What ends in ``.yaml`` or ``.yml``, contains a slash or is an existing file is a path; anything else a name.

    Raises
    ------
    AccelError
        Anything wrong in the file, with its line and column; an unknown name, with the nearest one.
    """
    path = resolve(name_or_path, gallery.machines, "machine")
    return _machine(Document.read(path))


def parse_machine(text: str, filename: str) -> Machine:
    """The machine that YAML text describes; ``filename`` names it in errors and anchors relative paths."""
    return _machine(Document.parse(text, filename))


def dump_machine(machine: Machine) -> str:
    """YAML text that ``parse_machine`` reads back to an equal machine."""
    return _text(machine.to_file())


def machine_of(keys: dict[str, Any], filename: str) -> Machine:
    """The machine of a file with these keys and values, such as ``Machine.to_file`` makes, checked like one."""
    return parse_machine(_text(keys), filename)


def _text(keys: dict[str, Any]) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump(keys, stream)
    return stream.getvalue()


def resolve(name_or_path: str | Path, entries: Callable[[], Iterable[Path]], kind: str) -> Path:
    """The file that a path or a gallery name stands for; ``kind`` says in errors what was looked for."""
    text = os.fspath(name_or_path)
    path = Path(text)
    if text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text or os.path.isfile(text):
        return path
    known = {entry.stem: entry for entry in entries()}
    if text in known:
        return known[text]
    if path.is_dir():
        raise AccelError("this is a folder, not a file", text, f"name a {kind}'s YAML file")
    legal = f"the gallery has {', '.join(known)}; a path ends in .yaml"
    raise AccelError(f"no {kind} of the gallery is called '{text}'", "", f"{nearest(text, known)} {legal}".strip())


def _machine(document: Document) -> Machine:
    machine = check(document, Machine, {"clock_hz": _clock_hz(document.value)})
    technology = _technology(machine.technology, document)
    return machine.model_copy(update={"technology": technology})


def _clock_hz(data: dict[str, Any]) -> float:
    """The clock that turns times into cycles; where it is wrong itself, any value does, as nothing is built."""
    try:
        return float(CLOCK.read(str(data.get("clock"))))
    except ValueError:
        return 1e9


def _technology(name: str, document: Document) -> str:
    """``name`` itself when the gallery has it, else the path, seen from the machine's file."""
    beside = Path(document.filename).parent / name
    try:
        path = resolve(beside if beside.is_file() or "/" in name else name, gallery.technologies, "technology")
    except AccelError as error:
        raise AccelError(f"technology: {error.what}", document.where(("technology",)), error.hint) from None
    if path.parent == gallery.models_dir() / "technology":
        return path.stem
    if not path.is_file():
        raise AccelError(f"technology: there is no file '{path}'", document.where(("technology",))) from None
    return str(path.resolve())
