"""A check-up of the egress proxy: whether it can be reached, opens tunnels, and what the guard then vouches for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from eventstore.common.diagnostic import Diagnostic
from eventstore.errors import ShortageError
from webhook import (
    AddressBlocked,
    AddressGuard,
    Proxy,
    Target,
    UrlRefusedError,
    open_and_close_tunnel,
    resolve_by_system,
)

__all__ = ["check_proxy"]

_CONNECT_S = 5.0
_FIX = "check the proxy, and [proxy] url of hookfuse.toml with its credentials"


def check_proxy(
    proxy: Proxy | None,
    endpoints: Iterable[tuple[str, str]],
    guard: AddressGuard,
    resolve: Callable[[str], Sequence[str]] = resolve_by_system,
    connect_s: float = _CONNECT_S,
) -> Iterator[Diagnostic]:
    """Ask the proxy for a tunnel to the first endpoint that the guard passes; send nothing through it.

    `endpoints`: apps by slug and URL.
    """
    if proxy is None:
        return
    target = next(iter(_targets(endpoints, guard)), None)
    if target is None:
        yield Diagnostic.good("proxy", f"{proxy.name}: not asked, as there is no endpoint to ask it for")
        return
    host, port = target.host, target.port
    try:
        open_and_close_tunnel(guard, resolve, proxy, target, connect_s)
    except ShortageError as error:
        yield Diagnostic.fault("proxy", str(error), _FIX)
    except AddressBlocked as error:
        yield Diagnostic.fault("proxy", str(error), "have the proxy allow CONNECT to the endpoints of the apps")
    except OSError as error:
        yield Diagnostic.warning("proxy", f"no tunnel to {host}:{port} ({error})", "check the endpoint, then the proxy")
    else:
        yield Diagnostic.good("proxy", f"{proxy.name} opens tunnels ({host}:{port}); {_trust(proxy)}")


def _trust(proxy: Proxy) -> str:
    if proxy.is_by_name:
        return "it looks up the names, so [guard] checks only addresses that are in a URL"
    return "it is told addresses that [guard] has checked"


def _targets(endpoints: Iterable[tuple[str, str]], guard: AddressGuard) -> Iterator[Target]:
    for _slug, url in endpoints:
        with suppress(UrlRefusedError):
            yield guard.check_url(url)
