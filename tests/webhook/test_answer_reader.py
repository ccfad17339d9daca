"""The reader on bytes alone: what each answer is, however its bytes come."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhook.hostile_answers import BODY_LIMIT_BYTES, CHUNKED, EMPTY, HEAD, HOSTILE, INTERIM, LENGTH, Hostile
from webhook.answer_reader import HEAD_BYTES, INTERIM_BYTES, AnswerReader
from webhook.fault import AnswerFault, Fault


def read(*pieces: bytes, body_limit_bytes: int | None = BODY_LIMIT_BYTES) -> tuple[AnswerReader, Fault | None]:
    """Read an answer whose connection ends behind it."""
    reader = AnswerReader(body_limit_bytes)
    try:
        for piece in pieces:
            reader.feed(piece)
            if reader.is_complete:
                return reader, None
        reader.finish()
    except AnswerFault as error:
        return reader, error.fault
    return reader, None


def status_of(reader: AnswerReader) -> int:
    head = reader.head()
    return head.status_code if head is not None else 0


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_each_answer_is_known_for_what_it_is(hostile: Hostile) -> None:
    reader, fault = read(hostile.answer)

    assert (fault, status_of(reader)) == (hostile.fault, hostile.status_code)


# The long ones byte by byte would take a minute.
@pytest.mark.parametrize(
    "hostile", [one for one in HOSTILE if len(one.answer) < 5000], ids=lambda hostile: hostile.name
)
def test_it_is_the_same_when_it_comes_byte_by_byte(hostile: Hostile) -> None:
    reader, fault = read(*(bytes((byte,)) for byte in hostile.answer))

    assert (fault, status_of(reader)) == (hostile.fault, hostile.status_code)


def test_there_are_many_of_them_and_no_name_stands_for_two() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) >= 180


@settings(deadline=None)
@given(st.sampled_from(HOSTILE), st.lists(st.integers(0, 1_000_000), max_size=20))
def test_it_is_the_same_however_it_is_cut_into_pieces(hostile: Hostile, cuts: list[int]) -> None:
    at = sorted({0, len(hostile.answer), *(cut % (len(hostile.answer) + 1) for cut in cuts)})
    reader, fault = read(*(hostile.answer[start:end] for start, end in pairwise(at)))

    assert (fault, status_of(reader)) == (hostile.fault, hostile.status_code)


_PARTS = st.sampled_from(
    (
        *(b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b"\n", b"\r", b": ", b"X-A", b"Content-Length: ", b"5", b"0"),
        *(b"Transfer-Encoding: chunked", b"103 E", b"ok", b";a=b", b"-1", b"\0", b"\xff", b"Connection: close"),
        *(HEAD, CHUNKED, EMPTY),
    )
)


@settings(deadline=None)
@given(st.lists(st.one_of(_PARTS, _PARTS, st.binary(max_size=50)), max_size=40), st.integers(0, 100))
def test_any_bytes_are_an_answer_or_a_fault_and_no_more_than_the_limit_is_kept(
    pieces: list[bytes], limit_bytes: int
) -> None:
    reader, fault = read(*pieces, body_limit_bytes=limit_bytes)

    assert fault is not None or reader.is_complete
    assert len(reader.take_body()) <= limit_bytes


def test_the_body_is_what_was_sent() -> None:
    for answer in (
        LENGTH + b"11\r\n\r\nhello world",
        CHUNKED + b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n",
        HEAD + b"\r\nhello world",
    ):
        reader, fault = read(answer)

        assert (fault, reader.take_body()) == (None, b"hello world")


def test_a_body_can_be_taken_piece_by_piece_without_a_limit() -> None:
    reader = AnswerReader()
    reader.feed(LENGTH + b"6\r\n\r\nab")
    taken = [reader.take_body()]
    reader.feed(b"cd")
    taken.append(reader.take_body())
    reader.feed(b"ef")
    taken.append(reader.take_body())

    assert taken == [b"ab", b"cd", b"ef"]
    assert reader.is_complete


def test_the_headers_stand_in_their_order_without_white_space_around_them() -> None:
    reader, _ = read(HEAD + b"B: 1\r\na:  2 \t\r\nB:\t3\r\nContent-Length: 0\r\n\r\n")
    head = reader.head()

    assert head is not None
    assert head.headers == (("B", "1"), ("a", "2"), ("B", "3"), ("Content-Length", "0"))
    assert head.reason == "OK"


def test_headers_of_interim_answers_and_trailers_are_not_those_of_the_answer() -> None:
    reader, _ = read(INTERIM + CHUNKED + b"0\r\nX-Trailer: a\r\n\r\n")
    head = reader.head()

    assert head is not None
    assert [name for name, _ in head.headers] == ["Transfer-Encoding"]


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        (EMPTY, True),
        (LENGTH + b"2\r\n\r\nok", True),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", True),
        (INTERIM + EMPTY, True),
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", True),
        (HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", False),
        (HEAD + b"\r\nok", False),
        (EMPTY + b"H", False),
        (EMPTY + b"\r\n", False),
        (EMPTY + EMPTY, False),
        (LENGTH + b"2\r\n\r\nokH", False),
        (CHUNKED + b"0\r\n\r\n\r\n", False),
        (CHUNKED + b"0\r\n\r\n\r\n0\r\n\r\n", False),
        (CHUNKED + b"0\r\n\r\n" + EMPTY, False),
        (CHUNKED + b"0\r\n\r\nH", False),
        (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", False),
        (LENGTH + b"20000\r\n\r\n" + b"a" * 20_000, False),
    ],
)
def test_a_connection_is_kept_only_behind_a_whole_answer_with_nothing_behind_it(answer: bytes, is_kept: bool) -> None:
    reader, fault = read(answer)

    assert (fault, reader.may_be_kept) == (None, is_kept)


def test_what_comes_after_the_end_of_an_answer_is_unread_too() -> None:
    reader, _ = read(EMPTY)
    reader.feed(b"more")

    assert reader.has_unread
    assert not reader.may_be_kept


@pytest.mark.parametrize(
    "lines",
    [
        b"Retry-After: 60\r\nno colon",
        b"no colon\r\nRetry-After: 60",
        b"Retry-After : 60",
        b"retry-after:60\r\nX-\xc3\xa4: a",
        b"X Y: a\r\nX-A: b\r\nRETRY-AFTER:\t60 ",
        b"Retry-After: 60\r\n" + b"a:b\r\n" * 200 + b"X-A: b",
    ],
)
def test_a_retry_after_is_found_on_either_side_of_a_broken_line(lines: bytes) -> None:
    reader, fault = read(b"HTTP/1.1 429 Slow\r\n" + lines + b"\r\n\r\n")
    head = reader.head()

    assert fault in {Fault.BAD_HEAD, Fault.HEAD_TOO_LARGE}
    assert head is not None
    assert head.status_code == 429
    assert {name.lower(): value.strip() for name, value in head.headers}["retry-after"] == "60"


def test_a_retry_after_that_is_cut_off_is_none() -> None:
    reader, _ = read(b"HTTP/1.1 429 Slow\r\nRetry-After: 6")
    head = reader.head()

    assert head is not None
    assert head.headers == ()


def test_a_head_only_answer_ends_with_its_head() -> None:
    reader = AnswerReader(is_head_only=True)
    reader.feed(b"HTTP/1.1 200 Connection established\r\nContent-Length: 50\r\n\r\n")

    assert reader.is_complete
    assert not reader.has_unread


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"", Fault.RESET),
        (b"HTTP/1.1 2", Fault.RESET),
        (HEAD, Fault.RESET),
        (LENGTH + b"5\r\n\r\nhe", Fault.BROKEN_BODY),
    ],
)
def test_a_reset_is_one_of_the_answer_before_its_head_is_whole_and_of_the_body_behind_it(
    answer: bytes, fault: Fault
) -> None:
    reader = AnswerReader()
    reader.feed(answer)

    assert reader.cut_off(is_reset=True).fault is fault


def test_no_more_than_the_caps_is_kept_of_an_answer_that_does_not_end() -> None:
    piece = b"a" * 16_384
    for beginning, limit_bytes in (
        (HEAD + b"X-A: ", HEAD_BYTES),
        (HEAD, HEAD_BYTES),
        (b"HTTP/1.1 103 E\r\nX-A: b\r\n\r\n", INTERIM_BYTES),
        (CHUNKED + b"1;", HEAD_BYTES),
        (CHUNKED + b"0\r\nX-A: ", HEAD_BYTES),
        (LENGTH + b"99999999999\r\n\r\n", BODY_LIMIT_BYTES),
    ):
        reader = AnswerReader(BODY_LIMIT_BYTES)
        fed_bytes = 0
        try:
            reader.feed(beginning)
            while not reader.is_complete:
                reader.feed(piece)
                fed_bytes += len(piece)
        except AnswerFault:
            pass

        assert fed_bytes <= limit_bytes + len(piece)


def test_a_reader_is_let_go_without_the_collector() -> None:
    gc.disable()
    try:
        reader, _ = read(EMPTY)
        known = weakref.ref(reader)
        del reader

        assert known() is None
    finally:
        gc.enable()
