"""Files of certificates to trust, `[tls] ca_file` and `[smtp] ca_file`: whether they can be used."""

import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from eventstore.common.diagnostic import Diagnostic
from eventstore.errors import ConfigurationError
from eventstore.settings.configuration import Configuration

__all__ = ["check_trusted", "require_trusted"]

# All that browsers trust has 300 kB.
_FILE_BYTES = 16 * 1024 * 1024


def require_trusted(configuration: Configuration) -> None:
    """Raise ConfigurationError, which names the setting, where a file of certificates to trust cannot be used."""
    for fault in _faults(configuration):
        raise ConfigurationError(fault)


def check_trusted(configuration: Configuration) -> Iterator[Diagnostic]:
    """Return which files of certificates to trust cannot be used."""
    for fault in _faults(configuration):
        yield Diagnostic.fault("certificates", fault, "name a file of certificates in PEM")


def _faults(configuration: Configuration) -> Iterator[str]:
    asked = [("[tls] ca_file", configuration.tls.ca_file)]
    if configuration.smtp.host:
        asked.append(("[smtp] ca_file", configuration.smtp.ca_file))
    for setting, path in asked:
        fault = _fault(Path(path)) if path else None
        if fault:
            yield f"{setting} ({path}): {fault}"


def _fault(path: Path) -> str | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _FILE_BYTES:
            # OpenSSL reads a file to its end, which it may not have.
            return f"this is not a file of at most {_FILE_BYTES:,} bytes"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "there is no certificate in PEM in it"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return None
