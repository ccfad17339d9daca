from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import standardwebhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from webhook import sentry_signature, standard_signature

BODY = '{"title":"Überlast"}'

# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC_KEY = Ed25519PublicKey.from_public_bytes(
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
)


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


def test_with_a_signing_key_an_ed25519_signature_of_the_same_content_comes_last() -> None:
    text = standard_signature(("new", "old"), "delivery-1", 1_738_404_000, BODY.encode(), signing_key=SEED)
    *symmetric, asymmetric = text.split(" ")
    version, _, signature = asymmetric.partition(",")

    assert " ".join(symmetric) == standard_signature(("new", "old"), "delivery-1", 1_738_404_000, BODY.encode())
    assert version == "v1a"
    content = f"delivery-1.1738404000.{BODY}".encode()
    PUBLIC_KEY.verify(base64.b64decode(signature, validate=True), content)
    with pytest.raises(InvalidSignature):
        PUBLIC_KEY.verify(base64.b64decode(signature, validate=True), content + b" ")


def test_a_receiver_that_knows_a_secret_only_passes_over_the_ed25519_signature() -> None:
    timestamp_s = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "delivery-1",
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": standard_signature(("new",), "delivery-1", timestamp_s, BODY.encode(), signing_key=SEED),
    }

    assert receiver("new").verify(BODY, headers) == {"title": "Überlast"}


def test_who_has_no_signing_key_need_not_import_what_makes_one() -> None:
    script = (
        "import sys, webhook\nwebhook.standard_signature(('s',), 'd', 1, b'{}')\nprint('cryptography' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
