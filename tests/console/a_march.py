"""A month of four installations, reviewed by `balanced` as it went."""

from datetime import UTC, datetime
from typing import Any

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.decisions.disable import DisableRequest, disable, enable
from eventstore.decisions.review import ReviewRequest, review
from eventstore.events.catalogue import (
    AppRegistered,
    AttemptEvent,
    DeliveryFailed,
    DeliveryMissed,
    DeliverySucceeded,
    InstallationCreated,
    OrganizationRegistered,
)
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, last_position
from eventstore.policies.policy import BALANCED
from eventstore.projections.registry import find_installation
from eventstore.unit_of_work import Store

FIRST_DAY = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAYS = 31
APPS = {1: "pager", 2: "chat", 3: "shop", 4: "mail"}


def installation_id(app_id: int) -> str:
    return f"{app_id}c1f0a52-0000-4000-8000-00000000000{app_id}"


def live_a_march(home: Home) -> None:
    """Record four deliveries a day to each, every six hours, and review each outcome, as the daemon does."""
    home.prepare()
    clock = ManualClock(FIRST_DAY)
    with Store(home.database, clock) as store:
        _register(store)
        for day in range(1, DAYS + 1):
            for hour in range(0, 24, 6):
                if (day, hour) == (22, 0):
                    _enable(store, 2)
                for app_id in APPS:
                    _deliver(store, app_id, _answer(app_id, day, hour))
                clock.advance(seconds=6 * 3_600)


def _answer(app_id: int, day: int, hour: int) -> int:
    """Return how an app answers: pager is well, chat is down for two weeks, shop works once a week, mail is gone."""
    if app_id == 1:
        return 503 if (day, hour) == (5, 6) else 200
    if app_id == 2:
        return 500 if 6 <= day < 22 else 200
    if app_id == 3:
        return 200 if day % 6 == 1 and hour == 0 else 500
    return 200 if day < 12 else 410


def _register(store: Store) -> None:
    with store.transaction() as transaction:
        organization = OrganizationRegistered(17, "acme", "Acme", "https://acme.example", ("ann@acme.example",))
        transaction.append(NewEvent(organization_stream(17), organization))
        for app_id, slug in APPS.items():
            app = AppRegistered(app_id, slug, slug.title(), f"uuid-{app_id}", "internal", 17, f"https://{slug}.example")
            created = InstallationCreated(installation_id(app_id), app_id, 17)
            transaction.append(
                NewEvent(app_stream(app_id), app), NewEvent(installation_stream(installation_id(app_id)), created)
            )


def _deliver(store: Store, app_id: int, code: int) -> None:
    with store.transaction() as transaction:
        one = find_installation(transaction.connection, installation_id(app_id))
        event: AttemptEvent | DeliveryMissed = _attempt(app_id, code)
        if not one.is_active:
            event = DeliveryMissed(event.delivery_id, event.event_name, transaction.recorded_at)
        transaction.append(NewEvent(installation_stream(one.installation_id), event))
    if not one.is_active:
        return
    if code == 410:
        _decide(store, ReviewRequest(one.installation_id, BALANCED, gone_at=last_position(store.connection)))
    elif code != 200 or one.warned_level:
        _decide(store, ReviewRequest(one.installation_id, BALANCED, "internal", "hookfuse.example"))


def _attempt(app_id: int, code: int) -> AttemptEvent:
    error_class = {200: "", 410: "gone", 503: "unavailable"}.get(code, "server_error")
    facts: dict[str, Any] = {
        "delivery_id": f"0197d3c0-1f2e-7a40-9d3c-00000000000{app_id}",
        "event_name": "issue.created",
        "app_id": app_id,
        "organization_id": 17,
        "attempt": 1,
        "webhook_url": f"https://{APPS[app_id]}.example",
        "status_code": code,
        "error_class": error_class,
        "duration_ms": 40.0,
    }
    return DeliveryFailed(**facts) if error_class else DeliverySucceeded(**facts)


def _decide(store: Store, request: ReviewRequest | DisableRequest) -> None:
    with store.transaction() as transaction:
        review(transaction, request) if isinstance(request, ReviewRequest) else disable(transaction, request)


def _enable(store: Store, app_id: int) -> None:
    with store.transaction() as transaction:
        enable(transaction, installation_id(app_id), by="person:ann", reason="fixed")
