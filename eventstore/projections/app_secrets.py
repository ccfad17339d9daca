"""An app's secrets: what must never be shown, logged, or put into an event."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from zlib import crc32

import msgspec

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.common.lazy_log import LazyLog
from eventstore.sqlite.bulk import upsert

__all__ = [
    "LONGEST_OVERLAP",
    "AppSecrets",
    "apps_with_damaged_secrets",
    "bound_overlaps",
    "is_overlapping",
    "no_secret_text",
    "read_secrets",
    "signing_secrets",
    "write_secrets",
]

_log = LazyLog("hookfuse.registry")

# Longer than any change freeze; beyond it two secrets are not a rotation but a habit.
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

    def texts(self) -> tuple[str, ...]:
        """Return what an endpoint may show again, and nobody else is to see.

        One that was rotated out, too: in a registry file, or at a receiver, it may go on for a while.
        """
        return (self.client_secret, self.previous_secret or "", *(value for _, value in self.headers))


def is_overlapping(secrets: AppSecrets, now: datetime) -> bool:
    """Return whether the secret before the last rotation signs too."""
    return secrets.previous_until is not None and time_text(now) < secrets.previous_until


def signing_secrets(secrets: AppSecrets, now: datetime) -> tuple[str, ...]:
    """Return the secrets that sign at a moment: the previous and the present one during an overlap, then the latter.

    The order matters. Sentry-Hook-Signature has room for one signature, and the first secret makes it: whoever
    knows only the previous secret goes on working until the overlap ends. The webhook-signature of Standard
    Webhooks has one for each, so that it verifies with either.
    """
    if secrets.previous_secret is not None and is_overlapping(secrets, now):
        return secrets.previous_secret, secrets.client_secret
    return (secrets.client_secret,)


def no_secret_text(app_id: int) -> str:
    """Return that an app has no secret, as after an import of its history, and how it gets one."""
    return (
        f"app {app_id} has no secret here: give it one with hookfuse apply REGISTRY.toml,"
        f" or hookfuse app rotate-secret {app_id}"
    )


def read_secrets(connection: Connection, app_id: int) -> AppSecrets | None:
    """Read an app's secrets, None when it has none, or they are not what was stored: with those nothing is signed."""
    row = connection.execute(f"{_READ} WHERE app_id = ?", (app_id,)).fetchone()
    if row is None:
        return None
    if not _is_intact(row):
        _log.error(
            "secrets_damaged",
            app_id=app_id,
            done=f"not used; hookfuse apply REGISTRY.toml or hookfuse app rotate-secret {app_id} gives it new ones",
        )
        return None
    client_secret, headers, previous_secret, previous_until = (
        None if one is None else one.decode() for one in row[1:5]
    )
    return AppSecrets(
        client_secret or "", msgspec.json.decode(headers or "[]", type=Pairs), previous_secret, previous_until, row[5]
    )


def apps_with_damaged_secrets(connection: Connection) -> list[int]:
    """Return the apps whose secrets are not what was stored."""
    return [row[0] for row in connection.execute(f"{_READ} ORDER BY app_id").fetchall() if not _is_intact(row)]


# Texts as the bytes that they are stored as: what is none is damaged.
_READ = (
    "SELECT app_id, CAST(client_secret AS BLOB), CAST(headers AS BLOB), CAST(previous_secret AS BLOB),"
    " CAST(previous_until AS BLOB), signing_key, checksum FROM secrets"
)


_WRITE = upsert(
    "secrets",
    "app_id",
    ("app_id", "client_secret", "headers", "previous_secret", "previous_until", "signing_key", "checksum"),
)


def _is_intact(row: tuple[Any, ...]) -> bool:
    *stored, checksum = row
    return checksum is None or checksum == _checksum(*stored)


def _checksum(app_id: int, *stored: bytes | None) -> int:
    """Return the checksum of a row (CRC-32): none of its parts is told from it."""
    checksum = crc32(b"%d" % app_id)
    for one in stored:
        checksum = crc32(b"-" if one is None else b"%d:%b" % (len(one), one), checksum)
    return checksum


def bound_overlaps(connection: Connection, latest: str) -> int:
    """End the overlaps that last beyond `latest` (time_text), within the caller's transaction; return how many."""
    rows = connection.execute("SELECT app_id FROM secrets WHERE previous_until > ?", (latest,)).fetchall()
    bounded = [(app_id, secrets) for (app_id,) in rows if (secrets := read_secrets(connection, app_id)) is not None]
    for app_id, secrets in bounded:
        write_secrets(connection, app_id, replace(secrets, previous_until=latest))
    return len(bounded)


def write_secrets(connection: Connection, app_id: int, secrets: AppSecrets) -> None:
    """Keep an app's secrets in the place of all those it had, within the caller's transaction."""
    headers = msgspec.json.encode(secrets.headers)
    texts = [
        None if one is None else one.encode()
        for one in (secrets.client_secret, headers.decode(), secrets.previous_secret, secrets.previous_until)
    ]
    connection.execute(
        _WRITE,
        (
            app_id,
            secrets.client_secret,
            headers.decode(),
            secrets.previous_secret,
            secrets.previous_until,
            secrets.signing_key,
            _checksum(app_id, *texts, secrets.signing_key),
        ),
    )
