"""The counts of one day by class: which classes there are, and as which of them an outcome counts. Pure.

The classes are those of the sender's outcomes, and docs/original.md, section 4 has the fields of the original.
"""

from datetime import datetime, timedelta

from eventstore.common.clock import day_of, time_text
from eventstore.events.catalogue import (
    DayRecord,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    Event,
)

__all__ = [
    "CLASS_TITLES",
    "COUNTED_CLASSES",
    "EVALUATED_CLASSES",
    "IMPORTED_CLASSES",
    "DayCounts",
    "counted_class",
    "counted_class_of",
    "window_start",
]


class DayCounts(DayRecord, frozen=True, omit_defaults=True):
    """One UTC day of one installation. `first_failure` and `last_failure` are positions of events.

    `no_answer`: connections that ended before an answer, which a policy has be of another class (Policy.no_answer).
    """

    no_answer: int = 0
    first_failure: int | None = None
    last_failure: int | None = None

    def record(self) -> DayRecord:
        """Return the counts as evidence holds them."""
        return DayRecord(self.day, **{name: getattr(self, name) for name in EVALUATED_CLASSES})


# Those that a policy evaluates by, which are those of an evidence's days.
EVALUATED_CLASSES = DayRecord.__struct_fields__[1:]
# Those that are counted.
COUNTED_CLASSES = (*EVALUATED_CLASSES, "no_answer")
# Those that counts of another system are told apart by.
IMPORTED_CLASSES = ("success", "client_error", "timeout", "fatal")

# What people read; a time-out is any attempt without an answer, connection errors included.
CLASS_TITLES = {
    "success": "Success",
    "redirect": "3xx",
    "client_error": "4xx",
    "rate_limited": "429",
    "server_error": "5xx",
    "protocol": "Garbled",
    "timeout": "Timeout",
    "fatal": "Fatal",
    "no_answer": "Ended early",
}

# The sender's error classes that are counted under another name; those that are not named here and not in
# COUNTED_CLASSES are counted nowhere, as they say nothing about the endpoint ("internal", "blocked").
_CLASS_OF = {"gone": "client_error", "unavailable": "server_error"}

# By what was wrong with the answer (webhook.fault.Fault, or the class of a time-out behind a status), before the error
# class is asked. docs/original.md, section 3: what requests raises a ConnectionError for is one thing there, a broken
# body another, whatever the status was. Not here: a head that can't be read behind a status, which is counted as that
# status.
_CLASS_OF_FAULT = {
    "no_answer": "no_answer",
    "reset": "no_answer",
    "bad_status_line": "no_answer",
    "head_too_large": "no_answer",
    "broken_body": "protocol",
    "read_timeout": "timeout",
    "deadline": "timeout",
    "tls": "timeout",
}


def counted_class_of(event: Event) -> str | None:
    """Return under which class an event is counted, None = not at all."""
    if isinstance(event, DeliverySucceeded | DeliveryFailed | DeliveryTimedOut):
        return counted_class(event.type_name, event.error_class, event.fault)
    return None


def counted_class(type_name: str, error_class: str = "", fault: str = "") -> str | None:
    """Return under which class an outcome is counted, None = not at all.

    Pure, and the one place where it is decided: the live buffer, rebuilding, as-of, what-if and Redis ask it.
    """
    if type_name == DeliverySucceeded.type_name:
        return "success"
    if type_name == DeliveryTimedOut.type_name:
        return "timeout"
    if type_name != DeliveryFailed.type_name:
        return None
    if fault in _CLASS_OF_FAULT and error_class != "rate_limited":  # 429 is held against nobody
        return _CLASS_OF_FAULT[fault]
    counted = _CLASS_OF.get(error_class, error_class)
    return counted if counted in COUNTED_CLASSES else None


def window_start(now: datetime, window_days: int) -> str:
    """Return the first UTC day of a window that ends today."""
    return day_of(time_text(now - timedelta(days=window_days - 1)))
