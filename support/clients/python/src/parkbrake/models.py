"""The bodies of requests and responses.

Request bodies are typed dictionaries, responses are frozen dataclasses. `tests/test_contract.py`
compares both with the OpenAPI document of a running server. Unknown fields of a newer server are
ignored, unknown words are kept.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

Status = Literal[
    "pending_approval",
    "queued",
    "executing",
    "completed",
    "failed",
    "outcome_unknown",
    "rejected",
    "cancelled",
    "expired",
    "superseded",
]
ApprovalStatus = Literal["not_required", "pending", "approved", "rejected", "expired", "cancelled"]
Level = Literal["low", "medium", "high", "critical"]
Verdict = Literal["approved", "rejected", "withdrawn"]
Via = Literal["rest", "inbox", "slack", "mcp", "claude_code", "codex", "github", "system"]
Outcome = Literal["succeeded", "failed"]
AttemptOutcome = Literal["succeeded", "failed", "unknown", "interrupted", "refused", "cancelled"]

ENDED: frozenset[str] = frozenset({"completed", "failed", "rejected", "cancelled", "expired", "superseded"})
"""The final statuses."""


class Finding(TypedDict, total=False):
    """A finding of a security scanner. `severity` is required."""

    severity: str
    id: str | None
    title: str | None


class TaskAction(TypedDict, total=False):
    """The action: of parkbrake (`runbook`, `webhook`), or your own after release (`external`).

    A `type` that is left out is `external`.
    """

    type: Literal["external", "runbook", "webhook"] | None
    name: str | None
    args: dict[str, Any] | None


class _EvidenceRequired(TypedDict):
    type: Literal["terraform_plan"]


class Evidence(_EvidenceRequired, total=False):
    """A plan as `terraform show -json` prints it, and its workspace.

    `parkbrake submit` sends `summary` and `contents` instead of `plan`.
    """

    plan: dict[str, Any] | None
    workspace: str | None
    summary: dict[str, Any] | None
    contents: str | None


class _TaskRequired(TypedDict):
    description: str
    operation: str


class Task(_TaskRequired, total=False):
    """One task. People approve its `metadata` as well."""

    task_id: str | None
    environment: str | None
    resource: str | None
    resource_type: str | None
    security_findings: list[Finding] | None
    estimated_cost: float | None
    evidence: Evidence | None
    action: TaskAction | None
    metadata: dict[str, Any] | None
    supersedes: str | None


class _PlaybookRequired(TypedDict):
    description: str
    playbook: str


class PlaybookCall(_PlaybookRequired, total=False):
    """An intent, from which parkbrake makes a plan."""

    task_id: str | None
    args: dict[str, Any] | None
    metadata: dict[str, Any] | None
    supersedes: str | None


@dataclass(frozen=True, kw_only=True)
class Differs:
    field: str
    claimed: str | None
    known: str
    from_: str = dataclasses.field(metadata={"name": "from"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a workflow, as far as parkbrake knows it."""

    operation: str
    environment: str | None
    resource: str | None
    resource_type: str | None
    differs: list[Differs]


@dataclass(frozen=True, kw_only=True)
class Reason:
    trigger: str
    level: Level
    detail: str


@dataclass(frozen=True, kw_only=True)
class Assessment:
    level: Level
    reasons: list[Reason]
    policy_version: str


