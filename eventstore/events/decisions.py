"""Events of decisions about an installation, with the evidence on which they rest, and the audit log."""

from typing import ClassVar

from msgspec import Struct

from eventstore.events.event import Event


class DayRecord(Struct, frozen=True, omit_defaults=True):
    """A day's outcomes by class, as they were counted when a decision was taken."""

    day: str
    success: int = 0
    redirect: int = 0
    client_error: int = 0
    rate_limited: int = 0
    server_error: int = 0
    protocol: int = 0
    timeout: int = 0
    fatal: int = 0


class FailureRecord(Struct, frozen=True, omit_defaults=True):
    """One failed attempt, named as evidence."""

    position: int
    at: str
    status_code: int
    error_class: str
    excerpt: str = ""


class DisableEvidence(Struct, frozen=True, omit_defaults=True):
    """On what a decision rests; `up_to_position` is the last event that was taken into account.

    `remediation`: the sentence that says what would have prevented it or, before the end, would stop it.
    """

    policy: str
    policy_version: int
    rule: str
    explanation: str
    days: tuple[DayRecord, ...]
    up_to_position: int
    first_failure: FailureRecord | None = None
    last_failure: FailureRecord | None = None
    remediation: str = ""


class InstallationDisabled(Event, frozen=True):
    """Nothing more is sent. Cause: "policy", "receiver" (it answered 410 Gone) or "person"."""

    type_name: ClassVar[str] = "installation.disabled"
    installation_id: str
    app_id: int
    organization_id: int
    webhook_url: str
    cause: str
    by: str
    reason: str
    evidence: DisableEvidence | None = None


class InstallationWarned(Event, frozen=True):
    """The owners are told that it is `level` percent (50 or 90) of the way to being disabled; once an episode."""

    type_name: ClassVar[str] = "installation.warned"
    schema: ClassVar[int] = 2
    installation_id: str
    app_id: int
    organization_id: int
    webhook_url: str
    level: int
    progress: float
    evidence: DisableEvidence


class InstallationWarningLifted(Event, frozen=True):
    """It is less than half of the way to being disabled again: the episode that it was warned of is over."""

    type_name: ClassVar[str] = "installation.warning_lifted"
    former_names: ClassVar[tuple[str, ...]] = ("installation.calmed",)
    installation_id: str


class InstallationEnabled(Event, frozen=True):
    """Deliveries flow again, and the broken-state buffer starts empty."""

    type_name: ClassVar[str] = "installation.enabled"
    installation_id: str
    by: str
    reason: str


class AuditRecorded(Event, frozen=True):
    """An entry of the audit log; `data` as docs/original.md, section 6 has it."""

    type_name: ClassVar[str] = "audit.recorded"
    event: str
    actor: str
    target: str
    data: dict[str, str]
