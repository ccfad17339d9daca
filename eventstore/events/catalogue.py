"""The facts: what can be recorded, in the past tense.

A class here is frozen once released: a new field has a default, and anything else gets a
new schema number and an upcaster in codec.py.
"""

from typing import ClassVar

from msgspec import Struct

__all__ = [
    "ATTEMPT_TYPES",
    "EVENT_CLASSES",
    "AppChanged",
    "AppRegistered",
    "AttemptEvent",
    "AuditRecorded",
    "BreakerClosed",
    "BreakerOpened",
    "CountsImported",
    "DayRecord",
    "DeliveryBlocked",
    "DeliveryDropped",
    "DeliveryExhausted",
    "DeliveryExpired",
    "DeliveryFailed",
    "DeliveryMissed",
    "DeliveryRequeued",
    "DeliverySucceeded",
    "DeliveryTimedOut",
    "DisableEvidence",
    "DisablingFrozen",
    "DisablingThawed",
    "EndpointChanged",
    "Event",
    "FailureRecord",
    "InstallationCalmed",
    "InstallationCreated",
    "InstallationDisabled",
    "InstallationEnabled",
    "InstallationRemoved",
    "InstallationWarned",
    "MailFailed",
    "MailRequested",
    "MailSent",
    "MailsGathered",
    "OrganizationChanged",
    "OrganizationRegistered",
    "ProbeFailed",
    "ProbeSucceeded",
    "RecoveryCompleted",
    "RecoveryStarted",
]


class Event(Struct, frozen=True, omit_defaults=True):
    """What every event is: a frozen value with a type name and a schema number."""

    type_name: ClassVar[str] = ""
    schema: ClassVar[int] = 1


class OrganizationRegistered(Event, frozen=True, omit_defaults=True):
    """An organization became known; `owners` are the mail addresses told of a disabling."""

    type_name: ClassVar[str] = "organization.registered"
    organization_id: int
    slug: str
    name: str
    url: str
    owners: tuple[str, ...]


class OrganizationChanged(OrganizationRegistered, frozen=True, omit_defaults=True):
    """An organization's whole new state; `changed` names the fields that are new."""

    type_name: ClassVar[str] = "organization.changed"
    changed: tuple[str, ...] = ()


class AppRegistered(Event, frozen=True, omit_defaults=True):
    """An app became known.

    Secret and custom header values are not here: they stand in the `secrets` table, and
    `secret_version` and `headers_version` count their changes. Time-outs are seconds, None = the default. The client
    certificate is the path of a file, and so is its key, None = it is in the same file.
    """

    type_name: ClassVar[str] = "app.registered"
    app_id: int
    slug: str
    name: str
    uuid: str
    status: str
    organization_id: int
    webhook_url: str
    events: tuple[str, ...] = ()
    header_names: tuple[str, ...] = ()
    secret_version: int = 1
    headers_version: int = 1
    connect_s: float | None = None
    read_s: float | None = None
    total_s: float | None = None
    client_certificate: str | None = None
    client_key: str | None = None


class AppChanged(AppRegistered, frozen=True, omit_defaults=True):
    """An app's whole new state; `changed` names the fields that are new."""

    type_name: ClassVar[str] = "app.changed"
    changed: tuple[str, ...] = ()


class InstallationCreated(Event, frozen=True, omit_defaults=True):
    """An organization installed an app."""

    type_name: ClassVar[str] = "installation.created"
    installation_id: str
    app_id: int
    organization_id: int


class InstallationRemoved(Event, frozen=True, omit_defaults=True):
    """An installation is no longer wanted; nothing more is sent to it."""

    type_name: ClassVar[str] = "installation.removed"
    installation_id: str
    reason: str = ""


class AttemptEvent(Event, frozen=True, omit_defaults=True):
    """What all outcomes of one attempt share.

    `attempt` counts from 1; `status_code` is 0 where there was no answer; `duration_ms` is wall-clock
    time; `fault` is what was wrong with the answer (eventstore.policies.day_counts says how each is
    counted), empty = nothing, or an event of before it was kept; `retry_at` is when the next attempt is due, None =
    there is none; `hold_until`: the endpoint asked for a pause (429, 503), and the whole installation gets it. Excerpts
    are of failed attempts only, 1024 characters each at most (docs/original.md, section 5), with secret header values
    hidden.
    """

    delivery_id: str
    event_name: str
    app_id: int
    organization_id: int
    attempt: int
    webhook_url: str
    status_code: int = 0
    duration_ms: float = 0.0
    request_id: str = ""
    error_class: str = ""
    fault: str = ""
    detail: str = ""
    retry_at: str | None = None
    hold_until: str | None = None
    request_headers: str = ""
    request_body: str = ""
    response_body: str = ""
    error_id: str | None = None
    project_id: str | None = None