@dataclass(frozen=True, kw_only=True)
class TimetableStep:
    at: datetime
    what: str
    to: list[str]


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who is asked, how many of them are needed, and until when."""

    approvers: list[str]
    required: int
    approvals: int
    escalation_level: int
    require_justification: bool
    require_digest: bool
    requested_at: datetime
    timetable: list[TimetableStep]
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """An accepted task, with its workflow at that time."""

    workflow_id: str
    task_id: str | None
    status: Status
    risk_level: Level
    requires_approval: bool
    digest: str
    target: Target | None
    assessment: Assessment
    approval: Approval | None


@dataclass(frozen=True, kw_only=True)
class Assessed:
    """How a task would be assessed. Nothing is stored."""

    digest: str
    target: Target
    assessment: Assessment
    approval: Approval | None


@dataclass(frozen=True, kw_only=True)
class Decision:
    approver: str
    role: str | None
    verdict: Verdict
    justification: str | None
    at: datetime
    via: Via


@dataclass(frozen=True, kw_only=True)
class Attempt:
    n: int
    started_at: datetime | None
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    output: Any
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Execution:
    attempts: list[Attempt]


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    version: int
    event: str
    actor: str
    at: datetime
    via: Via
    detail: Any


@dataclass(frozen=True, kw_only=True)
class Comment:
    version: int
    author: str
    text: str
    ask: bool
    at: datetime
    via: Via


@dataclass(frozen=True, kw_only=True)
class Held:
    """What keeps a released workflow from starting: a halt or a freeze."""

    by: str
    detail: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """One workflow with all its details."""

    workflow_id: str
    task_id: str | None
    status: Status
    approval_status: ApprovalStatus
    risk_level: Level
    requires_approval: bool
    description: str | None
    requested_by: str
    version: int
    task: dict[str, Any] | None
    target: Target
    digest: str
    assessment: Assessment
    approval: Approval | None
    decisions: list[Decision]
    execution: Execution | None
    history: list[HistoryEntry]
    comments: list[Comment]
    superseded_by: str | None
    held: Held | None
    created_at: datetime
    updated_at: datetime

    @property
    def may_act(self) -> bool:
        """Whether the requester of an `external` action may perform it now.

        An unknown status means no.
        """
        return self.status == "executing"

    @property
    def is_decided(self) -> bool:
        """Whether it has started, or can no longer start."""
        return self.status not in ("pending_approval", "queued")

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, or its outcome is unknown.

        An unknown outcome changes only when somebody resolves it.
        """
        return self.status in ENDED or self.status == "outcome_unknown"

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the approved task."""
        metadata = (self.task or {}).get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def refusal(self) -> str:
        """The reason why it may not be performed, as text for a model or a person.

        An expiry is not called a rejection.
        """
        if self.status == "rejected":
            for decision in reversed(self.decisions):
                if decision.verdict == "rejected":
                    return f"rejected by {decision.approver}: {decision.justification or 'no reason provided'}"
        return {
            "rejected": "rejected",
            "expired": "nobody decided in time, so the request has expired; it may be submitted again",
            "cancelled": "the request was cancelled",
            "superseded": f"another request supersedes this one: {self.superseded_by}",
            "completed": "it has already been performed",
            "failed": "it has already failed, or could not be started",
            "outcome_unknown": "its outcome is unknown, until somebody resolves it",
            "pending_approval": "people have not decided yet",
            "queued": "it is released and waits for its turn",
        }.get(self.status, f"its status is {self.status}")


@dataclass(frozen=True, kw_only=True)
class ListedWorkflow:
    workflow_id: str
    task_id: str | None
    status: Status
    risk_level: Level
    description: str | None
    target: Target
    requested_by: str
    digest: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class PendingRequest:
    workflow_id: str
    task_id: str | None
    risk_level: Level
    description: str
    target: Target
    requested_by: str
    requested_at: datetime
    approvers: list[str]
    required: int
    approvals: int
    expires_at: datetime | None
    digest: str


@dataclass(frozen=True, kw_only=True)
class WorkflowPage:
    workflows: list[ListedWorkflow]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class PendingPage:
    workflows: list[PendingRequest]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Approved:
    workflow_id: str
    status: str
    approved_by: str
    approvals_remaining: int
    workflow_status: Status


@dataclass(frozen=True, kw_only=True)
class Rejected:
    workflow_id: str
    status: Status
    rejected_by: str


@dataclass(frozen=True, kw_only=True)
class StatusChange:
    workflow_id: str
    status: Status


@dataclass(frozen=True, kw_only=True)
class Commented:
    workflow_id: str
    version: int
