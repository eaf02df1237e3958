"""The guarantees of the client, against a real server."""

from __future__ import annotations

import asyncio
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from conftest import TASK, Server

from parkbrake import (
    AsyncParkbrake,
    Decided,
    Facts,
    InvalidTask,
    NotPermitted,
    Parkbrake,
    ParkbrakeError,
    StillWaiting,
    Submitted,
    TooMuch,
    Unauthenticated,
    Unreachable,
    Workflow,
    WorkflowNotFound,
    key_of,
)
from parkbrake.tools import ToolGate


class Between:
    """A proxy that loses or replaces the first responses of the server."""

    def __init__(self, server: Server, lose: int = 0, instead: tuple[int, dict[str, str], bytes] | None = None, times: int = 0) -> None:
        self.seen: list[str] = []
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                between.seen.append(self.headers.get("idempotency-key", ""))
                number = len(between.seen)
                if instead is not None and number <= times:
                    status, headers, answer = instead
                else:
                    sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
                    got = httpx.request(self.command, server.url + self.path, content=body, headers=sent, timeout=60)
                    status, headers, answer = got.status_code, {"content-type": got.headers["content-type"]}, got.content
                if number <= lose:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def test_an_approved_action_may_be_performed_and_is_reported(bot: Parkbrake, alice: Parkbrake) -> None:
    asked = bot.submit(TASK)
    assert (asked.status, asked.requires_approval, asked.risk_level) == ("pending_approval", True, "high")
    assert asked.approval is not None and "team_lead" in asked.approval.approvers
    assert asked.workflow_id in {waiting.workflow_id for waiting in alice.pending(mine=True).workflows}
    assert alice.approve(asked.workflow_id, justification="fine", digest=asked.digest).approvals_remaining == 0
    workflow = bot.wait_for_decision(asked.workflow_id)
    assert workflow.may_act and workflow.decisions[0].approver == "alice"
    assert bot.report(asked.workflow_id, "succeeded", output={"version": "1.4.2"}).status == "completed"
    ended = bot.wait_for_end(asked.workflow_id)
    assert ended.execution is not None and ended.execution.attempts[0].output == {"version": "1.4.2"}
    assert not ended.may_act


def test_a_rejection_names_the_person_and_the_reason(bot: Parkbrake, alice: Parkbrake) -> None:
    asked = bot.submit(TASK)
    alice.reject(asked.workflow_id, reason="not on a Friday")
    workflow = bot.wait_for_decision(asked.workflow_id)
    assert (workflow.status, workflow.may_act) == ("rejected", False)
    assert workflow.refusal == "rejected by alice: not on a Friday"
    with pytest.raises(Decided) as refused:
        alice.approve(asked.workflow_id)
    assert (refused.value.code, refused.value.decision.verdict) == ("already-decided", "rejected")


def test_cancelled_requests_are_not_reported_as_rejected(bot: Parkbrake) -> None:
    asked = bot.submit(TASK)
    assert bot.cancel(asked.workflow_id, reason="no longer needed").status == "cancelled"
    assert "rejected" not in bot.wait_for_decision(asked.workflow_id).refusal


def test_the_same_key_finds_the_same_workflow(server: Server, bot: Parkbrake) -> None:
    key = key_of("test", 1, "same")
    first = bot.submit(TASK, key=key)
    with server.caller("deploy-bot") as after_a_restart:
        assert after_a_restart.submit(TASK, key=key).workflow_id == first.workflow_id
    assert bot.submit(TASK).workflow_id != bot.submit(TASK).workflow_id


def test_keys_differ_by_their_parts() -> None:
    assert key_of("a", "b") == key_of("a", "b")
    assert len({key_of("a", "b"), key_of("ab"), key_of("a", "b", ""), key_of("1"), key_of(1)}) == 5


def test_a_lost_response_creates_no_second_request(server: Server) -> None:
    between = Between(server, lose=2)
    with Parkbrake(between.url, server.token("deploy-bot")) as bot:
        asked = bot.submit({**TASK, "task_id": "lost-answer"})
    between.close()
    assert len(between.seen) == 3 and between.seen[-1] == between.seen[0] != ""
    with server.caller("deploy-bot") as bot:
        found = [w.workflow_id for w in bot.workflows(limit=500).workflows if w.task_id == "lost-answer"]
    assert found == [asked.workflow_id]


def test_retry_after_is_honored(server: Server) -> None:
    problem = b'{"type":"/problems/unavailable","title":"t","status":503,"detail":"d","code":"unavailable","instance":"/"}'
    between = Between(server, instead=(503, {"content-type": "application/problem+json", "retry-after": "0"}, problem), times=3)
    with Parkbrake(between.url, server.token("deploy-bot")) as bot:
        assert bot.submit(TASK).status == "pending_approval"
    assert len(between.seen) == 4 and len(set(between.seen)) == 1
    between.close()


def test_retries_end_with_the_last_error(server: Server) -> None:
    between = Between(server, instead=(429, {"content-type": "text/html", "retry-after": "30"}, b"<h1>busy"), times=99)
    with Parkbrake(between.url, server.token("deploy-bot"), patience=0.1) as bot, pytest.raises(ParkbrakeError) as refused:
        bot.submit(TASK)
    assert getattr(refused.value, "status", None) == 429 and getattr(refused.value, "retry_after", None) == 30
    between.close()
    with Parkbrake(between.url, server.token("deploy-bot"), patience=0.1) as bot, pytest.raises(Unreachable, match="does not answer"):
        bot.submit(TASK)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"success":true}', b""])
