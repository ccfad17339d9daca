"""What a mail says: the notices to an owner that an integration's webhook is near to being disabled, or was."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Final, Literal

from actors.mail.mail_frame import add_parts, cleaned, headed_message, one_line, page_links, time_text

_SUBJECT_NAME_CHARACTERS: Final = 100

# How a day's classes are headed: a time-out is any attempt without an answer, connection errors included.
_CLASS_TITLES: Final = {
    "success": "Success",
    "redirect": "3xx",
    "client_error": "4xx",
    "rate_limited": "429",
    "server_error": "5xx",
    "protocol": "Garbled",
    "timeout": "Timeout",
    "fatal": "Fatal",
}


@dataclass(frozen=True, slots=True)
class DayLine:
    """The outcomes of one UTC day (`YYYY-MM-DD`) by class, as counted when the decision was taken."""

    day: str
    success: int = 0
    redirect: int = 0
    client_error: int = 0
    rate_limited: int = 0
    server_error: int = 0
    protocol: int = 0
    timeout: int = 0
    fatal: int = 0


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
    `prevention` the sentence that says what would have prevented it (or empty), `reason` a person's words or
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
    days: tuple[DayLine, ...]
    first_failure: FailureLine | None
    last_failure: FailureLine | None
    reason: str
    prevention: str = ""


@dataclass(frozen=True, slots=True)
class WarningNotice:
    """What an owner is told on the way to a disabling. Names, URLs and excerpts may be hostile.

    `level` is the percent of the way that was reached, `policy`, `rule` and `prevention` as in DisabledNotice,
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
    prevention: str
    days: tuple[DayLine, ...]
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
    The same arguments give the same mail, but for the boundary between its parts.
    Raises MailRefused if the recipient is no address, MailDeferred if the sender is none.
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
    subject = f"{_subject_name(notice)} integration: at {notice.level}% of being disabled"
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
        (name, title)
        for name, title in _CLASS_TITLES.items()
        if name == "success" or any(getattr(line, name) for line in notice.days)
    ]


def _subject_name(notice: Notice) -> str:
    return one_line(notice.app_name, _SUBJECT_NAME_CHARACTERS)
