"""`hookfuse apply`: the registry as a file says."""

from pathlib import Path

import click

from console.output.endpoint_warnings import endpoint_warnings, newly_addressed
from console.output.tables import note, print_json, print_line
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.errors import ConfigurationError
from eventstore.projections.registry import read_installations
from eventstore.registry.apply import Change, app_label, apply_document
from eventstore.registry.document import AppEntry, RegistryDocument, read_registry_document
from eventstore.settings.client_certificate import require_client_certificate
from eventstore.unit_of_work import Store, Transaction

__all__ = ["apply"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Remove the installations that the file leaves out.")
@json_option
@click.pass_obj
def apply(session: Session, file: Path, prune: bool, is_json: bool) -> None:
    """Bring organizations, apps and installations to the state of FILE (TOML); - = standard input.

    All of it or nothing; a second time nothing changes. Secrets and UUIDs that FILE leaves out are made once
    and kept. A running daemon notices at once.

    \b
    Example:
      hookfuse apply registry.toml
    """  # noqa: D301 - \b is click's
    document = read_registry_document(file)
    for app in document.apps:
        if app.client_certificate is not None:
            require_client_certificate(app.client_certificate, app.client_key, app_label(app))
    session.home.prepare()
    with Store(session.home.database, session.clock) as store, store.transaction() as transaction:
        changes = apply_document(transaction, document, is_pruned=prune)
        left_out_count = _count_left_out(transaction, document)
    session.home.ring_doorbell()
    warnings = _warnings(session, newly_addressed(document.apps, changes))
    if is_json:
        home = str(session.home.path)
        print_json({"changes": changes, "left_out": left_out_count, "warnings": warnings, "home": home})
    else:
        _print_summary(changes, left_out_count)
    for text in warnings:
        note(f"warning: {text}")


def _warnings(session: Session, apps: list[AppEntry]) -> list[str]:
    if not apps:
        return []
    try:
        # The daemon's may be others, by its environment: so this is a warning, and nothing is refused.
        guard = session.configuration().guard
    except ConfigurationError as error:
        return [f"the URLs were not looked at by the settings in [guard], which cannot be read: {error}"]
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
