"""The GitHub action, run as GitHub's runner runs it, against a real server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Server

from parkbrake import Parkbrake
from parkbrake.models import PendingRequest

ACTION = ROOT / "support/github-action"


class Step:
    """One use of a composite action in a job, with its own folder."""

    action = ACTION

    def __init__(self, folder: Path, server: Server, **inputs: str) -> None:
        self.output, self.summary = folder / "output", folder / "summary"
        document: dict[str, Any] = yaml.safe_load((self.action / "action.yml").read_text())
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        known = {"url": server.url, "token": server.token("deploy-bot"), **given}
        assert set(known) <= set(document["inputs"]), "GitHub would warn of an unknown input"
        self.inputs = {name: known.get(name, about.get("default")) for name, about in document["inputs"].items()}
        assert None not in self.inputs.values(), "a required input is missing"
        [self._step] = document["runs"]["steps"]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PARKBRAKE", "GITHUB"))},
            **{name: self._evaluated(value) for name, value in self._step["env"].items()},
            "GITHUB_ACTION_PATH": str(self.action),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "example/shop",
            "GITHUB_RUN_ID": folder.name,
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_JOB": "deploy",
            "GITHUB_ACTION": "parkbrake",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_SHA": "0" * 40,
            "GITHUB_ACTOR": "mona",
            "GITHUB_WORKFLOW": "deploy",
        }
        self.outputs_of_action = set(document.get("outputs", {}))
        self.script = folder / "step.sh"
        self.script.write_text(self._step["run"])
        self.output.touch()
        self.log = ""

    def _evaluated(self, text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: str(self.inputs[found[1]]), text)

    def start(self) -> subprocess.Popen[str]:
        # The command that GitHub documents for `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.script)]
        return subprocess.Popen(
            command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell starts background processes with SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    def ended(self, running: subprocess.Popen[str]) -> int:
        self.log, _ = running.communicate(timeout=120)
        assert self.inputs["token"] not in self.log.replace(f"::add-mask::{self.inputs['token']}", "")
        return running.returncode

    @property
    def outputs(self) -> dict[str, str]:
        lines = [line.split("=", 1) for line in self.output.read_text().splitlines()]
        assert all(len(line) == 2 for line in lines), lines
        assert {name for name, _ in lines} <= self.outputs_of_action | {"message"}
        return {name: value for name, value in lines}


class Report(Step):
    """The step that reports the result."""

    action = ACTION / "report"


ASK = {"description": "Deploy api 1.4.2", "environment": "production", "resource_type": "service"}


def parked(alice: Parkbrake, step: Step, running: subprocess.Popen[str]) -> PendingRequest:
    run = step._environment["GITHUB_RUN_ID"]
    for _ in range(600):
        for waiting in alice.pending(limit=500).workflows:
            github = alice.get(waiting.workflow_id).metadata.get("github", {})
            if str(github.get("run", "")).endswith(f"/runs/{run}"):
                return waiting
        assert running.poll() is None, running.communicate()
        time.sleep(0.2)
    raise AssertionError("nothing was parked")


def test_an_approved_job_continues_and_is_reported(server: Server, alice: Parkbrake, tmp_path: Path) -> None:
    step = Step(tmp_path, server, **ASK, metadata='{"ticket": "OPS-7"}')
    running = step.start()
    waiting = parked(alice, step, running)
    alice.approve(waiting.workflow_id, justification="fine\n::set-output name=status::rejected <b>|`x`", digest=waiting.digest)
    assert step.ended(running) == 0, step.log
    workflow = alice.get(waiting.workflow_id)
    assert workflow.metadata["ticket"] == "OPS-7" and workflow.metadata["github"]["actor"] == "mona"
    assert step.outputs["workflow-id"] == waiting.workflow_id and step.outputs["status"] == "executing"
    assert step.outputs["message"].startswith("executing: approved by alice: fine")
    # Text of people is neither a command of the runner nor markup in the summary.
    assert not re.search(r"^::(?!add-mask::)", step.log, re.MULTILINE), step.log
    summary = step.summary.read_text()
    assert "### Parkbrake: executing" in summary and "<b>" not in summary and "`x`" not in summary
    for outcome, status in (("success", "completed"), ("success", "completed")):
        (report_folder := tmp_path / f"{tmp_path.name}-report").mkdir(exist_ok=True)
        report = Report(report_folder, server, workflow_id=waiting.workflow_id, outcome=outcome)
        assert report.ended(report.start()) == 0, report.log
        assert alice.get(waiting.workflow_id).status == status


def test_a_job_that_failed_is_reported_as_failed(server: Server, bot: Parkbrake, alice: Parkbrake, tmp_path: Path) -> None:
    asked = bot.submit({"description": "Deploy", "operation": "deploy", "environment": "production", "resource_type": "service"})
    alice.approve(asked.workflow_id)
    report = Report(tmp_path, server, workflow_id=asked.workflow_id, outcome="cancelled")
    assert report.ended(report.start()) == 0, report.log
    workflow = alice.get(asked.workflow_id)
    assert workflow.status == "failed" and workflow.execution is not None
    assert "the job ended with cancelled" in str(workflow.execution.attempts[-1].error)


def test_a_rejected_job_fails_with_the_reason(server: Server, alice: Parkbrake, tmp_path: Path) -> None:
    step = Step(tmp_path, server, **ASK)
    running = step.start()
    alice.reject(parked(alice, step, running).workflow_id, reason="100% not on a Friday")
    assert step.ended(running) == 1
    assert (step.outputs["status"], step.outputs["message"]) == ("rejected", "rejected by alice: 100% not on a Friday")
    assert "::error title=Parkbrake::rejected by alice: 100%25 not on a Friday" in step.log


def test_low_risk_continues_at_once(server: Server, tmp_path: Path) -> None:
    step = Step(tmp_path, server, description="Look", operation="read", environment="development", resource_type="service")
    assert step.ended(step.start()) == 0, step.log
    assert step.outputs["status"] == "executing"


def test_the_step_waits_for_the_end_of_a_runbook(server: Server, tmp_path: Path) -> None:
    step = Step(tmp_path, server, description="How full?", operation="read", environment="development", runbook="disk-usage")
    assert step.ended(step.start()) == 0, step.log
    assert step.outputs["status"] == "completed"


def test_an_expired_job_fails_and_is_not_called_rejected(impatient_server: Server, tmp_path: Path) -> None:
    step = Step(tmp_path, impatient_server, description="Restart", operation="restart", environment="production", resource_type="service")
    assert step.ended(step.start()) == 1, step.log
    assert step.outputs["status"] == "expired" and "rejected" not in step.log


def test_the_step_fails_while_the_server_is_down(server: Server, tmp_path: Path) -> None:
    step = Step(tmp_path, server, **ASK, patience_seconds="2")
    step._environment["PARKBRAKE_URL"] = "http://127.0.0.1:9"
    assert step.ended(step.start()) == 1
    assert "does not answer; nothing was approved" in step.outputs["message"] and "workflow-id" not in step.outputs


def test_the_step_survives_a_restart_of_the_server(impatient_server: Server, tmp_path: Path) -> None:
    step = Step(tmp_path, impatient_server, **ASK)
    running = step.start()
    with impatient_server.caller("alice") as alice:
        waiting = parked(alice, step, running)
        impatient_server.end(signal.SIGKILL)
        impatient_server.start()
        alice.approve(waiting.workflow_id)
    assert step.ended(running) == 0, step.log


# Bash can fail in a trap if the signal comes during an expansion, so it is sent at several times.
@pytest.mark.parametrize("after", [0, 0.01, 0.02, 0.04, 0.08, 1])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_cancels_its_request(
    server: Server, alice: Parkbrake, tmp_path: Path, how: signal.Signals, after: float
) -> None:
    step = Step(tmp_path, server, **ASK)
    running = step.start()
    waiting = parked(alice, step, running)
    time.sleep(after)
    running.send_signal(how)
    assert step.ended(running) == 130, step.log
    assert alice.get(waiting.workflow_id).status == "cancelled"


def test_a_timeout_cancels_the_request(server: Server, alice: Parkbrake, tmp_path: Path) -> None:
    step = Step(tmp_path, server, **ASK, timeout_minutes="0")
    assert step.ended(step.start()) == 1
    assert alice.get(step.outputs["workflow-id"]).status == "cancelled"
    assert "nobody decided within 0 minutes" in step.outputs["message"]


def test_a_restarted_step_finds_its_request(server: Server, alice: Parkbrake, tmp_path: Path) -> None:
    step = Step(tmp_path, server, **ASK)
    killed = step.start()
    waiting = parked(alice, step, killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    alice.approve(waiting.workflow_id)
    assert step.ended(step.start()) == 0, step.log
    assert step.outputs["workflow-id"] == waiting.workflow_id


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"metadata": "[1]"}, "the input `metadata` has to be a JSON object"),
        ({"metadata": "{"}, "the input `metadata` has to be a JSON object"),
        ({"runbook": "nothing-such"}, "parkbrake refuses (status 422)"),
        ({"token": "pbk_wrong"}, "parkbrake refuses (status 401)"),
        ({"token": ""}, "the input `token` is empty"),
        ({"url": "http://parkbrake.example.com"}, "has to begin with https://"),
        ({"url": "http://localhost.example.com"}, "has to begin with https://"),
        ({"timeout_minutes": "soon"}, "have to be whole numbers"),
    ],
)
def test_an_invalid_input_fails_with_an_explanation(server: Server, tmp_path: Path, inputs: dict[str, str], words: str) -> None:
    step = Step(tmp_path, server, **{**ASK, **inputs})
    running = step.start()
    log, _ = running.communicate(timeout=60)
    assert running.returncode == 1 and words in log, log
