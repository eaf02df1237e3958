"""Asks people about tool calls, for any framework.

A tool call becomes a task with the kind of its action (`Facts`, which you write beside the tool),
and with the name and the arguments of the tool as metadata. People approve exactly these arguments.
`amend` supersedes a request with one that has other arguments, which is approved like any other;
whoever waits for the first request gets the result of the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

from .aio import AsyncParkbrake
from .client import Parkbrake
from .models import Submitted, Task, Workflow
from .problems import AlreadyRejected


class _FactsRequired(TypedDict):
    operation: str


class Facts(_FactsRequired, total=False):
    """The kind of action of a tool, in the words of the server's configuration."""

    environment: str
    resource: str
    resource_type: str


@dataclass(frozen=True)
class Answer:
    """The answer about a tool call.

    Unless it is a rejection, run the tool with `args`, and only with these.
    """

    verdict: Literal["approve", "edit", "reject"]
    args: dict[str, Any]
    message: str
    workflow_id: str


def task_of(name: str, args: dict[str, Any], facts: Facts) -> Task:
    """The task for a tool call."""
    said = ", ".join(f"{key}={value}" for key, value in args.items())
    task = {"description": f"{name}({said})"[:1000], "metadata": {"tool": name, "args": args}, **facts}
    return cast(Task, task)


def answer_of(workflow: Workflow, asked: dict[str, Any]) -> Answer:
    """The answer of a decided workflow about a call that was submitted with these arguments."""
    args = workflow.metadata.get("args")
    if not workflow.may_act or not isinstance(args, dict):
        return Answer("reject", {}, workflow.refusal, workflow.workflow_id)
    return Answer("approve" if args == asked else "edit", args, "", workflow.workflow_id)


def amended(workflow: Workflow, args: dict[str, Any]) -> Task:
    """The task that supersedes a waiting one, with other arguments."""
    known = ("operation", "environment", "resource", "resource_type")
    facts = {key: value for key, value in (workflow.task or {}).items() if key in known}
    task = task_of(str(workflow.metadata.get("tool")), args, cast(Facts, facts))
    task["supersedes"] = workflow.workflow_id
    return task


def _remembered(problem: AlreadyRejected) -> Answer:
    return Answer("reject", {}, problem.detail, problem.workflow_id)


class ToolGate:
    """Asks about the tool calls of one agent."""

    def __init__(self, parkbrake: Parkbrake) -> None:
        self.parkbrake = parkbrake

    def submit(self, name: str, args: dict[str, Any], facts: Facts, key: str) -> Submitted | Answer:
        """Submits a call without waiting.

        Returns an Answer if people rejected the identical call a short time ago.
        """
        try:
            return self.parkbrake.submit(task_of(name, args, facts), key=key)
        except AlreadyRejected as problem:
            return _remembered(problem)

    def answer(self, asked: Submitted | Answer, args: dict[str, Any], timeout: float | None = None) -> Answer:
        """Waits for the decision."""
        if isinstance(asked, Answer):
            return asked
        workflow = self.parkbrake.wait_for_decision(asked.workflow_id, timeout=timeout, follow=True)
        return answer_of(workflow, args)

    def ask(self, name: str, args: dict[str, Any], facts: Facts, key: str, timeout: float | None = None) -> Answer:
        """Submits a call and waits. After a restart, the same key finds the same request."""
        return self.answer(self.submit(name, args, facts, key), args, timeout)

    def amend(self, workflow_id: str, args: dict[str, Any]) -> Submitted:
        """Supersedes a waiting call with other arguments."""
        return self.parkbrake.submit(amended(self.parkbrake.get(workflow_id), args))


class AsyncToolGate:
    """Asks about the tool calls of one agent, in an event loop."""

    def __init__(self, parkbrake: AsyncParkbrake) -> None:
        self.parkbrake = parkbrake

    async def ask(self, name: str, args: dict[str, Any], facts: Facts, key: str, timeout: float | None = None) -> Answer:
        """Submits a call and waits. After a restart, the same key finds the same request."""
        try:
            asked = await self.parkbrake.submit(task_of(name, args, facts), key=key)
        except AlreadyRejected as problem:
            return _remembered(problem)
        workflow = await self.parkbrake.wait_for_decision(asked.workflow_id, timeout=timeout, follow=True)
        return answer_of(workflow, args)

    async def amend(self, workflow_id: str, args: dict[str, Any]) -> Submitted:
        """Supersedes a waiting call with other arguments."""
        return await self.parkbrake.submit(amended(await self.parkbrake.get(workflow_id), args))