class DeliverySucceeded(AttemptEvent, frozen=True, omit_defaults=True):
    """The endpoint answered below 300: the delivery is over."""

    type_name: ClassVar[str] = "delivery.succeeded"


class DeliveryFailed(AttemptEvent, frozen=True, omit_defaults=True):
    """The endpoint answered, and not with success."""

    type_name: ClassVar[str] = "delivery.failed"


class DeliveryTimedOut(AttemptEvent, frozen=True, omit_defaults=True):
    """There was no answer: a time-out or a connection error."""

    type_name: ClassVar[str] = "delivery.timed_out"


class DeliveryBlocked(AttemptEvent, frozen=True, omit_defaults=True):
    """The address guard refused the endpoint; nothing was sent."""

    type_name: ClassVar[str] = "delivery.blocked"


class ProbeSucceeded(AttemptEvent, frozen=True, omit_defaults=True):
    """A test delivery was answered below 300; it counts for nothing else."""

    type_name: ClassVar[str] = "probe.succeeded"


class ProbeFailed(AttemptEvent, frozen=True, omit_defaults=True):
    """A test delivery was not answered with success; it counts for nothing else, and is not tried again."""

    type_name: ClassVar[str] = "probe.failed"


class DeliveryMissed(Event, frozen=True, omit_defaults=True):
    """A delivery met an installation that is disabled or removed, and is kept."""

    type_name: ClassVar[str] = "delivery.missed"
    delivery_id: str
    event_name: str
    enqueued_at: str
    attempts: int = 0


class DeliveryExhausted(Event, frozen=True, omit_defaults=True):
    """All attempts are used up: the delivery is dead, is kept, and can be sent again."""

    type_name: ClassVar[str] = "delivery.exhausted"
    delivery_id: str
    event_name: str
    attempts: int
    error_class: str
    status_code: int = 0


class DeliveryRequeued(Event, frozen=True, omit_defaults=True):
    """A person sent a dead or missed delivery again, under the same delivery id."""

    type_name: ClassVar[str] = "delivery.requeued"
    delivery_id: str
    event_name: str
    was: str
    by: str
    reason: str = ""


class DeliveryDropped(Event, frozen=True, omit_defaults=True):
    """A person gave a dead or missed delivery up."""

    type_name: ClassVar[str] = "delivery.dropped"
    delivery_id: str
    event_name: str
    was: str
    by: str
    reason: str


class DeliveryExpired(Event, frozen=True, omit_defaults=True):
    """A kept delivery's payload was dropped, as it was kept for long enough: it cannot be sent any more."""

    type_name: ClassVar[str] = "delivery.expired"
    delivery_id: str
    event_name: str
    was: str
    enqueued_at: str


class RecoveryStarted(Event, frozen=True, omit_defaults=True):
    """What was missed is sent now, in order and paced; both ends of the gap are moments of queueing."""

    type_name: ClassVar[str] = "recovery.started"
    installation_id: str
    by: str
    deliveries: int
    first_enqueued_at: str
    last_enqueued_at: str
    without_payload: int = 0


class RecoveryCompleted(Event, frozen=True, omit_defaults=True):
    """Nothing of what was missed waits any more: the gap is closed."""

    type_name: ClassVar[str] = "recovery.completed"
    installation_id: str


class CountsImported(Event, frozen=True, omit_defaults=True):
    """Another system counted outcomes of a UTC day; these come on top of what was imported for that day before."""

    type_name: ClassVar[str] = "counts.imported"
    installation_id: str
    day: str
    source: str
    by: str
    success: int = 0
    client_error: int = 0
    timeout: int = 0
    fatal: int = 0


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
    """On what a decision rests; `up_to_position` is the last event that was taken into account."""

    policy: str
    policy_version: int
    rule: str
    explanation: str
    days: tuple[DayRecord, ...]
    up_to_position: int
    first_failure: FailureRecord | None = None
    last_failure: FailureRecord | None = None


class InstallationDisabled(Event, frozen=True, omit_defaults=True):
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


class InstallationWarned(Event, frozen=True, omit_defaults=True):
    """The owners are told that it is `level` percent (50 or 90) of the way to being disabled; once an episode."""

    type_name: ClassVar[str] = "installation.warned"
    installation_id: str
    app_id: int
    organization_id: int
    webhook_url: str
    level: int
    nearness: float
    evidence: DisableEvidence


