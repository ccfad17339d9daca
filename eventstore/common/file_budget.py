"""How many open files a process needs, and what it does with fewer. Pure, except for the limit itself."""

import resource
from contextlib import suppress
from dataclasses import dataclass

from eventstore.common.shortage import FILES
from eventstore.errors import ShortageError

__all__ = ["FileBudget", "files_needed", "raise_file_limit", "share_out"]

# What a process has open besides its requests: database connections (two files each), log, doorbell, pipes, libraries,
# and the 32 clients of its metrics. By a look into /proc: 25 to 40.
_OTHER_FILES = 64
# A lookup that hangs outlives its request, and each has a socket (webhook/name_lookup.py has as many threads).
_LOOKUPS = 64
# Connections that are kept for later requests (webhook/connection_pool.py).
_KEPT = 512
_FEWEST_IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class FileBudget:
    """What one process does with so many files that it may have open."""

    allowed: int
    in_flight: int
    kept_connections: int
    lookups: int


def files_needed(in_flight: int) -> int:
    """Return how many files a process may have open at once that has so many requests under way."""
    return in_flight + _KEPT + _LOOKUPS + _OTHER_FILES


def share_out(allowed: int, in_flight: int) -> FileBudget:
    """Share files out: first what a process needs in any case, then lookups, then requests, then kept connections.

    Raises ShortageError where there are not enough for a few requests.
    """
    left = allowed - _OTHER_FILES
    lookups = max(1, min(_LOOKUPS, left // 4))
    left -= lookups
    fits = min(in_flight, left - min(_KEPT, max(1, left // 4)))
    if fits < min(in_flight, _FEWEST_IN_FLIGHT):
        raise ShortageError(FILES, f"{allowed} open files are allowed, and a daemon needs {_OTHER_FILES + 8} at least")
    return FileBudget(allowed, fits, min(_KEPT, left - fits), lookups)


def raise_file_limit(needed: int) -> int:
    """Raise the soft limit of open files to what is needed, as far as the hard one lets; return what holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if wanted > soft:
        with suppress(OSError, ValueError):  # macOS refuses more than OPEN_MAX: then the soft one holds
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft
