"""The exceptions of the client."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

import httpx

from .decoding import UnreadableAnswer, decode
from .models import Decision, Workflow

E = TypeVar("E", bound="Problem")


class ParkbrakeError(Exception):
    """The base of all exceptions of this client."""


class Unreachable(ParkbrakeError):
    """The server did not answer within `patience`.

    Whether it has processed the call is unknown: send the same call again.
    """


class StillWaiting(ParkbrakeError):
    """The timeout has passed, and the workflow is still undecided.

    The request stays parked; you can wait again at any time.
    """

    def __init__(self, workflow: Workflow) -> None:
        super().__init__(f"workflow {workflow.workflow_id} is still {workflow.status}")
        self.workflow = workflow


class Problem(ParkbrakeError):
    """A problem document (RFC 9457). `code` is stable; API.md has a heading for each code."""

    def __init__(self, status: int, document: dict[str, Any], retry_after: float | None) -> None:
        self.status = status
        self.document = document
        self.code: str | None = document.get("code")
        self.title = str(document.get("title", ""))
        self.detail = str(document.get("detail", ""))
        self.retry_after = retry_after
        super().__init__(f"{self.detail or self.title} ({self.code or status})")


class InvalidTask(Problem):
    """The body is invalid; `errors` has the JSON Pointer and the description of each fault."""

    @property
    def errors(self) -> list[dict[str, str]]:
        return list(self.document.get("errors", []))


class Decided(Problem):
    """Somebody has already decided; see `decision`."""

    @property
    def decision(self) -> Decision:
        return decode(Decision, self.document.get("decision"))


class AlreadyRejected(Decided):
    """The identical task was rejected a short time ago. Nothing was stored."""

    @property
    def workflow_id(self) -> str:
        return str(self.document.get("workflow_id"))


class WrongState(Problem):
    """The current status of the workflow does not allow this."""

    @property
    def current_status(self) -> str:
        return str(self.document.get("current_status"))


class Expired(Problem):
    """The request has expired."""


class WorkflowNotFound(Problem):
    """There is no such workflow, or the caller may not see it."""


class NotPermitted(Problem):
    """The caller may not do this."""


class Unauthenticated(Problem):
    """The token is missing, unknown, revoked or expired."""


class TooMuch(Problem):
    """The server accepts no more calls at the moment: retry after `retry_after` seconds."""


BY_CODE: dict[str, type[Problem]] = {
    "invalid-task": InvalidTask,
    "already-decided": Decided,
    "already-rejected": AlreadyRejected,
    "wrong-state": WrongState,
    "expired": Expired,
    "workflow-not-found": WorkflowNotFound,
    "not-permitted": NotPermitted,
    "not-an-approver": NotPermitted,
    "self-approval": NotPermitted,
    "identity-mismatch": NotPermitted,
    "unauthenticated": Unauthenticated,
    "rate-limited": TooMuch,
    "busy": TooMuch,
    "unavailable": TooMuch,
}
"""The codes that have their own class. Every other one is a plain `Problem` with its `code`."""


def problem_of(answer: httpx.Response) -> Problem:
    """The exception for a response. The response of a proxy may not be a problem document."""
    document: Any = None
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        try:
            document = answer.json()
        except ValueError:
            document = None
    if not isinstance(document, dict):
        document = {"title": f"the response has the status {answer.status_code}"}
    kind = BY_CODE.get(str(document.get("code")), Problem)
    return kind(answer.status_code, document, _retry_after(answer))


def unreadable(why: UnreadableAnswer | ValueError) -> NoReturn:
    """Raises the exception for a response that cannot be read."""
    raise ParkbrakeError(f"the server's answer cannot be read: {why}") from why


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
