"""POST over connections that are checked, kept alive and bound to a deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from requests.exceptions import RequestException

from webhook.adapter import GuardedAdapter, TargetedRequest
from webhook.answer import Answer
from webhook.deadline_socket import Exchange, carrying
from webhook.tls import TlsContexts

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Response

    from webhook.connection_pool import ConnectionPool
    from webhook.dialer import Dialer
    from webhook.headers import Headers
    from webhook.target import Target
    from webhook.timeouts import Timeouts
    from webhook.tls import ClientFiles


# All that anybody looks at; 256 endpoints that send all they may would cost 100 kB more each.
_KEPT_HEADERS: Final = frozenset((b"retry-after", b"sentry-hook-error", b"sentry-hook-project"))
_KEPT_BODY_BYTES: Final = 16_384


class Transport:
    """Carries one POST at a time for each calling thread; shared by all of them."""

    def __init__(
        self,
        dialer: Dialer,
        check_url: Callable[[str], Target],
        pool: ConnectionPool,
        *,
        body_limit_bytes: int,
        ca_file: str | None = None,
    ) -> None:
        self._pool = pool
        self._adapter = GuardedAdapter(
            dialer,
            check_url,
            TlsContexts(ca_file),
            pool,
            body_limit_bytes=body_limit_bytes,
            kept_headers=_KEPT_HEADERS,
        )

    def post(
        self,
        target: Target,
        headers: Headers,
        body: bytes,
        timeouts: Timeouts,
        *,
        app: str = "",
        client: ClientFiles | None = None,
    ) -> Answer:
        """Return the final answer, or raise what the error table knows; over at `total_s` in any case.

        `app`: whose request it is; what it leaves behind on a connection is never read for another.
        """
        exchange = Exchange.starting_now(timeouts)
        request = TargetedRequest(target, dict(headers), body, app, client)
        with carrying(exchange):
            try:
                response = self._adapter.send(request, stream=True)
            except RequestException as error:
                if error.response is None:
                    raise
                return _answer(error.response, error.response.content, exchange, error)
            return _read(response, exchange)

    def close_idle(self) -> None:
        """Close the kept connections that have been idle for too long."""
        self._pool.close_idle()

    def close(self) -> None:
        """Close the kept connections."""
        self._adapter.close()


def _read(response: Response, exchange: Exchange) -> Answer:
    pieces: list[bytes] = []
    try:
        left_bytes = _KEPT_BODY_BYTES
        while piece := response.raw.read_some():
            if left_bytes > 0:  # the rest is read up to the cap, so that the connection can be kept
                pieces.append(piece[:left_bytes])
                left_bytes -= len(piece)
    except Exception as error:  # noqa: BLE001 - the status is known by now and says more than the error alone
        return _answer(response, b"".join(pieces), exchange, error)
    return _answer(response, b"".join(pieces), exchange)


def _answer(response: Response, body: bytes, exchange: Exchange, broken_by: Exception | None = None) -> Answer:
    return Answer(response.status_code, response.headers, body, exchange.answered_after_ms, broken_by)
