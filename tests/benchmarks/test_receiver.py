from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alert import alert_data, mark_of
from benchmarks.arrivals import Arrival, ArrivalsReader, ArrivalsWriter
from benchmarks.receiver import Answering, RequestError, path_number_of, request_end


def _request(number: int, body: str) -> bytes:
    data = body.encode()
    return f"POST /hook/{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


@given(st.integers(0, 10**10 - 1), st.floats(0, 10**9))
def test_a_mark_is_read_as_it_was_written(number: int, queued_s: float) -> None:
    request = _request(3, f'{{"action":"critical","data":{alert_data(number, queued_s)}}}')

    read = mark_of(request)
    assert read.number == number
    assert read.queued_s == pytest.approx(queued_s, abs=1e-6)


def test_a_request_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="subsection not found"):
        mark_of(_request(3, "{}"))


@given(st.lists(st.text(), min_size=1, max_size=5), st.data())
def test_requests_are_found_wherever_the_stream_is_cut(bodies: list[str], data: st.DataObject) -> None:
    requests = [_request(number, body) for number, body in enumerate(bodies)]
    stream = b"".join(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))) | {0, len(stream)})

    found, unread = [], b""
    for start, end in pairwise(cuts):
        unread += stream[start:end]
        while size := request_end(unread):
            found.append(unread[:size])
            unread = unread[size:]

    assert found == requests
    assert unread == b""


def test_the_length_is_found_in_any_case_of_its_name() -> None:
    request = b"POST /hook/1 HTTP/1.1\r\ncontent-LENGTH:2\r\nA: b\r\n\r\nok"

    assert request_end(request + b"POST") == len(request)


def test_a_request_whose_end_cannot_be_told_is_refused() -> None:
    with pytest.raises(RequestError):
        request_end(b"POST /hook/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_only_a_post_to_an_installation_is_understood() -> None:
    assert path_number_of(_request(471, "")) == 471
    with pytest.raises(RequestError):
        path_number_of(b"GET /hook/471 HTTP/1.1\r\n\r\n")


def test_every_so_many_th_installation_is_silent_and_the_others_answer() -> None:
    answering = Answering(silent_every=50)

    assert [n for n in range(500) if answering.status(n, lambda: 0.0) == 0] == list(range(0, 500, 50))
    assert {answering.status(n, lambda: 0.0) for n in range(1, 50)} == {200}


@pytest.mark.parametrize(("chance", "status"), [(0.0, 500), (0.09, 500), (0.1, -1), (0.14, -1), (0.16, 0), (0.26, 200)])
def test_chance_says_who_gets_an_error_is_hung_up_on_or_is_ignored(chance: float, status: int) -> None:
    assert Answering(failing=0.1, hanging_up=0.05, ignoring=0.1).status(7, lambda: chance) == status


def test_what_a_receiver_notes_is_read_by_the_harness_meanwhile(tmp_path: Path) -> None:
    writer = ArrivalsWriter(tmp_path / "arrivals", 10)
    reader = ArrivalsReader(tmp_path / "arrivals")

    writer.add(2.5, 2.0, 7, 3, 200)
    assert list(reader.read()) == [Arrival(2.5, 2.0, 7, 3, 200)]
    writer.add(3.5, 2.0, 8, 3, 500)

    assert reader.count == 2
    assert [arrival.number for arrival in reader.read(1)] == [8]
    assert next(reader.read()).latency_s == 0.5


def test_more_than_there_is_room_for_is_said(tmp_path: Path) -> None:
    writer = ArrivalsWriter(tmp_path / "arrivals", 1)
    for _ in range(2):
        writer.add(2.5, 2.0, 7, 3, 200)

    with pytest.raises(OverflowError):
        list(ArrivalsReader(tmp_path / "arrivals").read())
