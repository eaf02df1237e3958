"""Shared by both clients: the server's address, reading responses, and retries."""

from __future__ import annotations

import ipaddress
import os
import random
from dataclasses import dataclass
from typing import TypeVar

import httpx

from .calls import Call
from .decoding import UnreadableAnswer, decode
from .problems import Problem, problem_of, unreadable

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8001"
ANSWER_WITHIN = 15.0
"""Seconds for a response, beyond the time that the server may hold it."""
COME_BACK = frozenset({429, 502, 503, 504})
"""Statuses of a server that is busy, restarting, or not reached by its proxy."""
LONGEST_PAUSE = 10.0


@dataclass(frozen=True, repr=False)
class Settings:
    """The server's address and the caller's token. `repr` does not show the token."""

    url: str
    token: str

    @classmethod
    def of(cls, url: str | None, token: str | None, allow_http: bool) -> Settings:
        """The given values, or else PARKBRAKE_URL and PARKBRAKE_TOKEN."""
        url = url or os.environ.get("PARKBRAKE_URL") or DEFAULT_URL
        token = token or os.environ.get("PARKBRAKE_TOKEN")
        if not token:
            raise ValueError("a token is missing: set PARKBRAKE_TOKEN, or pass it as `token`")
        address = httpx.URL(url)
        if address.scheme not in ("https", "http") or not address.host:
            raise ValueError("the address of parkbrake has to begin with https:// (or http://, on this machine)")
        if address.scheme == "http" and not allow_http and not _is_this_machine(address.host):
            raise ValueError(
                "the token would be sent unencrypted: use an https address, or pass allow_http=True if you trust the network"
            )
        return cls(url.rstrip("/"), token)

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r})"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "User-Agent": "parkbrake-python/0.1.0"}


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def request_of(call: Call[T], settings: Settings) -> httpx.Request:
    """The HTTP request of a call."""
    return httpx.Request(
        call.method,
        settings.url + call.url,
        params=dict(call.query) or None,
        headers={**settings.headers, **call.headers},
        json=call.body,
        extensions={"timeout": httpx.Timeout(ANSWER_WITHIN + call.held_for, connect=10.0).as_dict()},
    )


def read(call: Call[T], answer: httpx.Response) -> T:
    """The value of a response. Raises a Problem for a refusal."""
    if not answer.is_success:
        raise problem_of(answer)
    try:
        body = answer.json()
        if call.envelope is not None:
            body = body.get(call.envelope) if isinstance(body, dict) else None
        return decode(call.answer, body)
    except (UnreadableAnswer, ValueError) as why:
        unreadable(why)


def is_worth_another_try(problem: Problem) -> bool:
    return problem.status in COME_BACK


def pause(tries: int, problem: Problem | None) -> float:
    """Seconds before the next try: Retry-After, or exponential backoff; both with jitter."""
    if problem is not None and problem.retry_after is not None:
        return problem.retry_after + random.uniform(0, 0.5)
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.2 * 2.0 ** min(tries, 10))
