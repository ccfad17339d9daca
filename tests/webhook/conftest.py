from __future__ import annotations

import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from tests.webhook.servers import make_certificate
from webhook import AddressGuard, Sender, Timeouts, WebhookRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT = Timeouts(connect_s=2.0, read_s=2.0, total_s=0.3)


@pytest.fixture(scope="session", autouse=True)
def _few_to_believe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Read one of certifi's certificates instead of all, which takes 40 ms each time."""
    first, end, _ = Path(DEFAULT_CA_BUNDLE_PATH).read_text().partition("-----END CERTIFICATE-----\n")
    one = tmp_path_factory.mktemp("certifi") / "first.pem"
    one.write_text(first + end)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("webhook.tls.DEFAULT_CA_BUNDLE_PATH", str(one))
        yield


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
