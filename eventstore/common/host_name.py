"""The host of a URL in its ASCII form: names by IDNA as browsers have it, IPv4 addresses in one spelling. Pure."""

import re
from ipaddress import IPv4Address
from typing import Final

from eventstore.errors import UrlInvalidError

__all__ = ["HOST_CHARACTERS", "LABEL_CHARACTERS", "ascii_host"]

HOST_CHARACTERS: Final = 253  # RFC 1035 section 2.3.4, as text
LABEL_CHARACTERS: Final = 63  # the same

_SHOWN_CHARACTERS: Final = 80

_ACE: Final = "xn--"
# Letters, digits and hyphens (RFC 1123 section 2.1), and the underscore that names of containers have.
_NOT_IN_A_LABEL: Final = re.compile(r"[^a-z0-9_-]")
# WHATWG URL, "ends in a number": what ends so is an IPv4 address or nothing.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PARTS_MAX: Final = 4


def ascii_host(host: str) -> str:
    """Return a host name in lower-case ASCII, or an IPv4 address; raise UrlInvalidError, which says what is wrong."""
    if not host:
        raise UrlInvalidError("the URL has no host")
    if "%" in host:
        raise UrlInvalidError(f"the URL's host has a percent sign, write the character itself: {_shown(host)}")
    name = _to_ascii(host)
    labels = name.removesuffix(".").split(".")
    if "" in labels:
        raise UrlInvalidError(f"the URL's host name has an empty label: {_shown(host)}")
    if (found := _NOT_IN_A_LABEL.search("".join(labels))) is not None:
        raise UrlInvalidError(
            f"the URL's host name has a character that no host name has ({found.group()!r}): {_shown(host)}"
        )
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(name, host)
    if (longest := max(map(len, labels))) > LABEL_CHARACTERS:
        raise UrlInvalidError(
            f"the URL's host name has a label of {longest} characters (at most {LABEL_CHARACTERS}): {_shown(host)}"
        )
    if len(name.removesuffix(".")) > HOST_CHARACTERS:
        raise UrlInvalidError(f"the URL's host name is longer than {HOST_CHARACTERS} characters: {_shown(host)}")
    return name


def _ipv4(name: str, host: str) -> str:
    """Return an address that is spelled in the usual way, and refuse the others that browsers would read."""
    try:
        return str(IPv4Address(name))
    except ValueError:
        pass
    try:
        meant = _meant_ipv4(name.removesuffix(".").split("."))
    except ValueError:
        raise UrlInvalidError(
            f"the URL's host ends in a number and is neither an IPv4 address nor a host name: {_shown(host)}"
        ) from None
    raise UrlInvalidError(f"the URL's host name is another spelling of {meant}: write that: {_shown(host)}")


def _meant_ipv4(parts: list[str]) -> IPv4Address:
    """Return what browsers make of `127.1`, `0x7f.1` or `017700000001`: WHATWG URL, the IPv4 parser."""
    *firsts, last = [_number(part) for part in parts]
    if len(firsts) >= _PARTS_MAX or any(first > 255 for first in firsts) or last >= 256 ** (_PARTS_MAX - len(firsts)):
        raise ValueError("out of range")
    value = last
    for index, first in enumerate(firsts):
        value += first << 8 * (3 - index)
    return IPv4Address(value)


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _to_ascii(host: str) -> str:
    lower = host.lower()
    if lower.isascii() and _ACE not in lower:
        return lower
    # Its tables take 10 ms to import: only who has such a name pays.
    import idna  # noqa: PLC0415

    try:
        # UTS #46 without its transitional mapping: `straße` stays what it is, and is not `strasse`.
        return ".".join(_to_label(label) for label in idna.uts46_remap(host, std3_rules=False).split("."))
    except ValueError as error:  # IDNAError is one, and so are those of punycode
        raise UrlInvalidError(f"the URL's host name is not allowed by IDNA ({error}): {_shown(host)}") from None


def _to_label(label: str) -> str:
    """Return a label's ASCII form by the validity criteria of UTS #46 section 4.1, as WHATWG URL sets its flags."""
    import idna  # noqa: PLC0415 - as above

    if label.isascii() and not label.startswith(_ACE):
        return label
    text = label
    if label.startswith(_ACE):
        text = label[len(_ACE) :].encode("ascii").decode("punycode")
        if text.isascii() or idna.uts46_remap(text, std3_rules=False) != text:
            raise ValueError(f"{label} is not what any name is written as")
    idna.check_nfc(text)
    idna.check_initial_combiner(text)
    idna.check_bidi(text)
    if any(joiner in text and not idna.valid_contextj(text, text.index(joiner)) for joiner in "\u200c\u200d"):
        raise ValueError("a joiner stands where none may")
    made = _ACE + text.encode("punycode").decode("ascii")
    if label.startswith(_ACE) and made != label:
        raise ValueError(f"{label} is another spelling of {made}")
    return made


def _shown(host: str) -> str:
    return host if len(host) <= _SHOWN_CHARACTERS else f"{host[:_SHOWN_CHARACTERS]}..."
