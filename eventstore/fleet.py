"""Many endpoints failing at once: our own fault until shown otherwise. Pure."""

from dataclasses import dataclass

__all__ = ["FleetRule", "FleetState", "should_freeze", "should_thaw"]


@dataclass(frozen=True, slots=True)
class FleetRule:
    """Automatic disabling is frozen when more than `share` (0 to 1) of the active installations, and at least
    `installations_min` of them, have begun to fail within `window_s` seconds; it is thawed when no more than
    that share is failing.
    """  # noqa: D205

    share: float = 0.3
    window_s: float = 300.0
    installations_min: int = 5


@dataclass(frozen=True, slots=True)
class FleetState:
    """How many installations are active, fail, and have begun to within the window."""

    active: int
    failing: int
    newly_failing: int


def should_freeze(rule: FleetRule, state: FleetState) -> bool:
    """Say whether so many have begun to fail at once that the cause is likely here."""
    return state.newly_failing >= rule.installations_min and state.newly_failing > rule.share * state.active


def should_thaw(rule: FleetRule, state: FleetState, *, watched_s: float) -> bool:
    """Say whether no more than the usual share is failing, once enough has been seen to say so.

    `watched_s`: for how long it has been watched since the last start.
    """
    has_seen_enough = state.active >= rule.installations_min or watched_s > rule.window_s
    # When nobody is active that is no sign of anything: what fails is between two attempts, perhaps hours apart.
    return has_seen_enough and state.active > 0 and state.failing <= rule.share * state.active
