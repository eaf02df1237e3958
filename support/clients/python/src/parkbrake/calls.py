"""Every API call of this client: its request, and the type of its response.

Nothing here uses the network; `client` and `aio` send these calls. Every call is safe to repeat:
reads change nothing, a submit always has a key, and the server answers a repeated decision, report,
cancellation or comment with the current state.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from . import models
from .models import Outcome, PlaybookCall, Task

T = TypeVar("T")

LONGEST_HOLD = 55
"""The longest time, in seconds, that the server holds one call of `wait`."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `path` is that of the OpenAPI document, with `{id}` for the workflow's id."""

    method: str
    path: str
    answer: type[T]
    workflow_id: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    envelope: str | None = None
    """The field of the response body that holds the value, if it is not the whole body."""
    held_for: float = 0
    """The time, in seconds, that the server may hold the response."""

    @property
    def url(self) -> str:
        """The path with the id. The id is quoted, so it cannot lead to another path."""
        return self.path.replace("{id}", quote(self.workflow_id or "", safe=""))


def key_of(*parts: str | int) -> str:
    """An idempotency key. The same parts give the same key, on every machine and at any time."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def submit(task: Task | PlaybookCall, key: str | None, wait: float) -> Call[models.Submitted]:
    headers = {"Idempotency-Key": f'"{key if key is not None else uuid.uuid4()}"'}
    if wait:
        headers["Prefer"] = f"wait={int(wait)}"
    return Call("POST", "/orchestrate", models.Submitted, headers=headers, body=task, held_for=wait)


def assess(task: Task | PlaybookCall) -> Call[models.Assessed]:
    return Call("POST", "/risk/assess", models.Assessed, body=task)


def get(workflow_id: str) -> Call[models.Workflow]:
    return Call("GET", "/workflows/{id}", models.Workflow, workflow_id, envelope="workflow")


def wait(workflow_id: str, since: int, hold: float) -> Call[models.Workflow]:
    seconds = max(0, min(LONGEST_HOLD, int(hold)))
    query = {"since": str(since), "timeout": f"{seconds}s"}
    return Call("GET", "/workflows/{id}/wait", models.Workflow, workflow_id, query=query, envelope="workflow", held_for=seconds)


def pending(risk_level: str | None, mine: bool, limit: int | None, cursor: str | None) -> Call[models.PendingPage]:
    query = {"mine": "true"} if mine else {}
    return Call("GET", "/workflows/pending", models.PendingPage, query=query | _given(risk_level=risk_level, limit=limit, cursor=cursor))


def workflows(status: str | None, requested_by: str | None, limit: int | None, cursor: str | None) -> Call[models.WorkflowPage]:
    query = _given(status=status, requested_by=requested_by, limit=limit, cursor=cursor)
    return Call("GET", "/workflows", models.WorkflowPage, query=query)


def approve(workflow_id: str, justification: str | None, digest: str | None) -> Call[models.Approved]:
    body = _given(justification=justification, digest=digest)
    return Call("POST", "/workflows/{id}/approve", models.Approved, workflow_id, body=body)


def reject(workflow_id: str, reason: str | None, digest: str | None) -> Call[models.Rejected]:
    body = _given(reason=reason, digest=digest)
    return Call("POST", "/workflows/{id}/reject", models.Rejected, workflow_id, body=body)


def cancel(workflow_id: str, reason: str | None) -> Call[models.StatusChange]:
    return Call("POST", "/workflows/{id}/cancel", models.StatusChange, workflow_id, body=_given(reason=reason))


def report(workflow_id: str, outcome: Outcome, output: Any, error: str | None) -> Call[models.StatusChange]:
    body: dict[str, Any] = {"outcome": outcome, **_given(error=error)}
    if output is not None:
        body["output"] = output
    return Call("POST", "/workflows/{id}/result", models.StatusChange, workflow_id, body=body)


def comment(workflow_id: str, text: str, ask: bool) -> Call[models.Commented]:
    return Call("POST", "/workflows/{id}/comments", models.Commented, workflow_id, body={"text": text, "ask": ask})


def _given(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}
