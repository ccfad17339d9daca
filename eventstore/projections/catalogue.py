"""The projections: which tables follow the events, and by which handlers."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from eventstore.events.catalogue import AttemptEvent, Event
from eventstore.log.event_log import GroupHandler, Handler, Handlers, StoredEvent
from eventstore.projections import audit, health, outbox, registry, request_log
from eventstore.projections import broken_state_buffer as buffer

__all__ = ["PROJECTIONS", "Projection", "followed_types", "project", "project_all"]


@dataclass(frozen=True, slots=True)
class Projection:
    """What the events add up to in some tables.

    `tables` maps each table to its primary key; `needs` names the projections that its handlers read.
    """

    name: str
    tables: Mapping[str, tuple[str, ...]]
    handlers: tuple[Handlers, ...]
    needs: tuple[str, ...] = ()


# In the order in which their handlers run: health changes rows that the registry makes, and the buffer asks the
# fleet whether it is frozen.
PROJECTIONS: Mapping[str, Projection] = {
    projection.name: projection
    for projection in (
        Projection(
            "registry",
            {
                "organizations": ("organization_id",),
                "apps": ("app_id",),
                "installations": ("installation_id",),
                "fleet": ("id",),
            },
            (registry.HANDLERS, health.HANDLERS),
        ),
        Projection("buffer", {"buffer": ("installation_id", "day")}, (buffer.HANDLERS,), needs=("registry",)),
        Projection("requests", {"request_log": ("app_id", "event_name", "position")}, (request_log.HANDLERS,)),
        Projection("audit", {"audit": ("position",)}, (audit.HANDLERS,)),
        Projection("outbox", {"outbox": ("mail_id",)}, (outbox.HANDLERS,)),
    )
}


# What the handlers of attempts do, for a group of them. None of these reads what another one writes.
_FOLLOW_ATTEMPTS: Mapping[str, GroupHandler] = {
    "registry": health.follow_attempts,
    "buffer": buffer.count_outcomes,
    "requests": request_log.log_requests,
}


def project(connection: sqlite3.Connection, stored: StoredEvent, names: Iterable[str] = tuple(PROJECTIONS)) -> None:
    """Bring projections to the state that follows from one more event, within the caller's transaction."""
    for handler in _handlers(tuple(names)).get(type(stored.event), ()):
        handler(connection, stored)


def project_all(
    connection: sqlite3.Connection, stored_events: Iterable[StoredEvent], names: Iterable[str] = tuple(PROJECTIONS)
) -> None:
    """Bring projections to the state that follows from these events too: outcomes of attempts by the group."""
    wanted = tuple(names)
    follow_attempts = [follow for name, follow in _FOLLOW_ATTEMPTS.items() if name in wanted]
    for are_attempts, run in groupby(stored_events, _is_attempt):
        if are_attempts:
            group = tuple(run)
            for follow in follow_attempts:
                follow(connection, group)
        else:
            for stored in run:
                project(connection, stored, wanted)


def _is_attempt(stored: StoredEvent) -> bool:
    return isinstance(stored.event, AttemptEvent)


def followed_types(names: Iterable[str]) -> frozenset[str]:
    """Name the types of the events that projections follow."""
    return frozenset(event_class.type_name for event_class in _handlers(tuple(names)))


@cache
def _handlers(names: tuple[str, ...]) -> Mapping[type[Event], tuple[Handler, ...]]:
    merged: dict[type[Event], tuple[Handler, ...]] = {}
    for projection in (PROJECTIONS[name] for name in PROJECTIONS if name in names):
        for handlers in projection.handlers:
            for event_class, handler in handlers.items():
                merged[event_class] = (*merged.get(event_class, ()), handler)
    return merged
