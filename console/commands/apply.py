"""`hookfuse apply`: the registry as a file says."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.output.tables import note, print_json, print_line
from console.shell.options import by_option, json_option, person
from console.shell.session import Session
from eventstore.common.address_rules import AddressRules
from eventstore.common.endpoint_url import Target, parse_url
from eventstore.common.identifiers import HOME_STREAM
from eventstore.errors import ConfigurationError
from eventstore.events.catalogue import AuditRecorded
from eventstore.log.event_log import NewEvent
from eventstore.projections.registry import read_installations
from eventstore.registry.apply import Change, app_label, apply_document
from eventstore.registry.document import AppEntry, RegistryDocument, read_registry_document
from eventstore.settings.client_certificate import require_client_certificate
from eventstore.unit_of_work import Store, Transaction

if TYPE_CHECKING:
    from eventstore.settings.sections import GuardSettings

__all__ = ["apply"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Remove the installations that the file leaves out.")
@by_option
@json_option
@click.pass_obj
def apply(session: Session, file: Path, *, prune: bool, by: str, is_json: bool) -> None:
    """Bring organizations, apps and installations to the state of FILE (TOML); - = standard input.

    All of it or nothing; a second time nothing changes. Secrets and UUIDs that FILE leaves out are generated once
    and kept. A running daemon notices at once.

    \b
    Example:
      hookfuse apply registry.toml
      hookfuse apply --by deploy-481 registry.toml
    """  # noqa: D301 - \b is click's
    document = read_registry_document(file)
    for app in document.apps:
        if app.client_certificate is not None:
            require_client_certificate(app.client_certificate, app.client_key, app_label(app))
    session.home.prepare()
    with Store(session.home.database, session.clock) as store, store.transaction() as transaction:
        changes = apply_document(transaction, document, is_pruned=prune)
        if changes:
            transaction.append(NewEvent(HOME_STREAM, _audit(changes, by)))
        left_out_count = _count_left_out(transaction, document)
    session.home.doorbell.notify()
    warnings = _warnings(session, newly_addressed(document.apps, changes))
    if is_json:
        home = str(session.home.path)
        print_json({"changes": changes, "unlisted": left_out_count, "warnings": warnings, "home": home})
    else:
        _print_summary(changes, left_out_count)
    for text in warnings:
        note(f"warning: {text}")


def _audit(changes: list[Change], by: str) -> AuditRecorded:
    """Return the entry of who applied the file: how much of it was new is said, and the events beside it say what."""
    counts = Counter(change.action for change in changes)
    return AuditRecorded("registry.apply", person(by), "home", {action: str(count) for action, count in counts.items()})


def _warnings(session: Session, apps: list[AppEntry]) -> list[str]:
    if not apps:
        return []
    try:
        # The daemon's may be others, by its environment: so this is a warning, and nothing is refused.
        guard = session.configuration().guard
    except ConfigurationError as error:
        return [f"the URLs were not checked against [guard], which cannot be read: {error}"]
    return endpoint_warnings(apps, guard)


def _count_left_out(transaction: Transaction, document: RegistryDocument) -> int:
    named = {(entry.app, entry.organization) for entry in document.installations}
    known = {(one.app_id, one.organization_id) for one in read_installations(transaction.connection)}
    return len(known - named)


def _print_summary(changes: list[Change], left_out_count: int) -> None:
    for change in changes:
        print_line(f"{change.action:<10} {change.what}" + (f": {', '.join(change.fields)}" if change.fields else ""))
    if not changes:
        print_line("nothing to change")
    if left_out_count == 1:
        print_line("1 installation is not in the file and stays as it is (--prune removes it)")
    elif left_out_count:
        print_line(f"{left_out_count} installations are not in the file and stay as they are (--prune removes them)")


def newly_addressed(apps: Iterable[AppEntry], changes: Iterable[Change]) -> list[AppEntry]:
    """Return the apps whose URL is new by these changes: of the others one was told before."""
    labels = {change.what for change in changes if change.action == "registered" or "webhook_url" in change.fields}
    return [app for app in apps if app_label(app) in labels]


def endpoint_warnings(apps: Iterable[AppEntry], guard: "GuardSettings") -> list[str]:
    """Return of which apps the URL alone is enough for the guard to refuse it; no name is looked up."""
    rules = AddressRules(guard.allow_networks, guard.deny_networks)
    reasons = ((app, _reason(parse_url(app.webhook_url), rules, guard)) for app in apps)
    return [
        f"{app_label(app)}: nothing will be sent to its webhook_url, because of [guard]: {reason}"
        for app, reason in reasons
        if reason
    ]


def _reason(target: Target, rules: AddressRules, guard: "GuardSettings") -> str:
    if target.scheme == "http" and not guard.allow_http:
        return "its scheme is http; allow_http would allow it"
    address = _address(target.host)
    reason = rules.reason_against(address) if address is not None else None
    return f"{target.host} is {reason}" if reason else ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        return None
