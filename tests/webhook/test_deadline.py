"""Every way in which an endpoint can hold a request: each ends, with the right class."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.webhook.conftest import SHORT
from tests.webhook.servers import OK, Client, answering, serving
from webhook import ErrorClass, Outcome, OutcomeKind, Sender, Timeouts, WebhookRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    MakeSender = Callable[..., Sender]
    MakeRequest = Callable[..., WebhookRequest]

NEVER_ENDED_S = 60.0  # only tells "it ended" from "it did not"; each request has 0.3 s
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNENDED = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"


def send(sender: Sender, request: WebhookRequest) -> Outcome:
    started_s = time.monotonic()
    outcome = sender.send(request)

    assert time.monotonic() - started_s < NEVER_ENDED_S
    return outcome


def silent(client: Client) -> None:
    client.wait()


def silent_after_request(client: Client) -> None:
    client.read_request()
    client.wait()


def header_drip(client: Client) -> None:
    client.read_request()
    client.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000)


def body_drip(client: Client) -> None:
    client.read_request()
    client.sock.sendall(UNENDED)
    client.drip(b"a" * 100_000)


def chunk_drip(client: Client) -> None:
    client.read_request()
    client.sock.sendall(CHUNKED)
    client.drip(b"1\r\na\r\n" * 100_000)


def trailer_drip(client: Client) -> None:
    client.read_request()
    client.sock.sendall(CHUNKED + b"0\r\n")
    client.drip(b"X-Trailer: a\r\n" * 100_000)


def stalled_body(client: Client) -> None:
    client.read_request()
    client.sock.sendall(UNENDED + b"a")
    client.wait()


def interim_drip(client: Client) -> None:
    client.read_request()
    client.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        silent_after_request,
        header_drip,
        body_drip,
        chunk_drip,
        trailer_drip,
        stalled_body,
        interim_drip,
    ],
)
def test_no_server_holds_a_request_past_its_deadline(
    sender: Sender, make_request: MakeRequest, behave: Callable[[Client], None]
) -> None:
    with serving(behave) as server:
        outcome = send(sender, make_request(server.url, timeouts=SHORT))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.DEADLINE)
    assert outcome.detail.startswith("the request took longer than its total time")
    assert outcome.status_code == 0


def test_a_reader_that_stalls_is_bounded_while_we_send(sender: Sender, make_request: MakeRequest) -> None:
    def never_reads(client: Client) -> None:
        client.stopping.wait()

    with serving(never_reads) as server:
        outcome = send(sender, make_request(server.url, timeouts=SHORT, body=b"a" * 32_000_000))

    assert outcome.error_class is ErrorClass.DEADLINE


def test_silence_longer_than_the_read_time_is_a_read_timeout(sender: Sender, make_request: MakeRequest) -> None:
    timeouts = Timeouts(read_s=0.1)
    with serving(silent_after_request) as server:
        outcome = send(sender, make_request(server.url, timeouts=timeouts))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.READ_TIMEOUT)
    assert outcome.detail == "nothing came within the read time"


def test_a_slow_handshake_ends_at_the_deadline(sender: Sender, make_request: MakeRequest) -> None:
    with serving(silent) as server:
        outcome = send(sender, make_request(server.tls_url, timeouts=SHORT))

    assert outcome.error_class is ErrorClass.DEADLINE


def test_a_dripping_handshake_ends_at_the_deadline(sender: Sender, make_request: MakeRequest) -> None:
    def drip_records(client: Client) -> None:
        client.sock.recv(65536)
        client.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 16384)

    with serving(drip_records) as server:
        outcome = send(sender, make_request(server.tls_url, timeouts=SHORT))

    assert outcome.error_class is ErrorClass.DEADLINE


def test_a_handshake_longer_than_the_connect_time_is_a_connect_timeout(
    sender: Sender, make_request: MakeRequest
) -> None:
    with serving(silent) as server:
        outcome = send(sender, make_request(server.tls_url, timeouts=Timeouts(connect_s=0.1)))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.CONNECT_TIMEOUT)


@pytest.mark.parametrize(
    ("timeouts", "error_class"),
    [(SHORT, ErrorClass.DEADLINE), (Timeouts(connect_s=0.1), ErrorClass.DNS)],
)
def test_a_resolver_that_hangs_is_left_behind(
    make_sender: MakeSender, make_request: MakeRequest, timeouts: Timeouts, error_class: ErrorClass
) -> None:
    release = threading.Event()

    def hang(_: str) -> list[str]:
        release.wait()
        return ["127.0.0.1"]

    outcome = send(make_sender(resolve=hang), make_request("http://slow.example/", timeouts=timeouts))
    release.set()

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, error_class)


def test_a_name_without_an_address_is_a_dns_error(make_sender: MakeSender, make_request: MakeRequest) -> None:
    def unknown(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    outcome = send(make_sender(resolve=unknown), make_request("http://unknown.example/"))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.DNS)
    assert outcome.detail == "Name or service not known"


def test_a_fast_flood_of_interim_answers_is_cut_short(sender: Sender, make_request: MakeRequest) -> None:
    def flood(client: Client) -> None:
        client.read_request()
        while not client.stopping.is_set():
            client.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with serving(flood) as server:
        outcome = send(sender, make_request(server.url))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.FAILED, ErrorClass.PROTOCOL)


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_an_interim_answer_is_never_the_final_one(sender: Sender, make_request: MakeRequest, interim: bytes) -> None:
    with serving(answering(b"HTTP/1.1 " + interim + b"\r\nX-A: b\r\n\r\n" + OK)) as server:
        outcomes = [send(sender, make_request(server.url)) for _ in range(2)]

    assert [outcome.status_code for outcome in outcomes] == [200, 200]
    assert server.connections == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", UNENDED.replace(b"999999", b"99999999999")])
def test_an_endless_body_is_read_to_the_cap_and_the_connection_closed(
    make_sender: MakeSender, make_request: MakeRequest, head: bytes
) -> None:
    sender = make_sender(response_body_bytes=10_000)
    sent_bytes = 0

    def endless(client: Client) -> None:
        nonlocal sent_bytes
        client.read_request()
        client.sock.sendall(head)
        while not client.stopping.is_set():
            sent_bytes += client.sock.send(b"a" * 65536)

    with serving(endless) as server:
        outcomes = [send(sender, make_request(server.url)) for _ in range(2)]

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.SUCCESS] * 2
    assert len(outcomes[0].response_body) == 1024
    assert server.connections == 2
    assert sent_bytes < 64_000_000  # what fits into the kernels' buffers, not what could be sent


@pytest.mark.parametrize("size", [9_999, 10_000])
def test_a_body_up_to_the_cap_keeps_the_connection(
    make_sender: MakeSender, make_request: MakeRequest, size: int
) -> None:
    sender = make_sender(response_body_bytes=10_000)
    chunk = b"%x\r\n" % size + b"a" * size + b"\r\n0\r\n\r\n"
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
    with serving(answering(CHUNKED + chunk, plain, OK)) as server:
        outcomes = [send(sender, make_request(server.url)) for _ in range(3)]

    assert {outcome.status_code for outcome in outcomes} == {200}
    assert server.connections == 1


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 " + b"2" * 70_000,
        UNENDED + b"short",
        CHUNKED + b"nonsense\r\n",
        CHUNKED + b"5\r\nab",
    ],
)
def test_a_broken_answer_is_a_failure_of_the_protocol(sender: Sender, make_request: MakeRequest, broken: bytes) -> None:
    def behave(client: Client) -> None:
        client.read_request()
        client.sock.sendall(broken)

    with serving(behave) as server:
        outcome = send(sender, make_request(server.url))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.FAILED, ErrorClass.PROTOCOL)
    assert outcome.status_code in {0, 200}
    assert len(outcome.detail) <= 300


def reset(client: Client) -> None:
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


def test_a_reset_in_the_middle_is_a_failure_of_the_protocol(sender: Sender, make_request: MakeRequest) -> None:
    def behave(client: Client) -> None:
        client.read_request()
        client.sock.sendall(UNENDED + b"a")
        reset(client)

    with serving(behave) as server:
        outcome = send(sender, make_request(server.url))

    assert outcome.error_class is ErrorClass.PROTOCOL
    assert server.connections == 1


def test_a_closed_port_is_a_connect_error(sender: Sender, make_request: MakeRequest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    outcome = send(sender, make_request(f"http://127.0.0.1:{port}/s3cret"))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.CONNECT)
    assert outcome.detail == "Connection refused"


def test_a_reset_in_the_handshake_is_a_connect_or_tls_error(sender: Sender, make_request: MakeRequest) -> None:
    with serving(reset) as server:
        outcome = send(sender, make_request(server.tls_url))

    assert outcome.kind is OutcomeKind.TIMED_OUT
    assert outcome.error_class in {ErrorClass.CONNECT, ErrorClass.TLS}


def test_a_connection_is_kept_and_used_again(sender: Sender, make_request: MakeRequest) -> None:
    with serving(answering(OK)) as server:
        for _ in range(5):
            assert send(sender, make_request(server.url)).status_code == 200

    assert server.connections == 1


def test_a_kept_connection_follows_the_deadline_of_each_request(sender: Sender, make_request: MakeRequest) -> None:
    def behave(client: Client) -> None:
        client.read_request()
        client.sock.sendall(OK)
        silent_after_request(client)

    with serving(behave) as server:
        first = send(sender, make_request(server.url, timeouts=Timeouts(total_s=60)))
        second = send(sender, make_request(server.url, timeouts=SHORT))

    assert first.status_code == 200
    assert second.error_class is ErrorClass.DEADLINE
    assert server.connections == 1


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_kept_connection_that_ends_before_any_answer_is_no_failure(
    sender: Sender,
    make_request: MakeRequest,
    is_reset: bool,
) -> None:
    def one_answer_each(client: Client) -> None:
        client.read_request()
        client.sock.sendall(OK)
        client.read_request()
        if is_reset:
            reset(client)

    with serving(one_answer_each) as server:
        outcomes = [send(sender, make_request(server.url)) for _ in range(3)]

    assert [outcome.status_code for outcome in outcomes] == [200, 200, 200]
    assert server.connections == 3


def test_a_new_connection_that_ends_before_any_answer_is_not_sent_twice(
    sender: Sender, make_request: MakeRequest
) -> None:
    def hang_up(client: Client) -> None:
        client.read_request()

    with serving(hang_up) as server:
        outcome = send(sender, make_request(server.url))

    assert outcome.error_class is ErrorClass.PROTOCOL
    assert len(server.requests) == 1


def test_several_stale_connections_cost_one_repetition_only(make_sender: MakeSender, make_request: MakeRequest) -> None:
    sender = make_sender(pool_connections=3)
    together = threading.Barrier(3)

    def one_answer_each(client: Client) -> None:
        client.read_request()
        if together.n_waiting < 3 and client.server.connections <= 3:
            together.wait(NEVER_ENDED_S)
        client.sock.sendall(OK)
        client.read_request()

    with serving(one_answer_each) as server:
        threads = [threading.Thread(target=send, args=(sender, make_request(server.url))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcome = send(sender, make_request(server.url))

    assert outcome.status_code == 200
    assert server.connections == 4


def test_tls_is_verified_against_the_given_bundle_and_the_hosts_name(
    make_sender: MakeSender, make_request: MakeRequest, certificate: Path, server_tls: ssl.SSLContext
) -> None:
    trusting = make_sender(ca_file=str(certificate), resolve=lambda _: ["127.0.0.1"])
    with serving(answering(OK), server_tls) as server:
        outcomes = [send(trusting, make_request(server.tls_url)) for _ in range(3)]
        by_wrong_name = send(trusting, make_request(f"https://other.example:{server.port}/"))

    assert [outcome.status_code for outcome in outcomes] == [200, 200, 200]
    assert (by_wrong_name.kind, by_wrong_name.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.TLS)
    assert server.connections == 2


def test_an_unknown_certificate_is_a_tls_error(
    sender: Sender, make_request: MakeRequest, server_tls: ssl.SSLContext
) -> None:
    with serving(answering(OK), server_tls) as server:
        outcome = send(sender, make_request(server.tls_url))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.TIMED_OUT, ErrorClass.TLS)
    assert "certificate" in outcome.detail


@pytest.mark.parametrize("behave", [silent_after_request, header_drip, body_drip])
def test_deadlines_hold_over_tls_too(
    make_sender: MakeSender,
    make_request: MakeRequest,
    certificate: Path,
    server_tls: ssl.SSLContext,
    behave: Callable[[Client], None],
) -> None:
    with serving(behave, server_tls) as server:
        outcome = send(make_sender(ca_file=str(certificate)), make_request(server.tls_url, timeouts=SHORT))

    assert outcome.error_class is ErrorClass.DEADLINE


def test_a_stale_tls_connection_is_no_failure(
    make_sender: MakeSender, make_request: MakeRequest, certificate: Path, server_tls: ssl.SSLContext
) -> None:
    def one_answer_each(client: Client) -> None:
        client.read_request()
        client.sock.sendall(OK)
        client.read_request()

    sender = make_sender(ca_file=str(certificate))
    with serving(one_answer_each, server_tls) as server:
        outcomes = [send(sender, make_request(server.tls_url)) for _ in range(2)]

    assert [outcome.status_code for outcome in outcomes] == [200, 200]
    assert server.connections == 2
