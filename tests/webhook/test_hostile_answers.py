"""Each hostile answer from a real endpoint, over TCP and TLS: known for what it is, and over in time."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.webhook.hostile_answers import BODY_LIMIT_BYTES, CHUNKED, EMPTY, HEAD, HOSTILE, LENGTH, Hostile
from tests.webhook.servers import Client, Server, serving
from webhook import AddressGuard, ErrorClass, Outcome, OutcomeKind, Sender, Timeouts, WebhookRequest, classify_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeRequest = Callable[..., WebhookRequest]
    MakeSender = Callable[..., Sender]

TLS_VERSIONS = {"tls 1.2": ssl.TLSVersion.TLSv1_2, "tls 1.3": ssl.TLSVersion.TLSv1_3}


def tls_of(certificate: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.minimum_version = context.maximum_version = version
    return context


def answer_by_number(client: Client) -> None:
    """Send the answer that the path of the request has the number of, and end the connection."""
    request = client.read_request()
    if request:
        with suppress(OSError):
            client.sock.sendall(HOSTILE[int(request.split(b" ", 2)[1][1:])].answer)


@pytest.fixture(scope="module", params=["tcp", *TLS_VERSIONS])
def endpoint(request: pytest.FixtureRequest, certificate: Path) -> Iterator[tuple[Server, str]]:
    version = TLS_VERSIONS.get(request.param)
    tls = None if version is None else tls_of(certificate, version)
    with serving(answer_by_number, tls) as server:
        yield server, f"http://127.0.0.1:{server.port}" if tls is None else f"https://localhost:{server.port}"


@pytest.fixture(scope="module")
def patient(certificate: Path) -> Iterator[Sender]:
    guard = AddressGuard(["127.0.0.0/8", "::1"], allow_http=True)
    sender = Sender(
        guard, ca_file=str(certificate), resolve=lambda _: ["127.0.0.1"], response_body_bytes=BODY_LIMIT_BYTES
    )
    yield sender
    sender.close()


def expected_of(hostile: Hostile) -> tuple[OutcomeKind, ErrorClass | None, int, str]:
    fault = "" if hostile.fault is None else hostile.fault.value
    if hostile.fault is None or hostile.status_code >= 300:
        return (*classify_status(hostile.status_code), hostile.status_code, fault)
    return OutcomeKind.FAILED, ErrorClass.PROTOCOL, hostile.status_code, fault


def found_in(outcome: Outcome) -> tuple[OutcomeKind, ErrorClass | None, int, str]:
    return outcome.kind, outcome.error_class, outcome.status_code, outcome.fault


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=lambda number: HOSTILE[number].name)
def test_each_answer_has_its_class(
    endpoint: tuple[Server, str], patient: Sender, make_request: MakeRequest, number: int
) -> None:
    outcome = patient.send(make_request(f"{endpoint[1]}/{number}", timeouts=Timeouts(60, 60, 60)))

    assert found_in(outcome) == expected_of(HOSTILE[number])
    assert 0 < len(outcome.detail) <= 300
    assert len(outcome.response_body) <= 1024


_ENDLESS = (
    b"",
    b"H",
    HEAD,
    HEAD + b"no colon\r\n",
    LENGTH + b"5\r\n\r\nhell",
    CHUNKED,
    CHUNKED + b"5\r\nhel",
    HEAD + b"\r\nwithout end",
    b"HTTP/1.1 103 E\r\n\r\n",
)


@pytest.mark.parametrize("answer", _ENDLESS)
def test_an_endpoint_that_does_not_end_the_connection_is_left_at_the_deadline(
    make_sender: MakeSender, make_request: MakeRequest, answer: bytes
) -> None:
    left: list[bool] = []

    def stay(client: Client) -> None:
        client.read_request()
        client.sock.sendall(answer)
        client.wait()
        left.append(client.stopping.is_set())

    with serving(stay) as server:
        outcome = make_sender().send(make_request(server.url, timeouts=Timeouts(60, 60, 0.2)))

    assert outcome.error_class in {ErrorClass.DEADLINE, ErrorClass.PROTOCOL}


@pytest.mark.parametrize(("status", "error_class"), [(410, ErrorClass.GONE), (429, ErrorClass.RATE_LIMITED)])
@pytest.mark.parametrize("rest", [b"", b"X-A: b\r\n", b"Content-Length: 9\r\n\r\na", b"no colon\r\n"])
def test_a_status_is_obeyed_though_what_is_behind_it_never_comes(
    make_sender: MakeSender, make_request: MakeRequest, status: int, error_class: ErrorClass, rest: bytes
) -> None:
    def stay(client: Client) -> None:
        client.read_request()
        client.sock.sendall(b"HTTP/1.1 %d X\r\nRetry-After: 60\r\n" % status + rest)
        client.wait()

    with serving(stay) as server:
        outcome = make_sender().send(make_request(server.url, timeouts=Timeouts(60, 60, 0.2)))

    assert (outcome.error_class, outcome.status_code, outcome.retry_after_s) == (error_class, status, 60.0)
    assert outcome.fault in {"deadline", "bad_head"}


_BYTES = st.one_of(
    st.binary(max_size=300),
    st.builds(bytes.__add__, st.sampled_from((HEAD, CHUNKED, LENGTH, EMPTY, b"HTTP/1.1 103 E\r\n")), st.binary()),
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(answers=st.lists(_BYTES, min_size=1, max_size=4))
def test_random_bytes_are_never_a_fault_of_ours(
    make_request: MakeRequest, make_sender: MakeSender, answers: list[bytes]
) -> None:
    def behave(client: Client) -> None:
        client.read_request()
        with suppress(OSError):
            for answer in answers:
                client.sock.sendall(answer)

    sender = make_sender(response_body_bytes=100)
    with serving(behave) as server:
        outcome = sender.send(make_request(server.url, timeouts=Timeouts(60, 60, 60)))

    assert outcome.error_class is not ErrorClass.INTERNAL
    assert outcome.kind in {OutcomeKind.SUCCESS, OutcomeKind.FAILED}
    assert len(outcome.response_body) <= 100


def poisoned(how: str) -> Callable[[Client], None]:
    """Answer 200 with a forged 200 behind it; whatever is asked next is answered 500."""
    forged = EMPTY

    def behave(client: Client) -> None:
        if client.server.connections > 1:
            client.read_request()
            client.sock.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
            return
        client.read_request()
        if how == "at once":
            client.sock.sendall(EMPTY + forged)
        else:
            client.sock.sendall(EMPTY)
            client.sock.sendall(forged)
        client.wait()

    return behave


@pytest.mark.parametrize("how", ["at once", "in a piece of its own"])
@pytest.mark.parametrize("version", [None, *TLS_VERSIONS])
def test_what_lies_behind_an_answer_is_never_the_answer_to_another_request(
    make_sender: MakeSender, make_request: MakeRequest, certificate: Path, version: str | None, how: str
) -> None:
    sender = make_sender(ca_file=str(certificate), resolve=lambda _: ["127.0.0.1"])
    tls = None if version is None else tls_of(certificate, TLS_VERSIONS[version])
    with serving(poisoned(how), tls) as server:
        url = server.url if tls is None else server.tls_url
        first = sender.send(make_request(url))
        while how != "at once" and sender.kept_connections and _is_quiet(sender):
            pass  # the piece is on its way
        second = sender.send(make_request(url))

    assert [first.status_code, second.status_code] == [200, 500]
    assert server.connections == 2


def _is_quiet(sender: Sender) -> bool:
    (connection,) = sender._pool._kept
    return connection.is_quiet()


@pytest.mark.parametrize("version", TLS_VERSIONS)
def test_a_tls_connection_is_kept_and_a_ticket_is_nothing_unread(
    make_sender: MakeSender, make_request: MakeRequest, certificate: Path, version: str
) -> None:
    def behave(client: Client) -> None:
        while client.read_request():
            client.sock.sendall(EMPTY)

    sender = make_sender(ca_file=str(certificate))
    with serving(behave, tls_of(certificate, TLS_VERSIONS[version])) as server:
        outcomes = [sender.send(make_request(server.tls_url)) for _ in range(4)]

    assert [outcome.status_code for outcome in outcomes] == [200] * 4
    assert server.connections == 1


def test_apps_of_one_host_do_not_share_a_connection(make_sender: MakeSender, make_request: MakeRequest) -> None:
    def behave(client: Client) -> None:
        while client.read_request():
            client.sock.sendall(EMPTY)

    sender = make_sender()
    with serving(behave) as server:
        for app in ("1", "2", "1", "2"):
            assert sender.send(make_request(server.url, app=app)).status_code == 200

    assert server.connections == 2


@pytest.mark.parametrize("path", ["/?x=1%&y=a%20b", "/a?", "/a%41?%7e=~&[]", "/a//b/../c?q=r;s", "/?x=%zz"])
def test_the_path_and_the_query_go_out_as_they_were_checked(
    make_sender: MakeSender, make_request: MakeRequest, path: str
) -> None:
    def behave(client: Client) -> None:
        while client.read_request():
            client.sock.sendall(EMPTY)

    with serving(behave) as server:
        make_sender().send(make_request(f"http://127.0.0.1:{server.port}{path}"))

    assert server.requests[0].startswith(f"POST {path} HTTP/1.1\r\n".encode())


def test_an_answer_that_comes_before_the_request_was_read_counts(
    make_sender: MakeSender, make_request: MakeRequest
) -> None:
    def refuse(client: Client) -> None:
        client.sock.recv(1000)
        client.sock.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.sock.shutdown(1)
        while client.sock.recv(65536):
            pass

    with serving(refuse) as server:
        outcome = make_sender().send(make_request(server.url, body=b"a" * 3_000_000))

    assert (outcome.error_class, outcome.status_code) == (ErrorClass.CLIENT_ERROR, 413)
