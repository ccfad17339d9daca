"""A stage for each test."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.end_to_end.stage import LIMIT_S, Stage, serving


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with (
        serving("receiver.py", tmp_path / "receiver.jsonl") as receiver,
        serving("mail_server.py", tmp_path / "mails.jsonl") as mail_server,
    ):
        stage = Stage(tmp_path / "home", receiver, mail_server)
        stage.configure()
        yield stage
    structlog.reset_defaults()  # a command that ran within this process has logged as commands do


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the socket at which systemd hears what the daemons say that are started meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "n"))
        systemd.settimeout(LIMIT_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        yield systemd
