"""A home with a history, and a way to type commands at it."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from console.shell.cli import cli
from console.shell.command_line import run_command_line
from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.decisions.review import ReviewRequest, review
from eventstore.events.catalogue import (
    AppRegistered,
    DeliveryExhausted,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    Event,
    InstallationCreated,
    OrganizationRegistered,
)
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.policies.policy import BALANCED
from eventstore.projections.app_secrets import AppSecrets, write_secrets
from eventstore.queue.acknowledge import mark_dead, mark_missed
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import find_delivery
from eventstore.unit_of_work import Store

PAGER = "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"  # healthy
CHAT = "7c1f0a99-0000-4000-8000-000000000002"  # broken and disabled
SHOP = "aa000000-0000-4000-8000-000000000003"  # of a published app, near its limit
NOW = datetime(2025, 2, 8, 12, tzinfo=UTC)
SECRET = "a-client-secret-that-nobody-may-see"
HEADER_VALUE = "a-header-value-that-nobody-may-see"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hookfuse = Callable[..., Ended]


class _CommandLine:
    name = "hookfuse"

    def main(self, args: Sequence[str], prog_name: str, clock: object) -> None:
        run_command_line(cli, args, clock)


@dataclass
class World:
    """A home, its clock and the ids of what waits in it."""

    home: Home
    clock: ManualClock
    missed_ids: list[str]
    dead_id: str = ""

    def store(self) -> Store:
        return Store(self.home.database, self.clock)


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("HOOKFUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOOKFUSE_HOME", "")  # commands set it: this puts it back
    yield
    structlog.reset_defaults()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def hookfuse(clock: ManualClock, tmp_path: Path) -> Hookfuse:
    """Type a command, on the home `tmp_path/home` where none is named."""

    def typed(*arguments: object, stdin: str | bytes = "", home: Path | None = None) -> Ended:
        words = ["--home", str(home or tmp_path / "home"), *map(str, arguments)]
        result = CliRunner().invoke(_CommandLine(), words, input=stdin, clock=clock)  # type: ignore[arg-type]
        return Ended(result.exit_code, result.stdout, result.stderr)

    return typed


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> World:
    home = Home(tmp_path / "home")
    home.prepare()
    made = World(home, clock, [])
    with made.store() as store:
        clock.advance(days=-6)
        _register(store)
        for _ in range(3):
            _a_day(store)
            clock.advance(days=1)
        clock.moment = NOW
        _disable(store)
        _keep(store, made)
    return made


def _append(store: Store, stream: str, *events: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(stream, event) for event in events))


def _register(store: Store) -> None:
    organization = OrganizationRegistered(17, "acme", "Acme", "https://acme.example", ("ann@acme.example",))
    _append(store, organization_stream(17), organization)
    for app_id, slug, status in ((5, "pager", "internal"), (6, "chat", "internal"), (7, "shop", "published")):
        app = AppRegistered(
            app_id=app_id,
            slug=slug,
            name=slug.title(),
            uuid=f"00000000-0000-4000-8000-00000000000{app_id}",
            status=status,
            organization_id=17,
            webhook_url=f"https://{slug}.example/hook",
            header_names=("X-Token",),
        )
        _append(store, app_stream(app_id), app)
        with store.transaction() as transaction:
            write_secrets(transaction.connection, app_id, AppSecrets(SECRET, (("X-Token", HEADER_VALUE),)))
    for installation_id, app_id in ((PAGER, 5), (CHAT, 6), (SHOP, 7)):
        _append(store, installation_stream(installation_id), InstallationCreated(installation_id, app_id, 17))


def attempt(app_id: int, slug: str, **fields: Any) -> dict[str, Any]:
    return {
        "delivery_id": "0197d3c0-1f2e-7a40-9d3c-000000000000",
        "event_name": "metric_alert.critical",
        "app_id": app_id,
        "organization_id": 17,
        "attempt": 1,
        "webhook_url": f"https://{slug}.example/hook",
        "duration_ms": 12.5,
    } | fields


def _a_day(store: Store) -> None:
    failed = DeliveryFailed(
        **attempt(
            6,
            "chat",
            status_code=500,
            error_class="server_error",
            detail="500 Internal\x1b[2J Server Error",
            request_headers="Content-Type: application/json",
            request_body="{}",
            response_body="[bold]oops[/bold]\x1b[2J",
            error_id="e1",
            project_id="p1",
        )
    )
    _append(store, installation_stream(PAGER), DeliverySucceeded(**attempt(5, "pager", status_code=200)))
    _append(store, installation_stream(CHAT), *[failed] * 4)
    timed_out = DeliveryTimedOut(**attempt(7, "shop", error_class="timeout", detail="read timed out"))
    _append(store, installation_stream(SHOP), timed_out)


def _disable(store: Store) -> None:
    with store.transaction() as transaction:
        review(transaction, ReviewRequest(CHAT, BALANCED))


def _keep(store: Store, made: World) -> None:
    with store.transaction() as transaction:
        connection = transaction.connection
        wanted = [NewDelivery(CHAT, "issue.created", f'{{"n":{number}}}') for number in range(3)]
        wanted.append(NewDelivery(PAGER, "issue.created", '{"n":9}'))
        ids = enqueue(connection, wanted, enqueued_at=transaction.recorded_at)
        for delivery_id in ids[:3]:
            delivery = find_delivery(connection, delivery_id)
            assert delivery is not None
            mark_missed(connection, delivery)
        dead = find_delivery(connection, ids[3])
        assert dead is not None
        mark_dead(connection, dead, last_error="server_error")
        exhausted = DeliveryExhausted(ids[3], "issue.created", 1, "server_error", 500)
        transaction.append(NewEvent(installation_stream(PAGER), exhausted))
        enqueue(connection, [NewDelivery(PAGER, "issue.created", '{"n":10}')], enqueued_at=transaction.recorded_at)
    made.missed_ids, made.dead_id = ids[:3], ids[3]
