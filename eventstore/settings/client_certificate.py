"""The certificates by which we say to endpoints who we are: whether their files can be used, and until when."""

import ssl
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from eventstore.common.bounded_file import read_bounded
from eventstore.common.diagnostic import Diagnostic
from eventstore.errors import DocumentError

__all__ = ["check_client_certificates", "read_expiry", "require_client_certificate"]

# A chain of three and a key have some 10 KiB.
_FILE_BYTES = 1024 * 1024
_SOON = timedelta(days=30)
_FIX = "check the files that client_certificate and client_key of the app name, and `hookfuse apply` again"


def read_expiry(certificate: str, key: str | None) -> datetime:
    """Return until when a certificate is valid. Raises DocumentError where its files cannot be used.

    `key`: the file of the private key, None = it is in the certificate's. Nobody but its owner may read it.
    """
    # OpenSSL reads a file to its end, which it may not have.
    content = read_bounded(Path(certificate), _FILE_BYTES)
    key_path = Path(key or certificate)
    read_bounded(key_path, _FILE_BYTES)
    if key_path.stat().st_mode & 0o077:
        raise DocumentError(f"{key_path}: others than its owner may read this private key: chmod 600 {key_path}")
    try:
        # An empty password has an encrypted key refused, where OpenSSL would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=b"")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise DocumentError(
            f"{certificate}: no certificate in PEM with its private key, without a password, in {key_path} ({reason})"
        ) from None
    # It takes 30 ms to import: only who has a certificate pays.
    from cryptography import x509  # noqa: PLC0415

    return x509.load_pem_x509_certificates(content)[0].not_valid_after_utc


def require_client_certificate(certificate: str, key: str | None, what: str) -> None:
    """Raise DocumentError, which says of what, where the files of a certificate cannot be used."""
    try:
        read_expiry(certificate, key)
    except DocumentError as error:
        raise DocumentError(f"{what}: client_certificate: {error}") from error


def check_client_certificates(apps: Iterable[tuple[str, str, str | None]], now: datetime) -> Iterator[Diagnostic]:
    """Yield of each app, given with its certificate and key, whether those can be used, and until when."""
    for slug, certificate, key in apps:
        yield _finding(slug, certificate, key, now)


def _finding(slug: str, certificate: str, key: str | None, now: datetime) -> Diagnostic:
    try:
        expires_at = read_expiry(certificate, key)
    except DocumentError as error:
        return Diagnostic.fault("certificates", f"app {slug}: {error}", _FIX)
    day = expires_at.date()
    if expires_at <= now:
        return Diagnostic.fault("certificates", f"app {slug}: {certificate} has expired on {day}", _FIX)
    if expires_at <= now + _SOON:
        return Diagnostic.warning("certificates", f"app {slug}: {certificate} expires on {day}", _FIX)
    return Diagnostic.good("certificates", f"app {slug}: {certificate} is valid until {day}")
