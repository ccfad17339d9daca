"""Events of an installation's circuit breaker, and of what makes it forget."""

from typing import ClassVar

from eventstore.events.event import Event


class BreakerOpened(Event, frozen=True):
    """Its deliveries wait until `until`, when one is let through; in a dry run nothing waits.

    `failed_trials`: how many that were let through have failed in a row; `webhook_url`: what failed, empty = not known.
    """

    type_name: ClassVar[str] = "breaker.opened"
    installation_id: str
    until: str
    explanation: str
    is_dry_run: bool = False
    failed_trials: int = 0
    webhook_url: str = ""


class BreakerClosed(Event, frozen=True):
    """All flow again, under stricter limits until `strict_until`.

    The delivery that was let through has succeeded or, where `by` names somebody, a person has closed it, or a test
    delivery of theirs has succeeded.
    """

    type_name: ClassVar[str] = "breaker.closed"
    installation_id: str
    strict_until: str
    by: str = ""
    reason: str = ""


class EndpointChanged(Event, frozen=True):
    """What is sent, or where to, is another: the breaker is closed, and what led it there is forgotten.

    `changed` names what is new: "webhook_url", "secret", "headers". The pause that the endpoint asked for is lifted
    with a new `webhook_url` only, as it was the word of whoever is behind the old one.
    """

    type_name: ClassVar[str] = "endpoint.changed"
    installation_id: str
    webhook_url: str
    changed: tuple[str, ...]
