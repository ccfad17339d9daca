"""The check-up of an egress proxy, with a real proxy that answers as it is told to."""

import socket

import pytest

from actors.assembly.proxy_checkup import check_proxy
from eventstore.common.diagnostic import Diagnostic
from tests.webhook.connect_proxy import proxying
from tests.webhook.servers import serving
from webhook import AddressGuard, Proxy

GUARD = AddressGuard(allow_networks=["127.0.0.0/8"], allow_http=True)


def check(port: int, *, is_by_name: bool = False, endpoint_port: int = 443) -> Diagnostic:
    proxy = Proxy("127.0.0.1", port, is_by_name=is_by_name)
    urls = [("pager", f"https://pager.example:{endpoint_port}/hook")]
    (found,) = check_proxy(proxy, urls, GUARD, lambda _host: ["127.0.0.1"])
    return found


@pytest.mark.parametrize(
    ("is_by_name", "trust"), [(False, "addresses that [guard] has checked"), (True, "only addresses that are in a URL")]
)
def test_a_proxy_that_opens_tunnels_is_good_and_it_is_said_what_the_guard_checks(
    *, is_by_name: bool, trust: str
) -> None:
    with serving(lambda _client: None) as endpoint, proxying(to_port=endpoint.port) as proxy:
        found = check(proxy.port, is_by_name=is_by_name, endpoint_port=endpoint.port)

    assert (found.level, found.fix) == ("good", ""), found.text
    assert trust in found.text


@pytest.mark.parametrize(
    ("status", "level", "text"),
    [
        ("403 Forbidden", "fault", "does not allow"),
        ("407 Proxy Authentication Required", "fault", "407"),
        ("405 Method Not Allowed", "fault", "405"),
        ("502 Bad Gateway", "warning", "502"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_told_of_with_its_answer(status: str, level: str, text: str) -> None:
    with proxying(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
        found = check(proxy.port)

    assert found.level == level
    assert text in found.text
    assert found.fix


def test_a_proxy_that_cannot_be_connected_to_is_a_fault() -> None:
    with socket.socket() as bound:  # bound, and not listening: nobody else can have the port meanwhile
        bound.bind(("127.0.0.1", 0))
        found = check(bound.getsockname()[1])

    assert found.level == "fault"
    assert "cannot be connected to" in found.text


def test_without_a_proxy_nothing_is_said() -> None:
    assert list(check_proxy(None, [("pager", "https://pager.example/")], GUARD)) == []
