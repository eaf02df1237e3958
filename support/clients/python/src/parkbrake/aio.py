"""The client for event loops, with the API of `client`; `tests/test_twins.py` compares them."""

from __future__ import annotations

import asyncio
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


class AsyncParkbrake:
    """Calls one server as one principal. For one event loop.

    Calls without a response, and calls that the server refuses for the moment (429, 502, 503, 504),
    are retried for `patience` seconds; that is safe for every call. Waits survive restarts of the
    server, for as long as the caller wants.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, patience: float = 60.0, allow_http: bool = False
    ) -> None:
        self._settings = Settings.of(url, token, allow_http)
        self._patience = patience
        self._http = httpx.AsyncClient()

    async def __aenter__(self) -> AsyncParkbrake:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def submit(self, task: Task | PlaybookCall, *, key: str | None = None, wait: float = 0) -> Submitted:
        """Submits a task. The same `key` (see `key_of`) and task return the first workflow again.

        That also holds after a restart of either side.
        """
        return await self._send(calls.submit(task, key, wait))

    async def assess(self, task: Task | PlaybookCall) -> Assessed:
        """How a task would be assessed; nothing is stored."""
        return await self._send(calls.assess(task))

    async def get(self, workflow_id: str) -> Workflow:
        return await self._send(calls.get(workflow_id))

    async def pending(
        self, *, risk_level: str | None = None, mine: bool = False, limit: int | None = None, cursor: str | None = None
    ) -> PendingPage:
        """Requests that wait for people, the newest first."""
        return await self._send(calls.pending(risk_level, mine, limit, cursor))

    async def workflows(
        self, *, status: str | None = None, requested_by: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> WorkflowPage:
        return await self._send(calls.workflows(status, requested_by, limit, cursor))

    async def approve(self, workflow_id: str, *, justification: str | None = None, digest: str | None = None) -> Approved:
        """Approves the document that has this digest. Only people may approve."""
        return await self._send(calls.approve(workflow_id, justification, digest))

    async def reject(self, workflow_id: str, *, reason: str | None = None, digest: str | None = None) -> Rejected:
        return await self._send(calls.reject(workflow_id, reason, digest))

    async def cancel(self, workflow_id: str, *, reason: str | None = None) -> StatusChange:
        return await self._send(calls.cancel(workflow_id, reason))

    async def report(self, workflow_id: str, outcome: Outcome, *, output: Any = None, error: str | None = None) -> StatusChange:
        """Reports the result of an external action."""
        return await self._send(calls.report(workflow_id, outcome, output, error))

    async def comment(self, workflow_id: str, text: str, *, ask: bool = False) -> Commented:
        return await self._send(calls.comment(workflow_id, text, ask))

    async def wait_for_decision(
        self, workflow_id: str, *, since: int = 0, timeout: float | None = None, follow: bool = False
    ) -> Workflow:
        """Waits until the workflow has started, or can no longer start.

        With `follow`, a request that supersedes it is waited for in the same way.
        """
        workflow = await self.wait(workflow_id, lambda seen: seen.is_decided, since=since, timeout=timeout)
        while follow and workflow.superseded_by is not None:
            workflow = await self.wait(workflow.superseded_by, lambda seen: seen.is_decided, timeout=timeout)
        return workflow

    async def wait_for_end(self, workflow_id: str, *, since: int = 0, timeout: float | None = None) -> Workflow:
        """Waits until the workflow has ended, or its outcome is unknown."""
        return await self.wait(workflow_id, lambda seen: seen.has_ended, since=since, timeout=timeout)

    async def wait(
        self, workflow_id: str, until: Callable[[Workflow], bool], *, since: int = 0, timeout: float | None = None
    ) -> Workflow:
        """Waits until a condition holds, beginning after the version `since`.

        Raises StillWaiting after `timeout` seconds. The wait continues while the server is down.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = calls.LONGEST_HOLD if deadline is None else deadline - time.monotonic()
            workflow = await self._send(calls.wait(workflow_id, since, left), float("inf") if deadline is None else max(left, 1.0))
            if until(workflow):
                return workflow
            if deadline is not None and time.monotonic() >= deadline:
                raise StillWaiting(workflow)
            since = workflow.version

    async def _send(self, call: Call[T], patience: float | None = None) -> T:
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        for tries in range(1_000_000_000):
            problem: Problem | None = None
            try:
                return read(call, await self._http.send(request_of(call, self._settings)))
            except httpx.TransportError as error:
                why: Exception = error
            except Problem as error:
                if not is_worth_another_try(error):
                    raise
                why = problem = error
            rest = pause(tries, problem)
            if time.monotonic() + rest > deadline:
                raise problem or Unreachable(f"parkbrake at {self._settings.url} does not answer: {why}") from why
            await asyncio.sleep(rest)
        raise AssertionError("unreachable")
