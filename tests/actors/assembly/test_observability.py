"""Endpoint and metrics_actor together, as a daemon's process has them."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from structlog.typing import EventDict

from actors.assembly import observability as observability_module
from actors.assembly.observability import Observability
from actors.observability.metrics_actor import MetricsActor
from eventstore.common.identifiers import installation_stream
from eventstore.errors import ConfigurationError
from eventstore.events.catalogue import DeliverySucceeded
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.settings.configuration import Configuration
from eventstore.settings.sections import MetricsSettings, StatsdSettings
from eventstore.unit_of_work import Store
from tests.actors.stage import EVENT_NAME, ONE, URL, lines_of
from tests.exposition import Exposition

LIMIT_S = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    Store(home.database).close()
    return home


def record(home: Home, count: int = 1) -> None:
    event = DeliverySucceeded("d-1", EVENT_NAME, 5, 17, 1, URL, 200)
    with Store(home.database) as store, store.transaction() as transaction:
        transaction.append(*[NewEvent(installation_stream(ONE), event)] * count)


def observability(home: Home, failures: list[str] | None = None, **addresses: str) -> Observability:
    configuration = Configuration(
        metrics=MetricsSettings(listen=addresses.get("listen", "")),
        statsd=StatsdSettings(address=addresses.get("statsd", "")),
    )
    heard = [] if failures is None else failures
    return Observability(home, configuration, on_failure=lambda: heard.append("rung"))


def ask(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LIMIT_S) as answer:
        return bytes(answer.read())


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(LIMIT_S)
        yield receiver


def test_where_nothing_is_configured_nothing_is_opened_and_nothing_happens(home: Home) -> None:
    with closing(observability(home)) as found:
        found.look_around()
        found.note_stopping()

        assert (found.port, found.failure) == (0, "")


def test_what_is_recorded_is_counted_and_shown(home: Home) -> None:
    with closing(observability(home, listen="127.0.0.1:0")) as found:
        record(home, 3)
        found.look_around()
        count = 0.0
        while count < 3:  # the metrics_actor is a thread of its own
            exposition = Exposition(ask(found.port, "/metrics"))
            count = exposition("hookfuse_attempts_total", outcome="succeeded")

        assert count == 3


def test_port_0_is_a_free_one_and_the_log_says_which(home: Home, lines: list[EventDict]) -> None:
    with closing(observability(home, listen="localhost:0")) as found:
        (line,) = lines_of(lines, "observer_listening")

        assert line["port"] == found.port > 0


def test_the_end_is_said_before_it_comes(home: Home) -> None:
    with closing(observability(home, listen="127.0.0.1:0")) as found:
        found.note_stopping()
        with pytest.raises(HTTPError) as raised:
            ask(found.port, "/readyz")
        with raised.value as answer:
            assert answer.code == 503
            assert json.loads(answer.read())["stop"] == "under way"


def test_what_was_recorded_last_is_sent_before_it_closes(home: Home, receiver: socket.socket) -> None:
    found = observability(home, statsd=f"127.0.0.1:{receiver.getsockname()[1]}")
    record(home)
    found.close()

    assert receiver.recv(65_536).startswith(b"integration-platform.http_response:1|c|#status:200")


def test_a_port_that_is_taken_is_said_before_anything_is_counted(home: Home) -> None:
    with closing(observability(home, listen="127.0.0.1:0")) as found, pytest.raises(ConfigurationError, match="in use"):
        observability(home, listen=f"127.0.0.1:{found.port}")


def test_a_meter_that_crashes_too_often_is_the_failure(
    home: Home, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    def crash(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MetricsActor, "receive", crash)
    heard: list[str] = []
    found = observability(home, heard, listen="127.0.0.1:0")
    while not found.failure:
        found.look_around()
    found.close()

    assert "MetricsActor crashed and the restart budget is used up" in found.failure
    assert heard == ["rung"]


def test_closing_gives_up_on_a_meter_that_does_not_finish(
    home: Home, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    monkeypatch.setattr(observability_module, "_CLOSE_S", 0.2)
    monkeypatch.setattr(MetricsActor, "receive", lambda *_: True)
    found = observability(home, listen="127.0.0.1:0")
    found.close()

    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", found.port)):
        pass


def test_brackets_of_ipv6_are_no_part_of_the_address(home: Home) -> None:
    with closing(observability(home, listen="[::1]:0")) as found, socket.create_connection(("::1", found.port)):
        assert found.port > 0
