# ruff: noqa: RUF001 - letters that look alike are what is tested
"""A URL is read as browsers read it, or refused with what is wrong and where."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstore.common.endpoint_url import parse_url
from eventstore.errors import UrlInvalidError

# As Node 20 has them: its URL is WHATWG's.
HOSTS = {
    "PAGER.example": "pager.example",
    "pager.example.": "pager.example.",
    "_dmarc.my_service": "_dmarc.my_service",
    "r3---sn.example": "r3---sn.example",
    "a" * 63 + ".example": "a" * 63 + ".example",
    "1.2.3.4": "1.2.3.4",
    "１２７.0.0.1": "127.0.0.1",
    "[2606:4700:4700:0::1111]": "2606:4700:4700::1111",
    "straße.test": "xn--strae-oqa.test",
    "xn--strae-oqa.test": "xn--strae-oqa.test",
    "XN--STRAE-OQA.test": "xn--strae-oqa.test",
    "faß.de": "xn--fa-hia.de",
    "Bücher.Example": "xn--bcher-kva.example",
    "e\u0301.example": "xn--9ca.example",
    "ＥＸＡＭＰＬＥ.com": "example.com",
    "a。b．c": "a.b.c",
    "exa\u200bmple.com": "example.com",
    "☃.net": "xn--n3h.net",
    "xn--ls8h.la": "xn--ls8h.la",
    "אב.com": "xn--4dbc.com",
}

REFUSED = {
    "*.example": r"no host name has \('\*'\): \*\.example",
    "a..b": "empty label: a..b",
    ".a": "empty label",
    "a..": "empty label",
    ".": "empty label",
    "a%41.example": "percent sign",
    "a,b": "no host name has",
    "℀.example": "no host name has",
    "a\u3000b.example": "no host name has",
    "[fe80::1%25eth0]": "zone id",
    "[1.2.3.4]": "not an IPv6 address",
    "[::1": "malformed",
    "[::1]a": "malformed",
    "a[::1]": "malformed",
    "a" * 64 + ".example": "label of 64 characters \\(at most 63\\)",
    "ü" * 60 + ".example": "label of 66 characters \\(at most 63\\)",
    ".".join(["a" * 50] * 5): "longer than 253",
    "ada@pager.example": "user name",
    "ada:pass@pager.example": "user name",
    "@pager.example": "user name",
    "": "no host",
    ":8080": "no host",
    "a:b": "port is not a number: b",
    "a:0": "not from 1 to 65535: 0",
    "a:65536": "not from 1 to 65535",
    "a:٣": "not a number",
    "a:+1": "not a number",
    "a:1_0": "not a number",
    "a:" + "9" * 5000: "longer than",
    "0x7f.1": "another spelling of 127.0.0.1",
    "127.1": "another spelling of 127.0.0.1",
    "0177.0.0.1": "another spelling of 127.0.0.1",
    "2130706433": "another spelling of 127.0.0.1",
    "017700000001": "another spelling of 127.0.0.1",
    "1.2.3.4.": "another spelling of 1.2.3.4",
    "0x": "another spelling of 0.0.0.0",
    "256.1.1.1": "ends in a number",
    "1.2.3.4.5": "ends in a number",
    "a.1": "ends in a number",
    "a.0x1f": "ends in a number",
    "09.1.1.1": "ends in a number",
    "4294967296": "ends in a number",
    "xn--a.example": "IDNA",
    "xn--.example": "IDNA",
    "xn--abc-.example": "IDNA",
    "xn--ü.example": "IDNA",
    "a\u200db.com": "IDNA",
    "\u0301a.example": "IDNA",
    "אa.com": "IDNA",
    "a\ue000.example": "IDNA",
}


@pytest.mark.parametrize(("written", "host"), HOSTS.items(), ids=ascii)
def test_a_host_is_the_one_that_browsers_go_to(written: str, host: str) -> None:
    assert parse_url(f"https://{written}/").host == host


@pytest.mark.parametrize(("host", "fault"), REFUSED.items(), ids=lambda text: ascii(text[:40]))
def test_what_no_request_can_be_sent_to_is_refused_with_its_reason(host: str, fault: str) -> None:
    with pytest.raises(UrlInvalidError, match=fault) as caught:
        parse_url(f"https://{host}/token")

    assert "token" not in str(caught.value)
    assert "pass" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("character", list("\t\n\r \x00\x7f\x85\xa0\u2028\u2029\\\ud800"), ids=ascii)
@pytest.mark.parametrize(
    "url", ["https://a{}b.example/", "https://a.example/x{}y", "https://a.example/?{}", "{}https://a"]
)
def test_what_parsers_drop_or_disagree_on_is_refused_wherever_it_is(url: str, character: str) -> None:
    with pytest.raises(UrlInvalidError, match=f"at character {url.index('{}') + 1}"):
        parse_url(url.format(character))


@pytest.mark.parametrize(
    "url",
    ["pager.example", "//pager.example/", "https:pager.example", "https:/a", "ftp://a", "javascript:alert(1)", ""],
)
def test_another_scheme_or_none_is_refused(url: str) -> None:
    with pytest.raises(UrlInvalidError, match="scheme"):
        parse_url(url)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "/"),
        ("/", "/"),
        ("?", "/?"),
        ("?a=b", "/?a=b"),
        ("/hook?", "/hook?"),
        ("/hook?x=1%&y=a%20b", "/hook?x=1%&y=a%20b"),
        ("/a/../b/./c//d;e", "/a/../b/./c//d;e"),
        ("/%zz%2F", "/%zz%2F"),
        ("/ä?ü", "/%C3%A4?%C3%BC"),
        ('/"<>`{}|[]^', "/%22%3C%3E%60%7B%7D|[]%5E"),
        ("/?'\"<>`{}|", "/?%27%22%3C%3E`{}|"),
        ("/a#fragment?b", "/a"),
        ("?a#b", "/?a"),
    ],
)
def test_the_request_line_has_the_path_and_query_as_they_were_written(written: str, sent: str) -> None:
    assert parse_url(f"https://a.example{written}").path_url == sent


def test_the_host_header_has_the_port_only_where_it_is_not_the_schemes() -> None:
    headers = [
        parse_url(url).host_header
        for url in (
            "http://a:80/",
            "http://a:443/",
            "https://a:443/",
            "https://a:/",
            "https://a:080/",
            "https://[::1]:8/",
        )
    ]

    assert headers == ["a", "a:443", "a", "a", "a:80", "[::1]:8"]


@given(st.text(max_size=80))
@example("ａ/ß")
@example("xn--\u0661")
def test_any_text_is_read_the_same_once_more_or_refused(text: str) -> None:
    try:
        target = parse_url(f"https://{text}")
    except UrlInvalidError:
        return

    assert target.host.isascii()
    assert target.path_url.isascii()
    assert " " not in target.path_url
    assert parse_url(f"https://{target.host_header}{target.path_url}") == target
