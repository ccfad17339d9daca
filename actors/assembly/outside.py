"""What actors work with outside of this process, as the configuration describes it: endpoints, mail servers, files."""

import structlog

from actors.mail.mail_transport import MailTransport
from actors.mail.maildir_transport import MaildirTransport
from actors.mail.smtp_transport import SmtpTransport
from eventstore.common.file_budget import FileBudget, files_needed, raise_file_limit, share_out
from eventstore.common.shard import Shard
from eventstore.common.shortage import FILES
from eventstore.home.folder import Home
from eventstore.settings.configuration import Configuration
from webhook import AddressGuard, Proxy, Sender

__all__ = ["guard_for", "mail_transport_for", "proxy_for", "sender_for", "share_of_files"]

log = structlog.get_logger("hookfuse.daemon")


def share_of_files(configuration: Configuration, shard: Shard) -> FileBudget:
    """Raise the limit of open files as far as needed, and log where fewer requests fit than configured."""
    wanted = shard.part_of(configuration.delivery.in_flight)
    needed = files_needed(wanted)
    files = share_out(raise_file_limit(needed), wanted)
    if files.in_flight < wanted:
        log.warning(
            "in_flight_cut",
            in_flight=files.in_flight,
            configured=wanted,
            open_files=files.allowed,
            needed=needed,
            fix=FILES.fix,
        )
    return files


def sender_for(configuration: Configuration, files: FileBudget | None = None) -> Sender:
    """Return the sender that the configuration describes, which makes do with so many files."""
    files = files or share_out(files_needed(configuration.delivery.in_flight), configuration.delivery.in_flight)
    return Sender(
        guard_for(configuration),
        response_body_bytes=configuration.limits.response_bytes,
        ca_file=configuration.tls.ca_file or None,
        proxy=proxy_for(configuration),
        kept_connections=files.kept_connections,
        lookup_threads=files.lookups,
    )


def proxy_for(configuration: Configuration) -> Proxy | None:
    """Return the egress proxy that the configuration names, if it does."""
    url = configuration.proxy.url.get_secret_value()
    return Proxy.from_url(url, is_by_name=configuration.proxy.by == "name") if url else None


def guard_for(configuration: Configuration) -> AddressGuard:
    """Return the address guard that the configuration describes."""
    guard = configuration.guard
    return AddressGuard(
        allow_networks=guard.allow_networks, deny_networks=guard.deny_networks, allow_http=guard.allow_http
    )


def mail_transport_for(home: Home, configuration: Configuration) -> MailTransport:
    """Return the mail server that the configuration names, or else the Maildir of the home."""
    smtp = configuration.smtp
    if not smtp.host:
        return MaildirTransport(home.outbox)
    return SmtpTransport(
        smtp.host,
        smtp.port,
        smtp.security,
        username=smtp.username,
        password=smtp.password.get_secret_value(),
        timeout_s=smtp.timeout_s,
        ca_file=smtp.ca_file or None,
        helo=smtp.helo,
    )
