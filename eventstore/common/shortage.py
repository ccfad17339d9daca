"""What this machine may lack for a moment: open files, memory, threads, ports. Pure."""

import errno
from collections.abc import Iterator

from eventstore.errors import Lack, ShortageError

__all__ = ["DISK", "FILES", "LEAVE", "LOOKUPS", "MEMORY", "ROUTES", "THREADS", "lack_of", "raise_shortage"]


FILES = Lack(
    "open files of this process", "raise its limit (LimitNOFILE= of the service, ulimit -n), or lower in_flight"
)
MEMORY = Lack("memory", "give the machine, or the service, more memory, or lower in_flight")
THREADS = Lack("threads", "raise the limit of processes and threads (TasksMax= of the service, ulimit -u)")
DISK = Lack("room on the disk", "make room")
LEAVE = Lack(
    "permission to connect: a rule of its own refuses it",
    "see its firewall's output rules, IPAddressDeny= of the service, and SELinux or AppArmor",
    is_of_machine=False,
)
ROUTES = Lack("room for routes or ports", "try again later; if it persists, see net.ipv4 and net.ipv6 of sysctl")
LOOKUPS = Lack(
    "threads for name lookups", "check the machine's resolver; names that hang are in `hookfuse status` as dns"
)

# By errno(3). None of them can be brought about by whoever is at the other end of a connection.
# ENETUNREACH and EHOSTUNREACH are not among them: an address without a route is the endpoint's own as often as not, and
# a machine that has lost its network is what the outage rule is for (eventstore/policies/outage_rule.py).
_BY_ERRNO = {
    errno.EMFILE: FILES,
    errno.ENFILE: Lack("open files of the whole machine", "raise fs.file-max, or find out who has them open"),
    errno.ENOMEM: MEMORY,
    errno.ENOBUFS: Lack("network buffers", "give the kernel more memory for sockets, or lower in_flight"),
    errno.EADDRNOTAVAIL: Lack(
        "local ports", "widen net.ipv4.ip_local_port_range, or have fewer connections to one address at once"
    ),
    errno.ENETDOWN: Lack("network: its interface is down", "bring it up"),
    errno.ENOSPC: DISK,
    errno.EDQUOT: DISK,
}
# CPython has no class of its own for it (Modules/_threadmodule.c).
_NO_THREAD = "can't start new thread"
# OpenSSL's word for it, as ssl.SSLError has it.
_NO_TLS_MEMORY = "MALLOC_FAILURE"
_LINKS = 12  # the longest chain of exceptions seen has five


def lack_of(error: BaseException) -> Lack | None:
    """Return what this machine lacked if that is behind an exception, however libraries have wrapped it."""
    return next((lack for link in _chain(error) if (lack := _own_lack(link)) is not None), None)


def raise_shortage(error: BaseException, doing: str) -> None:
    """Raise ShortageError in place of an exception that a shortage is behind; do nothing for another one."""
    if isinstance(error, ShortageError):
        raise error
    lack = lack_of(error)
    if lack is not None:
        raise ShortageError(lack, doing) from error


def _own_lack(error: BaseException) -> Lack | None:
    if isinstance(error, ShortageError):
        return error.lack
    if isinstance(error, MemoryError) or getattr(error, "reason", None) == _NO_TLS_MEMORY:
        return MEMORY
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0)
    return THREADS if isinstance(error, RuntimeError) and _NO_THREAD in str(error) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_LINKS):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
