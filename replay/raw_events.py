"""Events as the log stores them, in batches: for a fold of millions, which decodes next to nothing of each."""

import sqlite3
from collections.abc import Iterator

import msgspec

from eventstore.codec import decode_event
from eventstore.errors import UnknownEventError
from eventstore.events import AttemptEvent

__all__ = ["AttemptFacts", "RawEvent", "attempt_facts", "read_raw_events"]

# position, stream, type, schema, recorded_at, data
RawEvent = tuple[int, str, str, int, str, str]

_BATCH_EVENTS = 2_000


class AttemptFacts(msgspec.Struct, frozen=True):
    """The little that a fold wants to know of an attempt; the rest of its data is passed over unread."""

    attempt: int = 1
    error_class: str = ""
    fault: str = ""
    duration_ms: float = 0.0


_decoder = msgspec.json.Decoder(AttemptFacts)


def read_raw_events(
    connection: sqlite3.Connection, *, after_position: int = 0, batch_events: int = _BATCH_EVENTS
) -> Iterator[list[RawEvent]]:
    """Read all events after a position in order, batch by batch, so that memory does not grow with them."""
    cursor = connection.execute(
        "SELECT position, stream, type, schema, recorded_at, data FROM events WHERE position > ? ORDER BY position",
        (after_position,),
    )
    while batch := cursor.fetchmany(batch_events):
        yield batch


def attempt_facts(type_name: str, schema: int, data: str) -> AttemptFacts:
    """Read what a fold wants to know of an attempt's data; an older form is upcast first.

    Raises UnknownEventError.
    """
    if schema == AttemptEvent.schema:
        try:
            return _decoder.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise UnknownEventError(f"the data of this {type_name} cannot be read: {error}") from error
    event = decode_event(type_name, schema, data)
    return (
        AttemptFacts(event.attempt, event.error_class, event.fault, event.duration_ms)
        if isinstance(event, AttemptEvent)
        else AttemptFacts()
    )
