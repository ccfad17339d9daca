"""Endpoints with certificates of a private CA, and endpoints that want one of ours."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from eventstore.errors import ShortageError
from tests.webhook.certificates import PrivateCa
from tests.webhook.servers import OK, answering, serving
from webhook import ErrorClass, Sender, Timeouts, WebhookRequest
from webhook.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeSender = Callable[..., Sender]
    MakeRequest = Callable[..., WebhookRequest]

UNHURRIED = Timeouts(connect_s=30.0, read_s=30.0, total_s=60.0)


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path)


@pytest.fixture
def demanding(ca: PrivateCa) -> ssl.SSLContext:
    """Return what a server has that talks only to clients with a certificate of the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("localhost"))
    context.load_verify_locations(ca.file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def files(paths: tuple[Path, Path]) -> tuple[str, str]:
    return str(paths[0]), str(paths[1])


def test_a_private_ca_is_believed_where_it_is_named_and_nowhere_else(
    make_sender: MakeSender, make_request: MakeRequest, ca: PrivateCa
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("localhost"))
    with serving(answering(OK), context) as server:
        request = make_request(server.tls_url, timeouts=UNHURRIED)
        believed = make_sender(ca_file=str(ca.file)).send(request)
        unknown = make_sender().send(request)

    assert believed.status_code == 200
    assert unknown.error_class is ErrorClass.TLS


def test_a_ca_of_the_systems_store_is_believed_beside_those_of_certifi(
    make_sender: MakeSender, make_request: MakeRequest, ca: PrivateCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.file))  # where OpenSSL looks for the system's
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("localhost"))
    with serving(answering(OK), context) as server:
        outcome = make_sender().send(make_request(server.tls_url, timeouts=UNHURRIED))

    assert outcome.status_code == 200


def test_the_whole_store_of_certifi_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.tls.DEFAULT_CA_BUNDLE_PATH", DEFAULT_CA_BUNDLE_PATH)

    assert tls_context().cert_store_stats()["x509_ca"] == Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")


def test_an_endpoint_that_wants_a_certificate_gets_the_apps_own_and_no_other_app_is_let_in_by_it(
    make_sender: MakeSender, make_request: MakeRequest, ca: PrivateCa, demanding: ssl.SSLContext
) -> None:
    client = files(ca.issue("hookfuse"))
    sender = make_sender(ca_file=str(ca.file))
    with serving(answering(OK), demanding) as server:
        mine = make_request(server.tls_url, timeouts=UNHURRIED, app="5", client_certificate=client)
        first, again = sender.send(mine), sender.send(mine)
        other = sender.send(make_request(server.tls_url, timeouts=UNHURRIED, app="6"))

    assert (first.status_code, again.status_code) == (200, 200)
    assert other.status_code == 0
    assert len(server.requests) == 2


def test_a_certificate_that_was_renewed_is_used_from_the_next_connection_on(
    make_sender: MakeSender, make_request: MakeRequest, ca: PrivateCa, demanding: ssl.SSLContext
) -> None:
    expired = files(ca.issue("hookfuse", days=-1))
    sender = make_sender(ca_file=str(ca.file))
    with serving(answering(OK), demanding) as server:
        request = make_request(server.tls_url, timeouts=UNHURRIED, client_certificate=expired)
        before = sender.send(request)
        ca.issue("hookfuse")
        after = sender.send(request)

    assert (before.status_code, after.status_code) == (0, 200)


@pytest.mark.parametrize("what", ["missing", "no certificate", "another's key", "a password"])
def test_a_certificate_that_cannot_be_used_is_no_outcome_of_the_endpoint(
    make_sender: MakeSender, make_request: MakeRequest, ca: PrivateCa, tmp_path: Path, what: str
) -> None:
    certificate, key = files(ca.issue("hookfuse", password=b"hush" if what == "a password" else b""))
    if what == "missing":
        certificate = str(tmp_path / "none.pem")
    elif what == "no certificate":
        certificate = key
    elif what == "another's key":
        key = str(ca.issue("other")[1])
    request = make_request("https://127.0.0.1:9/", timeouts=UNHURRIED, client_certificate=(certificate, key))

    with pytest.raises(ShortageError, match=r"a usable client certificate \(.*\.(pem|key)"):
        make_sender().send(request)
