"""The body of an answer as requests reads one: what `Response.raw` is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.deadline_socket import carrying
from webhook.exception_table import as_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests import Response

    from webhook.answer_reader import AnswerReader
    from webhook.connection import Connection
    from webhook.deadline_socket import Exchange

_PIECE_BYTES = 65_536


class AnswerStream:
    """Reads on as far as the reader goes, within the exchange that the request has.

    `done` gets the connection back at the end of the body, and hears whether it can carry another request. Errors are
    those of requests.
    """

    def __init__(
        self,
        response: Response,
        reader: AnswerReader,
        connection: Connection,
        exchange: Exchange,
        done: Callable[[Connection, bool], None],
    ) -> None:
        self._response = response
        self._exchange = exchange
        self._reader = reader
        self._connection: Connection | None = connection
        self._done = done
        self._pending = b""
        self._give_back_at_the_end()

    def read_some(self) -> bytes:
        """Return what comes next of the body, as it came; nothing at its end."""
        while not (piece := self._reader.take_body()) and self._connection is not None:
            self._receive(self._connection)
        return piece

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:  # noqa: ARG002 - as requests calls it
        """Return up to `amt` bytes of the body, None = all that is left; nothing at its end."""
        if amt is None:
            pieces = [self._pending, *iter(self.read_some, b"")]
            self._pending = b""
            return b"".join(pieces)
        data = self._pending or self.read_some()
        self._pending = data[amt:]
        return data[:amt]

    def stream(self, amt: int | None = _PIECE_BYTES, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: ARG002 - as above
        """Yield the body in pieces of up to `amt` bytes."""
        return iter(lambda: self.read(amt), b"")

    def close(self) -> None:
        """Close the connection, whatever is still to come on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._done(connection, False)

    def _receive(self, connection: Connection) -> None:
        try:
            with carrying(self._exchange):
                connection.receive(self._reader)
        except Exception as error:
            self.close()
            meant = as_requests(error, self._response.request, self._response)
            if meant is None:
                raise
            raise meant from error
        self._give_back_at_the_end()

    def _give_back_at_the_end(self) -> None:
        if self._reader.is_complete and self._connection is not None:
            connection, self._connection = self._connection, None
            self._done(connection, self._reader.may_be_kept)
