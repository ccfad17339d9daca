"""Synthetic histories: a home with as many events as are wanted, so that reading them can be timed.

python -m benchmarks.history --events 2000000 --installations 1000 --failing 0.1 /tmp/history
"""

import argparse
import random
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

from msgspec import structs

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.events.catalogue import (
    AppRegistered,
    AttemptEvent,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    InstallationCreated,
    OrganizationRegistered,
)
from eventstore.events.codec import encode_event
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, chain_hash
from eventstore.projections.app_secrets import AppSecrets, write_secrets
from eventstore.sqlite.database import writing
from eventstore.unit_of_work import Store

__all__ = ["Shape", "installation_id", "write_history"]

Row = tuple[int, str, int, str, int, str, str, bytes]

_ORGANIZATION_ID = 17
_URL = "https://receiver-%d.example/webhooks/hookfuse"
_TO_BE_FILLED = 999_999_999
# As many as a busy journal commits at once: they share a moment.
_COMMIT_EVENTS = 50
_TRANSACTION_EVENTS = 100_000
_CACHE_KIB = 200_000
_FAILURES = ("server_error", "client_error", "unavailable", "rate_limited", "redirect", "protocol", "timeout", "dns")
_STATUS_CODES = {
    "": 200,
    "server_error": 500,
    "client_error": 404,
    "unavailable": 503,
    "rate_limited": 429,
    "redirect": 302,
}
_WITHOUT_ANSWER = ("timeout", "dns")
# As long as those of a real attempt, which make the most of a failure's row.
_HEADERS = """Content-Type: application/json
User-Agent: hookfuse
Request-ID: 0a3f9b5d1c2e4f60918273645a5b6c7d
Sentry-Hook-Resource: metric_alert
Sentry-Hook-Timestamp: 1740830400
Sentry-Hook-Signature: 6c1f1f0c6f7d0b0d5ce4c1f0a94bd1dfb1a5c0a0f6a0c3b1e5d7c9a8b7f6e5d4
webhook-id: 0197d3c0-1f2e-7a40-9d3c-5b1f0a94bd1d
webhook-timestamp: 1740830400
webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="""
_BODY = '{"action":"critical","installation":{"uuid":"7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"},"data":{"web_url":"x"}}'
_ANSWER = "<html><head><title>Something went wrong</title></head><body>" + "Please try again later. " * 8


@dataclass(frozen=True, slots=True)
class Shape:
    """What a history looks like.

    `failing`: the share of attempts that fail, everywhere; `broken`: the share of installations of which, from a
    moment of their own on, every attempt fails. The last day is that of `ends_at`.
    """

    events: int = 2_000_000
    installations: int = 1_000
    failing: float = 0.05
    broken: float = 0.05
    days: float = 30.0
    seed: int = 1
    ends_at: datetime = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)


def write_history(home: Home, shape: Shape) -> int:
    """Write a history to a home that has none yet, and return how many events there are; the same shape, the same one.

    The registry is in step. The other projections are not, as that takes ten times as long: to rebuild them,
    hookfuse replay rebuild.
    """
    home.prepare()
    with Store(home.database, ManualClock(shape.ends_at - timedelta(days=shape.days))) as store:
        store.connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        written = _register(store, shape)
        rows = _rows(store.connection, shape)
        while written < shape.events:
            some = list(islice(rows, min(_TRANSACTION_EVENTS, shape.events - written)))
            with writing(store.connection):
                store.connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", some)
            written += len(some)
    return written


