"""Mappings as a YAML file: written by the search, edited by hand, and checked when they are read.

A layer that runs on the array looks like this, and one of vector work has its ``tile`` alone (b, c, h, w)::

    stem:
      dataflow: weight_stationary
      outer: pixels
      tile: {g: 1, b: 1, oh: 4, ow: 112, n: 64, k: 147}
      groups_at_once: 1

A layer that is fused with the next one takes turns with it, and what it makes passes through a window of so many rows
on chip::

      fused_with: pool
      window_rows: 9
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from accel.arch.check import first_problem, nearest
from accel.arch.document import Document, KeyPath, Problem
from accel.arch.spec import Machine
from accel.errors import listed
from accel.flow.ir import Flow, FlowOp
from accel.mapping.bound import OUTER
from accel.mapping.fusion import links, window_of
from accel.mapping.mapping import ArrayMapping, Mappings, NestMapping, VectorMapping, layer_step, most_groups_at_once
from accel.mapping.residency import Kept, Residency, plan_residency
from accel.mapping.space import ARRAY_LOOPS, VECTOR_LOOPS, footprint, loop_sizes, row_by_row, shortage
from accel.mapping.window import row_loop, rows_needed

MOST_TILES = 200_000
"""Of a layer: each is a few instructions, and a kilobyte or two of memory."""
_WIDTH = 200
_KEYS = ("network", "machine", "layers")
_FUSED_KEYS = ("fused_with", "window_rows")


def dump_mappings(
    flow: Flow,
    machine: Machine,
    mappings: Sequence[NestMapping | None],
    comment: str = "",
    windows: Sequence[Kept] = (),
) -> str:
    """YAML text that ``load_mappings`` reads back to equal mappings, below ``comment``.

    Parameters
    ----------
    windows
        Between layers that take turns.
    """
    layers = {op.name: _plain(mapping) for op, mapping in zip(flow.ops, mappings, strict=True) if mapping is not None}
    for window in windows:
        fused = {"fused_with": flow.ops[window.last].name, "window_rows": window.rows}
        layers[flow.ops[window.first].name] |= fused
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = _WIDTH
    yaml.allow_unicode = False  # Some of its characters end lines.
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump({"network": flow.name, "machine": machine.name, "layers": layers}, stream)
    return "".join(f"# {line}\n" for line in comment.splitlines()) + stream.getvalue()


def load_mappings(path: Path, flow: Flow, machine: Machine) -> tuple[Residency, Mappings]:
    """What stays on chip between layers, and a mapping for every nest of ``flow``, None for views.

    Tensors stay on chip whole as without a file, and through windows as the file has it.

    Raises
    ------
    AccelError
        The first thing that is wrong, with its line and column, and how many more there are: the file is for another
        network or machine, lacks a layer or names one that is not there, a tile is larger than its loop or overfills a
        buffer, a dataflow is not the machine's, two layers cannot be fused.
    """
    document = Document.read(path)
    reader = _Reader(document, flow, machine)
    mappings = reader.mappings()
    problems = [*document.problems, *reader.problems]
    if problems:
        raise first_problem(document.filename, problems)
    return reader.residency, mappings


def _plain(mapping: NestMapping) -> dict[str, Any]:
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

    def __init__(self, document: Document, flow: Flow, machine: Machine) -> None:
        self.document, self.flow, self.machine = document, flow, machine
        self.positions = {op.name: position for position, op in enumerate(flow.ops)}
        self.residency = plan_residency(flow, machine)
        self.problems: list[Problem] = []

    def mappings(self) -> Mappings:
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
        self._fuse(layers)
        return tuple(None if op.is_view else self._layer(op, layers.get(op.name)) for op in self.flow.ops)

    def _fuse(self, layers: dict[str, Any]) -> None:
        """Make room for the windows of fused layers."""
        legal = dict(links(self.flow, self.residency))
        for position, op in enumerate(self.flow.ops):
            layer = layers.get(op.name)
            if not isinstance(layer, dict) or not layer.keys() & set(_FUSED_KEYS):
                continue
            at = ("layers", op.name)
            missing = [key for key in _FUSED_KEYS if key not in layer]
            if missing:
                self._wrong(
                    at, f"'{op.name}' has no {missing[0]}", f"a fused layer has {' and '.join(_FUSED_KEYS)}", key=True
                )
                continue
            last = legal.get(position)
            if last is None or layer["fused_with"] != self.flow.ops[last].name:
                ways = [f"{self.flow.ops[first].name} with {self.flow.ops[last].name}" for first, last in legal.items()]
                others = f"these can: {listed(ways)}" if ways else "no two layers can here"
                hint = others if last is None else f"it can be with {self.flow.ops[last].name}"
                what = f"'{op.name}' cannot be fused with {layer['fused_with']!r}"
                self._wrong((*at, "fused_with"), what, hint)
                continue
            # A layer takes turns with one other.
            legal = {first: after for first, after in legal.items() if not {first, after} & {position, last}}
            self._window((*at, "window_rows"), (position, last), layer["window_rows"], layers)

    def _window(self, at: KeyPath, pair: tuple[int, int], rows: Any, layers: dict[str, Any]) -> None:
        maker, reader = (self.flow.ops[position] for position in pair)
        tiles = [_tile_rows(op, layers.get(op.name)) for op in (maker, reader)]
        if 0 in tiles:
            return  # The layer's own entry is refused.
        needed = rows_needed(maker, reader, tiles[0], tiles[1])
        height = maker.write.shape[2]
        if type(rows) is not int or not needed <= rows <= height:
            why = f"tiles of {tiles[0]} and {tiles[1]} rows need {needed}, and the tensor has {height}"
            hint = f"legal is a whole number from {needed} to {height}; {why}"
            self._wrong(at, f"window_rows is {rows!r}", hint)
            return
        window = window_of(self.flow, self.residency, *pair, rows)
        if window.offset < 0:
            what = f"a window of {rows} rows takes {window.size_bytes} bytes"
            hint = f"the activation buffer has {window.offset + window.size_bytes} left for it"
            self._wrong(at, what, hint)
            return
        self.residency = self.residency.with_window(window, dict(zip(pair, tiles, strict=True)))

    def _layer(self, op: FlowOp, found: Any) -> NestMapping | None:
        at = ("layers", op.name)
        needed = ("dataflow", "outer", "tile") if op.on_array else ("tile",)
        optional = ("groups_at_once", *_FUSED_KEYS) if op.on_array else _FUSED_KEYS
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

    def _that_fits(self, op: FlowOp, mapping: NestMapping, tile: dict[str, int]) -> NestMapping | None:
        room = self.residency.room(self.positions[op.name], op)
        at = ("layers", op.name, "tile")
        tiles = prod(-(-size // tile[name]) for name, size in loop_sizes(op).items())
        if tiles > MOST_TILES:
            self._wrong(at, f"this tile cuts the layer into {tiles} of them", f"at most {MOST_TILES}; make it larger")
            return None
        if not row_by_row(op, room, tile.values()):
            whole = "g" if op.on_array else "c"
            what = "a fused layer's tile has rows of one image, with all channels"
            self._wrong(at, what, f"let b be 1 and {whole} {op.sizes[whole]}")
            return None
        if isinstance(mapping, ArrayMapping) and mapping.outer == "channels" and room.rows is not None:
            self._wrong(("layers", op.name, "outer"), "a fused layer goes from rows to rows", "let outer be pixels")
            return None
        excess = footprint(op, self.flow, self.machine, room, tuple(tile.values())).excess(self.machine, room)
        if excess:
            self._wrong(at, f"this tile needs {shortage(excess, self.machine, room)}", "make it smaller")
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


def _tile_rows(op: FlowOp, layer: Any) -> int:
    """As a layer's entry has it; 0 where that is wrong."""
    tile = layer.get("tile") if isinstance(layer, dict) else None
    rows = tile.get(row_loop(op)) if isinstance(tile, dict) else None
    return rows if type(rows) is int and rows > 0 else 0


def _named(at: KeyPath) -> str:
    return f"'{at[-1]}'" if at else "a mapping file"
