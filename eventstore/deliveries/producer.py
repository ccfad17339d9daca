"""How deliveries come in: called by any process on the machine, and durable when it returns."""

import os
import threading
from collections.abc import Sequence
from typing import Self
from weakref import WeakSet

from eventstore.common.clock import Clock
from eventstore.common.lazy_log import LazyLog
from eventstore.deliveries.admission import admit, checked_delivery
from eventstore.errors import NotFoundError, RejectedError
from eventstore.home.folder import Home
from eventstore.projections.registry import Installation, find_app, find_installation_of_app
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import prepare
from eventstore.sqlite.database import explained
from eventstore.unit_of_work import Store

__all__ = ["INCIDENT_STATUSES", "Producer", "send_incident_alert_notification"]

# docs/original.md, section 1.
INCIDENT_STATUSES = {1: "open", 2: "resolved", 10: "warning", 20: "critical"}

_log = LazyLog("hookfuse.producer")


_opened: "WeakSet[Producer]" = WeakSet()


def _close_inherited() -> None:
    """Close what a forked child has from its parent, before it opens its own.

    Beside an inherited connection a new one would rely on locks that only the parent holds (POSIX locks do not
    pass to a child, and SQLite takes none where its tables say that it has them), and lose what it commits once
    the parent, seeing nobody else, deletes the WAL.
    """
    for producer in tuple(_opened):
        if producer.is_inherited:
            producer.close()


class Producer:
    """An open queue for one thread of a producer; what it returned from is fsynced.

    Raises HomeError when there is no home at the path that is given, or that HOOKFUSE_HOME names (`.hookfuse` where it
    names none): nobody would send what is queued in a new one.
    """

    def __init__(self, home: Home | None = None, clock: Clock | None = None) -> None:
        self.home = home or Home.from_environment()
        self.home.require()
        self.home.prepare()
        # Settings take a while to import: only who opens a queue pays.
        from eventstore.settings.configuration import load_configuration  # noqa: PLC0415

        self._limit_bytes = load_configuration(self.home.configuration).limits.attachment_bytes
        self._clock = clock
        self._process_id = os.getpid()
        _close_inherited()
        self.store = Store(self.home.database, clock)
        _opened.add(self)

    @property
    def is_inherited(self) -> bool:
        """Return whether it was opened before this process was forked."""
        return self._process_id != os.getpid()

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def send(self, deliveries: Sequence[NewDelivery]) -> list[str]:
        """Queue deliveries, all or none, with one fsync; return their ids.

        Raises DocumentError (no JSON object), RejectedError (too large, no event name, a key that is none) and
        NotFoundError (unknown installation).
        """
        self._reopen_in_child()
        checked = [self.check(delivery) for delivery in deliveries]
        batch = prepare(checked)
        with self.store.transaction() as transaction:
            delivery_ids = admit(transaction, batch)
        self.home.doorbell.notify()
        return delivery_ids

    def _reopen_in_child(self) -> None:
        """Get a forked child a connection of its own."""
        if not self.is_inherited:
            return
        _close_inherited()
        self.store = Store(self.home.database, self._clock)
        self._process_id = os.getpid()

    def check(self, delivery: NewDelivery) -> NewDelivery:
        """Return a delivery with compact data. Raises RejectedError and DocumentError as send() does."""
        return checked_delivery(delivery, self._limit_bytes)


_producers = threading.local()


def send_incident_alert_notification(
    *,
    sentry_app_id: int,
    action_id: int,
    incident_id: int,
    new_status: int,
    incident_attachment_json: str,
    organization_id: int,
    metric_value: str | None = None,  # noqa: ARG001 - part of the signature that callers know (docs/original.md, section 1)
    notification_uuid: str | None = None,
) -> bool:
    """Queue an incident's alert for the app's installation in the organization (docs/original.md, section 1).

    True = it is on disk, and the daemon of the home HOOKFUSE_HOME will deliver it; alerts of one incident share
    an ordering key, and a `notification_uuid` queues once for its action and status. False = the app, or its
    installation there, is unknown. Raises DocumentError (no JSON), RejectedError (too large, unknown status)
    and DatabaseError.
    """
    status = INCIDENT_STATUSES.get(new_status)
    if status is None:
        raise RejectedError(f"{new_status} is not an incident status: {INCIDENT_STATUSES}")
    producer = _producer()
    with explained(producer.home.database):
        installation = _find_installation(producer, sentry_app_id, organization_id, action_id, incident_id)
    if installation is None:
        return False
    delivery = NewDelivery(
        installation_id=installation.installation_id,
        event_name=f"metric_alert.{status}",
        data=incident_attachment_json,
        ordering_key=f"incident:{incident_id}",
        idempotency_key=f"{notification_uuid}:{action_id}:{status}" if notification_uuid else None,
    )
    producer.send([delivery])
    return True


def _find_installation(
    producer: Producer, app_id: int, organization_id: int, action_id: int, incident_id: int
) -> Installation | None:
    connection = producer.store.connection
    try:
        find_app(connection, app_id)
    except NotFoundError:
        _log.info("metric_alert_webhook.missing_sentryapp", sentry_app_id=app_id, organization_id=organization_id)
        return None
    installation = find_installation_of_app(connection, app_id, organization_id)
    if installation is None:
        _log.info(
            "metric_alert_webhook.missing_installation",
            action=action_id,
            incident=incident_id,
            organization_id=organization_id,
            sentry_app_id=app_id,
        )
    return installation


def _producer() -> Producer:
    """Return this thread's open queue; a forked child, another home, or a home made again gets a new one."""
    home = Home.from_environment()
    if getattr(_producers, "key", None) != _key(home):
        if hasattr(_producers, "producer"):
            _producers.producer.close()
            _producers.__dict__.clear()
        _producers.producer = Producer(home)
        _producers.key = _key(home)
    producer: Producer = _producers.producer
    return producer


def _key(home: Home) -> tuple[object, ...]:
    try:
        file = home.database.stat()
    except OSError:
        return ()
    return os.getpid(), str(home.path.absolute()), file.st_dev, file.st_ino
