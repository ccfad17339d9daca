"""From a host name to a connected socket: resolve once, check every address, connect to a checked one."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from eventstore.common.shortage import LEAVE, ROUTES, lack_of
from eventstore.errors import ShortageError
from webhook.deadline_socket import DeadlineExceeded, DeadlineTcpSocket, Exchange, current_exchange
from webhook.name_lookup import LOOKUP_THREADS, NameLookup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook.address_guard import Address, AddressGuard
    from webhook.name_lookup import Resolver
    from webhook.proxy import Proxy


# What connect(2) says of this machine alone; elsewhere these numbers mean other things. EACCES is local with IPv4 only:
# with IPv6 it is also what the kernel makes of a router's "administratively prohibited" (icmpv6_err_convert), and so
# whoever is at the other end could have it.
_LACKS_OF_BOTH = {errno.EPERM: LEAVE, errno.EAGAIN: ROUTES}
_LACKS = {4: {**_LACKS_OF_BOTH, errno.EACCES: LEAVE}, 6: _LACKS_OF_BOTH}


def resolve_by_system(host: str) -> list[str]:
    """Return a host's addresses as the platform has them, each once, in its order; raise socket.gaierror."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


class Dialer:
    """Makes connections for the request that the calling thread carries; safe to share among threads."""

    def __init__(
        self,
        guard: AddressGuard,
        resolve: Resolver = resolve_by_system,
        lookup_threads: int = LOOKUP_THREADS,
        proxy: Proxy | None = None,
    ) -> None:
        self._guard = guard
        self._names = NameLookup(resolve, lookup_threads)
        self._proxy = proxy

    def dial(self, host: str, port: int) -> DeadlineTcpSocket:
        """Return a socket connected to one of the host's addresses, all of which the guard has passed.

        A proxy that is told names looks them up by itself: then only an address in the URL is checked.
        Raise AddressBlocked, socket.gaierror (no address, or no answer within the connect time), ShortageError,
        TimeoutError, DeadlineExceeded, or the OSError of the last address tried.
        """
        exchange = current_exchange()
        numeric = _numeric(host)
        if self._proxy is not None and self._proxy.is_by_name and not numeric:
            return self._tunnel(self._proxy, host, port, exchange)
        addresses = self._guard.check_addresses(host, numeric or self._look_up(host, exchange))
        if self._proxy is None:
            return _connect_to_one(
                addresses, lambda address: _connect(address, port, exchange.dial_budget_s()), exchange
            )
        proxy = self._proxy
        return _connect_to_one(addresses, lambda address: self._tunnel(proxy, str(address), port, exchange), exchange)

    def _tunnel(self, proxy: Proxy, host: str, port: int, exchange: Exchange) -> DeadlineTcpSocket:
        connection = self._connect_to_proxy(proxy, exchange)
        try:
            proxy.open_tunnel(connection, host, port, exchange)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_to_proxy(self, proxy: Proxy, exchange: Exchange) -> DeadlineTcpSocket:
        try:
            addresses = [ip_address(text) for text in _numeric(proxy.host) or self._look_up(proxy.host, exchange)]
            return _connect_to_one(
                addresses, lambda address: _connect(address, proxy.port, exchange.dial_budget_s()), exchange
            )
        except OSError as error:
            proxy.blame(f"it cannot be connected to: {error.strerror or error}", error)

    def _look_up(self, host: str, exchange: Exchange) -> Sequence[str]:
        budget_s = exchange.dial_budget_s()
        try:
            return self._names.look_up(host, budget_s)
        except TimeoutError as error:
            if exchange.is_over:
                raise DeadlineExceeded(f"the request took longer than its total time: {error}") from None
            raise socket.gaierror(socket.EAI_AGAIN, str(error)) from None


def _numeric(host: str) -> list[str]:
    """Return the address that a host spells, in any way that the platform reads (127.1, 0x7f000001)."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return []
    return [str(sockaddr[0]) for *_, sockaddr in answers]


def _connect_to_one(
    addresses: Sequence[Address], connect: Callable[[Address], DeadlineTcpSocket], exchange: Exchange
) -> DeadlineTcpSocket:
    # Each gets an even share of what is left, as in Go: a dead first one leaves time for the next.
    last_error: OSError = OSError("no address to connect to")
    for index, address in enumerate(addresses):
        try:
            with exchange.sharing_dial_time(len(addresses) - index):
                return connect(address)
        except DeadlineExceeded:
            raise
        except OSError as error:
            # One that was not tried for want of something here might have answered: that is what is told then.
            if lack_of(last_error) is None:
                last_error = error
    raise last_error


def _connect(address: Address, port: int, timeout_s: float) -> DeadlineTcpSocket:
    try:
        return _connected(address, port, timeout_s)
    except OSError as error:
        lack = _LACKS[address.version].get(error.errno or 0)
        if lack is None:
            raise
        raise OSError(error.errno, f"this machine lacks {lack.what}") from ShortageError(lack, "nothing was sent")


def _connected(address: Address, port: int, timeout_s: float) -> DeadlineTcpSocket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = DeadlineTcpSocket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((str(address), port))
    except OSError as error:
        connection.close()
        if error.errno == errno.EADDRNOTAVAIL and not _has_own_address(family, str(address), port):
            raise OSError(errno.ENETUNREACH, "this machine has no address to reach it from") from None
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _has_own_address(family: socket.AddressFamily, address: str, port: int) -> bool:
    """Return whether there is an address to connect from: the error for none is that for no free port."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # UDP has ports of its own, and connecting sends nothing
        try:
            probe.connect((address, port))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True
