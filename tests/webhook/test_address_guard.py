from __future__ import annotations

import ipaddress

import pytest
import ssrfguard
from hypothesis import example, given
from hypothesis import strategies as st

from webhook import AddressBlocked, AddressGuard, UrlRefusedError
from webhook.dialer import _numeric

GUARD = AddressGuard()

HOSTILE_ADDRESSES = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "100.64.0.1": "carrier-grade",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "168.63.129.16": "metadata",
    "169.254.1.1": "link-local",
    "169.254.169.254": "metadata",
    "172.31.255.255": "private",
    "192.0.0.192": "metadata",
    "192.0.2.1": "documentation",
    "192.168.1.1": "private",
    "198.19.0.1": "benchmarking",
    "198.51.100.7": "documentation",
    "203.0.113.7": "documentation",
    "224.0.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:0:10.0.0.1": "IPv4-translated",
    "64:ff9b::a9fe:a9fe": "NAT64",
    "64:ff9b:1::1": "local NAT64",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2001:2::1": "benchmarking",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHID",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:0808:0808::": "6to4",
    "3fff::1": "documentation",
    "fc00::1": "unique local",
    "fd00:ec2::254": "metadata",
    "fe80::1": "link-local",
    "fe80::1%eth0": "zone id",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "4000::1": "not global unicast",
    "internal.example": "not an address",
}

HOSTILE_URLS = {
    "ftp://example.com/": "scheme",
    "file:///etc/passwd": "scheme",
    "gopher://example.com/": "scheme",
    "//example.com/": "scheme",
    "http://example.com/": "allow_http",
    "https://": "no host",
    "https:///path": "no host",
    "https://user:password@example.com/": "user name",
    "https://example.com@10.0.0.1/": "user name",
    "https://example.com:0/": "port",
    "https://example.com:65536/": "port",
    "https://example.com:-1/": "port",
    "https://example.com:x/": "port",
    "https://example.com/a b": "white space",
    " https://example.com/": "white space",
    "https://exa\tmple.com/": "white space",
    "https://example.com/\r\nX: y": "white space",
    "https://example.com/\x00": "white space",
    "https://example.com\\@10.0.0.1/": "backslash",
    "https://[fe80::1%25eth0]/": "zone id",
    "https://[::1": "malformed",
    "https://[1.2.3.4]/": "IPv6|malformed",
    "https://exa%6dple.com/": "percent",
    "https://a..b/": "host name",
    "https://127.1/": "another spelling of 127.0.0.1",
    "https://" + "a" * 64 + ".example/": "host name",
    "https://./": "host name",
    "https://*.example.com/": "host name",
    "https://example.com/" + "a" * 2048: "longer",
    "https://example.com/" + "\N{PILE OF POO}" * 600: "longer",
    "https://example.com/?" + '"' * 1100: "longer",
}


@pytest.mark.parametrize(("address", "rule"), HOSTILE_ADDRESSES.items())
def test_hostile_addresses_are_refused_by_their_rule(address: str, rule: str) -> None:
    with pytest.raises(AddressBlocked, match=rule) as caught:
        GUARD.check_addresses("evil.example", [address])

    assert "evil.example" in caught.value.reason


@pytest.mark.parametrize(("url", "rule"), HOSTILE_URLS.items())
def test_hostile_urls_are_refused_by_their_rule(url: str, rule: str) -> None:
    with pytest.raises(UrlRefusedError, match=rule) as caught:
        GUARD.check_url(url)

    assert "password" not in caught.value.reason.replace("a password", "")


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "0", "①②⑦.0.0.1", "127。0。0。1"],
)
def test_other_spellings_of_loopback_end_at_what_the_platform_makes_of_them(host: str) -> None:
    try:
        target = GUARD.check_url(f"https://{host}/")
    except UrlRefusedError:
        return
    addresses = _numeric(target.host)

    assert addresses
    with pytest.raises(AddressBlocked):
        GUARD.check_addresses(host, addresses)


def test_one_bad_address_refuses_all() -> None:
    with pytest.raises(AddressBlocked, match=r"10\.0\.0\.1"):
        GUARD.check_addresses("mixed.example", ["8.8.8.8", "2606:4700::1111", "10.0.0.1"])


def test_public_addresses_pass() -> None:
    passed = GUARD.check_addresses("dns.example", ["8.8.8.8", "2606:4700:4700::1111"])

    assert [str(address) for address in passed] == ["8.8.8.8", "2606:4700:4700::1111"]


def test_a_host_without_addresses_is_refused() -> None:
    with pytest.raises(AddressBlocked, match="no address"):
        GUARD.check_addresses("empty.example", [])


def test_the_allow_list_beats_the_built_in_rule() -> None:
    guard = AddressGuard(allow_networks=("10.1.0.0/16", "fd00::/8"))

    assert guard.check_addresses("a.example", ["10.1.2.3", "fd00::1"])
    with pytest.raises(AddressBlocked):
        guard.check_addresses("a.example", ["10.2.0.1"])


def test_the_deny_list_beats_the_allow_list() -> None:
    guard = AddressGuard(allow_networks=("10.0.0.0/8",), deny_networks=("10.0.0.0/24", "8.8.8.8"))

    with pytest.raises(AddressBlocked, match="deny_networks"):
        guard.check_addresses("a.example", ["10.0.0.1"])
    with pytest.raises(AddressBlocked, match="deny_networks"):
        guard.check_addresses("a.example", ["8.8.8.8"])


