from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
import standardwebhooks

from webhook import sentry_signature, standard_signature

BODY = '{"title":"Überlast"}'


def receiver(secret: str) -> standardwebhooks.Webhook:
    return standardwebhooks.Webhook("whsec_" + base64.b64encode(secret.encode()).decode())


def test_sentry_signature_is_the_hex_hmac_of_the_body() -> None:
    signature = sentry_signature("gehëim", BODY.encode())

    assert signature == hmac.new("gehëim".encode(), BODY.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("secret", ["new", "öld"])
def test_each_secrets_receiver_accepts_the_standard_signature(secret: str) -> None:
    timestamp_s = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "delivery-1",
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": standard_signature(("new", "öld"), "delivery-1", timestamp_s, BODY.encode()),
    }

    assert receiver(secret).verify(BODY, headers) == {"title": "Überlast"}


def test_a_receiver_with_another_secret_rejects_it() -> None:
    timestamp_s = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "delivery-1",
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": standard_signature(("new",), "delivery-1", timestamp_s, BODY.encode()),
    }

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        receiver("other").verify(BODY, headers)
