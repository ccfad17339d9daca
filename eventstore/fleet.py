"""Many endpoints failing at once: our own fault until shown otherwise. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["FleetRule", "FleetState", "FleetWatch"]


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


@dataclass(slots=True)
class FleetWatch:
    """Which active installations fail, and since when. `since`: from when on it has been watching."""

    rule: FleetRule
    since: datetime
    _failing_since: dict[str, datetime | None] = field(default_factory=dict)

    def note(self, installation_id: str, *, failing_since: datetime | None) -> None:
        """Learn since when an installation fails, None = its latest attempt succeeded."""
        if failing_since is None or self._failing_since.get(installation_id) is None:
            self._failing_since[installation_id] = failing_since

    def forget(self, installation_id: str) -> None:
        """Learn that an installation is active no more."""
        self._failing_since.pop(installation_id, None)

    def state(self, now: datetime) -> FleetState:
        """Count."""
        start = now - timedelta(seconds=self.rule.window_s)
        since = [moment for moment in self._failing_since.values() if moment is not None]
        return FleetState(
            active=len(self._failing_since),
            failing=len(since),
            newly_failing=sum(1 for moment in since if moment > start),
        )

    def should_freeze(self, now: datetime) -> bool:
        """Say whether so many have begun to fail at once that the cause is likely here."""
        state = self.state(now)
        return (
            state.newly_failing >= self.rule.installations_min and state.newly_failing > self.rule.share * state.active
        )

    def should_thaw(self, now: datetime) -> bool:
        """Say whether no more than the usual share is failing, once enough has been seen to say so."""
        state = self.state(now)
        has_seen_enough = state.active >= self.rule.installations_min or now - self.since > timedelta(
            seconds=self.rule.window_s
        )
        # When nobody is active that is no sign of anything: what fails is between two attempts, perhaps hours apart.
        return has_seen_enough and state.active > 0 and state.failing <= self.rule.share * state.active
