"""Answers that no endpoint should give, and what each of them is: for the reader, and for real connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from webhook.answer_reader import HEAD_BYTES, HEADER_COUNT, INTERIM_BYTES
from webhook.fault import Fault

BODY_LIMIT_BYTES: Final = 10_000

HEAD: Final = b"HTTP/1.1 200 OK\r\n"
LENGTH: Final = HEAD + b"Content-Length: "
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
EMPTY: Final = HEAD + b"Content-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Hostile:
    """An answer, after which the connection ends: what is wrong with it, and the status that was read (0 = none)."""

    name: str
    answer: bytes
    fault: Fault | None
    status_code: int = 200


def _of(fault: Fault | None, status_code: int = 200, /, **answers: bytes) -> tuple[Hostile, ...]:
    return tuple(Hostile(name.replace("_", " "), answer, fault, status_code) for name, answer in answers.items())


_STATUS_LINES = (
    "HTTP/1.1 +200 OK",
    "HTTP/1.1 -200 OK",
    "HTTP/1.1 2_0_0 OK",
    "HTTP/1.1 20",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 099 OK",
    "HTTP/1.1 000 OK",
    "HTTP/1.1 0x200 OK",
    "HTTP/1.1 200OK",
    "HTTP/1.1 abc",
    "HTTP/1.1 \u0662\u0660\u0660 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1\t200 OK",
    "HTTP/1.1 200 O\0K",
    "HTTP/1.1 200 O\x1bK",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade",
    "HTTP/1.1",
    "HTTP/1.2 200 OK",
    "HTTP/2.0 200 OK",
    "HTTP/2 200 OK",
    "HTTP/0.9 200 OK",
    "HTTP/11.1 200 OK",
    "HTTP/1 200 OK",
    "http/1.1 200 OK",
    "HTTPS/1.1 200 OK",
    "RTSP/1.0 200 OK",
    "ICY 200 OK",
    " HTTP/1.1 200 OK",
    "\r\nHTTP/1.1 200 OK",
    "200 OK",
    "nonsense",
    "SSH-2.0-OpenSSH_9.6",
    "220 mail.example ESMTP",
    "<html><body>200 OK</body></html>",
    "POST / HTTP/1.1",
    "\0\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64",  # HTTP/2 SETTINGS
    "\x15\x03\x01\0\x02\x02\x28",  # a TLS alert
)

_HEADER_LINES = (
    b"no colon here",
    b"no colon: but\r\nhere none",
    b": no name",
    b"X Y: a space",
    b"X-Space : before the colon",
    b"X-Tab\t: before the colon",
    b" X-Indented: a",
    b"X-A: b\r\n folded",
    b"X-\xc3\xa4: not ASCII",
    b"X-\xff: not ASCII",
    b"X-\0: NUL",
    b"X-A: N\0UL",
    b"X-A: b\x01c",
    b"X-A: b\x7fc",
    b"X-A: b\rc",
    b"X-A: b\r\r",
    b"X-A: b\nX-B: c",
    b"X-A(b): c",
    b"X-A[b]: c",
    b"X@A: c",
    b'"X-A": c',
    b"Content-Length: -1",
    b"Content-Length: -5",
    b"Content-Length: +5",
    b"Content-Length: 2_0",
    b"Content-Length: 5, 6",
    b"Content-Length: 5, 5",
    b"Content-Length: 5;",
    b"Content-Length: 5.0",
    b"Content-Length: 5e0",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: five",
    b"Content-Length: \xd9\xa5",
    b"Content-Length:",
    b"Content-Length: ",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5\r\nContent-Length: 5",
    b"content-length: 5\r\nCONTENT-LENGTH: 5",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked\t",
    b"Transfer-Encoding: chunked \t ",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding:",
)

_CHUNK_SIZES = (
    b"-1",
    b"-5",
    b"+5",
    b"0x5",
    b"0X5",
    b"1_000",
    b"F" * 20,
    b"1" + b"0" * 16,
    b"5 ",
    b" 5",
    b"\t5",
    b"5.0",
    b"5,",
    b"g",
    b"five",
    b"\xd9\xa5",
    b"",
    b";a=b",
    b"5;\0",
    b'5;a="b',
)

_STATUSES = ((301, "redirect"), (404, "error"), (410, "gone"), (429, "limit"), (500, "error"), (503, "pause"))

HOSTILE: Final[tuple[Hostile, ...]] = (
    *_of(
        Fault.NO_ANSWER,
        0,
        nothing_at_all=b"",
        one_letter=b"H",
        half_of_the_name=b"HTTP/1.",
        half_a_status=b"HTTP/1.1 41",
        a_status_without_a_line_end=b"HTTP/1.1 410 Gone",
        an_interim_answer_only=INTERIM,
        an_interim_answer_and_half_a_status=INTERIM + b"HTTP/1.1 2",
    ),
    *(
        Hostile(f"status line {line!r}", line.encode() + b"\r\nContent-Length: 2\r\n\r\nok", Fault.BAD_STATUS_LINE, 0)
        for line in _STATUS_LINES
    ),
    *_of(
        Fault.BAD_STATUS_LINE,
        0,
        a_status_line_that_ends_in_LF=b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        a_status_line_that_does_not_end=b"HTTP/1.1 200 " + b"a" * 70_000,
        a_number_that_does_not_end=b"HTTP/1.1 " + b"2" * 70_000,
        garbage_without_a_line_end=b"\x80" * 300,
        empty_lines_without_end=b"\r\n" * 40_000,
        garbage_behind_an_interim_answer=INTERIM + b"nonsense\r\n\r\n",
        an_interim_answer_that_is_cut_off_by_another_version=INTERIM + b"HTTP/2.0 200 OK\r\n\r\n",
    ),
    *(
        Hostile(f"header {line[:50]!r}", HEAD + line + b"\r\nX-Z: z\r\n\r\nhello", Fault.BAD_HEAD)
        for line in _HEADER_LINES
    ),
    *_of(
        Fault.BAD_HEAD,
        a_head_that_is_cut_off_behind_the_status_line=HEAD,
        a_head_that_is_cut_off_within_a_header=HEAD + b"Content-Le",
        a_head_that_is_cut_off_behind_a_header=LENGTH + b"2\r\n",
        a_head_that_is_cut_off_within_its_end=LENGTH + b"2\r\n\r",
        headers_that_end_in_LF=HEAD + b"Content-Length: 2\n\nok",
        a_head_that_ends_in_LF=HEAD + b"Content-Length: 2\r\n\nok",
    ),
    *_of(
        Fault.BAD_HEAD,
        0,
        an_interim_answer_that_is_chunked=b"HTTP/1.1 103 E\r\nTransfer-Encoding: gzip\r\n\r\n" + EMPTY,
        an_interim_answer_with_a_bad_header=b"HTTP/1.1 103 E\r\nno colon\r\n\r\n" + EMPTY,
    ),
    *_of(
        Fault.HEAD_TOO_LARGE,
        one_long_header=HEAD + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
        one_long_name=HEAD + b"X" * 70_000 + b": a\r\n\r\n",
        a_long_header_that_does_not_end=HEAD + b"X-A: " + b"a" * 70_000,
        long_headers=HEAD + b"".join(b"X-%d: " % number + b"a" * 6500 + b"\r\n" for number in range(98)) + b"\r\n",
        a_head_of_one_byte_too_many=HEAD + b"X-A: " + b"a" * (HEAD_BYTES - len(HEAD) - 8) + b"\r\n\r\n",
        many_headers=HEAD + b"a:b\r\n" * (HEADER_COUNT + 1) + b"\r\n",
        very_many_headers=HEAD + b"a:b\r\n" * 12_000 + b"\r\n",
        very_many_headers_that_do_not_end=HEAD + b"a:\r\n" * 20_000,
    ),
    *_of(
        Fault.HEAD_TOO_LARGE,
        0,
        many_interim_answers=INTERIM * (INTERIM_BYTES // len(INTERIM) + 1) + EMPTY,
        many_short_interim_answers=b"HTTP/1.1 100 C\r\n\r\n" * 10_000 + EMPTY,
        long_interim_answers=(b"HTTP/1.1 103 E\r\nX-A: " + b"a" * 60_000 + b"\r\n\r\n") * 103 + EMPTY,
        an_interim_answer_that_is_too_long=b"HTTP/1.1 103 E\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n" + EMPTY,
        an_interim_answer_with_many_headers=b"HTTP/1.1 103 E\r\n" + b"a:b\r\n" * 500 + b"\r\n" + EMPTY,
    ),
    *(
        Hostile(f"chunk size {size!r}", CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n", Fault.BROKEN_BODY)
        for size in _CHUNK_SIZES
    ),
    *_of(
        Fault.BROKEN_BODY,
        a_body_that_is_cut_off=LENGTH + b"5\r\n\r\nhell",
        a_body_that_does_not_come=LENGTH + b"5\r\n\r\n",
        a_body_that_does_not_come_at_all_but_is_the_largest=LENGTH + b"18446744073709551615\r\n\r\n",
        chunks_that_do_not_come=CHUNKED,
        a_chunk_that_is_cut_off=CHUNKED + b"5\r\nhell",
        a_chunk_size_that_is_cut_off=CHUNKED + b"5",
        a_chunk_without_its_end=CHUNKED + b"5\r\nhello",
        chunks_without_the_last=CHUNKED + b"5\r\nhello\r\n",
        a_last_chunk_without_its_end=CHUNKED + b"5\r\nhello\r\n0\r\n",
        a_chunk_that_is_longer_than_it_says=CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
        a_chunk_that_is_shorter_than_it_says=CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",
        chunks_that_end_in_LF=CHUNKED + b"5\nhello\n0\n\n",
        a_bad_trailer=CHUNKED + b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        a_length_as_a_trailer=CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
        a_trailer_that_is_cut_off=CHUNKED + b"5\r\nhello\r\n0\r\nX-A: b\r\n",
        a_long_extension=CHUNKED + b"5;a=" + b"b" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
        an_extension_that_does_not_end=CHUNKED + b"5;a=" + b"b" * 100_000,
        long_extensions=CHUNKED + (b"1;a=" + b"b" * 5000 + b"\r\na\r\n") * 100 + b"0\r\n\r\n",
        zeros_that_do_not_end=CHUNKED + b"0" * 100_000,
        a_long_trailer=CHUNKED + b"0\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
        many_trailers=CHUNKED + b"0\r\n" + b"a:b\r\n" * 50_000 + b"\r\n",
    ),
    *(
        Hostile(f"{status} with {what}", answer % status, fault, status)
        for status, _ in _STATUSES
        for what, answer, fault in (
            ("a line without a colon", b"HTTP/1.1 %d X\r\nno colon\r\n\r\n", Fault.BAD_HEAD),
            ("two lengths", b"HTTP/1.1 %d X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", Fault.BAD_HEAD),
            ("a head that is cut off", b"HTTP/1.1 %d X\r\nX-A: b\r\n", Fault.BAD_HEAD),
            ("many headers", b"HTTP/1.1 %d X\r\n" + b"a:b\r\n" * 200 + b"\r\n", Fault.HEAD_TOO_LARGE),
            ("a bad chunk", b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", Fault.BROKEN_BODY),
            ("a body that is cut off", b"HTTP/1.1 %d X\r\nContent-Length: 9\r\n\r\na", Fault.BROKEN_BODY),
        )
    ),
    # What looks strange and is an answer all the same.
    *_of(
        None,
        without_a_reason=b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
        with_an_empty_reason=b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
        with_a_reason_in_latin_1=b"HTTP/1.1 200 na\xefve\r\nContent-Length: 2\r\n\r\nok",
        of_version_1_0=b"HTTP/1.0 200 OK\r\n\r\nok",
        of_version_1_0_and_chunked=b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        without_a_length=HEAD + b"\r\nok",
        without_a_body=HEAD + b"\r\n",
        with_white_space_around_its_length=HEAD + b"Content-Length: \t 2 \t\r\n\r\nok",
        with_zeros_before_its_length=LENGTH + b"00000002\r\n\r\nok",
        with_more_zeros_before_its_length_than_python_reads=LENGTH + b"0" * 5000 + b"2\r\n\r\nok",
        with_white_space_behind_its_coding=HEAD + b"Transfer-Encoding: chunked  \r\n\r\n2\r\nok\r\n0\r\n\r\n",
        with_an_empty_header=HEAD + b"X-A:\r\nContent-Length: 2\r\n\r\nok",
        with_bytes_in_a_header=HEAD + b"X-A: \xff\xfe\r\nContent-Length: 2\r\n\r\nok",
        as_many_headers_as_may_be=HEAD + b"a:b\r\n" * (HEADER_COUNT - 1) + b"Content-Length: 2\r\n\r\nok",
        with_a_head_as_long_as_may_be=HEAD + b"X-A: " + b"a" * (HEAD_BYTES - len(HEAD) - 9) + b"\r\n\r\n",
        with_interim_answers_before_it=INTERIM * 100 + EMPTY,
        with_an_interim_answer_that_has_a_length=b"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n" + EMPTY,
        with_an_upgrade_that_it_does_not_make=HEAD
        + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
        in_capitals=HEAD + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        with_extensions=CHUNKED + b'2;a=b;c="d";e\r\nok\r\n0;f\r\n\r\n',
        with_trailers=CHUNKED + b"2\r\nok\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n",
        in_chunks_of_one_byte=CHUNKED + b"1\r\na\r\n" * BODY_LIMIT_BYTES + b"0\r\n\r\n",
        with_many_zeros_in_a_chunk_size=CHUNKED + b"0" * 1000 + b"2\r\nok\r\n0\r\n\r\n",
        longer_than_what_is_read=LENGTH + b"20000\r\n\r\n" + b"a" * 20_000,
        longer_than_what_comes=LENGTH + b"18446744073709551615\r\n\r\n" + b"a" * BODY_LIMIT_BYTES,
        longer_than_what_is_read_and_without_a_length=HEAD + b"\r\n" + b"a" * 100_000,
        longer_than_what_is_read_in_chunks=CHUNKED + b"2000000\r\n" + b"a" * 100_000,
        longer_than_what_is_read_in_small_chunks=CHUNKED + b"5\r\nhello\r\n" * 10_000,
        another_answer_behind_it=EMPTY + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        another_answer_behind_its_chunks=CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 500 X\r\n\r\n",
        garbage_behind_it=LENGTH + b"2\r\n\r\nokgarbage",
        garbage_behind_its_chunks=CHUNKED + b"2\r\nok\r\n0\r\n\r\ngarbage",
        line_ends_behind_its_chunks=CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n\r\n",
    ),
    *_of(None, 204, no_content_with_a_body=b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello"),
    *_of(None, 204, no_content_in_chunks=b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    *_of(None, 304, not_modified_with_a_body=b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello"),
    *_of(None, 999, a_status_that_http_does_not_have=b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"),
    *_of(None, 600, another_one=b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n"),
)
