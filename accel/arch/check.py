"""A document against a pydantic model: the model, or one AccelError that a person can act on."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from accel.arch.document import Document, KeyPath, Problem
from accel.arch.units import Quantity, shown
from accel.errors import AccelError

Model = TypeVar("Model", bound=BaseModel)


def check(document: Document, model: type[Model], context: Mapping[str, Any]) -> Model:
    """Validate ``document`` as ``model``.

    Raises
    ------
    AccelError
        The first problem by its place in the file; the message says how many more there are.
    """
    problems = list(document.problems)
    result = None
    try:
        result = model.model_validate(document.value, by_alias=True, by_name=False, context=dict(context))
    except ValidationError as error:
        details = _own_errors(error)
        misspelt = {path for detail in details if (path := _meant(model, detail)) is not None}
        problems += [_problem(document, model, detail) for detail in details if detail["loc"] not in misspelt]
    if problems:
        raise first_problem(document.filename, problems)
    assert result is not None
    return result


def nearest(word: str, legal: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a legal word is close, else nothing."""
    close = _closest(word, legal)
    return f"did you mean '{close}'?" if close else ""


def first_problem(filename: str, problems: list[Problem]) -> AccelError:
    """The first of a file's problems by its place, and how many more there are."""
    first, more = min(problems), len(problems) - 1
    tail = f" (and {more} more in this file)" if more else ""
    what, hint = (first.what, first.hint + tail) if first.hint else (first.what + tail, "")
    return AccelError(what, f"{filename}:{first.line}:{first.column}", hint)


def _closest(word: str, legal: Iterable[str]) -> str | None:
    words = list(legal)
    close = difflib.get_close_matches(word, words, 1)
    begun = [candidate for candidate in words if word and candidate.startswith(word)]
    return next(iter(close + begun), None)


def _own_errors(error: ValidationError) -> list[ErrorDetails]:
    """The errors that do not merely follow from another one beside or inside the same value."""
    details = [detail for detail in error.errors(include_url=False) if detail["type"] != "default_factory_not_called"]
    wrong_inside = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in wrong_inside]


def _meant(model: type[BaseModel], detail: ErrorDetails) -> tuple[str | int, ...] | None:
    """The path that an unknown key probably stands for: it is not missing, it is misspelt."""
    if detail["type"] != "extra_forbidden":
        return None
    *home, word = detail["loc"]
    close = _closest(str(word), keys(model, home))
    return (*home, close) if close else None


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    path = (*detail["loc"], *detail.get("ctx", {}).get("at", ()))
    path = document.existing_items(path)
    key, value = document.find(path)
    name = dotted(path)
    match detail["type"]:
        case "missing":
            home, _ = document.find(path[:-1])
            return document.problem(home, f"{name} is missing", f"legal {legal(model, path)}")
        case "extra_forbidden":
            word, inside = str(path[-1]), keys(model, path[:-1])
            home_name = f" in {dotted(path[:-1])}" if path[:-1] else ""
            hint = nearest(word, inside) or f"legal are {', '.join(inside)}"
            return document.problem(key, f"unknown key '{word}'{home_name}", hint)
        case "quantity" | "type" | "dataflow" | "inconsistent":
            what, _, hint = f"{name} {detail['msg']}".partition("; ")
            return document.problem(value, what, hint)
        case "too_short":
            return document.problem(value, f"{name} has too few entries", f"legal {legal(model, path)}")
        case _:
            found = detail["input"]
            suggestion = nearest(found, choices(model, path)) if isinstance(found, str) else ""
            hint = f"{suggestion} legal {legal(model, path)}".strip()
            return document.problem(value, f"{name} is {shown(found)}", hint)


def dotted(path: KeyPath) -> str:
    """``array.dataflow[1]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """The field that a file's key path leads to; None when it leads to an unknown key."""
    found: FieldInfo | None = None
    inside: Any = model
    for step in path:
        if isinstance(step, int):
            continue
        fields = inside.model_fields if _is_model(inside) else {}
        found = next((field for name, field in fields.items() if (field.alias or name) == step), None)
        if found is None:
            return None
        inside = _element(found.annotation)
    return found


def keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that a file may have at ``path``."""
    field = field_at(model, path)
    inside = _element(field.annotation) if field is not None else model
    fields = inside.model_fields if _is_model(inside) else {}
    return [field.alias or name for name, field in fields.items()]


def choices(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The legal words at ``path`` when it takes one of a few."""
    field = field_at(model, path)
    annotation = _element(field.annotation) if field is not None else None
    return list(typing.get_args(annotation)) if typing.get_origin(annotation) is Literal else []


def legal(model: type[BaseModel], path: KeyPath) -> str:
    """What ``path`` may hold, in words that follow ``legal``."""
    field = field_at(model, path)
    if field is None:
        return "is nothing"
    quantity = next((rule for rule in field.metadata if isinstance(rule, Quantity)), None)
    if quantity is not None:
        return f"is {quantity.legal}"
    if words := choices(model, path):
        return f"are {', '.join(words)}"
    annotation = _element(field.annotation)
    if _is_model(annotation):
        mapping = f"a mapping with the keys {', '.join(keys(model, path))}"
        least = next((rule.min_length for rule in field.metadata if isinstance(rule, MinLen)), None)
        is_list = typing.get_origin(field.annotation) is tuple and not isinstance(path[-1], int)
        return f"is a list with at least {least} of {mapping}" if is_list else f"is {mapping}"
    if annotation is bool:
        return "are true or false"
    if annotation is str:
        return "is a text" if any(isinstance(rule, MinLen) for rule in field.metadata) else "is a text or nothing"
    if annotation in (int, float):
        return f"is a {'whole ' if annotation is int else ''}number{_bounds(field)}"
    return f"is: {field.description}"


def _bounds(field: FieldInfo) -> str:
    low = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    above = next((rule.gt for rule in field.metadata if isinstance(rule, Gt)), None)
    high = next((rule.le for rule in field.metadata if isinstance(rule, Le)), None)
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" greater than {above}" if above is not None else ""


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _element(annotation: Any) -> Any:
    """What a tuple or an optional holds; anything else as it is."""
    origin = typing.get_origin(annotation)
    if origin is tuple:
        return typing.get_args(annotation)[0]
    if origin in (typing.Union, types.UnionType):
        return next(option for option in typing.get_args(annotation) if option is not type(None))
    return annotation
