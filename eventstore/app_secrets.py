"""An app's secrets: what must never be shown, logged, or put into an event."""

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from eventstore.clock import time_text

__all__ = [
    "LONGEST_OVERLAP",
    "AppSecrets",
    "is_overlapping",
    "no_secret_text",
    "read_secrets",
    "signing_secrets",
    "write_secrets",
]

# Longer than any change freeze; beyond it two secrets are no rotation but a habit.
LONGEST_OVERLAP: Final = timedelta(days=90)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AppSecrets:
    """The client secret and the custom headers of an app.

    `previous_secret` is the one before the last rotation, and signs too until `previous_until` (time_text).
    It is kept afterwards: a registry file that still has it is recognised. `signing_key` is the seed of an
    Ed25519 key, None = the app has none.
    """

    client_secret: str = field(repr=False)
    headers: Pairs = field(default=(), repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: str | None = field(default=None, repr=False)
    signing_key: bytes | None = field(default=None, repr=False)


def is_overlapping(secrets: AppSecrets, now: datetime) -> bool:
    """Say whether the secret before the last rotation signs too."""
    return secrets.previous_until is not None and time_text(now) < secrets.previous_until


def signing_secrets(secrets: AppSecrets, now: datetime) -> tuple[str, ...]:
    """Give the secrets that sign at a moment: the previous and the present one during an overlap, then the latter.

    The order matters. Sentry-Hook-Signature has room for one signature, and the first secret makes it: whoever
    knows only the previous secret goes on working until the overlap ends. The webhook-signature of Standard
    Webhooks has one for each, so that it verifies with either.
    """
    if secrets.previous_secret is not None and is_overlapping(secrets, now):
        return secrets.previous_secret, secrets.client_secret
    return (secrets.client_secret,)


def no_secret_text(app_id: int) -> str:
    """Say that an app has no secret, as after an import of its history, and how it gets one."""
    return (
        f"app {app_id} has no secret here: give it one with hookfuse apply REGISTRY.toml,"
        f" or hookfuse app rotate-secret {app_id}"
    )


def read_secrets(connection: sqlite3.Connection, app_id: int) -> AppSecrets | None:
    """Read an app's secrets, None when it has none."""
    row = connection.execute(
        "SELECT client_secret, headers, previous_secret, previous_until, signing_key FROM secrets WHERE app_id = ?",
        (app_id,),
    ).fetchone()
    if row is None:
        return None
    client_secret, headers, *rest = row
    return AppSecrets(client_secret, msgspec.json.decode(headers, type=Pairs), *rest)


def write_secrets(connection: sqlite3.Connection, app_id: int, secrets: AppSecrets) -> None:
    """Keep an app's secrets in the place of all those it had, within the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO secrets"
        " (app_id, client_secret, headers, previous_secret, previous_until, signing_key) VALUES (?, ?, ?, ?, ?, ?)",
        (
            app_id,
            secrets.client_secret,
            msgspec.json.encode(secrets.headers).decode(),
            secrets.previous_secret,
            secrets.previous_until,
            secrets.signing_key,
        ),
    )
