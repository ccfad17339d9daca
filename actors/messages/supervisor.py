"""What the supervisor is told."""

from dataclasses import dataclass

from actors.messages.ref import Ref

__all__ = ["NoteHealth", "ReviewAfterProbe", "ReviewInstallation", "WatchOutage"]


@dataclass(frozen=True, slots=True)
class ReviewInstallation:
    """To the supervisor: have this installation reviewed, and let `reply_to` refresh when it is done.

    `gone_at`: the position in the log as of which its endpoint has answered 410 Gone, None = it has not.
    """

    installation_id: str
    reply_to: Ref
    gone_at: int | None = None


@dataclass(frozen=True, slots=True)
class ReviewAfterProbe:
    """To the supervisor: a test delivery to this installation succeeded; let `reply_to` refresh when it is decided."""

    installation_id: str
    reply_to: Ref
    probe_enqueued_at: str


@dataclass(frozen=True, slots=True)
class NoteHealth:
    """To the supervisor: this installation has begun to fail, or to work again; None = it is active no more."""

    installation_id: str
    is_failing: bool | None


@dataclass(frozen=True, slots=True)
class WatchOutage:
    """To the supervisor: see whether a freeze has passed, and whom to probe."""
