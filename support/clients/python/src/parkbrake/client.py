"""The client for programs that wait in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import httpx

from . import calls
from .calls import Call
from .models import (
    Approved,
    Assessed,
    Commented,
    Outcome,
    PendingPage,
    PlaybookCall,
    Rejected,
    StatusChange,
    Submitted,
    Task,
    Workflow,
    WorkflowPage,
)
from .problems import Problem, StillWaiting, Unreachable
from .transport import Settings, is_worth_another_try, pause, read, request_of

T = TypeVar("T")


class Parkbrake:
    """Calls one server as one principal. Safe to use from several threads.

    Calls without a response, and calls that the server refuses for the moment (429, 502, 503, 504),
    are retried for `patience` seconds; that is safe for every call. Waits survive restarts of the
    server, for as long as the caller wants.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, patience: float = 60.0, allow_http: bool = False
    ) -> None:
        self._settings = Settings.of(url, token, allow_http)
        self._patience = patience
        self._http = httpx.Client()

    def __enter__(self) -> Parkbrake:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def submit(self, task: Task | PlaybookCall, *, key: str | None = None, wait: float = 0) -> Submitted:
        """Submits a task. The same `key` (see `key_of`) and task return the first workflow again.

        That also holds after a restart of either side.
        """
        return self._send(calls.submit(task, key, wait))

    def assess(self, task: Task | PlaybookCall) -> Assessed:
        """How a task would be assessed; nothing is stored."""
        return self._send(calls.assess(task))

    def get(self, workflow_id: str) -> Workflow:
        return self._send(calls.get(workflow_id))

    def pending(
        self, *, risk_level: str | None = None, mine: bool = False, limit: int | None = None, cursor: str | None = None
    ) -> PendingPage:
        """Requests that wait for people, the newest first."""
        return self._send(calls.pending(risk_level, mine, limit, cursor))

    def workflows(
        self, *, status: str | None = None, requested_by: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> WorkflowPage:
        return self._send(calls.workflows(status, requested_by, limit, cursor))

    def approve(self, workflow_id: str, *, justification: str | None = None, digest: str | None = None) -> Approved:
        """Approves the document that has this digest. Only people may approve."""
        return self._send(calls.approve(workflow_id, justification, digest))

    def reject(self, workflow_id: str, *, reason: str | None = None, digest: str | None = None) -> Rejected:
        return self._send(calls.reject(workflow_id, reason, digest))

    def cancel(self, workflow_id: str, *, reason: str | None = None) -> StatusChange:
        return self._send(calls.cancel(workflow_id, reason))

    def report(self, workflow_id: str, outcome: Outcome, *, output: Any = None, error: str | None = None) -> StatusChange:
        """Reports the result of an external action."""
        return self._send(calls.report(workflow_id, outcome, output, error))

    def comment(self, workflow_id: str, text: str, *, ask: bool = False) -> Commented:
        return self._send(calls.comment(workflow_id, text, ask))

    def wait_for_decision(
        self, workflow_id: str, *, since: int = 0, timeout: float | None = None, follow: bool = False
    ) -> Workflow:
        """Waits until the workflow has started, or can no longer start.

        With `follow`, a request that supersedes it is waited for in the same way.
        """
        workflow = self.wait(workflow_id, lambda seen: seen.is_decided, since=since, timeout=timeout)
        while follow and workflow.superseded_by is not None:
            workflow = self.wait(workflow.superseded_by, lambda seen: seen.is_decided, timeout=timeout)
        return workflow

    def wait_for_end(self, workflow_id: str, *, since: int = 0, timeout: float | None = None) -> Workflow:
        """Waits until the workflow has ended, or its outcome is unknown."""
        return self.wait(workflow_id, lambda seen: seen.has_ended, since=since, timeout=timeout)

    def wait(
        self, workflow_id: str, until: Callable[[Workflow], bool], *, since: int = 0, timeout: float | None = None
    ) -> Workflow:
        """Waits until a condition holds, beginning after the version `since`.

        Raises StillWaiting after `timeout` seconds. The wait continues while the server is down.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = calls.LONGEST_HOLD if deadline is None else deadline - time.monotonic()
            workflow = self._send(calls.wait(workflow_id, since, left), float("inf") if deadline is None else max(left, 1.0))
            if until(workflow):
                return workflow
            if deadline is not None and time.monotonic() >= deadline:
                raise StillWaiting(workflow)
            since = workflow.version

    def _send(self, call: Call[T], patience: float | None = None) -> T:
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        for tries in range(1_000_000_000):
            problem: Problem | None = None
            try:
                return read(call, self._http.send(request_of(call, self._settings)))
            except httpx.TransportError as error:
                why: Exception = error
            except Problem as error:
                if not is_worth_another_try(error):
                    raise
                why = problem = error
            rest = pause(tries, problem)
            if time.monotonic() + rest > deadline:
                raise problem or Unreachable(f"parkbrake at {self._settings.url} does not answer: {why}") from why
            time.sleep(rest)
        raise AssertionError("unreachable")
