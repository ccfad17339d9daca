"""What became of an installation, and what would have, from being created or enabled to the next time."""

from dataclasses import dataclass

__all__ = ["Ending", "Episode", "InstallationOutcome", "Notice"]


@dataclass(frozen=True, slots=True)
class Ending:
    """A disabling. `cause`: policy, receiver or person; `position` is that of the event that led to it."""

    at: str
    position: int
    cause: str
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning at a level, 50 or 90 percent."""

    at: str
    position: int
    level: int
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Episode:
    """What a policy would have done, beside what was actually done; `disabled` by a policy or a receiver only.

    `missed`: deliveries first sent after the supposed disabling, `attempts_saved` all attempts then, of which
    `delivered` succeeded. `avoided`: deliveries that were actually missed and would have been sent.
    """

    begins_at: str
    begins_position: int
    disabled: Ending | None = None
    actually_disabled: Ending | None = None
    warned: tuple[Notice, ...] = ()
    actually_warned: tuple[Notice, ...] = ()
    missed: int = 0
    delivered: int = 0
    attempts_saved: int = 0
    avoided: int = 0

    @property
    def was_actually_disabled(self) -> bool:
        """Return whether it was actually disabled, and not by a person."""
        return self.actually_disabled is not None and self.actually_disabled.cause != "person"

    @property
    def is_different(self) -> bool:
        """Return whether anything that the owners or their deliveries would have noticed is not as it was."""
        return (
            self.was_actually_disabled != (self.disabled is not None)
            or bool(self.attempts_saved or self.avoided)
            or [one.level for one in self.warned] != [one.level for one in self.actually_warned]
        )


@dataclass(frozen=True, slots=True)
class InstallationOutcome:
    """All episodes of one installation, oldest first."""

    installation_id: str
    app_id: int
    episodes: tuple[Episode, ...]

    @property
    def is_different(self) -> bool:
        """Return whether any episode is."""
        return any(episode.is_different for episode in self.episodes)

    def total(self, name: str) -> int:
        """Add up a count of all episodes."""
        return sum(getattr(episode, name) for episode in self.episodes)