def installation_id(number: int) -> str:
    """Return the UUID of the installation with a number from 0 on."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def _register(store: Store, shape: Shape) -> int:
    registered = [
        NewEvent(
            organization_stream(_ORGANIZATION_ID),
            OrganizationRegistered(_ORGANIZATION_ID, "acme", "Acme", "https://acme.example", ("ada@acme.example",)),
        )
    ]
    for number in range(shape.installations):
        app_id = number + 1
        app = AppRegistered(
            app_id=app_id,
            slug=f"app-{app_id}",
            name=f"App {app_id}",
            uuid=f"{app_id:08x}-0000-4000-9000-000000000000",
            status="internal",
            organization_id=_ORGANIZATION_ID,
            webhook_url=_URL % app_id,
        )
        registered.append(NewEvent(app_stream(app_id), app))
        created = InstallationCreated(installation_id(number), app_id, _ORGANIZATION_ID)
        registered.append(NewEvent(installation_stream(installation_id(number)), created))
    with store.transaction() as transaction:
        for number in range(shape.installations):
            write_secrets(transaction.connection, number + 1, AppSecrets(f"secret of app {number + 1}"))
        return len(transaction.append(*registered))


def _rows(connection: sqlite3.Connection, shape: Shape) -> Iterator[Row]:
    """Return the rows of the log for ever: what append_events does without looking up a stream's version each time."""
    versions: dict[str, int] = dict(connection.execute("SELECT stream, max(version) FROM events GROUP BY stream"))
    position, chained = connection.execute(
        "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1"
    ).fetchone()
    streams = [installation_stream(installation_id(number)) for number in range(shape.installations)]
    for recorded_at, number, type_name, data in _attempts(shape):
        position += 1
        stream = streams[number]
        version = versions[stream] = versions[stream] + 1
        chained = chain_hash(
            chained,
            position=position,
            stream=stream,
            version=version,
            type_name=type_name,
            schema=AttemptEvent.schema,
            recorded_at=recorded_at,
            data=data,
        )
        yield position, stream, version, type_name, AttemptEvent.schema, recorded_at, data, chained


def _attempts(shape: Shape) -> Iterator[tuple[str, int, str, str]]:
    """Return moment, installation, type and data of one attempt after another."""
    chance = random.Random(shape.seed).random
    broken_from = [chance() if chance() < shape.broken else 2.0 for _ in range(shape.installations)]
    succeeded, failures = _template(""), [_template(error_class) for error_class in _FAILURES]
    begin = shape.ends_at - timedelta(days=shape.days)
    for sequence in count():
        if sequence % _COMMIT_EVENTS == 0:
            elapsed = min(1.0, sequence / shape.events)
            recorded_at = time_text(begin + timedelta(days=shape.days * elapsed))
        number = int(chance() * shape.installations)
        is_failure = elapsed > broken_from[number] or chance() < shape.failing
        type_name, template = failures[int(chance() * len(failures))] if is_failure else succeeded
        data = template % (_delivery_id(sequence), number + 1, number + 1, int(chance() * 2_000), sequence)
        yield recorded_at, number, type_name, data


def _delivery_id(sequence: int) -> str:
    return f"0197d3c0-1f2e-7a40-9d3c-{sequence:012x}"


def _template(error_class: str) -> tuple[str, str]:
    """Return type and data of an attempt, to be filled in: encoding each of two million events takes too long."""
    is_answered = error_class not in _WITHOUT_ANSWER
    failed = DeliveryFailed if is_answered else DeliveryTimedOut
    event = (failed if error_class else DeliverySucceeded)(
        delivery_id="%s",
        event_name="metric_alert.critical",
        app_id=_TO_BE_FILLED,
        organization_id=_ORGANIZATION_ID,
        attempt=1,
        webhook_url=_URL,
        status_code=_STATUS_CODES.get(error_class, 0),
        duration_ms=_TO_BE_FILLED + 0.5,
        request_id="%032x",
        error_class=error_class,
    )
    if error_class:
        event = structs.replace(
            event,
            detail="answered" if is_answered else "no answer",
            retry_at="2026-04-01T00:00:00.000000Z",
            request_headers=_HEADERS,
            request_body=_BODY,
            response_body=_ANSWER if is_answered else "",
        )
    return event.type_name, encode_event(event).replace(str(_TO_BE_FILLED), "%d")


def main() -> None:
    """Write one, and say how long it took."""
    shape = Shape()
    parser = argparse.ArgumentParser(description="Write a synthetic history to a new home.")
    parser.add_argument("home", type=Path)
    for name in ("events", "installations", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(shape, name))
    for name in ("failing", "broken", "days"):
        parser.add_argument(f"--{name}", type=float, default=getattr(shape, name))
    arguments = vars(parser.parse_args())
    home = Home(arguments.pop("home"))
    if home.database.exists():
        parser.error(f"{home.path} has a history already")
    started_s = time.perf_counter()
    written = write_history(home, Shape(**arguments))
    size_mb = home.database.stat().st_size / 1e6
    print(f"{written} events in {home.database} ({size_mb:.0f} MB), {time.perf_counter() - started_s:.1f} s")


if __name__ == "__main__":
    main()
