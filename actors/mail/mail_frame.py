"""The frame of every mail: headers, both parts from a template, links, and texts made harmless."""

import re
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec import Struct, structs

from actors.mail.mail_transport import MailDeferred, MailRefused, checked_address

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["add_parts", "cleaned", "headed_message", "one_line", "page_links", "time_text"]

_PLAIN_SUBJECT_CHARACTERS: Final = 67  # with the header's name in one line of 76
_FIELD_CHARACTERS: Final = 500
# Control characters, line and paragraph separators, surrogates and non-characters, and the marks that turn
# the direction of what follows (Unicode TR 36, section 2.4: they make one address look like another).
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]",
)
_URL_SAFE: Final = ":/?#[]@!$&'()*+,;=%"  # RFC 3986, section 2.2: what has a meaning inside a URL stays


@cache
def _templates() -> "Environment":
    from jinja2 import (  # noqa: PLC0415 - 3 MB that a worker does without until the first mail
        Environment,
        FileSystemLoader,
        StrictUndefined,
        select_autoescape,
    )

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def one_line(text: str, limit_characters: int = _FIELD_CHARACTERS) -> str:
    """Return the text without line breaks, control or direction characters; spaces collapsed, cut by `…`."""
    collapsed = " ".join(_UNPRINTABLE.sub(" ", text).split())
    if len(collapsed) <= limit_characters:
        return collapsed
    return collapsed[: limit_characters - 1].rstrip() + "…"


def headed_message(
    *, kind: str, subject: str, recipient: str, sender_address: str, message_id: str, date: datetime
) -> EmailMessage:
    """Return a mail without a body, ready for any postbox.

    Raises MailRefused if the recipient is not an address, MailDeferred if the sender is none.
    """
    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    message["Message-ID"] = message_id
    message["Date"] = date
    message["From"] = _sender(sender_address)
    message["To"] = checked_address(recipient)
    message.set_raw("Subject", _encoded_subject(one_line(subject)))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message["X-Hookfuse-Kind"] = kind
    return message


def add_parts(message: EmailMessage, template_name: str, **values: object) -> None:
    """Render both templates of that name, as plain text and as HTML, into the message."""
    text = _templates().get_template(f"{template_name}.txt").render(values)
    html = _templates().get_template(f"{template_name}.html").render(values)
    # Plain text first: in multipart/alternative the last part is the preferred one (RFC 2046, section 5.1.4).
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")


def time_text(moment: datetime) -> str:
    """Return a moment as people read it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


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


def page_links(organization_url: str, organization_slug: str, app_slug: str, *, referrer: str) -> tuple[str, str]:
    """Return the URLs of the app's settings and dashboard pages, as docs/original.md, section 6, has them."""
    base_url = quote(one_line(organization_url).rstrip("/"), safe=_URL_SAFE)
    if not base_url.startswith(("https://", "http://")):
        base_url = f"https://{base_url}"  # or "javascript:..." would become a link that runs
    organization, app = (_segment(slug) for slug in (organization_slug, app_slug))
    page_url = f"{base_url}/settings/{organization}/developer-settings/{app}/"
    query = f"?referrer={referrer}"
    return f"{page_url}{query}", f"{page_url}dashboard/{query}"


def _segment(slug: str) -> str:
    return quote(slug[:_FIELD_CHARACTERS], safe="", errors="replace")


def cleaned(value: Any) -> Any:
    """Return the value with each text in it, at any depth, made one harmless line."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, tuple):
        return tuple(cleaned(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: cleaned(getattr(value, each.name)) for each in fields(value)})
    if isinstance(value, Struct):
        return structs.replace(value, **{name: cleaned(getattr(value, name)) for name in value.__struct_fields__})
    return value
