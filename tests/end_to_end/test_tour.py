"""What the tour has people type after their first alert, step by step, and what it says comes back."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.terminal import Terminal, free_port, typed

_PAGE = "docs/tour.md"
_RECEIVER = "python examples/receiver.py .hookfuse/pager.secret 8080"


class Tour:
    """The home that the README has made, a daemon that runs on it, and the blocks of the tour's sections."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def typed(self, title: str) -> list[str]:
        """Return what a section has people type, without its pauses: who waits here looks until it has happened."""
        blocks = typed(self.terminal.section(_PAGE, title))
        return [re.sub(r"^sleep 1\n", "", block, flags=re.MULTILINE) for block in blocks]

    @contextmanager
    def receiver(self, status: str = "") -> Iterator[Iterator[str]]:
        """Run the receiver until the end of the block."""
        command = _RECEIVER.replace(".hookfuse", str(self.terminal.home)).replace("8080", str(self.terminal.port))
        with self.terminal.started(f"{command} {status}") as lines:
            next(lines)  # where it listens
            yield lines

    def until(self, command: str, wanted: str) -> str:
        return self.terminal.type_until(f"hookfuse {command}", wanted)


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    terminal = Terminal(home, free_port())
    _, apply, configure, receive, *_ = typed(terminal.section("README.md", "A first alert"))
    for block in (apply, configure, receive.splitlines()[0]):
        terminal.type(block)
    with terminal.started("hookfuse run") as daemon:
        next(daemon)
        yield Tour(terminal)


def test_who_answers_410_is_disabled_and_comes_back_by_a_probe_and_gets_what_was_missed(tour: Tour) -> None:
    start, send, look = tour.typed("A broken integration")
    (enable,) = tour.typed("Back again: `--probe` and `--recover`")
    assert start.split()[-1] == "410"

    with tour.receiver("410"):
        tour.terminal.type(send)
        tour.until("status", "^deliveries +0 waiting, 1 missed, 1 dead$")
        tour.until("status", "^mails +0 requested, 1 sent, 0 failed$")
        looked = tour.terminal.type(look)
        refused = tour.terminal.type(enable, code=9)  # the probe failed

    assert re.search("^0b4bcfd1-[0-9a-f-]+ +pager +[^ ]+ +receiver$", looked, re.MULTILINE)
    assert "\nSubject:" in looked
    assert "stays disabled: the test delivery did not succeed" in refused

    with tour.receiver() as received:
        enabled = tour.terminal.type(enable)
        assert "enabled installation 0b4bcfd1-be12-4dde-9225-ec5b19f83fb2" in enabled
        assert "recovering 1 missed delivery" in enabled
        assert any("metric_alert.resolved" in line for line in received)
        tour.until("events --type recovery.completed", "recovery.completed")


def test_a_resolved_waits_for_its_critical_and_another_incident_for_neither(tour: Tour) -> None:
    (send,) = tour.typed("In order")
    *alerts, look = send.splitlines()
    tour.terminal.type("\n".join(alerts))
    waiting = tour.terminal.type_until(look, r"(?s)(.*connect){2}")

    assert re.search("metric_alert.resolved +0 +- ", waiting)
    with tour.receiver() as received:
        came = [next(received) for _ in alerts]
    first_incident = [line.split(",")[0] for line in came if _id_of(line) in _ids_of(waiting)[:2]]
    assert first_incident == ["metric_alert.critical", "metric_alert.resolved"]


def _id_of(line: str) -> str:
    found = re.search("[0-9a-f-]{36}", line)
    assert found is not None, line
    return found[0]


def _ids_of(table: str) -> list[str]:
    return re.findall("^[0-9a-f-]{36}", table, re.MULTILINE)


def test_a_failing_endpoint_opens_its_breaker_and_closing_it_lets_go_what_it_holds(tour: Tour) -> None:
    _, send = tour.typed("A failing endpoint: the breaker")
    with tour.receiver("500"):
        tour.terminal.type(send)
        shown = tour.until("show 0b4bcfd1", "^breaker +open until .*: its deliveries wait$")
    assert re.search("^deliveries +12 waiting, 0 missed", shown, re.MULTILINE)

    with tour.receiver():
        tour.terminal.type('hookfuse breaker close 0b4bcfd1 --reason "fixed"')
        tour.terminal.type("hookfuse deliveries resend --installation 0b4bcfd1 --state waiting")
        tour.until("status", "^deliveries +0 waiting, 0 missed, 0 dead$")


@pytest.mark.parametrize("title", ["Looking", "What if", "Can it be trusted?"])
def test_each_command_to_look_back_is_there(tour: Tour, title: str) -> None:
    (send,) = tour.typed("In order")
    with tour.receiver():
        tour.terminal.type(send)
        tour.until("status", "^deliveries +0 waiting, 0 missed, 0 dead$")
    delivery = json.loads(tour.terminal.type("hookfuse requests --json"))[0]["delivery_id"]

    for block in tour.typed(title):
        for line in block.splitlines():
            # A minute ago there was no home: event 3 is the one of before the first delivery.
            tour.terminal.type(line.replace("delivery ID", f"delivery {delivery}").replace(" 1m", " 3"))
