"""A real server for the tests: `parkbrake dev` of PARKBRAKE_BIN, with its own home and database."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkbrake import Parkbrake, Task

ROOT = Path(__file__).resolve().parents[4]
TASK: Task = {"description": "Deploy api 1.4.2", "operation": "deploy", "environment": "production", "resource_type": "service"}
"""A task that people have to approve."""


class Server:
    """A server that can be killed and started again at the same address, over the same database."""

    def __init__(self, home: Path, config: Path = ROOT / "config") -> None:
        self.home, self.config = home, config
        home.chmod(0o711)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [os.environ["PARKBRAKE_BIN"], "dev", "--listen", self.url.removeprefix("http://"), "--config", str(self.config)]
        environment = {**os.environ, "PARKBRAKE_DEV_HOME": str(self.home)}
        log_file = self.home / "log"
        with open(log_file, "wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        for _ in range(1200):
            assert self._process.poll() is None, log_file.read_text()
            if "parkbrake is ready at" in log_file.read_text():
                return
            time.sleep(0.1)
        raise AssertionError(log_file.read_text())

    def end(self, how: int = signal.SIGINT) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def token(self, name: str) -> str:
        lines = (line.split() for line in (self.home / "tokens").read_text().splitlines())
        return next(words[2] for words in lines if len(words) == 3 and words[1] == name)

    def caller(self, name: str, patience: float = 60.0) -> Parkbrake:
        return Parkbrake(self.url, self.token(name), patience=patience)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    for folder in (home := tmp_path_factory.mktemp("home")).parents:
        # If the tests run as root, PostgreSQL runs as another account.
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    server = Server(home)
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def impatient_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a test may kill. Requests of medium risk expire there after two seconds."""
    config = tmp_path_factory.mktemp("impatient") / "config"
    shutil.copytree(ROOT / "config", config)
    policies = config / "hitl/approval-policies.yaml"
    text, changed = re.subn(r"^policies:\n((?:.*\n)*?)  medium: +\[.*\n", r"policies:\n  medium: { expire_after: 2s }\n\1", policies.read_text(), flags=re.M)
    assert changed == 1
    policies.write_text(text)
    own = Server(tmp_path_factory.mktemp("own"), config)
    own.start()
    yield own
    own.end()


@pytest.fixture
def bot(server: Server) -> Iterator[Parkbrake]:
    with server.caller("deploy-bot") as caller:
        yield caller


@pytest.fixture
def alice(server: Server) -> Iterator[Parkbrake]:
    with server.caller("alice") as caller:
        yield caller
