"""Mail addresses: what a mail can be sent to, and in which form. Pure."""

import re
from typing import Final

from eventstore.common.host_name import ascii_host
from eventstore.errors import MailAddressInvalidError, UrlInvalidError

__all__ = ["ascii_address"]

# RFC 5321, section 4.5.3.1: the octets that every server must take.
_LOCAL_PART_OCTETS: Final = 64
_ADDRESS_OCTETS: Final = 254
# RFC 5322, section 3.2.3: dot-atom. Quoted local parts are not taken, as many servers do not. Nothing in it can end an
# SMTP command or a header line.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
# Host labels (RFC 1123, section 2.1).
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_SHOWN_CHARACTERS: Final = 80


def ascii_address(text: str) -> str:
    """Return the bare address `local@domain`, its domain in ASCII (IDNA).

    Raises MailAddressInvalidError, which says in one line of ASCII what is wrong.
    """
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise _invalid(text, "it is not of the form name@domain")
    if "@" in local:
        raise _invalid(text, "it has more than one @")
    if not local.isascii():
        raise _invalid(text, "the name before the @ has characters beyond ASCII, to which no mail is sent")
    if _LOCAL_PART.fullmatch(local) is None:
        raise _invalid(text, "the name before the @ has a character, or a dot in a place, that it cannot have")
    if len(local) > _LOCAL_PART_OCTETS:
        raise _invalid(text, f"the name before the @ is longer than {_LOCAL_PART_OCTETS} characters")
    address = f"{local}@{_ascii_domain(text, domain)}"
    if len(address) > _ADDRESS_OCTETS:
        raise _invalid(text, f"it is longer than {_ADDRESS_OCTETS} characters")
    return address


def _ascii_domain(text: str, domain: str) -> str:
    if domain.isascii() and _DOMAIN.fullmatch(domain) and "xn--" not in domain.lower():
        return domain  # in the spelling that its owner gave it
    try:
        name = ascii_host(domain)
    except UrlInvalidError:
        name = ""
    if _DOMAIN.fullmatch(name) is None:
        raise _invalid(text, "what follows the @ is not a domain name")
    return name


def _invalid(text: str, why: str) -> MailAddressInvalidError:
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return MailAddressInvalidError(f"{shown!a} is not a mail address: {why}")
