"""The two signatures of a body: the original's own and that of Standard Webhooks."""

from __future__ import annotations

import hmac
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sentry_signature(secret: str, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of the body, keyed by the secret's UTF-8 bytes (docs/original.md, section 2)."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def standard_signature(
    secrets: Sequence[str], delivery_id: str, timestamp_s: int, body: bytes, *, signing_key: bytes | None = None
) -> str:
    """Return the webhook-signature of Standard Webhooks 1.0: all signatures, separated by spaces.

    That is one `v1,<base64>` for each secret, whose key is the secret's UTF-8 bytes: a receiver sets `whsec_` +
    base64 of them. Several secrets let a receiver rotate its own without losing a delivery. With a
    `signing_key`, the seed of an Ed25519 key, `v1a,<base64>` over the same content comes last ("Signature
    scheme" in the specification: ed25519, identifier v1a); who has only the public key can verify that one.
    """
    signed = b"%b.%d.%b" % (delivery_id.encode(), timestamp_s, body)
    signatures = [_text("v1", hmac.digest(secret.encode(), signed, "sha256")) for secret in secrets]
    if signing_key is not None:
        signatures.append(_text("v1a", _private_key(signing_key).sign(signed)))
    return " ".join(signatures)


def _text(version: str, signature: bytes) -> str:
    return f"{version},{b64encode(signature).decode('ascii')}"


# A key takes 30 us to load, most of what signing with it takes.
@lru_cache(maxsize=1024)
def _private_key(seed: bytes) -> Ed25519PrivateKey:
    # cryptography takes 25 ms to import: only where an app has a key.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.from_private_bytes(seed)
