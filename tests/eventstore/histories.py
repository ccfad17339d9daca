"""Histories as they can have happened, for what must hold for all of them."""

import io
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import (
    FLEET_STREAM,
    MAIL_STREAM,
    app_stream,
    installation_stream,
    organization_stream,
)
from eventstore.common.json_lines import read_lines
from eventstore.events.catalogue import (
    AppChanged,
    AppRegistered,
    AttemptEvent,
    AuditRecorded,
    BreakerClosed,
    BreakerOpened,
    DayRecord,
    DeliveryBlocked,
    DeliveryExhausted,
    DeliveryMissed,
    DisableEvidence,
    DisablingFrozen,
    DisablingThawed,
    EndpointChanged,
    Event,
    FailureRecord,
    InstallationCountsImported,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
    InstallationWarningLifted,
    MailDigested,
    MailFailed,
    MailRequested,
    MailSent,
    OrganizationRegistered,
    ProbeFailed,
    ProbeSucceeded,
    RecoveryCompleted,
    RecoveryStarted,
)
from eventstore.log.event_log import NewEvent
from eventstore.projections.catalogue import PROJECTIONS
from eventstore.sqlite.database import open_database
from eventstore.transfer.event_export import ExportFilter, export_lines
from eventstore.transfer.event_import import ImportSummary, import_events
from eventstore.transfer.event_staging import LINE_BYTES, Staging
from eventstore.unit_of_work import Store
from tests.eventstore.facts import attempt, failed, succeeded, timed_out

START = datetime(2025, 2, 3, tzinfo=UTC)
IDS = tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 4))
MOMENT = "2025-02-05T00:00:00.000000Z"
ERROR_CLASSES = ("server_error", "client_error", "gone", "rate_limited", "redirect", "internal", "unavailable")
KINDS = (
    *("succeeded", "failed", "failed", "held", "timed_out", "blocked", "missed", "exhausted", "probed", "probe_failed"),
    *("disabled", "warned", "lifted", "enabled", "removed", "created", "opened", "closed", "moved", "frozen", "thawed"),
    *(
        "audited",
        "requested",
        "requested",
        "gathered",
        "sent",
        "mail_failed",
        "changed",
        "recovering",
        "recovered",
        "counted",
    ),
)

Step = tuple[str, int, str, float, int]

steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, len(IDS) - 1),
        st.sampled_from(ERROR_CLASSES),
        st.sampled_from((0.0, 0.0, 90.0, 3_600.0, 40_000.0)),
        st.integers(0, 60),
    ),
    max_size=50,
)


def registration() -> list[NewEvent]:
    """Make one organization, three apps and an installation of each known."""
    organization = OrganizationRegistered(17, "acme", "Acmé", "https://acme.example", ("ada@acme.example",))
    new_events = [NewEvent(organization_stream(17), organization)]
    for number, installation_id in enumerate(IDS, start=1):
        new_events.append(NewEvent(app_stream(number), AppRegistered(**app(number))))
        created = InstallationCreated(installation_id, number, 17)
        new_events.append(NewEvent(installation_stream(installation_id), created))
    return new_events


def app(number: int) -> dict[str, Any]:
    return {
        "app_id": number,
        "slug": f"app-{number}",
        "name": "Äpp",
        "uuid": f"{number:08x}-0000-4000-9000-000000000000",
        "status": "internal",
        "organization_id": 17,
        "webhook_url": "https://pager.example/hook",
    }


