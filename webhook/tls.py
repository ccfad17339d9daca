"""How TLS is spoken to endpoints: whom we believe, and who we say we are."""

from __future__ import annotations

import ssl

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from webhook.deadline_socket import DeadlineTlsSocket

__all__ = ["tls_context"]


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
    context.sslsocket_class = DeadlineTlsSocket
    return context
