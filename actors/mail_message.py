"""What a mail says: the notices to an owner that an integration's webhook is near to being disabled, or was."""

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from actors.postbox import MailDeferred, MailRefused, checked_address

_SUBJECT_NAME_CHARACTERS: Final = 100
_PLAIN_SUBJECT_CHARACTERS: Final = 67  # with the header's name in one line of 76
_FIELD_CHARACTERS: Final = 500
# Control characters, line and paragraph separators, surrogates and non-characters, and the marks that turn
# the direction of what follows (Unicode TR 36, section 2.4: they make one address look like another).
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]",
)
_URL_SAFE: Final = ":/?#[]@!$&'()*+,;=%"  # RFC 3986, section 2.2: what has a meaning inside a URL stays

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

_templates: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


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
    """Return the mail to one owner, plain text and HTML (FLOW.md, section 6), ready for any postbox.

    `sender_address` is `a@b` or `Name <a@b>`, `message_id` has its angle brackets, `date` is aware.
    The same arguments give the same mail, but for the boundary between its parts.
    Raises MailRefused if the recipient is no address, MailDeferred if the sender is none.
    """
    subject = f"Action required: Fix your {_subject_name(notice)} integration"
    message = _headed(
        kind="disabled-notice",
        subject=subject,
        recipient=recipient,
        sender_address=sender_address,
        message_id=message_id,
        date=date,
    )
    settings_url, dashboard_url = _links(notice, "disabled-sentry-app")
    _add_parts(
        message,
        "disabled_notice",
        notice=_cleaned(notice),
        disabled_at=_time_text(notice.disabled_at),
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
    message = _headed(
        kind="warning-notice",
        subject=subject,
        recipient=recipient,
        sender_address=sender_address,
        message_id=message_id,
        date=date,
    )
    _, dashboard_url = _links(notice, "integration-warning")
    _add_parts(
        message,
        "warning_notice",
        notice=_cleaned(notice),
        warned_at=_time_text(notice.warned_at),
        dashboard_url=dashboard_url,
    )
    return message


def one_line(text: str, limit_characters: int = _FIELD_CHARACTERS) -> str:
    """Return the text without line breaks, control or direction characters; spaces collapsed, cut by `…`."""
    collapsed = " ".join(_UNPRINTABLE.sub(" ", text).split())
    if len(collapsed) <= limit_characters:
        return collapsed
    return collapsed[: limit_characters - 1].rstrip() + "…"


def _headed(
    *, kind: str, subject: str, recipient: str, sender_address: str, message_id: str, date: datetime
) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    message["Message-ID"] = message_id
    message["Date"] = date
    message["From"] = _sender(sender_address)
    message["To"] = checked_address(recipient)
    message.set_raw("Subject", _encoded_subject(one_line(subject)))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message["X-Hookfuse-Kind"] = kind
    return message


def _add_parts(message: EmailMessage, template_name: str, **values: object) -> None:
    values["columns"] = _day_columns(values["notice"])
    text = _templates.get_template(f"{template_name}.txt").render(values)
    html = _templates.get_template(f"{template_name}.html").render(values)
    # Plain text first: in multipart/alternative the last part is the preferred one (RFC 2046, section 5.1.4).
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")


def _day_columns(notice: Any) -> list[tuple[str, str]]:
    """Choose the classes that are shown a day: those that occurred, and always successes."""
    return [
        (name, title)
        for name, title in _CLASS_TITLES.items()
        if name == "success" or any(getattr(line, name) for line in notice.days)
    ]


def _time_text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _subject_name(notice: Notice) -> str:
    return one_line(notice.app_name, _SUBJECT_NAME_CHARACTERS)


def _encoded_subject(subject: str) -> str:
    """Return the subject as it goes over the wire: as it is, or as encoded words on lines of 76 characters.

    EmailMessage is not asked to encode it (hence `set_raw`): it decodes what looks like an encoded word
    even in a value that it is given, so that an app called "=?utf-8?q?=0ABcc:...?=" would write a header
    line of its own, and its folding loses and adds spaces (Python 3.11).
    """
    if subject.isascii() and "=?" not in subject and len(subject) <= _PLAIN_SUBJECT_CHARACTERS:
        return subject
    return Header(subject, "utf-8", header_name="Subject").encode()


def _sender(sender_address: str) -> Address:
    name, address = parseaddr(sender_address)
    try:
        return Address(one_line(name), addr_spec=checked_address(address))
    except MailRefused as error:
        raise MailDeferred(f"the sender is {error}") from error


def _links(notice: Notice, referrer: str) -> tuple[str, str]:
    """Return the URLs of the app's settings and dashboard pages, as FLOW.md, section 6, has them."""
    base_url = quote(one_line(notice.organization_url).rstrip("/"), safe=_URL_SAFE)
    if not base_url.startswith(("https://", "http://")):
        base_url = f"https://{base_url}"  # or "javascript:..." would become a link that runs
    organization, app = (_segment(slug) for slug in (notice.organization_slug, notice.app_slug))
    page_url = f"{base_url}/settings/{organization}/developer-settings/{app}/"
    query = f"?referrer={referrer}"
    return f"{page_url}{query}", f"{page_url}dashboard/{query}"


def _segment(slug: str) -> str:
    return quote(slug[:_FIELD_CHARACTERS], safe="", errors="replace")


def _cleaned(value: Any) -> Any:
    """Return the value with each text in it, at any depth, made one harmless line."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _cleaned(getattr(value, each.name)) for each in fields(value)})
    return value
