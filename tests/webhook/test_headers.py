from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook import HeaderRefusedError, parse_custom_headers
from webhook.headers import Headers, head_lines, merge, platform_headers, redacted


def platform(signing_key: bytes | None = None) -> Headers:
    return platform_headers(
        host_header="example.com",
        resource="metric_alert",
        request_id="a" * 32,
        delivery_id="delivery-1",
        timestamp_s=1_738_404_000,
        secrets=("s3cret",),
        body=b"{}",
        signing_key=signing_key,
    )


def test_lines_become_pairs_in_their_order() -> None:
    lines = ["X-Token: a:b ", "Cookie:c=d", "X-Empty:"]

    assert parse_custom_headers(lines) == (("X-Token", "a:b"), ("Cookie", "c=d"), ("X-Empty", ""))


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "TRANSFER-ENCODING", "Connection", "Expect", "TE", "Upgrade", "Trailer", "Keep-Alive"],
)
def test_framing_and_hop_by_hop_headers_are_refused(name: str) -> None:
    with pytest.raises(HeaderRefusedError, match=name):
        parse_custom_headers([f"{name}: s3cret"])


@pytest.mark.parametrize(
    "line",
    [
        "s3cret",
        ": s3cret",
        "X Y: s3cret",
        "X-A : s3cret",
        "X-Ä: s3cret",
        "X-A\r\nX-B: s3cret",
        "X-A: s3cret\r\nX-B: c",
        "X-A: s3cret\nfoo",
        "X-A: s3cret\x00",
        "X-A: s3cret\x85",
        "X-A: s3cret\x1b[0m",
        "X-A: s3cret€",
        "X-A: s3cret" + "x" * 8192,
    ],
)
def test_malformed_headers_are_refused_without_showing_the_value(line: str) -> None:
    with pytest.raises(HeaderRefusedError) as caught:
        parse_custom_headers([line])

    assert "s3cret" not in str(caught.value)


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(HeaderRefusedError, match="more than 50"):
        parse_custom_headers(f"X-{number}: a" for number in range(51))


def test_a_header_given_twice_is_refused_in_any_case() -> None:
    with pytest.raises(HeaderRefusedError, match="twice"):
        parse_custom_headers(["X-A: 1", "x-a: 2"])


@given(st.lists(st.text(max_size=40), max_size=5))
def test_whatever_is_accepted_can_be_sent_as_one_line(lines: list[str]) -> None:
    try:
        pairs = parse_custom_headers(lines)
    except HeaderRefusedError:
        return

    for name, value in pairs:
        line = f"{name}: {value}".encode("latin-1")
        assert len(line.splitlines()) == 1


@given(st.sampled_from([name for name, _ in platform()]), st.booleans())
def test_the_platforms_own_headers_always_win(name: str, is_upper: bool) -> None:
    custom = ((name.upper() if is_upper else name.lower(), "theirs"), ("X-A", "b"))

    assert merge(platform(), custom) == (*platform(), ("X-A", "b"))


def test_platform_headers_are_those_of_the_flow_and_of_standard_webhooks() -> None:
    sent = dict(platform())

    assert sent["Content-Type"] == "application/json"
    assert sent["Request-ID"] == "a" * 32
    assert sent["Sentry-Hook-Resource"] == "metric_alert"
    assert sent["Sentry-Hook-Timestamp"] == sent["webhook-timestamp"] == "1738404000"
    assert len(sent["Sentry-Hook-Signature"]) == 64
    assert sent["webhook-id"] == "delivery-1"
    assert sent["webhook-signature"].startswith("v1,")
    assert sent["User-Agent"].startswith("hookfuse/")
    assert sent["Content-Length"] == "2"


def test_a_signing_key_changes_nothing_but_the_standard_signature() -> None:
    without, with_key = dict(platform()), dict(platform(b"k" * 32))

    assert {name for name in with_key if with_key[name] != without[name]} == {"webhook-signature"}
    assert with_key["webhook-signature"].startswith(without["webhook-signature"] + " v1a,")


def test_custom_values_are_hidden_for_the_log() -> None:
    headers = (("Host", "example.com"), ("X-Token", "s3cret"))

    assert redacted(headers, ["x-token"]) == (("Host", "example.com"), ("X-Token", "[hidden]"))


def test_the_lines_of_a_head_are_the_headers_in_their_order() -> None:
    assert head_lines({"Host": "a.example", "X-Name": "Zoë"}) == "Host: a.example\r\nX-Name: Zoë".encode("latin-1")


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nInjected: yes", "a\r\n"])
def test_a_line_end_within_a_header_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        head_lines({"Host": "a.example", "X-Name": value})
