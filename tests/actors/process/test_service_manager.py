"""What systemd is told, on a real socket such as it gives."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.typing import EventDict

from actors.process.service_manager import ServiceManager
from tests.actors.stage import lines_of

PID = 4711


class Systemd:
    """The socket that systemd listens on, and what has come to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "n") if request.param == "a path" else f"@hookfuse-test-{os.getpid()}"
    systemd = Systemd(address)
    yield systemd
    systemd.close()


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def manager(systemd: Systemd, clock: Clock | None = None, **environment: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": systemd.address, **environment}, pid=PID, clock_s=clock or Clock())


def test_it_says_once_that_it_is_ready_and_who_it_is(systemd: Systemd) -> None:
    told = manager(systemd)
    told.ready()
    told.ready()

    assert systemd.heard() == [f"READY=1\nMAINPID={PID}"]


def test_it_says_that_it_stops(systemd: Systemd) -> None:
    manager(systemd).stopping()

    assert systemd.heard() == ["STOPPING=1"]


def test_the_watchdog_hears_twice_as_often_as_it_has_to(systemd: Systemd) -> None:
    clock = Clock()
    told = manager(systemd, clock, WATCHDOG_USEC="10000000", WATCHDOG_PID=str(PID))
    heard_at_s = []
    for quarter in range(60):
        clock.now_s = 1000.0 + quarter / 4
        told.alive()
        if systemd.heard() == ["WATCHDOG=1"]:
            heard_at_s.append(clock.now_s - 1000.0)

    assert heard_at_s == [0.0, 5.0, 10.0]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(PID + 1)},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
    ],
    ids=["none", "of another process", "rubbish", "zero"],
)
def test_no_watchdog_hears_nothing(systemd: Systemd, environment: dict[str, str]) -> None:
    manager(systemd, None, **environment).alive()

    assert systemd.heard() == []


def test_a_watchdog_that_names_nobody_watches_this_one(systemd: Systemd) -> None:
    manager(systemd, WATCHDOG_USEC="10000000").alive()

    assert systemd.heard() == ["WATCHDOG=1"]


def test_without_a_service_manager_nothing_is_said_and_nothing_happens(lines: list[EventDict]) -> None:
    told = ServiceManager({"WATCHDOG_USEC": "1"}, pid=PID)
    told.ready()
    told.alive()
    told.stopping()

    assert lines == []


def test_one_that_is_gone_is_said_once_and_told_again_when_it_is_back(tmp_path: Path, lines: list[EventDict]) -> None:
    clock = Clock()
    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "2000000"}
    told = ServiceManager(environment, pid=PID, clock_s=clock)
    for _ in range(3):
        told.alive()
        clock.now_s += 1.0
    back = Systemd(str(tmp_path / "n"))
    told.alive()
    heard = back.heard()
    back.close()

    assert heard == ["WATCHDOG=1"]
    assert len(lines_of(lines, "service_manager_unreachable")) == 1
