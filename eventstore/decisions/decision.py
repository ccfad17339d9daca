"""The outcome of a request to change something: what it has changed, or why it has changed nothing."""

from dataclasses import dataclass
from enum import StrEnum

from eventstore.events.catalogue import DisableEvidence

__all__ = ["Change", "Decision"]


class Change(StrEnum):
    """What a decision has changed."""

    NOTHING = "nothing"
    DISABLED = "disabled"
    ENABLED = "enabled"
    WARNED = "warned"
    WARNING_LIFTED = "warning_lifted"
    BREAKER_CLOSED = "breaker closed"
    PROBE_QUEUED = "probe queued"
    THAWED = "thawed"
    GATHERED = "gathered"


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a wish. `why` says, for people, why nothing was changed; `position`: of the deciding event.

    `cause`: that of a disabling, as its event has it.
    """

    change: Change
    why: str = ""
    position: int = 0
    mail_count: int = 0
    evidence: DisableEvidence | None = None
    cause: str = ""

    @property
    def is_changed(self) -> bool:
        """Return whether anything was changed."""
        return self.change is not Change.NOTHING

    @classmethod
    def declined(cls, why: str) -> "Decision":
        """Return that nothing was changed, and why."""
        return cls(Change.NOTHING, why)
