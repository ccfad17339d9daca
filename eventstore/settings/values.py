"""What a setting may be: hosts, addresses, networks, mail addresses, proxies, checked when they are read."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from eventstore.common.mail_address import ascii_address
from eventstore.errors import MailAddressInvalidError
from eventstore.policies.policy import POLICIES

__all__ = [
    "Address",
    "Check",
    "Host",
    "HostName",
    "Network",
    "PolicyName",
    "ProxyUrl",
    "ReceiverAddress",
    "Seconds",
    "Secret",
    "SenderAddress",
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A domain name, or an address literal such as [192.0.2.1] (RFC 5321 section 4.1.3).
_HELO = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}|\[[0-9A-Za-z:.]{3,60}\]")


# What is shown in full (doctor, the greeting): credentials that stand before a host by mistake must not be.
_NOT_IN_A_HOST = re.compile(r"[\s\x00-\x1f\x7f@/\\?#]")


class Secret:
    """A text that is shown nowhere: no repr, log or error has it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')" if self._text else "Secret('')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Check:
    """What a value of a type has to pass beside; `passed` returns it, or raises ValueError that says what it is."""

    passed: Callable[[Any], Any]


def _known_policy(name: str) -> str:
    if name not in POLICIES:
        raise ValueError(f"there is no such policy; there are: {', '.join(sorted(POLICIES))}")
    return name


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (host and _is_host(host) and port.isdecimal() and int(port) <= 65_535):
        raise ValueError("it is HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464")
    return text


def _receiver_address(text: str) -> str:
    if text.endswith(":0"):
        raise ValueError("port 0 is nobody's")
    return text


def _host(text: str) -> str:
    if text and not _is_host(text):
        raise ValueError("it is a host name or an address alone, without a user name, port or path")
    return text


def _is_host(text: str) -> bool:
    return _NOT_IN_A_HOST.search(text) is None


def _proxy_url(url: Secret) -> Secret:
    try:
        parts = urlsplit(url.get_secret_value())
        is_proxy = parts.scheme == "http" and bool(parts.hostname) and bool(parts.port)
        is_proxy = is_proxy and _is_host(str(parts.hostname))
        is_alone = parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        is_proxy = is_alone = False
    if url.get_secret_value() and not (is_proxy and is_alone and url.get_secret_value().isascii()):
        raise ValueError("it is http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with % codes for other characters")
    return url


def _host_name(text: str) -> str:
    if text and (len(text) > 253 or _HELO.fullmatch(text) is None):
        raise ValueError("it is a host name such as mail.acme.example, or an address such as [192.0.2.1]")
    return text


def _sender_address(text: str) -> str:
    from email.utils import parseaddr  # noqa: PLC0415 - each command that reads the settings would load sockets for it

    try:
        ascii_address(parseaddr(text)[1])
    except MailAddressInvalidError as error:
        raise ValueError(str(error)) from error
    if _CONTROL.search(text):
        raise ValueError("it has control characters")
    return text


Host = Annotated[str, Check(_host)]
HostName = Annotated[str, Check(_host_name)]
SenderAddress = Annotated[str, Check(_sender_address)]
Address = Annotated[str, Check(_address)]
PolicyName = Annotated[str, Check(_known_policy)]
ReceiverAddress = Annotated[Address, Check(_receiver_address)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
ProxyUrl = Annotated[Secret, Check(_proxy_url)]
Network = Annotated[str, Check(_network)]
