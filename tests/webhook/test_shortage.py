"""Whatever this machine is short of on the way of a request is not an outcome of the endpoint."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from eventstore.common.shortage import FILES, LEAVE, ROUTES, THREADS, lack_of
from eventstore.errors import Lack, ShortageError
from tests.webhook.servers import OK, answering, serving
from webhook import ErrorClass, OutcomeKind, Sender, WebhookRequest
from webhook.deadline_socket import DeadlineTcpSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeSender = Callable[..., Sender]
    MakeRequest = Callable[..., WebhookRequest]

SHORTAGES = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EADDRNOTAVAIL", "ENETDOWN")


def _error(name: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


def _lack_met(sender: Sender, request: WebhookRequest) -> Lack:
    with pytest.raises(ShortageError) as caught:
        sender.send(request)
    return caught.value.lack


@pytest.mark.parametrize("name", SHORTAGES)
@pytest.mark.parametrize("operation", ["__init__", "connect", "send", "recv"])
def test_a_socket_that_this_machine_cannot_serve_is_a_shortage(
    make_sender: MakeSender,
    make_request: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    operation: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise _error(name)

    with serving(answering(OK)) as server:
        sender = make_sender()
        monkeypatch.setattr(DeadlineTcpSocket, operation, fail)
        lack = _lack_met(sender, make_request(server.url))

    assert lack == lack_of(_error(name))


@pytest.mark.parametrize(
    ("name", "host", "lack"),
    [
        ("EPERM", "127.0.0.1", LEAVE),
        ("EPERM", "[::1]", LEAVE),
        ("EACCES", "127.0.0.1", LEAVE),
        ("EAGAIN", "127.0.0.1", ROUTES),
        ("EAGAIN", "[::1]", ROUTES),
    ],
)
def test_a_connection_that_this_machine_refuses_by_itself_is_a_shortage(  # noqa: PLR0917 - fixtures and parameters
    make_sender: MakeSender,
    make_request: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    host: str,
    lack: Lack,
) -> None:
    monkeypatch.setattr(DeadlineTcpSocket, "connect", _failing_with(name))

    assert _lack_met(make_sender(), make_request(f"http://{host}:1/")) == lack


def test_a_refusal_that_a_router_can_bring_about_is_the_endpoints_failure(
    make_sender: MakeSender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ICMPv6 "communication with destination administratively prohibited".
    monkeypatch.setattr(DeadlineTcpSocket, "connect", _failing_with("EACCES"))
    outcome = make_sender().send(make_request("http://[::1]:1/"))

    assert outcome.error_class is ErrorClass.CONNECT


@pytest.mark.parametrize("name", ["EPERM", "EACCES", "EAGAIN", "ENOBUFS"])
def test_of_several_addresses_the_next_one_is_tried_where_this_machine_refuses_one(
    make_sender: MakeSender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    connect = DeadlineTcpSocket.connect

    def fail_for_the_first(self: DeadlineTcpSocket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            raise _error(name)
        connect(self, address)

    monkeypatch.setattr(DeadlineTcpSocket, "connect", fail_for_the_first)
    with serving(answering(OK)) as server:
        sender = make_sender(resolve=lambda _: ["127.0.0.2", "127.0.0.1"])

        assert sender.send(make_request(f"http://name.example:{server.port}/")).kind is OutcomeKind.SUCCESS


@pytest.mark.parametrize("name", ["EPERM", "EACCES", "EAGAIN"])
@pytest.mark.parametrize("operation", ["send", "recv"])
def test_the_same_error_of_a_connected_socket_is_no_such_shortage(
    make_sender: MakeSender,
    make_request: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    operation: str,
) -> None:
    with serving(answering(OK)) as server:
        sender = make_sender()
        monkeypatch.setattr(DeadlineTcpSocket, operation, _failing_with(name))

        assert sender.send(make_request(server.url)).kind is not OutcomeKind.SUCCESS


def _failing_with(name: str) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise _error(name)

    return fail


def test_a_resolver_that_cannot_open_a_socket_is_a_shortage(make_sender: MakeSender, make_request: MakeRequest) -> None:
    def fail(_: str) -> list[str]:
        raise _error("EMFILE")

    assert _lack_met(make_sender(resolve=fail), make_request("http://name.example/")) == FILES


def test_a_lookup_that_no_thread_can_be_started_for_is_a_shortage(
    make_sender: MakeSender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sender = make_sender(resolve=lambda _: ["127.0.0.1"])
    monkeypatch.setattr(threading.Thread, "start", fail)

    assert _lack_met(sender, make_request("http://name.example/")) == THREADS


def test_after_a_shortage_the_same_sender_delivers(make_sender: MakeSender, make_request: MakeRequest) -> None:
    answers = iter([_error("EMFILE"), _error("EMFILE")])  # the second one is behind the idle connections' end

    def resolve(_: str) -> list[str]:
        for error in answers:
            raise error
        return ["127.0.0.1"]

    with serving(answering(OK)) as server:
        sender = make_sender(resolve=resolve)
        request = make_request(f"http://name.example:{server.port}/")
        _lack_met(sender, request)

        assert sender.send(request).kind is OutcomeKind.SUCCESS


def test_an_address_that_was_not_tried_for_want_of_something_might_have_answered(
    make_sender: MakeSender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = DeadlineTcpSocket.connect

    def fail_for_the_first(self: DeadlineTcpSocket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            raise _error("ENOBUFS")
        connect(self, address)

    monkeypatch.setattr(DeadlineTcpSocket, "connect", fail_for_the_first)
    sender = make_sender(resolve=lambda _: ["127.0.0.2", "127.0.0.3"])

    _lack_met(sender, make_request("http://name.example:1/"))


def test_an_address_of_a_family_that_this_machine_has_no_address_of_is_unreachable_and_no_shortage(
    make_sender: MakeSender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with IPv6 switched off: the error is the one that a machine without a free port has.
    def fail(*_: Any) -> None:
        raise _error("EADDRNOTAVAIL")

    monkeypatch.setattr(DeadlineTcpSocket, "connect", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    outcome = make_sender().send(make_request("http://127.0.0.1:1/"))

    assert outcome.error_class is ErrorClass.CONNECT


def test_a_status_that_was_read_stands_though_the_rest_could_not_be(
    make_sender: MakeSender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = DeadlineTcpSocket.recv
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    def fail_behind_the_head(self: DeadlineTcpSocket, *arguments: Any) -> bytes:
        if "seen" in arguments_seen:
            raise _error("ENOMEM")
        arguments_seen.add("seen")
        return receive(self, *arguments)

    arguments_seen: set[str] = set()
    monkeypatch.setattr(DeadlineTcpSocket, "recv", fail_behind_the_head)
    with serving(answering(head)) as server:
        outcome = make_sender().send(make_request(server.url))

    assert (outcome.kind, outcome.status_code) == (OutcomeKind.SUCCESS, 200)
