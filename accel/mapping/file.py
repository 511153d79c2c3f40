"""Mappings as a YAML file: written by the search, edited by hand, and checked when they are read.

A layer that runs on the array looks like this, and one of vector work has its ``tile`` alone (b, c, h, w)::

    stem:
      dataflow: weight_stationary
      outer: pixels
      tile: {g: 1, b: 1, oh: 4, ow: 112, n: 64, k: 147}
      groups_at_once: 1
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from accel.arch.check import first_problem, nearest
from accel.arch.document import Document, KeyPath, Problem
from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.mapping.bound import OUTER
from accel.mapping.mapping import ArrayMapping, VectorMapping, layer_step, most_groups_at_once
from accel.mapping.residency import Residency, nothing_stays
from accel.mapping.space import ARRAY_LOOPS, VECTOR_LOOPS, footprint, loop_sizes, shortage

_WIDTH = 200
_KEYS = ("network", "machine", "layers")


def dump_mappings(
    flow: Flow, machine: Machine, mappings: Sequence[ArrayMapping | VectorMapping | None], comment: str = ""
) -> str:
    """YAML text that ``load_mappings`` reads back to equal mappings, below ``comment``."""
    layers = {op.name: _plain(mapping) for op, mapping in zip(flow.ops, mappings, strict=True) if mapping is not None}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = _WIDTH
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump({"network": flow.name, "machine": machine.name, "layers": layers}, stream)
    return "".join(f"# {line}\n" for line in comment.splitlines()) + stream.getvalue()


def load_mappings(
    path: Path, flow: Flow, machine: Machine, residency: Residency | None = None
) -> tuple[ArrayMapping | VectorMapping | None, ...]:
    """A mapping for every nest of ``flow``, None for views.

    Parameters
    ----------
    residency
        What stays on chip between layers, and leaves less room for tiles; nothing unless given.

    Raises
    ------
    AccelError
        The first thing that is wrong, with its line and column, and how many more there are: the file is for another
        network or machine, lacks a layer or names one that is not there, a tile is larger than its loop or overfills a
        buffer, a dataflow is not the machine's.
    """
    document = Document.read(path)
    reader = _Reader(document, flow, machine, residency or nothing_stays(flow, machine))
    mappings = reader.mappings()
    problems = [*document.problems, *reader.problems]
    if problems:
        raise first_problem(document.filename, problems)
    return mappings


def _plain(mapping: ArrayMapping | VectorMapping) -> dict[str, Any]:
    if isinstance(mapping, VectorMapping):
        return {"tile": {name: getattr(mapping, name) for name in VECTOR_LOOPS}}
    return {
        "dataflow": mapping.dataflow,
        "outer": mapping.outer,
        "tile": {name: getattr(mapping, name) for name in ARRAY_LOOPS},
        "groups_at_once": mapping.groups_at_once,
    }


class _Reader:
    """Reads one document; collects everything that is wrong in it."""

    def __init__(self, document: Document, flow: Flow, machine: Machine, residency: Residency) -> None:
        self.document, self.flow, self.machine = document, flow, machine
        self.rooms = {op.name: residency.room(position, op) for position, op in enumerate(flow.ops)}
        self.problems: list[Problem] = []

    def mappings(self) -> tuple[ArrayMapping | VectorMapping | None, ...]:
        """What the document says, as far as it is legal."""
        if not self._has_keys((), self.document.value, _KEYS):
            return ()
        for key, name, kind in (("network", self.flow.name, "network"), ("machine", self.machine.name, "machine")):
            found = self.document.value[key]
            if found != name:
                self._wrong((key,), f"this mapping is for the {kind} '{found}', and this one is '{name}'", "")
        layers = self.document.value["layers"]
        if not isinstance(layers, dict):
            self._wrong(("layers",), "layers is no mapping", "it has a key for each layer of the network")
            return ()
        mapped = {op.name: op for op in self.flow.ops if not op.is_view}
        for name in layers:
            if name not in mapped:
                hint = nearest(name, mapped) or "`accel map` writes a file with all of the network's layers"
                self._wrong(("layers", name), f"the network has no layer '{name}' that is mapped", hint, key=True)
        missing = [name for name in mapped if name not in layers]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            self._wrong(
                ("layers",), f"layer '{missing[0]}'{more} has no mapping here", "every layer needs one", key=True
            )
        return tuple(None if op.is_view else self._layer(op, layers.get(op.name)) for op in self.flow.ops)

    def _layer(self, op: FlowOp, found: Any) -> ArrayMapping | VectorMapping | None:
        at = ("layers", op.name)
        needed = ("dataflow", "outer", "tile") if op.on_array else ("tile",)
        optional = ("groups_at_once",) if op.on_array else ()
        sizes = loop_sizes(op)
        if found is None and op.name not in self.document.value["layers"]:
            return None
        if not self._has_keys(at, found, needed, optional) or not self._has_keys((*at, "tile"), found["tile"], sizes):
            return None
        read = {name: self._size((*at, "tile", name), found["tile"][name], size) for name, size in sizes.items()}
        tile = {name: size for name, size in read.items() if size is not None}
        if len(tile) < len(read):
            return None
        if not op.on_array:
            return self._that_fits(op, VectorMapping(**tile), tile)
        groups_at_once = found.get("groups_at_once", 1)
        legal = [
            self._one_of((*at, "dataflow"), found["dataflow"], self.machine.array.dataflow, self.machine.name),
            self._one_of((*at, "outer"), found["outer"], OUTER, "a mapping"),
            self._whole_groups(at, tile, sizes),
            self._groups_at_once(op, found["dataflow"], groups_at_once, tile, sizes),
        ]
        if not all(legal):
            return None
        mapping = ArrayMapping(found["dataflow"], **tile, outer=found["outer"], groups_at_once=groups_at_once)
        return self._that_fits(op, mapping, tile)

    def _that_fits(
        self, op: FlowOp, mapping: ArrayMapping | VectorMapping, tile: dict[str, int]
    ) -> ArrayMapping | VectorMapping | None:
        room = self.rooms[op.name]
        excess = footprint(op, self.flow, self.machine, room, tuple(tile.values())).excess(self.machine, room)
        if excess:
            at = ("layers", op.name, "tile")
            self._wrong(at, f"this tile needs {shortage(excess, self.machine)}", "make it smaller")
            return None
        return mapping

    def _has_keys(self, at: KeyPath, found: Any, needed: Any, optional: Sequence[str] = ()) -> bool:
        """Whether ``found`` is a mapping with all of the keys that it needs; others are refused."""
        legal = [*needed, *optional]
        if not isinstance(found, dict):
            self._wrong(at, f"{_named(at)} is no mapping", f"it has the keys {', '.join(legal)}")
            return False
        unknown = [key for key in found if key not in legal]
        for key in unknown:
            self._wrong(
                (*at, key), f"unknown key '{key}'", nearest(key, legal) or f"legal are {', '.join(legal)}", True
            )
        missing = [key for key in needed if key not in found]
        if missing:
            self._wrong(at, f"{_named(at)} lacks {', '.join(missing)}", f"it has the keys {', '.join(legal)}", key=True)
        return not missing

    def _size(self, at: KeyPath, found: Any, most: int) -> int | None:
        if type(found) is int and 1 <= found <= most:
            return found
        loop = f"the loop {at[-1]} runs {most} times"
        if type(found) is int and found > most:
            self._wrong(at, f"a tile of {found} is larger than its loop", loop)
        else:
            self._wrong(at, f"{at[-1]} is {found!r}", f"legal is a whole number from 1 to {most}; {loop}")
        return None

    def _one_of(self, at: KeyPath, found: Any, legal: Sequence[str], whose: str) -> bool:
        if found in legal:
            return True
        self._wrong(at, f"{at[-1]} is {found!r}, which {whose} does not have", f"legal are {', '.join(legal)}")
        return False

    def _whole_groups(self, at: KeyPath, tile: dict[str, int], sizes: dict[str, int]) -> bool:
        if tile["g"] == 1 or all(tile[name] == sizes[name] for name in ("n", "k")):
            return True
        what = f"a tile of {tile['g']} groups cuts them along n or k"
        self._wrong((*at, "tile"), what, f"let g be 1, or n {sizes['n']} and k {sizes['k']}")
        return False

    def _groups_at_once(
        self, op: FlowOp, dataflow: Any, found: Any, tile: dict[str, Any], sizes: dict[str, int]
    ) -> bool:
        at = ("layers", op.name, "groups_at_once")
        most = 1
        if dataflow == "weight_stationary" and all(tile[name] == sizes[name] for name in ("n", "k")):
            step = layer_step(op, self.flow.tensors, self.machine)
            most = min(tile["g"], most_groups_at_once(op, self.machine, step))
        if type(found) is int and 1 <= found <= most:
            return True
        hint = f"the array, the dataflow and the tile leave room for {most}"
        self._wrong(at, f"groups_at_once is {found!r}", hint)
        return False

    def _wrong(self, at: KeyPath, what: str, hint: str, key: bool = False) -> None:
        node = self.document.find(at)[0 if key else 1]
        self.problems.append(self.document.problem(node, what, hint))


def _named(at: KeyPath) -> str:
    return f"'{at[-1]}'" if at else "a mapping file"
