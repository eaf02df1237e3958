"""Both clients have the same methods, parameters and descriptions."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from parkbrake import AsyncParkbrake, Parkbrake, aio, client

ALIKE = [
    ("AsyncParkbrake", "Parkbrake"),
    ("AsyncClient", "Client"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
    ("asyncio.sleep", "time.sleep"),
]


def test_both_have_the_same_methods() -> None:
    for name, method in inspect.getmembers(Parkbrake, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(method) == inspect.signature(getattr(AsyncParkbrake, name)), name


def test_both_have_the_same_code() -> None:
    text = Path(aio.__file__).read_text(encoding="utf-8")
    for theirs, ours in ALIKE:
        text = text.replace(theirs, ours)
    text = re.sub(r"\b(async|await) ", "", text).replace("import asyncio\n", "")
    assert _code(text) == _code(Path(client.__file__).read_text(encoding="utf-8"))


def _code(text: str) -> list[str]:
    """The lines without the first one, and without the sentence about threads or event loops."""
    lines = text.splitlines()[1:]
    return [re.sub(r"(Safe to use from several threads|For one event loop)\.", "", line) for line in lines]
