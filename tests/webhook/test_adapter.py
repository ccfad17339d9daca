"""The adapter as requests uses one: mounted on a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.webhook.servers import OK, Client, answering, serving
from webhook import AddressGuard, Timeouts
from webhook.adapter import GuardedAdapter
from webhook.connection_pool import ConnectionPool
from webhook.dialer import Dialer
from webhook.tls import TlsContexts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def session() -> Iterator[requests.Session]:
    guard = AddressGuard(["127.0.0.0/8"], allow_http=True)
    adapter = GuardedAdapter(
        Dialer(guard),
        guard.check_url,
        TlsContexts(),
        ConnectionPool(),
        timeouts=Timeouts(60, 60, 60),
    )
    with requests.Session() as session:
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        yield session


def plain(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 Fine", b"Content-Length: %d" % len(body), *headers, b"", body))


def test_content_text_headers_and_reason_are_those_of_the_answer(session: requests.Session) -> None:
    answer = plain("é".encode(), b"Content-Type: text/plain; charset=utf-8", b"X-A: 1", b"X-A: 2")
    with serving(answering(answer)) as server:
        response = session.get(server.url, params={"q": "1"})

    assert (response.status_code, response.reason, response.text) == (200, "Fine", "é")
    assert response.headers["x-a"] == "1, 2"
    assert response.url == f"{server.url}?q=1"
    assert server.requests[0].startswith(b"GET /hook?q=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port)


def test_a_body_is_posted_as_json_as_a_form_and_as_text(session: requests.Session) -> None:
    with serving(answering(OK)) as server:
        session.post(server.url, json={"a": 1})
        session.post(server.url, data={"a": "1"})
        session.post(server.url, data="é")

    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [b'{"a": 1}', b"a=1", "é".encode()]
    assert server.connections == 1


def test_a_body_is_streamed_in_pieces_and_the_connection_kept(session: requests.Session) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 1000 + b"0\r\n\r\n"
    with serving(answering(chunked, OK)) as server:
        with session.get(server.url, stream=True) as response:
            pieces = list(response.iter_content(7))
        session.get(server.url)

    assert b"".join(pieces) == b"hello" * 1000
    assert max(map(len, pieces)) == 7
    assert server.connections == 1


def test_lines_are_streamed(session: requests.Session) -> None:
    with serving(answering(plain(b"a\nb\nc"))) as server:
        assert list(session.get(server.url, stream=True).iter_lines()) == [b"a", b"b", b"c"]


def test_a_response_that_is_closed_before_its_end_takes_its_connection_along(session: requests.Session) -> None:
    with serving(answering(plain(b"a" * 1_000_000))) as server:
        with session.get(server.url, stream=True) as response:
            assert next(response.iter_content(10)) == b"a" * 10
        assert session.get(server.url).content == b"a" * 1_000_000

    assert server.connections == 2


def test_an_answer_to_head_has_no_body(session: requests.Session) -> None:
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")) as server:
        assert session.head(server.url).content == b""


def test_a_redirect_is_followed_as_the_session_has_it(session: requests.Session) -> None:
    with serving(answering(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", OK)) as server:
        response = session.get(server.url)

    assert response.content == b"ok"
    assert [one.status_code for one in response.history] == [302]


def silent(client: Client) -> None:
    client.read_request()
    client.wait()


def half(client: Client) -> None:
    client.read_request()
    client.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    client.wait()


@pytest.mark.parametrize("timeout", [0.05, (60, 0.05)])
@pytest.mark.parametrize("behave", [silent, half])
def test_silence_is_a_read_timeout(session: requests.Session, timeout: object, behave: object) -> None:
    with serving(behave) as server, pytest.raises(requests.exceptions.ReadTimeout):  # type: ignore[arg-type]
        session.get(server.url, timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", requests.exceptions.ConnectionError),
        (b"nonsense\r\n\r\n", requests.exceptions.ConnectionError),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", requests.exceptions.ConnectionError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", requests.exceptions.ChunkedEncodingError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", requests.exceptions.ChunkedEncodingError),
    ],
)
def test_a_broken_answer_is_an_exception_of_requests(
    session: requests.Session, answer: bytes, error: type[Exception]
) -> None:
    def behave(client: Client) -> None:
        client.read_request()
        client.sock.sendall(answer)

    with serving(behave) as server, pytest.raises(error):
        session.get(server.url)


def test_an_exception_has_the_status_that_was_read(session: requests.Session) -> None:
    def behave(client: Client) -> None:
        client.read_request()
        client.sock.sendall(b"HTTP/1.1 410 Gone\r\nno colon\r\n\r\n")

    with serving(behave) as server, pytest.raises(requests.exceptions.ConnectionError) as caught:
        session.get(server.url)

    assert caught.value.response is not None
    assert caught.value.response.status_code == 410


def test_what_the_guard_refuses_is_an_invalid_url(session: requests.Session) -> None:
    with pytest.raises(requests.exceptions.InvalidURL):
        session.get("http://10.0.0.1/")


def test_a_body_whose_length_nobody_knows_is_refused(session: requests.Session) -> None:
    with pytest.raises(requests.exceptions.InvalidHeader):
        session.post("http://127.0.0.1:9/", data=iter([b"a"]))
