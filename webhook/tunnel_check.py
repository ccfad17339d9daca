"""Whether a proxy opens a tunnel: connected as for a request, of which nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.deadline_socket import Exchange, carrying
from webhook.dialer import Dialer
from webhook.timeouts import Timeouts

if TYPE_CHECKING:
    from webhook.address_guard import AddressGuard
    from webhook.name_lookup import Resolver
    from webhook.proxy import Proxy
    from webhook.target import Target

__all__ = ["open_and_close_tunnel"]


def open_and_close_tunnel(
    guard: AddressGuard, resolve: Resolver, proxy: Proxy, target: Target, connect_s: float
) -> None:
    """Open a tunnel through the proxy to a target, and close it; raise what Dialer.dial() raises."""
    timeouts = Timeouts(connect_s=connect_s, read_s=connect_s, total_s=2 * connect_s)
    with carrying(Exchange.starting_now(timeouts)) as exchange:
        exchange.start_dialing()
        Dialer(guard, resolve, proxy=proxy).dial(target.host, target.port).close()
