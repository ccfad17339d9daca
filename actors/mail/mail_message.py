"""What a mail says: the notices to an owner that an integration's webhook is close to being disabled, or was."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Final, Literal

from actors.mail.mail_frame import add_parts, cleaned, headed_message, one_line, page_links, time_text
from eventstore.events.catalogue import DayRecord
from eventstore.policies.day_counts import CLASS_TITLES, EVALUATED_CLASSES

_SUBJECT_NAME_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class FailureLine:
    """One failed attempt: when (for people), the HTTP status (0: no answer), its class, what came back."""

    at: str
    code: int
    error_class: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class DisabledNotice:
    """What an owner is told about a disabling. Names, URLs, excerpts and reasons may be hostile.

    `rule` is the sentence that says what spoke, `policy` its name and version ("balanced v1", or empty),
    `remediation` the sentence that says what would have prevented it (or empty), `reason` a person's words or
    empty, `disabled_at` an aware datetime.
    """

    app_name: str
    app_slug: str
    organization_name: str
    organization_slug: str
    organization_url: str
    webhook_url: str
    installation_id: str
    disabled_at: datetime
    cause: Literal["policy", "receiver", "person"]
    policy: str
    rule: str
    days: tuple[DayRecord, ...]
    first_failure: FailureLine | None
    last_failure: FailureLine | None
    reason: str
    remediation: str = ""


@dataclass(frozen=True, slots=True)
class WarningNotice:
    """What an owner is told on the way to a disabling. Names, URLs and excerpts may be hostile.

    `level` is the percent of the way that was reached, `policy`, `rule` and `remediation` as in DisabledNotice,
    `warned_at` an aware datetime.
    """

    app_name: str
    app_slug: str
    organization_name: str
    organization_slug: str
    organization_url: str
    webhook_url: str
    installation_id: str
    warned_at: datetime
    level: int
    policy: str
    rule: str
    remediation: str
    days: tuple[DayRecord, ...]
    first_failure: FailureLine | None
    last_failure: FailureLine | None


Notice = DisabledNotice | WarningNotice


def render_disabled_notice(
    notice: DisabledNotice,
    *,
    recipient: str,
    sender_address: str,
    message_id: str,
    date: datetime,
) -> EmailMessage:
    """Return the mail to one owner, plain text and HTML (docs/original.md, section 6), ready for any postbox.

    `sender_address` is `a@b` or `Name <a@b>`, `message_id` has its angle brackets, `date` is aware.
    The same arguments give the same mail, except for the boundary between its parts.
    Raises MailRefused if the recipient is not an address, MailDeferred if the sender is none.
    """
    subject = f"Action required: Fix your {_subject_name(notice)} integration"
    message = headed_message(
        kind="disabled-notice",
        subject=subject,
        recipient=recipient,
        sender_address=sender_address,
        message_id=message_id,
        date=date,
    )
    settings_url, dashboard_url = _links_of(notice, "disabled-sentry-app")
    _add_parts(
        message,
        "disabled_notice",
        notice,
        disabled_at=time_text(notice.disabled_at),
        settings_url=settings_url,
        dashboard_url=dashboard_url,
    )
    return message


def render_warning_notice(
    notice: WarningNotice,
    *,
    recipient: str,
    sender_address: str,
    message_id: str,
    date: datetime,
) -> EmailMessage:
    """Return the mail that warns one owner; all is as in `render_disabled_notice`."""
    subject = f"{_subject_name(notice)} integration: {notice.level}% of the way to being disabled"
    message = headed_message(
        kind="warning-notice",
        subject=subject,
        recipient=recipient,
        sender_address=sender_address,
        message_id=message_id,
        date=date,
    )
    _, dashboard_url = _links_of(notice, "integration-warning")
    _add_parts(
        message,
        "warning_notice",
        notice,
        warned_at=time_text(notice.warned_at),
        dashboard_url=dashboard_url,
    )
    return message


def _add_parts(message: EmailMessage, template_name: str, notice: Notice, **values: object) -> None:
    add_parts(message, template_name, notice=cleaned(notice), columns=_day_columns(notice), **values)


def _links_of(notice: Notice, referrer: str) -> tuple[str, str]:
    return page_links(notice.organization_url, notice.organization_slug, notice.app_slug, referrer=referrer)


def _day_columns(notice: Notice) -> list[tuple[str, str]]:
    """Choose the classes that are shown a day: those that occurred, and always successes."""
    return [
        (name, CLASS_TITLES[name])
        for name in EVALUATED_CLASSES
        if name == "success" or any(getattr(day, name) for day in notice.days)
    ]


def _subject_name(notice: Notice) -> str:
    return one_line(notice.app_name, _SUBJECT_NAME_CHARACTERS)
