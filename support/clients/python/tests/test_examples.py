"""The examples as processes, with the real frameworks: approved, rejected, edited, and killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Server

from parkbrake import Parkbrake
from parkbrake.models import PendingRequest
from parkbrake.tools import ToolGate

EXAMPLES = ROOT / "support/examples"
API, WEB = {"service": "api", "version": "1.4.2"}, {"service": "web", "version": "2.0"}
AGENTS = {
    "plain": (["plain_agent.py", "job", "api", "1.4.2"], [API]),
    "langchain batched": (["langchain_agent.py", "thread", "batched"], [API, WEB]),
    "langchain per call": (["langchain_agent.py", "thread", "per_call"], [API, WEB]),
    "agent inbox": (["agent_inbox.py", "thread"], [API]),
    "openai": (["openai_agent.py", "thread"], [API, WEB]),
}


class Agent:
    """One example, with its own folder and key."""

    def __init__(self, name: str, folder: Path, server: Server, key: str) -> None:
        arguments, self.calls = AGENTS[name]
        self.folder, self.key, self._arguments = folder, key, arguments
        self._environment = {**os.environ, "PARKBRAKE_URL": server.url, "PARKBRAKE_TOKEN": server.token("deploy-bot")}

    def start(self) -> subprocess.Popen[str]:
        script, job, *rest = self._arguments
        command, output = [sys.executable, str(EXAMPLES / script), f"{job}-{self.key}", *rest], subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=output, stderr=output, text=True)

    def deployed(self) -> list[str]:
        log = self.folder / "deployed.log"
        return sorted(log.read_text().splitlines()) if log.exists() else []


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> Agent:
    return Agent(request.param, tmp_path, server, tmp_path.name)


def parked(alice: Parkbrake, before: set[str], count: int, running: subprocess.Popen[str]) -> list[PendingRequest]:
    """Waits until `count` new requests are parked; returns them by description."""
    for _ in range(600):
        new = [waiting for waiting in alice.pending(limit=500).workflows if waiting.workflow_id not in before]
        if len(new) == count:
            return sorted(new, key=lambda waiting: waiting.description)
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    raise AssertionError("nothing was parked")


def decided(agent: Agent, alice: Parkbrake, decide: Callable[[list[PendingRequest]], None]) -> str:
    before = {waiting.workflow_id for waiting in alice.pending(limit=500).workflows}
    running = agent.start()
    decide(parked(alice, before, len(agent.calls), running))
    output, errors = running.communicate(timeout=120)
    assert running.returncode in (0, 1) and "Traceback" not in errors, errors
    return output


def line(call: dict[str, str]) -> str:
    return f"{call['service']} {call['version']}"


def refuse(alice: Parkbrake, request: PendingRequest) -> None:
    alice.reject(request.workflow_id, reason="not on a Friday")


def edit(bot: Parkbrake, alice: Parkbrake, request: PendingRequest, call: dict[str, str]) -> None:
    amended = ToolGate(bot).amend(request.workflow_id, {**call, "version": "9.9"})
    alice.approve(amended.workflow_id)


def test_rejected_calls_do_not_run_and_edited_calls_run_as_approved(agent: Agent, bot: Parkbrake, alice: Parkbrake) -> None:
    if len(agent.calls) == 2:

        def decide(waiting: list[PendingRequest]) -> None:
            refuse(alice, waiting[0])
            edit(bot, alice, waiting[1], WEB)

        output = decided(agent, alice, decide)
        assert "rejected by alice: not on a Friday" in output and "web 9.9 is deployed" in output
        assert agent.deployed() == ["web 9.9"]
    else:
        assert "rejected by alice: not on a Friday" in decided(agent, alice, lambda waiting: refuse(alice, waiting[0]))
        assert agent.deployed() == []
        agent.key += "-again"
        assert "api 9.9 is deployed" in decided(agent, alice, lambda waiting: edit(bot, alice, waiting[0], API))
        assert agent.deployed() == ["api 9.9"]


def test_an_agent_killed_while_it_waits_continues_later_acts_once_and_reports(agent: Agent, alice: Parkbrake) -> None:
    before = {waiting.workflow_id for waiting in alice.pending(limit=500).workflows}
    killed = agent.start()
    waiting = parked(alice, before, len(agent.calls), killed)
    killed.kill()
    killed.communicate()
    assert agent.deployed() == []
    for request in waiting:
        alice.approve(request.workflow_id, digest=request.digest)
    again = agent.start()
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0 and "is deployed" in output, errors
    assert agent.deployed() == [line(call) for call in agent.calls]
    assert {alice.wait_for_end(request.workflow_id, timeout=30).status for request in waiting} == {"completed"}
    new = {request.workflow_id for request in alice.pending(limit=500).workflows} - before
    assert new == set(), "the agent has submitted a second request"


@pytest.mark.parametrize("name", ["plain_agent.py", "langchain_agent.py", "agent_inbox.py", "openai_agent.py"])
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 60
