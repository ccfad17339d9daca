"""Which addresses a request may go to: the guard against server-side request forgery."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from eventstore.common.address_rules import Address, AddressRules
from webhook.errors import AddressBlocked, UrlRefusedError
from webhook.target import Target, parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Address", "AddressGuard"]


class AddressGuard:
    """Decides over targets and addresses, by the rules of AddressRules."""

    def __init__(
        self,
        allow_networks: Iterable[str] = (),
        deny_networks: Iterable[str] = (),
        *,
        allow_http: bool = False,
    ) -> None:
        self._rules = AddressRules(allow_networks, deny_networks)
        self._allow_http = allow_http

    def check_url(self, url: str) -> Target:
        """Return the URL's parts, or raise UrlRefusedError; no name is looked up."""
        target = parse_target(url)
        if target.scheme == "http" and not self._allow_http:
            raise UrlRefusedError("the URL's scheme is http; allow_http would allow it")
        return target

    def check_addresses(self, host: str, addresses: Iterable[str]) -> tuple[Address, ...]:
        """Return all addresses of a host, parsed, or raise AddressBlocked because of the first bad one.

        One bad address refuses all: an attacker who controls the name would otherwise mix and wait.
        """
        checked = tuple(self._checked(host, text) for text in addresses)
        if not checked:
            raise AddressBlocked(f"{host} has no address")
        return checked

    def _checked(self, host: str, text: str) -> Address:
        try:
            address = None if "%" in text else ip_address(text)
        except ValueError:
            address = None
        if address is None:
            raise AddressBlocked(f"{text} of {host} has a zone id or is not an address; no setting allows it")
        reason = self._rules.reason_against(address)
        if reason is not None:
            raise AddressBlocked(f"{address} of {host} is {reason}" if text != host else f"{address} is {reason}")
        return address
