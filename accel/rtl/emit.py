"""The RTL of a machine as a folder: modules, generated tops, testbenches, file lists and a README."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from accel.arch.spec import Machine
from accel.outfolder import FolderKind, publish, stage, unwritable
from accel.rtl import requantizer_top
from accel.rtl.design import Design, designs_of
from accel.rtl.example import example
from accel.rtl.readme import readme_text
from accel.rtl.sources import modules, modules_under
from accel.rtl.top import top_text
from accel.version import __version__

_RECORD = "manifest.json"
_RTL = "rtl"
_TESTBENCH = "testbench"


def emit(machine: Machine, out: Path, overwrite: bool = False) -> list[Path]:
    """Write the RTL of a machine into a folder.

    ``rtl/`` has the hand-written modules that the machine needs, unchanged, and a generated top for each of its
    dataflows and for its requantizer; ``files.f`` lists them. ``testbench/`` has a testbench for each dataflow with
    operands to run and the sums and cycles that the simulator makes of them.

    Parameters
    ----------
    out
        New, empty, or, with ``overwrite``, a folder that an earlier call wrote.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    AccelError
        The machine asks for something that the RTL does not cover, or ``out`` is not such a folder or cannot be
        written; it is as it was then.
    """
    designs = designs_of(machine)
    with stage(_KIND, out, overwrite) as folder:
        files = _files(machine, designs)
        record = {"accel": __version__, "machine": machine.to_file(), "files": [*files, _RECORD]}
        try:
            for inner in _KIND.folders:
                (folder / inner).mkdir()
            for name, text in {**files, _RECORD: json.dumps(record, indent=2) + "\n"}.items():
                (folder / name).write_text(text, encoding="utf-8")
            return publish(_KIND, folder, out)
        except OSError as error:
            raise unwritable(_KIND, out, error) from error


def _files(machine: Machine, designs: Sequence[Design]) -> dict[str, str]:
    """File name -> text of everything but the record. Files that others build on come first."""
    requantizer = requantizer_top.name_of(designs[0])
    texts = {f"{_RTL}/{name}.sv": modules()[name] for name in modules_under(requantizer_top.MODULE)}
    texts[f"{_RTL}/{requantizer}.sv"] = requantizer_top.text(machine, requantizer)
    for design in designs:
        texts |= {f"{_RTL}/{name}.sv": modules()[name] for name in modules_under(design.module)}
        texts[f"{_RTL}/{design.name}.sv"] = top_text(design)
    lists = {"files.f": _listing(texts)}
    for design in designs:
        needed = [f"../{_RTL}/{name}.sv" for name in (*modules_under(design.module), design.name)]
        bench = example(design)
        lists[f"{_TESTBENCH}/{design.name}.f"] = _listing([*needed, *(name for name in bench if name.endswith(".sv"))])
        texts |= {f"{_TESTBENCH}/{name}": text for name, text in bench.items()}
    return texts | lists | {"README.md": readme_text(machine, designs)}


def _listing(names: Collection[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _written(folder: Path) -> Collection[Path]:
    """What the record in a folder names, as far as ``emit`` could have written it there."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
    except (OSError, ValueError):
        return ()
    names = record.get("files") if isinstance(record, Mapping) else None
    if not isinstance(names, list) or not {"accel", "machine"} <= record.keys():
        return ()
    paths = [Path(name) for name in names if isinstance(name, str)]
    return [path for path in paths if str(path.parent) in (".", *_KIND.folders)]


_KIND = FolderKind("RTL files", _RECORD, (_RTL, _TESTBENCH), _written)
