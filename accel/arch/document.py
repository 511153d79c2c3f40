"""A YAML file as plain data, with the place of every value kept for errors.

YAML 1.2. Duplicate keys, keys that are no text, unusual tags and values that contain themselves are recorded as
problems; what cannot be read at all raises at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from accel.errors import AccelError

_SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str")}
_UNDER_WAY = object()
_TIMESTAMP = "tag:yaml.org,2002:timestamp"

KeyPath = Sequence[str | int]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong at a place in the file; problems sort by place."""

    line: int
    column: int
    what: str
    hint: str


def read_text(path: Path) -> str:
    """A file's text; AccelError when it cannot be read or is not UTF-8."""
    if path.exists() and not path.is_file():
        raise AccelError("this is a folder, not a file" if path.is_dir() else "this is not a file", str(path))
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise AccelError("there is no such file", str(path)) from None
    except OSError as error:
        raise AccelError(f"cannot be read: {error.strerror}", str(path)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AccelError("this is not UTF-8 text", f"{path}:{line}", "save the file as UTF-8") from None


@dataclass(slots=True)
class Document:
    """One YAML document.

    ``value`` is made of dict, list, str, int, float, bool and None.
    """

    filename: str
    root: Node
    value: Any = None
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a file; AccelError when it cannot be read or is not YAML."""
        return cls.parse(read_text(path), str(path))

    @classmethod
    def parse(cls, text: str, filename: str) -> Document:
        """Parse YAML text; AccelError when it is not YAML, empty, or no mapping."""
        document = cls(filename, _compose(text, filename))
        if not isinstance(document.root, MappingNode):
            raise AccelError(
                "the file holds a list or a single value",
                document.at(document.root),
                "it must hold keys with values, as in 'key: value'",
            )
        document.value = document._plain(document.root, {})
        return document

    def at(self, node: Node) -> str:
        """``file:line:column`` of a node."""
        return f"{self.filename}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def where(self, path: KeyPath) -> str:
        """``file:line:column`` of the value at ``path``, or of the nearest thing around it that is there."""
        return self.at(self.find(path)[1])

    def find(self, path: KeyPath) -> tuple[Node, Node]:
        """The key (or list item) and the value at ``path``, or at the longest part of it that exists.

        An empty value has no place of its own; its key stands for it.
        """
        key = value = self.root
        for step in path:
            found = _child(value, step)
            if found is None:
                break
            key, value = found
        empty = isinstance(value, ScalarNode) and not value.value
        return key, key if empty else value

    def existing_items(self, path: KeyPath) -> tuple[str | int, ...]:
        """``path`` without the list positions that the file does not have (a single value stands for a list)."""
        kept: list[str | int] = []
        for step in path:
            if isinstance(step, str) or isinstance(self.find(kept)[1], SequenceNode):
                kept.append(step)
        return tuple(kept)

    def problem(self, node: Node, what: str, hint: str) -> Problem:
        """A problem at a node."""
        return Problem(node.start_mark.line + 1, node.start_mark.column + 1, what, hint)

    def _plain(self, node: Node, done: dict[int, Any]) -> Any:
        """The node's value; ``done`` shares the values of aliases and shows one that contains itself."""
        if done.get(id(node)) is _UNDER_WAY:
            self.problems.append(self.problem(node, "this value contains itself", "write out what is meant"))
            return None
        if id(node) in done:
            return done[id(node)]
        done[id(node)] = _UNDER_WAY
        if isinstance(node, MappingNode):
            value: Any = self._mapping(node, done)
        elif isinstance(node, SequenceNode):
            value = [self._plain(item, done) for item in node.value]
        else:
            value = self._scalar(node)
        done[id(node)] = value
        return value

    def _mapping(self, node: MappingNode, done: dict[int, Any]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else None
            if name == "<<":
                hint = "write the keys out; an alias (*name) may stand for a whole value"
                self.problems.append(self.problem(key, "merge keys (<<) are not supported", hint))
            elif name is None:
                self.problems.append(self.problem(key, "this key is not a word", "write 'key: value'"))
            elif name in mapping:
                first = f"it stands in line {lines[name]} already"
                self.problems.append(self.problem(key, f"the key '{name}' is here twice", first))
            else:
                lines[name] = key.start_mark.line + 1
                mapping[name] = self._plain(value, done)
        return mapping

    def _scalar(self, node: Node) -> Any:
        tag = str(node.tag)
        if tag == _TIMESTAMP:
            return node.value
        if tag not in _SCALARS:
            self.problems.append(self.problem(node, f"the tag '{tag}' has no meaning here", "write a plain value"))
            return node.value
        try:
            return _yaml().constructor.construct_object(node)
        except ValueError:  # A number of thousands of digits; as a text it is refused with what would be legal.
            return node.value


def _compose(text: str, filename: str) -> Node:
    try:
        root: object = _yaml().compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{filename}:{mark.line + 1}:{mark.column + 1}" if mark else filename
        problem = str(error.problem or error.context)
        if problem.startswith("but "):
            problem = f"{error.context}, {problem}"
        raise AccelError(f"this is not YAML: {problem}", place) from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise AccelError(
            f"this is not YAML: character {error.character!r} is not allowed", f"{filename}:{line}"
        ) from None
    except YAMLError as error:
        raise AccelError(f"this is not YAML: {error}", filename) from None
    except RecursionError:
        raise AccelError("this is nested too deeply", filename) from None
    if not isinstance(root, Node):
        raise AccelError("the file is empty", filename)
    return root


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _child(node: Node, step: str | int) -> tuple[Node, Node] | None:
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None
