"""Asks people about tool calls of a framework, whichever it is.

A tool call becomes a task: what kind of action it is (`Facts`, which you write beside the tool), its name and its arguments, in the metadata.
People approve exactly these arguments. Where people want other ones, `amend` puts a request for those in the place of the first, to be approved
like any other; who waits for the first is answered with what came of the second.
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
    """What kind of action a tool is, in the words of the server's configuration."""

    environment: str
    resource: str
    resource_type: str


@dataclass(frozen=True)
class Answer:
    """What came of a question about a tool call. Run the tool with `args`, and with these only, unless it is a rejection."""

    verdict: Literal["approve", "edit", "reject"]
    args: dict[str, Any]
    message: str
    workflow_id: str


def task_of(name: str, args: dict[str, Any], facts: Facts) -> Task:
    """The task that a tool call becomes."""
    said = ", ".join(f"{key}={value}" for key, value in args.items())
    task = {"description": f"{name}({said})"[:1000], "metadata": {"tool": name, "args": args}, **facts}
    return cast(Task, task)


def answer_of(workflow: Workflow, asked: dict[str, Any]) -> Answer:
    """What a decided workflow means for a call that was asked about with these arguments."""
    args = workflow.metadata.get("args")
    if not workflow.may_act or not isinstance(args, dict):
        return Answer("reject", {}, workflow.refusal, workflow.workflow_id)
    return Answer("approve" if args == asked else "edit", args, "", workflow.workflow_id)


def amended(workflow: Workflow, args: dict[str, Any]) -> Task:
    """The task that takes the place of one that waits, with other arguments."""
    known = ("operation", "environment", "resource", "resource_type")
    facts = {key: value for key, value in (workflow.task or {}).items() if key in known}
    task = task_of(str(workflow.metadata.get("tool")), args, cast(Facts, facts))
    task["supersedes"] = workflow.workflow_id
    return task


def _remembered(problem: AlreadyRejected) -> Answer:
    return Answer("reject", {}, problem.detail, problem.workflow_id)


class ToolGate:
    """The questions of one agent."""

    def __init__(self, parkbrake: Parkbrake) -> None:
        self.parkbrake = parkbrake

    def submit(self, name: str, args: dict[str, Any], facts: Facts, key: str) -> Submitted | Answer:
        """Asks, and does not wait; an Answer is what people said about the very same call a short time ago."""
        try:
            return self.parkbrake.submit(task_of(name, args, facts), key=key)
        except AlreadyRejected as problem:
            return _remembered(problem)

    def answer(self, asked: Submitted | Answer, args: dict[str, Any], timeout: float | None = None) -> Answer:
        """Waits for what people say."""
        if isinstance(asked, Answer):
            return asked
        workflow = self.parkbrake.wait_for_decision(asked.workflow_id, timeout=timeout, follow=True)
        return answer_of(workflow, args)

    def ask(self, name: str, args: dict[str, Any], facts: Facts, key: str, timeout: float | None = None) -> Answer:
        """Asks, and waits. After a restart the same key finds the same question again."""
        return self.answer(self.submit(name, args, facts, key), args, timeout)

    def amend(self, workflow_id: str, args: dict[str, Any]) -> Submitted:
        """Puts the same call with other arguments in the place of one that waits."""
        return self.parkbrake.submit(amended(self.parkbrake.get(workflow_id), args))


class AsyncToolGate:
    """The questions of one agent, for an event loop."""

    def __init__(self, parkbrake: AsyncParkbrake) -> None:
        self.parkbrake = parkbrake

    async def ask(self, name: str, args: dict[str, Any], facts: Facts, key: str, timeout: float | None = None) -> Answer:
        """Asks, and waits. After a restart the same key finds the same question again."""
        try:
            asked = await self.parkbrake.submit(task_of(name, args, facts), key=key)
        except AlreadyRejected as problem:
            return _remembered(problem)
        workflow = await self.parkbrake.wait_for_decision(asked.workflow_id, timeout=timeout, follow=True)
        return answer_of(workflow, args)

    async def amend(self, workflow_id: str, args: dict[str, Any]) -> Submitted:
        """Puts the same call with other arguments in the place of one that waits."""
        return await self.parkbrake.submit(amended(await self.parkbrake.get(workflow_id), args))
