"""Packets of statsd lines, to a real socket and to nobody."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.typing import EventDict

from actors.observability.statsd import Statsd
from tests.actors.stage import lines_of


class Receiver:
    """A socket that statsd packets come to."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.settimeout(60)
        self.port = int(self._socket.getsockname()[1])

    def packet(self) -> bytes:
        return self._socket.recv(65_536)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def statsd(receiver: Receiver) -> Iterator[Statsd]:
    statsd = Statsd("127.0.0.1", receiver.port)
    yield statsd
    statsd.close()


def test_a_count_is_one_line(statsd: Statsd, receiver: Receiver) -> None:
    statsd.increment("notifications.sent", {"instance": "pager"})
    statsd.flush()

    assert receiver.packet() == b"notifications.sent:1|c|#instance:pager"


def test_a_count_without_tags_has_no_mark_of_tags(statsd: Statsd, receiver: Receiver) -> None:
    statsd.increment("email.sent", {})
    statsd.flush()

    assert receiver.packet() == b"email.sent:1|c"


def test_counts_share_packets_and_no_packet_is_cut_by_a_network(statsd: Statsd, receiver: Receiver) -> None:
    for number in range(200):
        statsd.increment("integration-platform.http_response", {"status": "200", "integration": f"app-{number}"})
    statsd.flush()
    packets: list[bytes] = []
    while sum(packet.count(b"|c|") for packet in packets) < 200:
        packets.append(receiver.packet())

    assert 1 < len(packets) < 20
    assert all(len(packet) <= 1400 for packet in packets)
    numbers = [line.rpartition(b"app-")[2] for packet in packets for line in packet.split(b"\n")]
    assert numbers == [str(number).encode() for number in range(200)]


def test_nothing_to_send_sends_nothing(statsd: Statsd, receiver: Receiver) -> None:
    statsd.flush()
    statsd.increment("email.sent", {})
    statsd.flush()

    assert receiver.packet() == b"email.sent:1|c"


@given(value=st.text())
def test_whatever_a_tag_s_value_is_it_stays_one_line_with_one_value(value: str) -> None:
    sent: list[bytes] = []
    statsd = Statsd("127.0.0.1", 9)
    statsd._send = lambda connected, packet: sent.append(packet)  # type: ignore[method-assign]
    statsd.increment("integration-platform.http_response", {"webhook_event": value, "status": "200"})
    statsd.close()

    (packet,) = sent
    assert packet.count(b"\n") == 0
    assert packet.count(b"|") == 2
    tags = packet.partition(b"#")[2].split(b",")
    assert [tag.partition(b":")[0] for tag in tags] == [b"webhook_event", b"status"]
    assert all(tag.count(b":") == 1 for tag in tags)
    assert len(packet) < 300


def test_nobody_who_listens_is_said_once_and_nothing_is_raised(lines: list[EventDict]) -> None:
    gone = Receiver()
    gone.close()
    statsd = Statsd("127.0.0.1", gone.port)
    for _ in range(5):
        statsd.increment("email.sent", {})
        statsd.flush()
    statsd.close()

    (line,) = lines_of(lines, "statsd_unreachable")
    assert (line["address"], line["error"]) == (f"127.0.0.1:{gone.port}", "Connection refused")


def test_who_listens_later_gets_what_is_counted_from_then_on(lines: list[EventDict]) -> None:
    gone = Receiver()
    gone.close()
    statsd = Statsd("127.0.0.1", gone.port)
    statsd.increment("email.sent", {})
    statsd.flush()
    back = Receiver(port=gone.port)
    statsd.increment("email.queued", {})
    statsd.flush()
    packet = back.packet()
    statsd.close()
    back.close()

    assert packet == b"email.queued:1|c"


def test_a_name_that_is_not_known_is_looked_up_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    looked_up = []

    def look_up(host: str, *_: object, **__: object) -> None:
        looked_up.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    now_s = 0.0
    statsd = Statsd("statsd.invalid", 8125, clock_s=lambda: now_s)
    for second in range(120):
        now_s = float(second)
        statsd.increment("email.sent", {})
        statsd.flush()
    statsd.close()

    assert looked_up == ["statsd.invalid"] * 2
    assert [line["error"] for line in lines_of(lines, "statsd_unreachable")] == ["Name or service not known"]


def test_a_name_whose_look_up_fails_later_keeps_its_address(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    now_s = 0.0
    statsd = Statsd("localhost", receiver.port, clock_s=lambda: now_s)
    if socket.getaddrinfo("localhost", 1, type=socket.SOCK_DGRAM)[0][0] != socket.AF_INET:
        pytest.skip("localhost is another address here")
    statsd.increment("email.sent", {})
    statsd.flush()

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    now_s = 61.0
    statsd.increment("email.queued", {})
    statsd.close()

    assert [receiver.packet(), receiver.packet()] == [b"email.sent:1|c", b"email.queued:1|c"]


def test_an_address_of_ipv6_is_one_too() -> None:
    receiver = Receiver(socket.AF_INET6, "::1")
    statsd = Statsd("::1", receiver.port)
    statsd.increment("email.sent", {})
    statsd.close()
    packet = receiver.packet()
    receiver.close()

    assert packet == b"email.sent:1|c"
