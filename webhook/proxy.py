"""An egress proxy: each connection to an endpoint is a tunnel through it, opened by CONNECT (RFC 9110, 9.3.6)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote, urlsplit

from eventstore.common.shortage import lack_of
from eventstore.errors import Lack, ShortageError
from webhook.answer_reader import AnswerReader
from webhook.deadline_socket import DeadlineExceeded
from webhook.errors import AddressBlocked
from webhook.fault import AnswerFault

if TYPE_CHECKING:
    from webhook.deadline_socket import DeadlineTcpSocket, Exchange

_RECEIVE_BYTES: Final = 4096
# What a proxy answers that has tried, and did not get through: the endpoint's own failure. Squid has 503 for it.
_UNREACHED: Final = {
    HTTPStatus.BAD_GATEWAY: OSError,
    HTTPStatus.SERVICE_UNAVAILABLE: OSError,
    HTTPStatus.GATEWAY_TIMEOUT: TimeoutError,
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, and who we are to it; `is_by_name`: it is told the name, and looks it up itself."""

    host: str
    port: int
    is_by_name: bool = False
    authorization: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str, *, is_by_name: bool) -> Proxy:
        """Return the proxy of a URL that the configuration has checked: http, with a port, perhaps with credentials."""
        parts = urlsplit(url)
        assert parts.hostname is not None  # noqa: S101
        assert parts.port is not None  # noqa: S101
        authorization = ""
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {b64encode(credentials.encode()).decode()}"
        return cls(parts.hostname, parts.port, is_by_name=is_by_name, authorization=authorization)

    @property
    def name(self) -> str:
        """Return what may be shown of it."""
        return f"{_bracketed(self.host)}:{self.port}"

    def open_tunnel(self, connection: DeadlineTcpSocket, host: str, port: int, exchange: Exchange) -> None:
        """Ask the proxy to connect to a host and port; after that the connection is one to the endpoint.

        Raise ShortageError where the proxy itself is what is wrong; AddressBlocked where it does not allow the target;
        OSError or TimeoutError where it did not get through.
        """
        authority = f"{_bracketed(host)}:{port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"Proxy-Authorization: {self.authorization}"] if self.authorization else []
        try:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            status_code = self._answer(connection, exchange)
        except (AnswerFault, ConnectionError) as error:
            self.blame(f"it does not answer CONNECT as a proxy does: {error}", error)
        except DeadlineExceeded:
            raise
        except TimeoutError as error:
            raise TimeoutError(f"the proxy {self.name} got no connection within the connect time") from error
        if status_code in _UNREACHED:
            raise _UNREACHED[HTTPStatus(status_code)](f"the proxy {self.name} got no connection: {status_code}")
        if status_code == HTTPStatus.FORBIDDEN:
            raise AddressBlocked(f"the proxy {self.name} does not allow {authority}: {status_code}")
        if not 200 <= status_code < 300:
            self.blame(f"it answers CONNECT with {status_code}")

    def blame(self, reason: str, error: BaseException | None = None) -> NoReturn:
        """Raise ShortageError: the proxy is what is wrong, and no endpoint's failure."""
        lack = lack_of(error) if error is not None else None
        fix = "check the proxy, and [proxy] url with its credentials"
        raise ShortageError(
            lack or Lack(f"a working egress proxy ({self.name}: {reason})", fix, is_of_machine=False),
            "nothing was sent",
        ) from error

    def _answer(self, connection: DeadlineTcpSocket, exchange: Exchange) -> int:
        reader = AnswerReader(is_head_only=True)
        while not reader.is_complete:
            exchange.dial_budget_s()
            data = connection.receive_while_dialing(_RECEIVE_BYTES)
            if not data:
                raise reader.cut_off()
            reader.feed(data)
        head = reader.head()
        assert head is not None  # noqa: S101 - it is complete
        if reader.has_unread and head.status_code < 300:
            raise ConnectionAbortedError("bytes follow its answer before anything was sent through it")
        return head.status_code


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
