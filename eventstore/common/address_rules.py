"""Which addresses may be sent to, by IANA's registries and the lists of `[guard]`. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

__all__ = ["Address", "AddressRules", "Network"]

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

# Forms in which an IPv4 address stands as it is, and the bit at which it begins (RFC 4291 section 2.5.5, RFC 2765,
# RFC 6052, RFC 3056).
_CARRIERS: Final = (
    (IPv6Network("::ffff:0:0/96"), 96),
    (IPv6Network("::ffff:0:0:0/96"), 96),
    (IPv6Network("::/96"), 96),
    (IPv6Network("64:ff9b::/96"), 96),
    (IPv6Network("2002::/16"), 16),
)
_TEREDO: Final = IPv6Network("2001::/32")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214 section 6.1, before the IPv4 address of any prefix
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_32_BITS: Final = 0xFFFF_FFFF


class AddressRules:
    """Checks addresses: the deny list wins, then the allow list, then the built-in rule.

    Networks are given as `10.1.0.0/16`, `fd00::/8` or a bare address; ValueError says which one is none. An IPv6
    address with an IPv4 address in it (mapped, NAT64, 6to4, Teredo ...) is checked as both: denying either form denies
    it, allowing the IPv4 form allows it, and allowing the IPv6 form leaves the IPv4 to its rules. A network of such
    addresses in a list (`::ffff:10.0.0.0/104`) stands for the IPv4 network too.
    """

    def __init__(self, allow_networks: Iterable[str] = (), deny_networks: Iterable[str] = ()) -> None:
        self._allow = _both_forms(allow_networks)
        self._deny = _both_forms(deny_networks)

    def reason_against(self, address: Address) -> str | None:
        """Return why nothing may be sent to an address, None = something may."""
        carried = _carried_ipv4(address)
        for form in (address, *carried):
            if (network := _first_holding(self._deny, form)) is not None:
                return f"in deny_networks ({network}), which is stronger than allow_networks"
        is_allowed = _first_holding(self._allow, address) is not None
        if not carried:
            return None if is_allowed else _built_in_reason(address)
        reasons = (self._reason_against_carried(address, inner, is_form_allowed=is_allowed) for inner in carried)
        return next((reason for reason in reasons if reason is not None), None)

    def _reason_against_carried(self, address: Address, inner: IPv4Address, *, is_form_allowed: bool) -> str | None:
        if _first_holding(self._allow, inner) is not None:
            return None
        reason = None if is_form_allowed else _built_in_reason(address)
        if reason is None and (of_inner := _built_in_reason(inner)) is not None:
            return f"a form of {inner}, which is {of_inner}"
        return reason


def _both_forms(texts: Iterable[str]) -> tuple[Network, ...]:
    networks = tuple(ip_network(text) for text in texts)
    return networks + tuple(inner for network in networks if (inner := _carried_network(network)) is not None)


def _carried_network(network: Network) -> IPv4Network | None:
    """Return the IPv4 network that one of IPv6 addresses spells, None = it says nothing about the IPv4 in them."""
    if isinstance(network, IPv4Network) or int(network.network_address) <= 1:
        return None
    for carrier, start in _CARRIERS:
        if network.subnet_of(carrier) and start < network.prefixlen <= start + 32:
            return IPv4Network((_bits(network.network_address, start), network.prefixlen - start))
    return None


def _first_holding(networks: tuple[Network, ...], address: Address) -> Network | None:
    return next((network for network in networks if address in network), None)


def _built_in_reason(address: Address) -> str | None:
    for network, name in _IPV4_RULES if address.version == 4 else _IPV6_RULES:
        if address in network:
            return f"{name} ({network}); allow_networks would allow it"
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return f"not global unicast ({_GLOBAL_UNICAST}); allow_networks would allow it"
    return None


def _carried_ipv4(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses in an IPv6 address; of several readings each one."""
    if isinstance(address, IPv4Address) or int(address) <= 1:  # unspecified and loopback carry none
        return ()
    for carrier, start in _CARRIERS:
        if address in carrier:
            return (IPv4Address(_bits(address, start)),)
    if address in _TEREDO:  # RFC 4380 section 4: the server's, and the client's with each bit turned over
        return IPv4Address(_bits(address, 96) ^ _32_BITS), IPv4Address(_bits(address, 32))
    if address in _LOCAL_NAT64:
        return _local_nat64(address)
    if _bits(address, 64) in _ISATAP:
        return (IPv4Address(_bits(address, 96)),)
    return ()


def _local_nat64(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return what a translator may read: its prefix is any of RFC 6052 section 2.2 within RFC 8215's /48.

    Which one it is only its operator knows. The octet of bits 64 to 71 is not part of the IPv4 address; what reads as
    0.0.0.0/8 is most likely none, as it is what the prefixes of the others look like.
    """
    value = int(address)
    of_96 = IPv4Address(value & _32_BITS)
    readings = [IPv4Address(_without_octet(value) >> (88 - length) & _32_BITS) for length in (48, 56, 64)]
    return tuple(reading for reading in [*readings, of_96] if reading not in _THIS_NETWORK) or (of_96,)


def _without_octet(value: int) -> int:
    """Return the 120 bits of an address that are left without bits 64 to 71."""
    return value >> 64 << 56 | value & 2**56 - 1


def _bits(address: IPv6Address, start: int) -> int:
    return int(address) >> 96 - start & _32_BITS