class InstallationCalmed(Event, frozen=True, omit_defaults=True):
    """It is less than half of the way to being disabled again: the episode that it was warned of is over."""

    type_name: ClassVar[str] = "installation.calmed"
    installation_id: str


class BreakerOpened(Event, frozen=True, omit_defaults=True):
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


class BreakerClosed(Event, frozen=True, omit_defaults=True):
    """All flow again, under stricter limits until `strict_until`.

    The delivery that was let through has succeeded or, where `by` names somebody, a person has closed it, or a test
    delivery of theirs has succeeded.
    """

    type_name: ClassVar[str] = "breaker.closed"
    installation_id: str
    strict_until: str
    by: str = ""
    reason: str = ""


class EndpointChanged(Event, frozen=True, omit_defaults=True):
    """What is sent, or where to, is another: the breaker is closed, and what led it there is forgotten.

    `changed` names what is new: "webhook_url", "secret", "headers". The pause that the endpoint asked for is lifted
    with a new `webhook_url` only, as it was the word of whoever is behind the old one.
    """

    type_name: ClassVar[str] = "endpoint.changed"
    installation_id: str
    webhook_url: str
    changed: tuple[str, ...]


class DisablingFrozen(Event, frozen=True, omit_defaults=True):
    """So many installations have begun to fail at once that nothing is disabled, or held against one, for now."""

    type_name: ClassVar[str] = "disabling.frozen"
    active: int
    failing: int
    newly_failing: int
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class DisablingThawed(Event, frozen=True, omit_defaults=True):
    """No more than the usual share fails: what fails counts again."""

    type_name: ClassVar[str] = "disabling.thawed"
    active: int
    failing: int


class InstallationEnabled(Event, frozen=True, omit_defaults=True):
    """Deliveries flow again, and the broken-state buffer starts empty."""

    type_name: ClassVar[str] = "installation.enabled"
    installation_id: str
    by: str
    reason: str


class AuditRecorded(Event, frozen=True, omit_defaults=True):
    """An entry of the audit log; `data` as docs/original.md, section 6 has it."""

    type_name: ClassVar[str] = "audit.recorded"
    event: str
    actor: str
    target: str
    data: dict[str, str]


class MailRequested(Event, frozen=True, omit_defaults=True):
    """A mail is owed. It tells of the event at `about_position`, and keeps its Message-ID on every attempt."""

    type_name: ClassVar[str] = "mail.requested"
    mail_id: str
    message_id: str
    recipient: str
    kind: str
    about_position: int


class MailSent(Event, frozen=True, omit_defaults=True):
    """The mail server, or the Maildir, has taken the mail."""

    type_name: ClassVar[str] = "mail.sent"
    mail_id: str
    attempt: int


class MailFailed(Event, frozen=True, omit_defaults=True):
    """An attempt to hand a mail over failed; `retry_at` None = it is given up."""

    type_name: ClassVar[str] = "mail.failed"
    mail_id: str
    attempt: int
    error: str
    retry_at: str | None = None


class MailsGathered(Event, frozen=True, omit_defaults=True):
    """Mails that one recipient is owed go as one, the digest `mail_id`: its fate is theirs."""

    type_name: ClassVar[str] = "mails.gathered"
    mail_id: str
    message_id: str
    recipient: str
    gathered: tuple[str, ...]


EVENT_CLASSES: dict[str, type[Event]] = {
    event_class.type_name: event_class
    for event_class in (
        OrganizationRegistered,
        OrganizationChanged,
        AppRegistered,
        AppChanged,
        InstallationCreated,
        InstallationRemoved,
        DeliverySucceeded,
        DeliveryFailed,
        DeliveryTimedOut,
        DeliveryBlocked,
        ProbeSucceeded,
        ProbeFailed,
        DeliveryMissed,
        DeliveryExhausted,
        DeliveryRequeued,
        DeliveryDropped,
        DeliveryExpired,
        RecoveryStarted,
        RecoveryCompleted,
        CountsImported,
        InstallationDisabled,
        InstallationWarned,
        InstallationCalmed,
        BreakerOpened,
        BreakerClosed,
        EndpointChanged,
        DisablingFrozen,
        DisablingThawed,
        InstallationEnabled,
        AuditRecorded,
        MailRequested,
        MailSent,
        MailFailed,
        MailsGathered,
    )
}

# The types of events that say what became of an attempt.
ATTEMPT_TYPES = frozenset(one.type_name for one in AttemptEvent.__subclasses__())
