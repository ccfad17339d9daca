"""The answer to one request, read from bytes: strict, bounded, and without I/O.

Whoever has the connection feeds what it receives and says when the connection ended; nothing here waits. It runs on
llhttp, the parser of Node, which has no limits of its own and some leniencies: both are seen to here.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from webhook.answer import AnswerHead
from webhook.fault import AnswerFault, BodyFault, Fault
from webhook.head_scan import HEAD_END, head_end, retry_after_lines

HEAD_BYTES: Final = 65_536  # status line and headers; servers stop at 8 to 32 kB
INTERIM_BYTES: Final = 65_536  # all 1xx answers together; curl, browsers and proxies see one or two
HEADER_COUNT: Final = 100  # as http.client: each one is an object of 150 bytes, however short it is

# What stands around a chunked body (sizes, extensions, trailers): so much in a row, and 8 bytes for each one of the
# body, as chunks of a single byte have 5.
_FRAMING_BYTES: Final = 65_536
_FRAMING_PER_BODY_BYTE: Final = 8

# The beginning of a head, kept while it is read: a Retry-After before or behind a broken line is looked for in it.
_HEAD_START_BYTES: Final = 8192

# RFC 9112, section 4. llhttp also takes HTTP/2.0, 099, a NUL in the reason, and a status that is cut short.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
_LINE_END: Final = b"\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_SWITCHING_PROTOCOLS: Final = 101


class AnswerReader:
    """Reads one final answer; raises AnswerFault from `feed` or `finish` when what comes is none.

    `body_limit_bytes`: so much of the body is kept; a longer one is cut off there, and over. None = all, for whoever
    takes it piece by piece. `is_head_only`: what is answered has no body (HEAD, CONNECT). `kept_headers`: the names, in
    lower case, of those that are kept, None = all.
    """

    def __init__(
        self,
        body_limit_bytes: int | None = None,
        *,
        is_head_only: bool = False,
        kept_headers: frozenset[bytes] | None = None,
    ) -> None:
        self.is_head_complete = False
        self.is_complete = False
        self.is_cut = False
        self.has_unread = False
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._body_limit_bytes = body_limit_bytes
        self._is_head_only = is_head_only
        self._kept_headers = None if kept_headers is None else kept_headers | _FRAMING
        self._body = bytearray()
        self._kept_body_bytes = 0
        self._received_body_bytes = 0
        self._framing_bytes_left = _FRAMING_BYTES
        self._interim_bytes = 0
        self._is_kept_alive = False
        self._begin_head()

    def _begin_head(self) -> None:
        self._status_code = 0
        self._reason = ""
        self._headers: list[tuple[str, str]] = []
        self._header_count = 0
        self._head_start = b""
        self._head_bytes = 0
        self._tail = b""
        self._are_headers_over = False
        self._is_message_over = False
        self._has_too_many_headers = False
        self._length: int | None = None
        self._is_chunked = False

    @property
    def may_be_kept(self) -> bool:
        """Return whether the connection can be used again: the answer is whole, and nothing stands behind it."""
        return self.is_complete and self._is_kept_alive and not self.is_cut and not self.has_unread

    def head(self) -> AnswerHead | None:
        """Return the final answer's head, or as much of it as was read: None unless its status line is whole.

        Of a broken head the headers before the fault are known, and Retry-After on either side of it.
        """
        if self._status_code < 200:
            return None
        headers = self._headers
        if not self.is_head_complete and not any(name.lower() == "retry-after" for name, _ in headers):
            headers = headers + retry_after_lines(self._head_start)
        return AnswerHead(self._status_code, self._reason, tuple(headers))

    def take_body(self) -> bytes:
        """Return what has come of the body since the last call."""
        body = bytes(self._body)
        self._body.clear()
        return body

    def feed(self, data: bytes) -> None:
        """Read on. What comes behind the end of the answer is not looked at, and the connection is not kept."""
        if not self.is_head_complete:
            data = self._feed_head(data)
        if not data:
            return
        if self.is_complete:
            self.has_unread = True
        else:
            self._feed_body(data)

    def finish(self) -> None:
        """Note that the connection ended: a body without a length is whole by that, all else is not."""
        if self.is_complete:
            return
        if not self.is_head_complete or self._length is not None or self._is_chunked:
            raise self.cut_off()
        self._complete()

    def cut_off(self, *, is_reset: bool = False) -> AnswerFault:
        """Return what it means that the connection ended, or was reset, at this point."""
        how = "was reset" if is_reset else "ended"
        if self.is_head_complete:
            return BodyFault(f"the connection {how} within the body")
        if self._status_code:
            fault = Fault.RESET if is_reset else Fault.BAD_HEAD
            return AnswerFault(fault, f"the connection {how} within the answer's headers")
        fault = Fault.RESET if is_reset else Fault.NO_ANSWER
        where = "within the status line" if self._head_bytes else "before there was an answer"
        return AnswerFault(fault, f"the connection {how} {where}")

    # The head: fed up to its end and no further, so that the parser never reads on into another message.

    def _feed_head(self, data: bytes) -> bytes:
        """Read heads, interim ones too; return what stands behind the final one."""
        at = 0
        while at < len(data) and not self.is_head_complete:
            end = head_end(self._tail, data, at)
            stop = len(data) if end < 0 else end
            room_stop = at + HEAD_BYTES - self._head_bytes
            self._parse_head(data[at : min(stop, room_stop)])
            if stop > room_stop:
                raise AnswerFault(Fault.HEAD_TOO_LARGE, f"the answer's head is longer than {HEAD_BYTES} bytes")
            if end >= 0:
                self._end_head()
            at = stop
        return data[at:]

    def _parse_head(self, piece: bytes) -> None:
        if len(self._head_start) < _HEAD_START_BYTES:
            self._head_start += piece[: _HEAD_START_BYTES - len(self._head_start)]
        self._head_bytes += len(piece)
        self._tail = (self._tail + piece)[-len(HEAD_END) + 1 :]
        if not self._status_code:
            self._read_status_line()
        error = self._parse(piece)
        if error is not None and self._status_code:
            raise AnswerFault(Fault.BAD_HEAD, f"the answer's headers: {error}")
        if error is not None:
            raise AnswerFault(Fault.BAD_STATUS_LINE, f"the status line: {error}")
        if self._has_too_many_headers:
            raise AnswerFault(Fault.HEAD_TOO_LARGE, f"the answer has more than {HEADER_COUNT} headers")

    def _read_status_line(self) -> None:
        line, end, _ = self._head_start.partition(_LINE_END)
        if not end:
            # llhttp passes over empty lines, and knows RTSP.
            if not line.startswith(b"H") or len(line) == _HEAD_START_BYTES:
                raise AnswerFault(Fault.BAD_STATUS_LINE, "the answer does not begin with a status line")
            return
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise AnswerFault(Fault.BAD_STATUS_LINE, "the status line is none of HTTP/1.1 or HTTP/1.0")
        if int(match[1]) == _SWITCHING_PROTOCOLS:
            raise AnswerFault(Fault.BAD_STATUS_LINE, "the answer switches protocols, which nobody asked for")
        self._status_code, self._reason = int(match[1]), (match[2] or b"").decode("latin-1")

    def _end_head(self) -> None:
        self._read_framing()
        if self._status_code < 200:
            self._interim_bytes += self._head_bytes
            if self._interim_bytes > INTERIM_BYTES:
                raise AnswerFault(Fault.HEAD_TOO_LARGE, f"more than {INTERIM_BYTES} bytes of interim answers")
            self._begin_head()
            return
        self.is_head_complete = True
        self._head_start = b""
        if self._is_head_only or self._is_message_over:
            self._complete()

    def _read_framing(self) -> None:
        """Note how the body is framed; refuse what llhttp lets pass."""
        for name, value in self._headers:
            lower = name.lower()
            if lower == "content-length":
                # llhttp has made sure that it is digits, below 2^64, and there once. Zeros before it may be any number,
                # and Python refuses to read more than 4300 digits.
                self._length = int(value.lstrip("0") or "0")
            elif lower == "transfer-encoding":
                if self._is_chunked or value.lower() != "chunked":
                    raise AnswerFault(Fault.BAD_HEAD, "the answer's transfer coding is not chunked, once")
                self._is_chunked = True
        if not self._are_headers_over or (self._status_code < 200 and not self._is_message_over):
            raise AnswerFault(Fault.BAD_HEAD, "the answer's head does not end where it should")

    # The body.

    def _feed_body(self, data: bytes) -> None:
        if self._length is not None:
            left_bytes = self._length - self._received_body_bytes
            self.has_unread = len(data) > left_bytes
            data = data[:left_bytes]
        before_bytes = self._received_body_bytes
        error = self._parse(data)
        if self._is_chunked:
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            self._spend_framing(len(data), self._received_body_bytes - before_bytes)
        if self._is_message_over:
            # llhttp passes over line ends behind a message. One with trailers is not worth the look.
            is_clean = error is None and (not self._is_chunked or self._tail == _LAST_CHUNK)
            self.has_unread = self.has_unread or not is_clean
        elif self._length is not None and self._kept_body_bytes == self._body_limit_bytes:
            self.is_cut = True  # more is announced: not a byte of it is waited for
        elif error is not None and not self.is_cut:
            raise BodyFault(f"the answer's body: {error}")
        if self._is_message_over or self.is_cut:
            self._complete()

    def _spend_framing(self, data_bytes: int, body_bytes: int) -> None:
        earned_bytes = min(_FRAMING_BYTES, self._framing_bytes_left + _FRAMING_PER_BODY_BYTE * body_bytes)
        self._framing_bytes_left = earned_bytes - (data_bytes - body_bytes)
        if self._framing_bytes_left < 0 and not self.is_cut:
            raise BodyFault("the chunks of the body have more around them than in them")

    def _complete(self) -> None:
        self.is_complete = True
        self._parser = None  # it holds our methods: a circle that only the collector would open

    # What llhttp calls.

    def _parse(self, data: bytes) -> str | None:
        """Feed llhttp; return what it finds wrong."""
        assert self._parser is not None  # noqa: S101 - it is there until the answer is complete
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            return "it switches protocols, which nobody asked for"
        except HttpParserError as error:
            return str(error)
        return None

    def on_message_begin(self) -> None:
        """Take note of a second message: it is not ours."""
        if self._is_message_over and self.is_head_complete:
            self.has_unread = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are passed over."""
        if self._are_headers_over:
            return
        self._header_count += 1
        if self._header_count > HEADER_COUNT:
            self._has_too_many_headers = True
        elif self._kept_headers is None or name.lower() in self._kept_headers:
            # A tab behind "chunked" is white space (RFC 9110, section 5.5), and another coding to llhttp: it would
            # read chunks as a body without an end. It stays, so that `_read_framing` refuses it at once.
            behind = " " if name.lower() == b"transfer-encoding" else " \t"
            self._headers.append((name.decode("latin-1"), value.decode("latin-1").rstrip(behind)))

    def on_headers_complete(self) -> None:
        """Note that the head is over."""
        self._are_headers_over = True

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body, as far as there is room for it."""
        if self._is_message_over:
            return
        self._received_body_bytes += len(piece)
        if self._body_limit_bytes is not None:
            room_bytes = self._body_limit_bytes - self._kept_body_bytes
            if len(piece) > room_bytes:
                piece, self.is_cut = piece[:room_bytes], True
        self._kept_body_bytes += len(piece)
        self._body += piece

    def on_message_complete(self) -> None:
        """Note the end of the first message; only now does llhttp know whether the connection is kept."""
        if not self._is_message_over:
            assert self._parser is not None  # noqa: S101
            self._is_message_over = True
            # RFC 9112, section 6.1: the framing of a chunked answer of version 1.0 is not to be trusted.
            is_doubtful = self._is_chunked and self._parser.get_http_version() == "1.0"
            self._is_kept_alive = self._parser.should_keep_alive() and not is_doubtful
