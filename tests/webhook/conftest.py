from __future__ import annotations

import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.webhook.servers import make_certificate
from webhook import AddressGuard, Sender, Timeouts, WebhookRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHORT = Timeouts(connect_s=2.0, read_s=2.0, total_s=0.3)


@pytest.fixture
def make_sender() -> Iterator[Callable[..., Sender]]:
    with ExitStack() as stack:

        def make(*allow: str, **options: Any) -> Sender:
            guard = AddressGuard(allow or ("127.0.0.0/8", "::1"), allow_http=True)
            sender = Sender(guard, **options)
            stack.callback(sender.close)
            return sender

        yield make


@pytest.fixture
def sender(make_sender: Callable[..., Sender]) -> Sender:
    return make_sender()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def make_request() -> Callable[..., WebhookRequest]:
    def make(url: str, **fields: Any) -> WebhookRequest:
        return WebhookRequest(
            **{
                "url": url,
                "secrets": ("s3cret",),
                "event_name": "metric_alert.critical",
                "body": b"{}",
                "delivery_id": "delivery-1",
                **fields,
            }
        )

    return make
