"""What a mail says: the notice to an owner that an integration's webhook was disabled."""

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
    """The outcomes of one UTC day (`YYYY-MM-DD`), as counted when the decision was taken."""

    day: str
    success: int
    error: int
    timeout: int


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
    `reason` a person's words or empty, `disabled_at` an aware datetime.
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
    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    message["Message-ID"] = message_id
    message["Date"] = date
    message["From"] = _sender(sender_address)
    message["To"] = checked_address(recipient)
    message.set_raw("Subject", _subject(notice.app_name))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message["X-Hookfuse-Kind"] = "disabled-notice"
    # Plain text first: in multipart/alternative the last part is the preferred one (RFC 2046, section 5.1.4).
    message.set_content(_rendered("disabled_notice.txt", notice), cte="quoted-printable")
    message.add_alternative(_rendered("disabled_notice.html", notice), subtype="html", cte="quoted-printable")
    return message


def one_line(text: str, limit_characters: int = _FIELD_CHARACTERS) -> str:
    """Return the text without line breaks, control or direction characters; spaces collapsed, cut by `…`."""
    collapsed = " ".join(_UNPRINTABLE.sub(" ", text).split())
    if len(collapsed) <= limit_characters:
        return collapsed
    return collapsed[: limit_characters - 1].rstrip() + "…"


def _subject(app_name: str) -> str:
    """Return the subject as it goes over the wire: as it is, or as encoded words on lines of 76 characters.

    EmailMessage is not asked to encode it (hence `set_raw`): it decodes what looks like an encoded word
    even in a value that it is given, so that an app called "=?utf-8?q?=0ABcc:...?=" would write a header
    line of its own, and its folding loses and adds spaces (Python 3.11).
    """
    subject = one_line(f"Action required: Fix your {one_line(app_name, _SUBJECT_NAME_CHARACTERS)} integration")
    if subject.isascii() and "=?" not in subject and len(subject) <= _PLAIN_SUBJECT_CHARACTERS:
        return subject
    return Header(subject, "utf-8", header_name="Subject").encode()


def _sender(sender_address: str) -> Address:
    name, address = parseaddr(sender_address)
    try:
        return Address(one_line(name), addr_spec=checked_address(address))
    except MailRefused as error:
        raise MailDeferred(f"the sender is {error}") from error


def _rendered(template_name: str, notice: DisabledNotice) -> str:
    settings_url, dashboard_url = _links(notice)
    return _templates.get_template(template_name).render(
        notice=_cleaned(notice),
        disabled_at=f"{notice.disabled_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        settings_url=settings_url,
        dashboard_url=dashboard_url,
    )


def _links(notice: DisabledNotice) -> tuple[str, str]:
    """Return the URLs of the app's settings and dashboard pages, as FLOW.md, section 6, has them."""
    base_url = quote(one_line(notice.organization_url).rstrip("/"), safe=_URL_SAFE)
    if not base_url.startswith(("https://", "http://")):
        base_url = f"https://{base_url}"  # or "javascript:..." would become a link that runs
    organization, app = (_segment(slug) for slug in (notice.organization_slug, notice.app_slug))
    page_url = f"{base_url}/settings/{organization}/developer-settings/{app}/"
    query = "?referrer=disabled-sentry-app"
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
