"""What a timeline is made of: one entry for each thing worth a line."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from msgspec import Struct, structs

from eventstore.events.catalogue import DisableEvidence
from eventstore.log.event_log import StoredEvent
from replay.as_of.settings_diff import FieldChange

__all__ = [
    "DECISIONS",
    "AppChange",
    "Attempts",
    "Creation",
    "Disabling",
    "Enabling",
    "Entry",
    "Freeze",
    "Gap",
    "Import",
    "MailFate",
    "Missed",
    "Notable",
    "OperatorAction",
    "OrganizationChange",
    "Other",
    "Probes",
    "Recovery",
    "Removal",
    "Warnings",
]


class Entry(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """From its first to its last event; `count` says of how many alike it is made."""

    first_at: str
    last_at: str
    first_position: int
    last_position: int
    count: int = 1

    @classmethod
    def of(cls, stored: StoredEvent, **fields: Any) -> Self:
        """Make an entry of one event; fields that go by the same name are taken from it."""
        named = {name: getattr(stored.event, name) for name in cls.__struct_fields__ if hasattr(stored.event, name)}
        at, position = stored.recorded_at, stored.position
        span = {"first_at": at, "last_at": at, "first_position": position, "last_position": position}
        return cls(**named | fields | span)

    def plus(self, later: Self) -> Self:
        """Return what this and a later one of its kind are together."""
        return structs.replace(
            later,
            first_at=self.first_at,
            first_position=self.first_position,
            count=self.count + later.count,
        )


class Attempts(Entry, frozen=True, kw_only=True, tag="attempts"):
    """Attempts in a row: successes, failures or, where they alternate, both; `count` is that of all.

    `failed`: by error class; `exhausted`: deliveries that were given up; `quiet_days`: days within without any;
    `breaker_closed_by`: who closed the breaker by hand.
    """

    succeeded: int
    failed: Mapping[str, int]
    exhausted: int = 0
    breaker_opened: int = 0
    breaker_closed: int = 0
    breaker_closed_by: tuple[str, ...] = ()
    quiet_days: int = 0


class Gap(Entry, frozen=True, kw_only=True, tag="gap"):
    """A time without attempts that is longer than usual; `quiet_days` whole UTC days of it."""

    quiet_days: int


class Missed(Entry, frozen=True, kw_only=True, tag="missed"):
    """Deliveries that met it while it was disabled or removed, and were kept."""


class MailFate(Struct, frozen=True):
    """What became of the mails to one owner: so many were sent, given up, or are still pending."""

    recipient: str
    sent: int = 0
    failed: int = 0
    pending: int = 0
    last_error: str = ""


class Notable(Entry, frozen=True, kw_only=True):
    """What owners are mailed about."""

    mails: tuple[MailFate, ...] = ()


class Warnings(Notable, frozen=True, kw_only=True, tag="warned"):
    """Owners were warned, at a level of 50 or 90 percent; the evidence is that of the last time.

    `lifted_at`: when it was less than half of the way again, None = it was not, or something else came first.
    """

    level: int
    progress: float
    evidence: DisableEvidence
    lifted_at: str | None = None


class Disabling(Notable, frozen=True, kw_only=True, tag="disabled"):
    """Nothing more was sent to it. Cause: policy, receiver or person."""

    cause: str
    by: str
    reason: str
    evidence: DisableEvidence | None = None


class Enabling(Entry, frozen=True, kw_only=True, tag="enabled"):
    """Deliveries flowed again."""

    by: str
    reason: str


class Creation(Entry, frozen=True, kw_only=True, tag="created"):
    """It was installed, or came back."""

    app_id: int
    organization_id: int


class Removal(Entry, frozen=True, kw_only=True, tag="removed"):
    """It was not wanted any more."""

    reason: str


# What says whether anything is sent from then on.
DECISIONS = (Creation, Enabling, Disabling, Removal)


class Recovery(Entry, frozen=True, kw_only=True, tag="recovery"):
    """What was missed was sent, and from when to when it had been queued; `completed_at` None = not all of it yet."""

    by: str
    deliveries: int
    without_payload: int
    first_enqueued_at: str
    last_enqueued_at: str
    completed_at: str | None = None


class OperatorAction(Entry, frozen=True, kw_only=True, tag="operator_action"):
    """Kept deliveries were requeued or dropped by a person, or their payloads have expired."""

    what: str
    was: str
    by: str = ""
    reason: str = ""


class Probes(Entry, frozen=True, kw_only=True, tag="test"):
    """Test deliveries; `failed`: by error class."""

    succeeded: int
    failed: Mapping[str, int]

    def plus(self, later: Self) -> Self:
        """Add them up."""
        failed = dict(Counter(self.failed) + Counter(later.failed))
        return structs.replace(super().plus(later), succeeded=self.succeeded + later.succeeded, failed=failed)


class _Change(Entry, frozen=True, kw_only=True):
    changes: tuple[FieldChange, ...]

    def plus(self, later: Self) -> Self:
        """Return what was before both and after both."""
        first = {one.name: one.before for one in reversed((*self.changes, *later.changes))}
        last = {one.name: one.after for one in (*self.changes, *later.changes)}
        changes = tuple(FieldChange(name, before, last[name]) for name, before in reversed(first.items()))
        return structs.replace(super().plus(later), changes=changes)


class AppChange(_Change, frozen=True, kw_only=True, tag="app"):
    """The app's settings were changed."""


class OrganizationChange(_Change, frozen=True, kw_only=True, tag="organization"):
    """The organization was changed: its owners, or how it is called."""


class Freeze(Entry, frozen=True, kw_only=True, tag="frozen"):
    """Automatic disabling was frozen for all; `lifted_at` None = it still is."""

    active: int
    failing: int
    lifted_at: str | None = None


class Import(Entry, frozen=True, kw_only=True, tag="imported"):
    """Counts of another system were taken over, of so many days (`count`)."""

    by: str
    source: str
    first_day: str
    last_day: str
    succeeded: int
    failures: int

    def plus(self, later: Self) -> Self:
        """Add them up."""
        return structs.replace(
            super().plus(later),
            first_day=min(self.first_day, later.first_day),
            last_day=max(self.last_day, later.last_day),
            succeeded=self.succeeded + later.succeeded,
            failures=self.failures + later.failures,
        )


class Other(Entry, frozen=True, kw_only=True, tag="other"):
    """Events that have no words of their own here."""

    type_name: str
