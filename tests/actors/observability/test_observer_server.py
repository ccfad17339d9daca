"""The endpoint over real connections: what it answers, and whom it does not wait for."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from structlog.typing import EventDict

from actors.observability.observer_server import Health, Observations, ObserverServer
from eventstore.errors import ConfigurationError, DatabaseError
from tests.actors.stage import lines_of

LIMIT_S = 60.0
GOOD = Health({"loop": "ok"})
BAD = Health({"loop": "ok", "database": "events.db: the disk is full"})


def observations(
    metrics: bytes = b"hookfuse_last_position 42.0\n", liveness: Health = GOOD, readiness: Health = GOOD
) -> Observations:
    return Observations(lambda: metrics, lambda: liveness, lambda: readiness)


@contextmanager
def serving(
    shown: Observations | None = None, *, host: str = "127.0.0.1", deadline_s: float = LIMIT_S, connections: int = 16
) -> Iterator[int]:
    server = ObserverServer(host, 0, shown or observations(), deadline_s=deadline_s, connections=connections)
    try:
        yield server.port
    finally:
        server.close()


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_metrics_are_told_as_text_that_prometheus_reads() -> None:
    with serving() as port:
        status, headers, body = ask(port, "/metrics")

    assert (status, body) == (200, b"hookfuse_last_position 42.0\n")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz?verbose=1"])
def test_health_is_200_when_all_is_well(path: str) -> None:
    with serving() as port:
        status, headers, body = ask(port, path)

    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"loop": "ok"})


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 503)])
def test_health_is_503_when_something_is_not_and_says_what(path: str, status: int) -> None:
    with serving(observations(readiness=BAD)) as port:
        found, _, body = ask(port, path)

    assert found == status
    assert json.loads(body) == (GOOD if status == 200 else BAD).checks


def test_any_other_path_is_not_there() -> None:
    with serving() as port:
        status, _, body = ask(port, "/admin")

    assert (status, body) == (404, b"/metrics, /healthz, /readyz\n")


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_head_gives_the_head_alone(path: str) -> None:
    with serving() as port:
        status, headers, body = ask(port, path, "HEAD")
        length = len(ask(port, path)[2])

    assert (status, body, headers["content-length"]) == (200, b"", str(length))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_taken_in(method: str) -> None:
    with serving() as port:
        assert ask(port, "/metrics", method)[0] == 501


def test_what_the_store_can_not_say_is_503_with_the_reason(lines: list[EventDict]) -> None:
    def fail() -> bytes:
        raise DatabaseError("events.db: the disk cannot be written")

    with serving(Observations(fail, lambda: GOOD, lambda: GOOD)) as port:
        status, _, body = ask(port, "/metrics")

    assert (status, body) == (503, b"events.db: the disk cannot be written\n")
    (line,) = lines_of(lines, "observer_failed")
    assert line["path"] == "/metrics"


def test_a_fault_of_our_own_ends_one_connection_and_is_logged(lines: list[EventDict]) -> None:
    def fail() -> bytes:
        raise ZeroDivisionError

    with serving(Observations(fail, lambda: GOOD, lambda: GOOD)) as port:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(port, "/metrics")
        assert ask(port, "/healthz")[0] == 200

    (line,) = lines_of(lines, "observer_crashed")
    assert isinstance(line["exc_info"], ZeroDivisionError)


def test_ten_at_once_are_answered_at_once() -> None:
    together = threading.Barrier(10, timeout=LIMIT_S)

    def metrics() -> bytes:
        together.wait()  # none is answered before all have asked
        return b"all\n"

    with serving(Observations(metrics, lambda: GOOD, lambda: GOOD)) as port, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: ask(port, "/metrics"), range(10)))

    assert [(status, body) for status, _, body in answers] == [(200, b"all\n")] * 10


def test_each_connection_is_closed_after_its_answer() -> None:
    with serving() as port, socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n" * 2)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "said", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nX-A: "], ids=["nothing", "half", "most"]
)
def test_who_does_not_go_on_is_cut_off_and_holds_up_nobody(said: bytes) -> None:
    with (
        serving(deadline_s=1.0) as port,
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as silent,
    ):
        silent.sendall(said)
        assert ask(port, "/healthz")[0] == 200
        left = silent.recv(65_536)

    assert left == b""


def test_who_says_a_byte_now_and_then_is_cut_off_too() -> None:
    with (
        serving(deadline_s=0.5) as port,
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as dripping,
    ):
        dripping.settimeout(0.05)
        left = b"not closed"
        deadline_s = time.monotonic() + LIMIT_S
        while left and time.monotonic() < deadline_s:
            try:
                dripping.sendall(b"G")
                left = dripping.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                left = b""

    assert left == b""


def test_more_than_there_is_room_for_are_turned_away_until_there_is_some() -> None:
    gate, begun = threading.Event(), threading.Semaphore(0)

    def metrics() -> bytes:
        begun.release()
        assert gate.wait(LIMIT_S)
        return b"late\n"

    with (
        serving(Observations(metrics, lambda: GOOD, lambda: GOOD), connections=2) as port,
        ThreadPoolExecutor(2) as pool,
    ):
        asked = [pool.submit(ask, port, "/metrics") for _ in range(2)]
        assert all(begun.acquire(timeout=LIMIT_S) for _ in range(2))
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(port, "/healthz")
        gate.set()
        assert [future.result()[2] for future in asked] == [b"late\n"] * 2
        assert _is_answered_again(port)


def _is_answered_again(port: int) -> bool:
    deadline_s = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline_s:  # the room is given back after the answer
        try:
            return ask(port, "/healthz")[0] == 200
        except (http.client.RemoteDisconnected, ConnectionResetError):
            continue
    return False


@pytest.mark.parametrize("rubbish", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"A" * 70_000 + b"\r\n\r\n", b"\r\n"])
def test_rubbish_is_refused_and_the_next_one_answered(rubbish: bytes, lines: list[EventDict]) -> None:
    with serving(deadline_s=2.0) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            answer = _read_all(connection)
        assert ask(port, "/healthz")[0] == 200

    assert b" 200 " not in answer
    assert lines_of(lines, "observer_crashed") == []


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(65_536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def test_closing_does_not_wait_for_a_request_that_hangs() -> None:
    gate, begun = threading.Event(), threading.Event()

    def metrics() -> bytes:
        begun.set()
        assert gate.wait(LIMIT_S)
        return b"late\n"

    server = ObserverServer("127.0.0.1", 0, Observations(metrics, lambda: GOOD, lambda: GOOD))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server.port, "/metrics")
        assert begun.wait(LIMIT_S)
        server.close()
        assert not asked.done()
        gate.set()

        assert asked.result()[2] == b"late\n"


def test_after_closing_nobody_listens() -> None:
    server = ObserverServer("127.0.0.1", 0, observations())
    server.close()

    with pytest.raises(ConnectionRefusedError):
        ask(server.port, "/healthz")


def test_an_address_of_ipv6_is_one_too() -> None:
    with serving(host="::1") as port:
        assert ask(port, "/healthz", host="::1")[0] == 200


def test_a_port_that_is_taken_is_a_fault_of_the_configuration() -> None:
    with serving() as port, pytest.raises(ConfigurationError) as raised:
        ObserverServer("127.0.0.1", port, observations())

    assert str(raised.value) == f"[metrics] listen 127.0.0.1:{port}: Address already in use"


def test_a_name_that_is_not_known_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ConfigurationError, match=r"^\[metrics\] listen nowhere.invalid:1: Name or service not known$"):
        ObserverServer("nowhere.invalid", 1, observations())


def test_starting_does_not_look_its_own_name_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a resolver that is away would be waited for")

    monkeypatch.setattr(socket, "getfqdn", fail)
    monkeypatch.setattr(socket, "gethostbyaddr", fail)
    with serving() as port:
        assert ask(port, "/healthz")[0] == 200
