"""What the attempts at one installation add up to: the days of the buffer, and what the request log keeps."""

import sqlite3
from collections import defaultdict, deque
from dataclasses import dataclass, field

import msgspec

from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import AttemptEvent, InstallationCountsImported
from eventstore.events.codec import decode_event
from eventstore.policies.day_counts import COUNTED_CLASSES, IMPORTED_CLASSES, counted_class
from eventstore.projections.request_log import KEPT_ROWS, is_error_code

__all__ = ["AttemptRecord", "AttemptTally", "read_attempt"]


class AttemptRecord(msgspec.Struct, frozen=True):
    """What is read of an attempt's data; the rest is passed over."""

    delivery_id: str
    event_name: str
    app_id: int
    status_code: int = 0
    error_class: str = ""
    fault: str = ""
    hold_until: str | None = None


_decoder = msgspec.json.Decoder(AttemptRecord)


def read_attempt(type_name: str, schema: int, data: str) -> AttemptRecord:
    """Read the little of an attempt's data; an older form is upcast first. Raises UnknownEventError."""
    if schema == AttemptEvent.schema:
        try:
            return _decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise UnknownEventError(f"the data of this {type_name} cannot be read: {error}") from error
    event = decode_event(type_name, schema, data)
    return msgspec.convert(event, AttemptRecord, from_attributes=True)


@dataclass(slots=True)
class _Day:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED_CLASSES, 0))
    first_failure: int | None = None
    last_failure: int | None = None


@dataclass(slots=True)
class _Requests:
    """The positions of the last requests of an event name and, apart, of the last errors."""

    latest: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_ROWS))
    errors: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_ROWS))


class AttemptTally:
    """Follows the attempts at one installation as the broken-state buffer and the request log do, but in memory."""

    def __init__(self) -> None:
        self._days: defaultdict[str, _Day] = defaultdict(_Day)
        self._requests: defaultdict[tuple[int, str], _Requests] = defaultdict(_Requests)

    def count(
        self, type_name: str, recorded_at: str, position: int, attempt: AttemptRecord, *, is_frozen: bool
    ) -> None:
        """Count one attempt."""
        requests = self._requests[attempt.app_id, attempt.event_name]
        requests.latest.append(position)
        if is_error_code(attempt.status_code):
            requests.errors.append(position)
        counted = counted_class(type_name, attempt.error_class, attempt.fault)
        if counted is None or (is_frozen and counted != "success"):
            return
        day = self._days[recorded_at[:10]]
        day.counts[counted] += 1
        if counted != "success":
            day.first_failure = day.first_failure or position
            day.last_failure = position

    def count_imported(self, event: InstallationCountsImported) -> None:
        """Count what another system has counted for a day."""
        counts = self._days[event.day].counts
        for name in IMPORTED_CLASSES:
            counts[name] += getattr(event, name)

    def clear_days(self) -> None:
        """Start the days again, as for an installation that was created or enabled."""
        self._days.clear()

    def write(self, connection: sqlite3.Connection, installation_id: str) -> None:
        """Bring the tables of the buffer and the request log to what was counted."""
        connection.execute("DELETE FROM buffer")
        connection.executemany(
            f"INSERT INTO buffer (installation_id, day, {', '.join(COUNTED_CLASSES)}, first_failure, last_failure)"  # noqa: S608 - names of columns
            f" VALUES ({', '.join('?' * (len(COUNTED_CLASSES) + 4))})",
            (
                (installation_id, name, *day.counts.values(), day.first_failure, day.last_failure)
                for name, day in self._days.items()
            ),
        )
        connection.execute("DELETE FROM request_log")
        connection.executemany(
            "INSERT INTO request_log (app_id, event_name, position, is_error) VALUES (?, ?, ?, ?)",
            (
                (*key, position, position in requests.errors)
                for key, requests in self._requests.items()
                for position in {*requests.latest, *requests.errors}
            ),
        )
