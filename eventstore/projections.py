"""The projections: which tables follow the events, and by which handlers."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from eventstore import audit, buffer, health, outbox, registry, request_log
from eventstore.events import Event
from eventstore.log import Handler, Handlers, StoredEvent

__all__ = ["PROJECTIONS", "Projection", "project"]


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


def project(connection: sqlite3.Connection, stored: StoredEvent, names: Iterable[str] = tuple(PROJECTIONS)) -> None:
    """Bring projections to the state that follows from one more event, within the caller's transaction."""
    for handler in _handlers(tuple(names)).get(type(stored.event), ()):
        handler(connection, stored)


@cache
def _handlers(names: tuple[str, ...]) -> Mapping[type[Event], tuple[Handler, ...]]:
    merged: dict[type[Event], tuple[Handler, ...]] = {}
    for projection in (PROJECTIONS[name] for name in PROJECTIONS if name in names):
        for handlers in projection.handlers:
            for event_class, handler in handlers.items():
                merged[event_class] = (*merged.get(event_class, ()), handler)
    return merged
