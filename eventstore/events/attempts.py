"""Events of attempts: what came of sending a delivery once."""

from typing import ClassVar

from eventstore.events.event import Event


class AttemptEvent(Event, frozen=True):
    """What all outcomes of one attempt share.

    `attempt` counts from 1; `status_code` is 0 where there was no answer; `duration_ms` is wall-clock
    time; `fault` is what was wrong with the answer (eventstore.policies.day_counts says how each is
    counted), empty = nothing, or an event of before it was kept; `retry_at` is when the next attempt is due, None =
    there is none; `hold_until`: the endpoint asked for a pause (429, 503), and the whole installation gets it. Excerpts
    are of failed attempts only, 1024 characters each at most (docs/original.md, section 5), with secret header values
    hidden.
    """

    delivery_id: str
    event_name: str
    app_id: int
    organization_id: int
    attempt: int
    webhook_url: str
    status_code: int = 0
    duration_ms: float = 0.0
    request_id: str = ""
    error_class: str = ""
    fault: str = ""
    detail: str = ""
    retry_at: str | None = None
    hold_until: str | None = None
    request_headers: str = ""
    request_body: str = ""
    response_body: str = ""
    error_id: str | None = None
    project_id: str | None = None


class DeliverySucceeded(AttemptEvent, frozen=True):
    """The endpoint answered below 300: the delivery is over."""

    type_name: ClassVar[str] = "delivery.succeeded"


class DeliveryFailed(AttemptEvent, frozen=True):
    """The endpoint answered, and not with success."""

    type_name: ClassVar[str] = "delivery.failed"


class DeliveryTimedOut(AttemptEvent, frozen=True):
    """There was no answer: a time-out or a connection error."""

    type_name: ClassVar[str] = "delivery.timed_out"


class DeliveryBlocked(AttemptEvent, frozen=True):
    """The address guard refused the endpoint; nothing was sent."""

    type_name: ClassVar[str] = "delivery.blocked"


class ProbeSucceeded(AttemptEvent, frozen=True):
    """A test delivery was answered below 300; it counts for nothing else."""

    type_name: ClassVar[str] = "probe.succeeded"


class ProbeFailed(AttemptEvent, frozen=True):
    """A test delivery was not answered with success; it counts for nothing else, and is not tried again."""

    type_name: ClassVar[str] = "probe.failed"


# The types of events that say what became of an attempt.
ATTEMPT_TYPES = frozenset(one.type_name for one in AttemptEvent.__subclasses__())
