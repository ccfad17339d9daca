"""The two signatures of a body: Sentry's own and that of Standard Webhooks."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def sentry_signature(secret: str, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of exactly the body, keyed by the secret's UTF-8 bytes (FLOW section 2)."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def standard_signature(secrets: Sequence[str], delivery_id: str, timestamp_s: int, body: bytes) -> str:
    """Return one `v1,<base64>` for each secret, separated by spaces, as Standard Webhooks 1.0 has it.

    The key is the secret's UTF-8 bytes: a receiver sets `whsec_` + base64 of them. Several secrets let
    a receiver rotate its own without losing a delivery.
    """
    signed = b"%b.%d.%b" % (delivery_id.encode(), timestamp_s, body)
    return " ".join(
        "v1," + b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode("ascii") for secret in secrets
    )
