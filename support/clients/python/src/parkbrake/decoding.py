"""Decodes responses: JSON becomes the dataclasses of `models`, by their annotations."""

from __future__ import annotations

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class UnreadableAnswer(ValueError):
    """A response that does not match the OpenAPI document."""


def decode(kind: type[T], value: object) -> T:
    """Decodes a value as a dataclass.

    Raises UnreadableAnswer, with the JSON Pointer of the value that does not match.
    """
    read: T = _read(kind, value, "")
    return read


@cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return get_type_hints(kind)


def name_on_the_wire(of: Field[Any]) -> str:
    """The name of a field in JSON, such as `from`, which is a keyword of Python."""
    return str(of.metadata.get("name", of.name))


def _read(kind: Any, value: Any, at: str) -> Any:
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        options = get_args(kind)
        if value is None and type(None) in options:
            return None
        return _read(next(option for option in options if option is not type(None)), value, at)
    if origin is list:
        return [_read(get_args(kind)[0], item, f"{at}/{n}") for n, item in enumerate(_expect(list, value, at))]
    if origin is dict:
        return _expect(dict, value, at)
    if origin is Literal:
        return _expect(str, value, at)
    if is_dataclass(kind):
        return _read_fields(kind, _expect(dict, value, at), at)
    if kind is datetime:
        return _read_time(_expect(str, value, at), at)
    if kind is float:
        return float(_expect((int, float), value, at))
    return _expect(kind, value, at)


def _read_fields(kind: Any, value: dict[str, Any], at: str) -> Any:
    read = {}
    for field in fields(kind):
        name = name_on_the_wire(field)
        if name in value:
            read[field.name] = _read(hints(kind)[field.name], value[name], f"{at}/{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise UnreadableAnswer(f"{at}/{name} is missing in the server's answer")
    return kind(**read)


def _read_time(text: str, at: str) -> datetime:
    try:
        # Python 3.10 does not parse `Z`.
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UnreadableAnswer(f"{at or '/'} is not a time in the server's answer") from None


def _expect(kind: Any, value: Any, at: str) -> Any:
    # True is an int in Python, and not in JSON.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UnreadableAnswer(f"{at or '/'} has another type than expected in the server's answer")
    return value