def test_an_unreadable_response_is_an_error_and_no_approval(server: Server, answer: bytes) -> None:
    between = Between(server, instead=(200, {"content-type": "application/json"}, answer), times=99)
    with Parkbrake(between.url, server.token("deploy-bot")) as bot:
        with pytest.raises(ParkbrakeError, match="cannot be read"):
            bot.submit(TASK)
        with pytest.raises(ParkbrakeError, match="cannot be read"):
            bot.wait_for_decision("1")
    between.close()


def test_unknown_statuses_mean_no(bot: Parkbrake) -> None:
    seen = bot.get(bot.submit(TASK).workflow_id)
    fields = {field: getattr(seen, field) for field in seen.__dataclass_fields__}
    assert not Workflow(**{**fields, "status": "half_approved"}).may_act


def test_refusals_are_exceptions_with_their_code(bot: Parkbrake, server: Server) -> None:
    with pytest.raises(InvalidTask) as refused:
        bot.submit({"description": "", "operation": "deploy"})
    assert refused.value.errors[0]["pointer"] == "/description"
    with pytest.raises(WorkflowNotFound):
        bot.get("01a20384-45a7-7747-9e89-69e0d434c734")
    with pytest.raises(NotPermitted), server.caller("tom") as tom:
        tom.approve(bot.submit(TASK).workflow_id)
    with pytest.raises(Unauthenticated), Parkbrake(server.url, "pbk_nobody") as nobody:
        nobody.get("01a20384-45a7-7747-9e89-69e0d434c734")
    assert not issubclass(InvalidTask, TooMuch)


def test_an_id_cannot_lead_to_another_path(bot: Parkbrake) -> None:
    with pytest.raises(ParkbrakeError):
        bot.get("../halts?x=")


def test_after_a_timeout_the_request_stays_parked(bot: Parkbrake) -> None:
    asked = bot.submit(TASK)
    with pytest.raises(StillWaiting) as waiting:
        bot.wait_for_decision(asked.workflow_id, timeout=1.2)
    assert waiting.value.workflow.status == "pending_approval"
    assert bot.get(asked.workflow_id).status == "pending_approval"


def test_a_token_is_sent_over_plain_http_only_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="https"):
        Parkbrake("http://parkbrake.example.com", "pbk_secret")
    with pytest.raises(ValueError, match="https"):
        Parkbrake("http://127.0.0.1.example.com", "pbk_secret", allow_http=False)
    Parkbrake("http://parkbrake.example.com", "pbk_secret", allow_http=True).close()
    monkeypatch.delenv("PARKBRAKE_TOKEN", raising=False)
    with pytest.raises(ValueError, match="token"):
        Parkbrake("https://parkbrake.example.com")
    assert "pbk_secret" not in repr(Parkbrake("https://parkbrake.example.com", "pbk_secret")._settings)


def test_a_wait_survives_a_restart_of_the_server(impatient_server: Server) -> None:
    with impatient_server.caller("deploy-bot") as bot, impatient_server.caller("alice") as alice:
        asked = bot.submit(TASK)
        seen: list[Workflow] = []
        waiting = threading.Thread(target=lambda: seen.append(bot.wait_for_decision(asked.workflow_id)))
        waiting.start()
        impatient_server.end(signal.SIGKILL)
        impatient_server.start()
        alice.approve(asked.workflow_id)
        waiting.join(timeout=60)
        assert [workflow.may_act for workflow in seen] == [True]


def test_the_async_client_behaves_alike(server: Server) -> None:
    async def scenario() -> Workflow:
        async with AsyncParkbrake(server.url, server.token("deploy-bot")) as bot, AsyncParkbrake(server.url, server.token("alice")) as alice:
            asked = await bot.submit(TASK)
            waiting = asyncio.create_task(bot.wait_for_decision(asked.workflow_id))
            await alice.comment(asked.workflow_id, "looking")
            await alice.approve(asked.workflow_id)
            return await waiting

    workflow = asyncio.run(scenario())
    assert workflow.may_act and workflow.comments[0].text == "looking"


def test_a_wait_follows_a_superseding_request(bot: Parkbrake, alice: Parkbrake) -> None:
    gate, args = ToolGate(bot), {"service": "api", "version": "1.4.2"}
    facts: Facts = {"operation": "deploy", "environment": "production", "resource_type": "service"}
    asked = gate.submit("deploy", args, facts, key_of("follow"))
    assert isinstance(asked, Submitted)
    amended = gate.amend(asked.workflow_id, {"service": "api", "version": "1.4.3"})
    alice.approve(amended.workflow_id)
    answer = gate.answer(asked, args)
    assert (answer.verdict, answer.args, answer.workflow_id) == ("edit", {"service": "api", "version": "1.4.3"}, amended.workflow_id)
    assert bot.wait_for_decision(asked.workflow_id).refusal.startswith("another request supersedes this one")
