"""Events as the log stores them, in batches: for a fold of millions, which decodes next to nothing of each."""

from collections.abc import Iterator

import msgspec

from eventstore.common.connection import Connection
from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import AttemptEvent
from eventstore.events.codec import decode_event
from eventstore.log.event_log import last_position

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


_BATCH = (
    "SELECT position, stream, type, schema, recorded_at, data FROM events WHERE position > ? AND position <= ?"
    " ORDER BY position LIMIT ?"
)


def read_raw_events(
    connection: Connection, *, after_position: int = 0, batch_events: int = _BATCH_EVENTS
) -> Iterator[list[RawEvent]]:
    """Read all events after a position in order, up to the newest of now, batch by batch, each by itself.

    So memory does not grow with them, nor, without a transaction of the caller, the WAL.
    """
    newest = last_position(connection)
    while batch := connection.execute(_BATCH, (after_position, newest, batch_events)).fetchall():
        yield batch
        after_position = batch[-1][0]


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
