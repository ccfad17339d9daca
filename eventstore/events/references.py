"""Positions of other events that an event names: what has to change when the events move to another log. Pure."""

from collections.abc import Callable

from msgspec.structs import replace

from eventstore.events.catalogue import (
    DisableEvidence,
    Event,
    FailureRecord,
    InstallationDisabled,
    InstallationWarned,
    MailRequested,
)

__all__ = ["is_same_event", "referred_positions", "with_positions"]

Translate = Callable[[int], int]


def referred_positions(event: Event) -> tuple[int, ...]:
    """Return the positions that an event names, always in the same order; an empty tuple for most events."""
    if isinstance(event, MailRequested):
        return (event.about_position,)
    if isinstance(event, InstallationDisabled | InstallationWarned) and event.evidence is not None:
        failures = (event.evidence.first_failure, event.evidence.last_failure)
        return event.evidence.up_to_position, *(failure.position for failure in failures if failure)
    return ()


def with_positions(event: Event, translate: Translate) -> Event:
    """Return the event with each position that it names translated."""
    if isinstance(event, MailRequested):
        return replace(event, about_position=translate(event.about_position))
    if isinstance(event, InstallationDisabled | InstallationWarned) and event.evidence is not None:
        return replace(event, evidence=_evidence(event.evidence, translate))
    return event


def is_same_event(one: Event, other: Event) -> bool:
    """Return whether two events are the same except for positions that are not known (0) in one of them."""
    if with_positions(one, _nowhere) != with_positions(other, _nowhere):
        return False
    pairs = zip(referred_positions(one), referred_positions(other), strict=True)
    return all(mine == theirs or 0 in (mine, theirs) for mine, theirs in pairs)


def _nowhere(_position: int) -> int:
    return 0


def _evidence(evidence: DisableEvidence, translate: Translate) -> DisableEvidence:
    return replace(
        evidence,
        up_to_position=translate(evidence.up_to_position),
        first_failure=_failure(evidence.first_failure, translate),
        last_failure=_failure(evidence.last_failure, translate),
    )


def _failure(failure: FailureRecord | None, translate: Translate) -> FailureRecord | None:
    return None if failure is None else replace(failure, position=translate(failure.position))