def event_of(step: Step, number: int, position: int) -> tuple[str, Event]:
    """Return stream and event of a step that is to stand at a position; what it refers to lies before that."""
    kind, index, error_class, _, some = step
    one, app_id, before = IDS[index], index + 1, 1 + some % (position - 1)
    failure = FailureRecord(before, MOMENT, 500, error_class, "oops")
    evidence = DisableEvidence("p", 1, "r", "e", (DayRecord("2025-02-03", timeout=2),), position - 1, failure)
    at: dict[str, Any] = {"app_id": app_id}
    attempts: dict[str, AttemptEvent] = {
        "succeeded": succeeded(**at),
        "failed": failed(error_class, 500, response_body="é\n\x00", duration_ms=1.25, retry_at=MOMENT, **at),
        "held": failed("unavailable", 503, hold_until=MOMENT, **at),
        "timed_out": timed_out(**at),
        "blocked": attempt(DeliveryBlocked, error_class="blocked", **at),
        "probed": attempt(ProbeSucceeded, status_code=200, **at),
        "probe_failed": attempt(ProbeFailed, error_class=error_class, **at),
    }
    others: dict[str, Event] = {
        "missed": DeliveryMissed("d", "issue.created", MOMENT),
        "exhausted": DeliveryExhausted("d", "issue.created", 8, error_class),
        "disabled": InstallationDisabled(one, app_id, 17, "https://x", "policy", "system", "why", evidence),
        "warned": InstallationWarned(one, app_id, 17, "https://x", 50, 0.5, evidence),
        "lifted": InstallationWarningLifted(one),
        "enabled": InstallationEnabled(one, "person:ada", "fixed"),
        "removed": InstallationRemoved(one),
        "created": InstallationCreated(one, app_id, 17),
        "opened": BreakerOpened(one, MOMENT, "10 in a row"),
        "closed": BreakerClosed(one, MOMENT),
        "moved": EndpointChanged(one, "https://new.example/", ("webhook_url",) if some % 2 else ("secret",)),
        "frozen": DisablingFrozen(10, 6, 6),
        "thawed": DisablingThawed(10, 1),
        "audited": AuditRecorded("internal-integration.disable", "system", "organization:17", {"name": "Äpp"}),
        "requested": MailRequested(f"own-{number}", f"<{number}@x>", "ada@x", "integration-disabled", before),
        "sent": MailSent(f"own-{some}", 1),
        "mail_failed": MailFailed(f"own-{some}", 1, "refused", None if some % 2 else MOMENT),
        "gathered": MailDigested(f"own-{number}", f"<{number}@x>", "ada@x", (f"own-{some}", f"own-{some + 1}")),
        "changed": AppChanged(**app(app_id) | {"name": f"new {some}"}, changed=("name",)),
        "recovering": RecoveryStarted(one, "person:ada", 3, MOMENT, MOMENT),
        "recovered": RecoveryCompleted(one),
        "counted": InstallationCountsImported(one, f"2025-02-0{1 + some % 3}", "file", "person:ada", 0, some, 2),
    }
    streams = {"frozen": FLEET_STREAM, "thawed": FLEET_STREAM, "gathered": MAIL_STREAM, "changed": app_stream(app_id)}
    return streams.get(kind, installation_stream(one)), attempts.get(kind) or others[kind]


def written(path: Path, history: list[Step], clock: ManualClock | None = None) -> Store:
    """Write a history, each step in a transaction of its own, behind the registration."""
    clock = clock or ManualClock(START)
    store = Store(path, clock)
    with store.transaction() as transaction:
        position = len(transaction.append(*registration())) + 1
    for number, step in enumerate(history):
        clock.advance(seconds=step[3])
        stream, event = event_of(step, number, position)
        with store.transaction() as transaction:
            position = transaction.append(NewEvent(stream, event))[0].position + 1
    return store


def exported(store: Store, wanted: ExportFilter | None = None) -> bytes:
    """Return the history as a file holds it."""
    return b"".join(one.line for one in export_lines(store.connection, wanted or ExportFilter()))


def imported(store: Store, content: bytes, **wishes: Any) -> ImportSummary:
    """Bring a file in."""
    with Staging(store.connection) as staging:
        staging.fill(read_lines(io.BytesIO(content), LINE_BYTES), now=store.clock.now())
        return import_events(store, staging, **wishes)


def tables(connection: sqlite3.Connection, *names: str) -> dict[str, list[tuple[Any, ...]]]:
    """Read whole tables, row by row: the log and all projections where none is named."""
    wanted = names or ("events", *(table for projection in PROJECTIONS.values() for table in projection.tables))
    return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in wanted}


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Read what is on disk in every table."""
    connection = open_database(path, is_writer=False)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return tables(connection, *(name for (name,) in names))
    finally:
        connection.close()
