"""Many endpoints failing at once: our own fault until shown otherwise. Pure."""

from dataclasses import dataclass

__all__ = ["FailingShare", "OutageRule", "OutageView", "has_passed", "is_outage", "should_freeze", "should_lift_freeze"]


@dataclass(frozen=True, slots=True)
class OutageRule:
    """Automatic disabling is frozen when more than `share` (0 to 1) of the active installations, and at least
    `installations_min` of them, have begun to fail within `window_s` seconds; it is thawed when no more than
    that share is failing. One tenant is not the fleet: the same must hold for organizations and for hosts, each of
    which counts once, however many of its installations have begun to fail.
    """  # noqa: D205

    share: float = 0.3
    window_s: float = 300.0
    installations_min: int = 5


@dataclass(frozen=True, slots=True)
class FailingShare:
    """How many installations (or organizations, or hosts) are active, fail, and have begun to within the window."""

    active: int
    failing: int
    newly_failing: int


def should_freeze(rule: OutageRule, state: FailingShare) -> bool:
    """Return whether so many have begun to fail at once that the cause is likely here."""
    return state.newly_failing >= rule.installations_min and state.newly_failing > rule.share * state.active


def should_lift_freeze(rule: OutageRule, state: FailingShare, *, watched_s: float) -> bool:
    """Return whether no more than the usual share is failing, once enough has been seen to say so.

    `watched_s`: for how long it has been watched since the last start.
    """
    return _has_seen_enough(rule, state, watched_s) and _is_usual(rule, state)


def _has_seen_enough(rule: OutageRule, state: FailingShare, watched_s: float) -> bool:
    # When nobody is active that is not a sign of anything: what fails is between two attempts, perhaps hours apart.
    return state.active > 0 and (state.active >= rule.installations_min or watched_s > rule.window_s)


def _is_usual(rule: OutageRule, state: FailingShare) -> bool:
    return state.failing <= rule.share * state.active


@dataclass(frozen=True, slots=True)
class OutageView:
    """The fleet by its installations, by whose they are, and by where their endpoints are."""

    installations: FailingShare
    organizations: FailingShare
    hosts: FailingShare


def is_outage(rule: OutageRule, view: OutageView) -> bool:
    """Return whether so much has begun to fail at once, with so many and in so many places, that the cause is here."""
    return should_freeze(rule, view.installations) and all(
        # Where there are fewer than the minimum at all, all of them.
        one.newly_failing >= min(rule.installations_min, one.active) and one.newly_failing > rule.share * one.active
        for one in (view.organizations, view.hosts)
    )


def has_passed(rule: OutageRule, view: OutageView, *, watched_s: float) -> bool:
    """Return whether no more than the usual share fails, of installations, or of organizations, or of hosts."""
    return should_lift_freeze(rule, view.installations, watched_s=watched_s) or (
        _has_seen_enough(rule, view.installations, watched_s)
        and any(_is_usual(rule, one) for one in (view.organizations, view.hosts))
    )
