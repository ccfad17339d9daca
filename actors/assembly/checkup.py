"""Check-ups of what the daemon talks to: the mail server, and the hosts of the endpoints."""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from email.utils import parseaddr

from actors.mail.mail_frame import headed_message
from actors.mail.mail_transport import MailError, MailTransport
from actors.mail.maildir_transport import MaildirTransport
from actors.mail.smtp_transport import SmtpTransport
from eventstore.common.diagnostic import Diagnostic
from eventstore.common.identifiers import new_id
from webhook import AddressBlocked, AddressGuard, UrlRefusedError, resolve_by_system

__all__ = ["check_endpoints", "check_mail"]

_HOSTS_MAX = 50
_LOOKUP_S = 5.0
_NAMES_SHOWN = 3


def check_mail(
    postbox: MailTransport, *, sender_address: str, mail_to: str | None, now: datetime
) -> Iterator[Diagnostic]:
    """Try the way of a mail: connection, TLS and login, and with `mail_to` one mail all the way."""
    try:
        if isinstance(postbox, SmtpTransport):
            postbox.check()
            yield Diagnostic.good("mail", f"{postbox.host}:{postbox.port} takes connections{_how(postbox)}")
        elif isinstance(postbox, MaildirTransport):
            postbox.check()
            yield Diagnostic.good("mail", f"no mail server is configured: mails go into {postbox.path}")
        if mail_to is not None:
            _send_one(postbox, sender_address, mail_to, now)
            yield Diagnostic.good("mail", f"a test mail to {mail_to} was accepted: check that it arrives")
    except MailError as error:
        yield Diagnostic.fault(
            "mail", str(error), "see [smtp] and [mail] of hookfuse.toml, and HOOKFUSE_SMTP__PASSWORD; mails wait"
        )


def check_endpoints(
    endpoints: Iterable[tuple[str, str]],
    guard: AddressGuard,
    resolve: Callable[[str], Sequence[str]] = resolve_by_system,
    lookup_s: float = _LOOKUP_S,
) -> Iterator[Diagnostic]:
    """Look up the hosts of apps, given by slug and URL, and ask the guard; nothing is sent to them.

    `lookup_s`: seconds for all lookups together, as a resolver that hangs can't be interrupted.
    """
    hosts, refused = _hosts(guard, endpoints)
    if refused:
        yield Diagnostic.fault("endpoints", _listed(refused), "see [guard] of hookfuse.toml, or the app's webhook_url")
    unknown, blocked = _look_up(guard, hosts[:_HOSTS_MAX], resolve, lookup_s)
    if unknown:
        yield Diagnostic.fault(
            "endpoints",
            f"{len(unknown)} of {len(hosts)} hosts cannot be found: {_listed(unknown)}",
            "check this machine's DNS (/etc/resolv.conf) if none can be found, else the app's webhook_url",
        )
    if blocked:
        yield Diagnostic.fault(
            "endpoints", _listed(blocked), "nothing is sent there: see [guard] allow_networks, or the app's webhook_url"
        )
    if not (refused or unknown or blocked):
        looked = f"the first {_HOSTS_MAX} of {len(hosts)} hosts" if len(hosts) > _HOSTS_MAX else f"hosts: {len(hosts)}"
        yield Diagnostic.good("endpoints", f"{looked}, found, and may be sent to" if hosts else "none yet")


def _send_one(postbox: MailTransport, sender_address: str, mail_to: str, now: datetime) -> None:
    domain = parseaddr(sender_address)[1].rpartition("@")[2]
    message = headed_message(
        kind="doctor",
        subject="hookfuse: a test mail",
        recipient=mail_to,
        sender_address=sender_address,
        message_id=f"<{new_id()}@{domain}>",
        date=now,
    )
    message.set_content("hookfuse doctor has sent this mail, to see whether mails arrive. They do.\n")
    postbox.deliver(message, mail_to)


def _how(postbox: SmtpTransport) -> str:
    security = {"none": "", "starttls": ", by STARTTLS", "tls": ", by TLS"}[postbox.security]
    return f"{security}, and the login works" if postbox.username else security


def _hosts(guard: AddressGuard, endpoints: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    hosts, refused = [], []
    for slug, url in endpoints:
        try:
            hosts.append(guard.check_url(url).host)
        except UrlRefusedError as error:
            refused.append(f"app {slug}: {error}")
    return list(dict.fromkeys(hosts)), refused


def _look_up(
    guard: AddressGuard, hosts: Sequence[str], resolve: Callable[[str], Sequence[str]], lookup_s: float
) -> tuple[list[str], list[str]]:
    """Resolve the hosts; return those that can't be found, and what the guard says against others."""
    answers: queue.SimpleQueue[tuple[str, Sequence[str] | OSError]] = queue.SimpleQueue()
    for host in hosts:
        threading.Thread(target=_answer, args=(host, resolve, answers), daemon=True).start()
    waiting, unknown, blocked = set(hosts), list[str](), list[str]()
    deadline_s = time.monotonic() + lookup_s
    while waiting and (left_s := deadline_s - time.monotonic()) > 0:
        try:
            host, answer = answers.get(timeout=left_s)
        except queue.Empty:
            break
        waiting.discard(host)
        if isinstance(answer, OSError):
            unknown.append(f"{host} ({answer.strerror or type(answer).__name__})")
            continue
        try:
            guard.check_addresses(host, answer)
        except AddressBlocked as error:
            blocked.append(str(error))
    unknown += [f"{host} (no answer within {lookup_s:g} s)" for host in waiting]
    return sorted(unknown), sorted(blocked)


def _answer(
    host: str,
    resolve: Callable[[str], Sequence[str]],
    answers: "queue.SimpleQueue[tuple[str, Sequence[str] | OSError]]",
) -> None:
    try:
        answers.put((host, resolve(host)))
    except (OSError, UnicodeError) as error:
        answers.put((host, error if isinstance(error, OSError) else socket.gaierror(str(error))))


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMES_SHOWN} more" if len(texts) > _NAMES_SHOWN else ""
    return "; ".join(texts[:_NAMES_SHOWN]) + more
