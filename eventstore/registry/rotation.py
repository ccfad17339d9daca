"""New secrets and keys for an app, each change an event and an audit entry that hold none of them."""

import os
import secrets
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from msgspec.structs import asdict

from eventstore.common.clock import time_text
from eventstore.common.identifiers import app_stream
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import AppChanged, AuditRecorded
from eventstore.log.event_log import NewEvent
from eventstore.projections.app_secrets import (
    LONGEST_OVERLAP,
    AppSecrets,
    is_overlapping,
    no_secret_text,
    read_secrets,
    write_secrets,
)
from eventstore.projections.registry import App, find_app
from eventstore.unit_of_work import Transaction

__all__ = [
    "LONGEST_OVERLAP",
    "SecretRotation",
    "SigningKey",
    "ensure_signing_key",
    "public_key_text",
    "remove_signing_key",
    "rotate_secret",
]

_SECRET_BYTES: Final = 32
_SEED_BYTES: Final = 32  # RFC 8032, section 5.1.5


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """A rotation that was made; `overlap_until` None = the old secret ended at once; `is_first`: there was none."""

    secret_version: int
    overlap_until: str | None
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An app's signing key, as its public half; `is_new` when it was made just now."""

    public_key: str
    is_new: bool


def rotate_secret(
    transaction: Transaction, app_id: int, *, overlap: timedelta, new_secret: str | None = None, by: str
) -> SecretRotation:
    """Return an app a new client secret, a random one unless it is handed in; the old one signs too for `overlap`.

    No overlap ends the old one at once, and one that signs still from a rotation before, as a leak demands. An app
    that has none, as after an import of its history, gets its first.
    Raises NotFoundError; RejectedError for an overlap that is too long or within another one (a third secret
    has no place, and the oldest would end before the moment that was promised), and for a secret that is blank
    or the present one.
    """
    app = find_app(transaction.connection, app_id)
    old = read_secrets(transaction.connection, app_id)
    if old is None:
        return _give_first_secret(transaction, app, new_secret, by)
    now = transaction.now
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise RejectedError(f"an overlap is of 0 to {LONGEST_OVERLAP.days} days")
    if overlap and is_overlapping(old, now):
        raise RejectedError(
            f"two secrets of app {app_id} sign until {old.previous_until} already:"
            " rotate again after that, or end both at once with an overlap of 0"
        )
    _refuse_blank(new_secret)
    if new_secret == old.client_secret:
        raise RejectedError(f"app {app_id} has this secret already")
    until = time_text(now + overlap)
    new = replace(
        old,
        client_secret=new_secret or secrets.token_hex(_SECRET_BYTES),
        previous_secret=old.client_secret,
        previous_until=until,
    )
    write_secrets(transaction.connection, app_id, new)
    secret_version = app.secret_version + 1
    _append(transaction, app, "secret", "rotate-secret", by, secret_version=secret_version)
    return SecretRotation(secret_version, until if overlap else None)


def _give_first_secret(transaction: Transaction, app: App, new_secret: str | None, by: str) -> SecretRotation:
    _refuse_blank(new_secret)
    if app.header_names:  # requests without them would go out, and fail, where they are what lets them in
        raise RejectedError(
            f"app {app.app_id} has neither a secret here nor the values of its custom headers"
            f" ({', '.join(app.header_names)}): hookfuse apply REGISTRY.toml gives it both"
        )
    secret = new_secret or secrets.token_hex(_SECRET_BYTES)
    write_secrets(transaction.connection, app.app_id, AppSecrets(secret))
    secret_version = app.secret_version + 1
    _append(transaction, app, "secret", "rotate-secret", by, secret_version=secret_version)
    return SecretRotation(secret_version, None, is_first=True)


def _refuse_blank(secret: str | None) -> None:
    if secret is not None and not secret.strip():
        raise RejectedError("the new secret is blank")


def ensure_signing_key(transaction: Transaction, app_id: int, *, by: str, is_rotated: bool = False) -> SigningKey:
    """Return the app's signing key, and make one where there is none; `is_rotated` makes one in any case.

    A new key takes the old one's place at once: there is no overlap. Raises NotFoundError.
    """
    app, old = find_app(transaction.connection, app_id), _secrets_of(transaction, app_id)
    if old.signing_key is not None and not is_rotated:
        return SigningKey(public_key_text(old.signing_key), is_new=False)
    seed = os.urandom(_SEED_BYTES)
    write_secrets(transaction.connection, app_id, replace(old, signing_key=seed))
    verb = "add-signing-key" if old.signing_key is None else "rotate-signing-key"
    _append(transaction, app, "signing_key", verb, by)
    return SigningKey(public_key_text(seed), is_new=True)


def remove_signing_key(transaction: Transaction, app_id: int, *, by: str) -> bool:
    """Forget the app's signing key, and return whether there was one. Raises NotFoundError."""
    app, old = find_app(transaction.connection, app_id), _secrets_of(transaction, app_id)
    if old.signing_key is None:
        return False
    write_secrets(transaction.connection, app_id, replace(old, signing_key=None))
    _append(transaction, app, "signing_key", "remove-signing-key", by)
    return True


def public_key_text(seed: bytes) -> str:
    """Return the public half of an Ed25519 key as `whpk_<base64>`, the form of Standard Webhooks 1.0."""
    # cryptography takes 25 ms to import: only a command about signing keys pays.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return "whpk_" + b64encode(public_key.public_bytes_raw()).decode("ascii")


def _secrets_of(transaction: Transaction, app_id: int) -> AppSecrets:
    found = read_secrets(transaction.connection, app_id)
    if found is None:
        raise NotFoundError(no_secret_text(app_id))
    return found


def _append(
    transaction: Transaction, app: App, changed: str, verb: str, by: str, *, secret_version: int | None = None
) -> None:
    """Append what changed, by name only: the event tells a running daemon to read the secrets again."""
    state = asdict(app) | {"secret_version": secret_version or app.secret_version}
    audit = AuditRecorded(f"sentry-app.{verb}", by, f"organization:{app.organization_id}", {"name": app.name})
    stream = app_stream(app.app_id)
    transaction.append(NewEvent(stream, AppChanged(**state, changed=(changed,))), NewEvent(stream, audit))
