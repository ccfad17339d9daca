"""Which addresses a request may go to: the guard against server-side request forgery."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from webhook.errors import AddressBlocked, UrlRefusedError
from webhook.target import Target, parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def _rules(*rules: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(network), name) for network, name in rules)


# IANA's special-purpose address registries (IPv4 and IPv6), and the clouds' metadata services by their own
# documentation. The first match names the reason, so the narrow ones stand first.
_IPV4_RULES: Final = _rules(
    ("169.254.169.254/32", "a cloud's metadata service"),
    ("169.254.170.2/32", "a cloud's metadata service"),  # Amazon ECS
    ("100.100.100.200/32", "a cloud's metadata service"),  # Alibaba
    ("192.0.0.192/32", "a cloud's metadata service"),  # Oracle
    ("168.63.129.16/32", "a cloud's metadata service"),  # Azure's wire server, though in public space
    ("255.255.255.255/32", "broadcast"),
    ("0.0.0.0/32", "unspecified"),
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "reserved for AS112"),
    ("192.52.193.0/24", "reserved for AMT"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "reserved for AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_IPV6_RULES: Final = _rules(
    ("fd00:ec2::254/128", "a cloud's metadata service"),  # Amazon
    ("fd20:ce::254/128", "a cloud's metadata service"),  # Google
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard-only"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:10::/28", "ORCHID"),
    ("2001:20::/28", "ORCHIDv2"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "reserved for AS112"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # all that IANA has given out; the rest is reserved

# Forms that carry an IPv4 address, and by how many bits it is shifted in them.
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)


class AddressGuard:
    """Decides over targets and addresses: the deny list wins, then the allow list, then the built-in rule.

    Networks are given as `10.1.0.0/16`, `fd00::/8` or a bare address; ValueError says which one is none.
    An IPv6 address with an IPv4 address in it (mapped, NAT64, 6to4 ...) is judged as both: denying either
    form denies it, allowing the IPv4 form allows it, and allowing the IPv6 form leaves the IPv4 to its rules.
    """

    def __init__(
        self,
        allow_networks: Iterable[str] = (),
        deny_networks: Iterable[str] = (),
        *,
        allow_http: bool = False,
    ) -> None:
        self._allow = tuple(ip_network(text) for text in allow_networks)
        self._deny = tuple(ip_network(text) for text in deny_networks)
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
            raise AddressBlocked(f"{text} of {host} has a zone id or is no address; no setting allows it")
        reason = self._reason_against(address)
        if reason is not None:
            raise AddressBlocked(f"{address} of {host} is {reason}" if text != host else f"{address} is {reason}")
        return address

    def _reason_against(self, address: Address) -> str | None:
        embedded = _embedded_ipv4(address)
        for form in (address, embedded):
            if form is not None and (network := _first_holding(self._deny, form)) is not None:
                return f"in deny_networks ({network}), which is stronger than allow_networks"
        if embedded is not None and _first_holding(self._allow, embedded):
            return None
        if _first_holding(self._allow, address):
            return None if embedded is None else _built_in_reason(embedded)
        return _built_in_reason(address)


def _first_holding(networks: tuple[Network, ...], address: Address) -> Network | None:
    return next((network for network in networks if address in network), None)


def _built_in_reason(address: Address) -> str | None:
    for network, name in _IPV4_RULES if address.version == 4 else _IPV6_RULES:
        if address in network:
            return f"{name} ({network}); allow_networks would allow it"
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return f"not global unicast ({_GLOBAL_UNICAST}); allow_networks would allow it"
    return None


def _embedded_ipv4(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address) or int(address) <= 1:  # unspecified and loopback carry no IPv4
        return None
    for network, shift_bits in _EMBEDDING:
        if address in network:
            return IPv4Address(int(address) >> shift_bits & 0xFFFF_FFFF)
    return None
