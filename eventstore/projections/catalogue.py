"""The projections: which tables follow the events, and by which handlers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from eventstore.common.connection import Connection
from eventstore.events.catalogue import AttemptEvent, Event
from eventstore.log.event_log import Handler, Handlers, StoredEvent
from eventstore.projections import audit, failures, health, outbox, registry_handlers, request_log
from eventstore.projections import broken_state_buffer as buffer

__all__ = ["PROJECTIONS", "Projection", "followed_types", "project"]


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
            (registry_handlers.HANDLERS, health.HANDLERS),
        ),
        Projection("buffer", {"buffer": ("installation_id", "day")}, (buffer.HANDLERS,), needs=("registry",)),
        Projection("requests", {"request_log": ("app_id", "event_name", "position")}, (request_log.HANDLERS,)),
        Projection("failures", {"failures": ("hour", "error_class")}, (failures.HANDLERS,)),
        Projection("audit", {"audit": ("position",)}, (audit.HANDLERS,)),
        Projection("outbox", {"outbox": ("mail_id",)}, (outbox.HANDLERS,)),
    )
}


def project(
    connection: Connection, stored_events: Iterable[StoredEvent], names: Iterable[str] = tuple(PROJECTIONS)
) -> None:
    """Bring projections to the state that follows from these events too, within the caller's transaction.

    Outcomes of attempts, which come by the hundred, are taken in by the group: none of the handlers that follow them
    reads what another one writes.
    """
    handlers = _handlers(tuple(names))
    for are_attempts, run in groupby(stored_events, _is_attempt):
        for group in (tuple(run),) if are_attempts else zip(run):
            for handler, followed in _by_handler(handlers, group).items():
                handler(connection, followed)


def _is_attempt(stored: StoredEvent) -> bool:
    return isinstance(stored.event, AttemptEvent)


def _by_handler(
    handlers: Mapping[type[Event], tuple[Handler, ...]], group: Sequence[StoredEvent]
) -> Mapping[Handler, Sequence[StoredEvent]]:
    followed: dict[Handler, list[StoredEvent]] = {}
    for stored in group:
        for handler in handlers.get(type(stored.event), ()):
            followed.setdefault(handler, []).append(stored)
    return followed


def followed_types(names: Iterable[str]) -> frozenset[str]:
    """Return the names of the types of the events that projections follow."""
    return frozenset(event_class.type_name for event_class in _handlers(tuple(names)))


@cache
def _handlers(names: tuple[str, ...]) -> Mapping[type[Event], tuple[Handler, ...]]:
    merged: dict[type[Event], tuple[Handler, ...]] = {}
    for projection in (PROJECTIONS[name] for name in PROJECTIONS if name in names):
        for handlers in projection.handlers:
            for event_class, handler in handlers.items():
                merged[event_class] = (*merged.get(event_class, ()), handler)
    return merged
