"""The client matches the OpenAPI document: every call, parameter, field, type and word."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import httpx
import pytest
from conftest import Server

from parkbrake import calls, models, problems
from parkbrake.calls import Call
from parkbrake.decoding import hints, name_on_the_wire

FULL_TASK: dict[str, Any] = dict.fromkeys(get_type_hints(models.Task), None)
CALLS: list[Call[Any]] = [
    calls.submit(FULL_TASK, "key", 5),  # type: ignore[arg-type]
    calls.assess(FULL_TASK),  # type: ignore[arg-type]
    calls.get("1"),
    calls.wait("1", 0, 55),
    calls.pending("high", True, 5, "c"),
    calls.workflows("failed", "deploy-bot", 5, "c"),
    calls.approve("1", "why", "sha256:…"),
    calls.reject("1", "why", "sha256:…"),
    calls.cancel("1", "why"),
    calls.report("1", "failed", {"some": "output"}, "why"),
    calls.comment("1", "text", True),
]


class Description:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def options(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The alternatives of a schema, without null."""
        schema = self.schema(schema)
        for option in schema.get("oneOf", []):
            yield from self.options(option)
        if "oneOf" not in schema and schema.get("type") != "null":
            yield schema

    def may_be_null(self, schema: dict[str, Any]) -> bool:
        schema = self.schema(schema)
        kind = schema.get("type")
        return kind == "null" or (isinstance(kind, list) and "null" in kind) or any(map(self.may_be_null, schema.get("oneOf", [])))

    def check(self, schema: dict[str, Any], hint: Any, at: str) -> None:
        """Asserts that the hint accepts every value of the schema."""
        if hint is Any:
            return
        is_optional = get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)
        assert not self.may_be_null(schema) or is_optional, f"{at} may be null, but is decoded as {hint}"
        if is_optional:
            hint = next(option for option in get_args(hint) if option is not type(None))
        for option in self.options(schema):
            self.check_one(option, hint, at)

    def check_one(self, schema: dict[str, Any], hint: Any, at: str) -> None:
        kinds = schema.get("type")
        kind = next((k for k in kinds if k != "null"), None) if isinstance(kinds, list) else kinds
        origin = get_origin(hint)
        if isinstance(hint, type) and is_dataclass(hint):
            assert kind == "object", at
            for field in fields(hint):
                name = name_on_the_wire(field)
                assert name in schema["properties"], f"{at}/{name} is unknown to the server"
                assert name in schema["required"], f"{at}/{name} may be left out by the server"
                self.check(schema["properties"][name], hints(hint)[field.name], f"{at}/{name}")
        elif origin is list:
            assert kind == "array", at
            self.check(schema["items"], get_args(hint)[0], f"{at}/*")
        elif origin is dict:
            assert kind == "object", at
        elif origin is Literal:
            assert kind == "string" and set(schema["enum"]) == set(get_args(hint)), f"{at}: {schema.get('enum')} is not {get_args(hint)}"
        elif hint is datetime:
            assert (kind, schema.get("format")) == ("string", "date-time"), at
        else:
            assert kind == {str: "string", int: "integer", bool: "boolean", float: "number"}[hint], f"{at} is {kind}, but is decoded as {hint}"


@pytest.fixture(scope="session")
def description(server: Server) -> Description:
    return Description(httpx.get(f"{server.url}/openapi.json").json())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_a_call_matches_the_description(description: Description, call: Call[Any]) -> None:
    operation = description.document["paths"][call.path][call.method.lower()]
    known = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}
    sent = {("query", name) for name in call.query} | {("header", name) for name in call.headers}
    assert sent <= known, sent - known
    if call.body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        accepted = [option["properties"] for option in description.options(schema)]
        assert any(set(call.body) <= set(properties) for properties in accepted), call.body
    [answer] = [answer for status, answer in operation["responses"].items() if status in ("200", "202")][:1]
    schema = answer["content"]["application/json"]["schema"]
    if call.envelope is not None:
        schema = description.schema(schema)["properties"][call.envelope]
    description.check(schema, call.answer, call.answer.__name__)


def test_every_call_is_compared_with_the_description() -> None:
    made = {name for name, made in inspect.getmembers(calls, inspect.isfunction) if get_type_hints(made).get("return") is not None}
    named = {name for name in made if get_origin(get_type_hints(getattr(calls, name))["return"]) is Call}
    assert len(named) == len(CALLS), named


@pytest.mark.parametrize(
    ("name", "kind"), [("Task", models.Task), ("TaskAction", models.TaskAction), ("Finding", models.Finding), ("Evidence", models.Evidence), ("PlaybookCall", models.PlaybookCall)]
)
def test_a_body_has_the_fields_of_the_server(description: Description, name: str, kind: Any) -> None:
    schema = description.document["components"]["schemas"][name]
    assert set(get_type_hints(kind)) == set(schema["properties"])
    if name not in ("Finding",):
        assert set(kind.__required_keys__) == set(schema.get("required", []))


def test_requests_use_the_words_of_the_server(description: Description) -> None:
    schemas = description.document["components"]["schemas"]
    assert set(get_args(models.Outcome)) == set(schemas["ReportedOutcome"]["enum"])
    assert models.ENDED < set(schemas["Status"]["enum"])


def test_every_exception_has_a_code_of_the_server(description: Description) -> None:
    schemas = description.document["components"]["schemas"].values()
    codes = {code for schema in schemas for code in schema.get("properties", {}).get("code", {}).get("enum", [])}
    assert set(problems.BY_CODE) <= codes, set(problems.BY_CODE) - codes
