"""How TLS is spoken to endpoints: whom we believe, and who we say we are."""

from __future__ import annotations

import ssl
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final, TypeAlias

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from eventstore.common.shortage import lack_of
from eventstore.errors import Lack, ShortageError

__all__ = ["ClientFiles", "TlsContexts", "tls_context"]

# Of a certificate, and of its private key: None = it is in the same file.
ClientFiles: TypeAlias = tuple[str, str | None]
# A context with the certificates of two stores takes a megabyte.
_CONTEXTS: Final = 64


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that checks certificates and host names; SSLKEYLOGFILE is not obeyed.

    `ca_file`: whom to believe, None = the system's store and that of certifi. Raises OSError.
    """
    # Made by hand: create_default_context writes down the keys where the environment says so.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is None:
        context.set_default_verify_paths()
    context.load_verify_locations(ca_file or DEFAULT_CA_BUNDLE_PATH)
    return context


class TlsContexts:
    """The contexts of a sender, without a client certificate and with those that were used last; thread-safe."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._plain = tls_context(ca_file)
        self._lock = threading.Lock()
        self._of_clients: OrderedDict[tuple[str, int, str, int], ssl.SSLContext] = OrderedDict()

    def of(self, client: ClientFiles | None) -> ssl.SSLContext:
        """Return the context of a client certificate, read again when its files are others, or that without one.

        Raises ShortageError where the files cannot be used: that is not an endpoint's failure.
        """
        if client is None:
            return self._plain
        certificate, key = client
        try:
            stamps = Path(certificate).stat().st_mtime_ns, Path(key or certificate).stat().st_mtime_ns
            name = certificate, stamps[0], key or certificate, stamps[1]
            with self._lock:
                context = self._of_clients.get(name) or self._made(certificate, key)
                self._of_clients[name] = context
                self._of_clients.move_to_end(name)
                if len(self._of_clients) > _CONTEXTS:
                    self._of_clients.popitem(last=False)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ShortageError(lack_of(error) or _lack(certificate, error), "nothing was sent") from error
        return context

    def _made(self, certificate: str, key: str | None) -> ssl.SSLContext:
        context = tls_context(self._ca_file)
        context.load_cert_chain(certificate, key, password=b"")  # OpenSSL would ask at the terminal for a password
        return context


def _lack(certificate: str, error: Exception) -> Lack:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    fix = "see `hookfuse doctor`, and client_certificate and client_key of the app"
    return Lack(f"a usable client certificate ({certificate}: {reason})", fix, is_of_machine=False)