CARRIERS = [
    "::ffff:10.1.2.3",
    "::ffff:0:10.1.2.3",
    "::10.1.2.3",
    "64:ff9b::10.1.2.3",
    "64:ff9b:1::10.1.2.3",
    "2002:0a01:0203::1",
    "2001:0:0a01:0203:8000:63bf:f5fe:fdfc",  # Teredo: the server's and the client's
    "2600::5efe:10.1.2.3",
    "2600::200:5efe:10.1.2.3",
]
# The other layouts of RFC 6052 section 2.2, which can be read as other addresses too.
LOCAL_NAT64 = ["64:ff9b:1:a01:2:300::", "64:ff9b:1:a:1:203::", "64:ff9b:1:0:a:102:300:0", "64:ff9b:1:abcd::10.1.2.3"]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_embedded_ipv4_is_judged_as_its_ipv4_by_both_lists(carrier: str) -> None:
    allowing = AddressGuard(allow_networks=("10.1.0.0/16",))
    denying = AddressGuard(allow_networks=("::/0",), deny_networks=("10.1.0.0/16",))

    assert allowing.check_addresses("a.example", [carrier])
    with pytest.raises(AddressBlocked, match="deny_networks"):
        denying.check_addresses("a.example", [carrier])


@pytest.mark.parametrize("carrier", LOCAL_NAT64)
def test_what_can_be_read_in_several_ways_is_refused_for_any_of_them(carrier: str) -> None:
    denying = AddressGuard(allow_networks=("::/0",), deny_networks=("10.1.0.0/16",))

    with pytest.raises(AddressBlocked, match="deny_networks"):
        denying.check_addresses("a.example", [carrier])


@pytest.mark.parametrize("carrier", CARRIERS)
def test_allowing_every_ipv6_leaves_the_ipv4_inside_to_its_rules(carrier: str) -> None:
    guard = AddressGuard(allow_networks=("::/0",))

    with pytest.raises(AddressBlocked, match=r"a form of 10\.1\.2\.3, which is private"):
        guard.check_addresses("a.example", [carrier])


@pytest.mark.parametrize(
    "network",
    ["::ffff:10.1.0.0/112", "::ffff:0:10.1.0.0/112", "::10.1.0.0/112", "64:ff9b::10.1.0.0/112", "2002:0a01::/32"],
)
def test_a_network_of_embedded_addresses_in_a_list_stands_for_the_ipv4_network(network: str) -> None:
    allowing, denying = AddressGuard(allow_networks=(network,)), AddressGuard(("0.0.0.0/0",), (network,))

    assert allowing.check_addresses("a.example", ["10.1.2.3"])
    with pytest.raises(AddressBlocked):
        allowing.check_addresses("a.example", ["10.2.0.0"])
    with pytest.raises(AddressBlocked, match="deny_networks"):
        denying.check_addresses("a.example", ["10.1.2.3"])
    assert denying.check_addresses("a.example", ["10.2.0.0"])


@given(
    st.integers(2**24, 2**32 - 1).map(ipaddress.IPv4Address),  # 0.0.0.0/8 is where nothing can be sent to
    st.sampled_from(["::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:abcd::"]),
)
def test_no_translated_form_goes_where_its_ipv4_may_not(inner: ipaddress.IPv4Address, prefix: str) -> None:
    guard = AddressGuard(allow_networks=("::/0",))
    form = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(inner))
    try:
        guard.check_addresses("a.example", [str(form)])
    except AddressBlocked:
        return

    assert GUARD.check_addresses("a.example", [str(inner)])


def test_allowing_nat64_does_not_open_the_private_networks_behind_it() -> None:
    guard = AddressGuard(allow_networks=("64:ff9b::/96",))

    assert guard.check_addresses("a.example", ["64:ff9b::8.8.8.8"])
    with pytest.raises(AddressBlocked, match="metadata"):
        guard.check_addresses("a.example", ["64:ff9b::169.254.169.254"])


def test_a_setting_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        AddressGuard(allow_networks=("nonsense",))


def test_a_url_is_read_into_its_parts() -> None:
    target = AddressGuard(allow_http=True).check_url("http://Bücher.Example:8080/a?b=c#d")

    assert target.host == "xn--bcher-kva.example"
    assert (target.port, target.path_url) == (8080, "/a?b=c")
    assert target.host_header == "xn--bcher-kva.example:8080"


def test_an_ipv6_url_keeps_its_brackets_only_in_the_host_header() -> None:
    target = GUARD.check_url("https://[2606:4700:4700:0::1111]")

    assert (target.host, target.host_header) == ("2606:4700:4700::1111", "[2606:4700:4700::1111]")
    assert (target.port, target.path_url) == (443, "/")


ADDRESSES = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.sampled_from(sorted(HOSTILE_ADDRESSES)[:-1]).filter(lambda text: "%" not in text).map(ipaddress.ip_address),
)


@given(ADDRESSES)
@example(ipaddress.ip_address("2002:0808:0808::"))
@example(ipaddress.ip_address("64:ff9b::808:808"))
def test_whatever_the_oracle_refuses_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    is_refused_by_oracle = not ssrfguard.Policy().permits_address(address)

    if is_refused_by_oracle:
        with pytest.raises(AddressBlocked):
            GUARD.check_addresses("a.example", [str(address)])


@given(ADDRESSES)
def test_whatever_passes_is_global_by_the_standard_library_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    try:
        (passed,) = GUARD.check_addresses("a.example", [str(address)])
    except AddressBlocked:
        return

    assert passed.is_global


@given(st.text(max_size=60))
def test_any_text_after_the_scheme_is_read_or_refused(text: str) -> None:
    try:
        target = GUARD.check_url(f"https://{text}")
    except UrlRefusedError:
        return

    assert target.host.isascii()
    assert 1 <= target.port <= 65535
