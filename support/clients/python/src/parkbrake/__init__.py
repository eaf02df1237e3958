"""Client of parkbrake, the parking brake of autonomous DevOps agents."""

from .aio import AsyncParkbrake
from .calls import key_of
from .client import Parkbrake
from .models import Approval, Assessed, Decision, Evidence, Finding, PlaybookCall, Submitted, Task, TaskAction, Workflow
from .problems import (
    AlreadyRejected,
    Decided,
    Expired,
    InvalidTask,
    NotPermitted,
    ParkbrakeError,
    Problem,
    StillWaiting,
    TooMuch,
    Unauthenticated,
    Unreachable,
    WorkflowNotFound,
    WrongState,
)
from .tools import Answer, AsyncToolGate, Facts, ToolGate

__all__ = [
    "AlreadyRejected",
    "Answer",
    "Approval",
    "Assessed",
    "AsyncParkbrake",
    "AsyncToolGate",
    "Decided",
    "Decision",
    "Evidence",
    "Expired",
    "Facts",
    "Finding",
    "InvalidTask",
    "NotPermitted",
    "Parkbrake",
    "ParkbrakeError",
    "PlaybookCall",
    "Problem",
    "StillWaiting",
    "Submitted",
    "Task",
    "TaskAction",
    "ToolGate",
    "TooMuch",
    "Unauthenticated",
    "Unreachable",
    "Workflow",
    "WorkflowNotFound",
    "WrongState",
    "key_of",
]
