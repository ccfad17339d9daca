"""Bringing the registry to the state of a file: each change an event, all of them or none."""

import secrets
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from msgspec.structs import asdict

from eventstore.common.identifiers import app_stream, installation_stream, organization_stream, parse_uuid
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import (
    AppChanged,
    AppRegistered,
    EndpointChanged,
    Event,
    InstallationCreated,
    InstallationRemoved,
    OrganizationChanged,
    OrganizationRegistered,
    app_settings,
)
from eventstore.log.event_log import NewEvent
from eventstore.projections.app_secrets import AppSecrets, read_secrets, write_secrets
from eventstore.projections.registry import (
    Installation,
    find_app,
    find_installation,
    find_installation_of_app,
    find_organization,
    read_installations,
)
from eventstore.registry.document import (
    AppEntry,
    InstallationEntry,
    OrganizationEntry,
    RegistryDocument,
)
from eventstore.unit_of_work import Transaction

__all__ = ["Change", "app_label", "apply_document"]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the summary. `action`: registered, changed, created, removed or released."""

    action: str
    what: str
    fields: tuple[str, ...] = ()


def app_label(entry: AppEntry) -> str:
    """Return what a summary calls an app."""
    return f"app {entry.id} ({entry.slug})"


def apply_document(transaction: Transaction, document: RegistryDocument, *, is_pruned: bool = False) -> list[Change]:
    """Bring the registry to what the document says, and return the changes; a second time there are none.

    What the document leaves out stays, unless `is_pruned`: then installations that it leaves out are removed.
    Raises RejectedError for an app or installation whose organization or app is in neither the document nor
    the registry, whose uuid belongs to another, or whose secret is the one from before a rotation.
    """
    changes = [change for entry in document.organizations for change in _apply_organization(transaction, entry)]
    changes += [change for entry in document.apps for change in _apply_app(transaction, entry)]
    changes += [change for entry in document.installations for change in _apply_installation(transaction, entry)]
    return changes + (_prune(transaction, document.installations) if is_pruned else [])


def _apply_organization(transaction: Transaction, entry: OrganizationEntry) -> Iterable[Change]:
    what = f"organization {entry.id} ({entry.slug})"
    new = OrganizationRegistered(entry.id, entry.slug, entry.name, entry.url, entry.owners)
    try:
        known = find_organization(transaction.connection, entry.id)
    except NotFoundError:
        return [_append(transaction, organization_stream(entry.id), new, Change("registered", what))]
    fields = tuple(name for name in new.__struct_fields__ if getattr(known, name) != getattr(new, name))
    if not fields:
        return []
    changed = OrganizationChanged(**asdict(new), changed=fields)
    return [_append(transaction, organization_stream(entry.id), changed, Change("changed", what, fields))]


# What is compared; headers and secrets are by what they are, and counted.
_APP_FIELDS = tuple(
    name
    for name in AppRegistered.__struct_fields__
    if name not in ("app_id", "header_names", "secret_version", "headers_version")
)

# What is sent, or where to: with another one the endpoint is another to its breaker.
_ENDPOINT_FIELDS = ("webhook_url", "secret", "headers", "client_certificate", "client_key")


def _apply_app(transaction: Transaction, entry: AppEntry) -> Iterable[Change]:
    what = app_label(entry)
    _require_organization(transaction, entry.organization, what)
    stream = app_stream(entry.id)
    _require_own_uuid(transaction, entry, what)
    try:
        known = find_app(transaction.connection, entry.id)
    except NotFoundError:
        app_uuid = parse_uuid(entry.uuid) if entry.uuid else str(uuid.uuid4())
        new_secrets = AppSecrets(entry.secret or secrets.token_hex(32), entry.header_pairs())
        write_secrets(transaction.connection, entry.id, new_secrets)
        return [_append(transaction, stream, _app_event(entry, app_uuid), Change("registered", what))]
    old_secrets = read_secrets(transaction.connection, entry.id) or AppSecrets("")
    new_secrets = _new_secrets(entry, old_secrets, what)
    is_new_secret = new_secrets.client_secret != old_secrets.client_secret
    is_new_headers = new_secrets.headers != old_secrets.headers
    state = _app_event(
        entry,
        parse_uuid(entry.uuid) if entry.uuid else known.uuid,
        secret_version=known.secret_version + is_new_secret,
        headers_version=known.headers_version + is_new_headers,
    )
    fields = tuple(name for name in _APP_FIELDS if getattr(known, name) != getattr(state, name))
    fields += ("secret",) * is_new_secret + ("headers",) * is_new_headers
    if not fields:
        return []
    write_secrets(transaction.connection, entry.id, new_secrets)
    changed = AppChanged(**asdict(state), changed=fields)
    change = _append(transaction, stream, changed, Change("changed", what, fields))
    return [change, *_released(transaction, changed)]


def _released(transaction: Transaction, app: AppChanged) -> list[Change]:
    """Forget what was learned about an endpoint with it, and return what that lets go on."""
    changed = tuple(name for name in _ENDPOINT_FIELDS if name in app.changed)
    if not changed:
        return []
    known = [one for one in read_installations(transaction.connection) if one.app_id == app.app_id]
    events = (EndpointChanged(one.installation_id, app.webhook_url, changed) for one in known)
    transaction.append(*(NewEvent(installation_stream(event.installation_id), event) for event in events))
    releases = ((one, _releases(one, changed, transaction.recorded_at)) for one in known)
    return [
        Change(
            "released",
            f"installation {one.installation_id} (app {one.app_id}, organization {one.organization_id})",
            texts,
        )
        for one, texts in releases
        if texts
    ]


def _releases(before: Installation, changed: Collection[str], now: str) -> tuple[str, ...]:
    texts = ("the breaker is closed",) if before.breaker_open_until is not None else ()
    is_held = (before.hold_until or "") > now and "webhook_url" in changed
    return (*texts, "the pause is lifted") if is_held else texts


def _new_secrets(entry: AppEntry, old: AppSecrets, what: str) -> AppSecrets:
    """Return the secrets that an entry asks for; what it leaves out stays.

    Raises RejectedError for the secret from before a rotation: an old file would take the rotation back
    unseen, and shut out whoever has moved on.
    """
    kept = replace(
        old, client_secret=old.client_secret or entry.secret or secrets.token_hex(32), headers=entry.header_pairs()
    )
    if entry.secret in (None, kept.client_secret):
        return kept
    if entry.secret == old.previous_secret:
        raise RejectedError(
            f"{what}: `secret` is the one from before it was rotated: leave it out, or write the new one;"
            f" to go back to it: hookfuse app rotate-secret {entry.id} --secret-from FILE --overlap 0"
        )
    # A person's new secret counts at once, and ends an overlap.
    return replace(kept, client_secret=entry.secret, previous_secret=None, previous_until=None)


def _app_event(entry: AppEntry, app_uuid: str, *, secret_version: int = 1, headers_version: int = 1) -> AppRegistered:
    return AppRegistered(
        app_id=entry.id,
        slug=entry.slug,
        name=entry.name,
        uuid=app_uuid,
        status=entry.status,
        organization_id=entry.organization,
        webhook_url=entry.webhook_url,
        header_names=tuple(name for name, _ in entry.header_pairs()),
        secret_version=secret_version,
        headers_version=headers_version,
        **app_settings(entry),
    )


def _apply_installation(transaction: Transaction, entry: InstallationEntry) -> Iterable[Change]:
    what = f"installation of app {entry.app} in organization {entry.organization}"
    _require_organization(transaction, entry.organization, what)
    try:
        find_app(transaction.connection, entry.app)
    except NotFoundError as error:
        raise RejectedError(f"{what}: app {entry.app} is neither in the file nor known") from error
    known = find_installation_of_app(transaction.connection, entry.app, entry.organization)
    wanted = parse_uuid(entry.uuid) if entry.uuid else None
    if known is not None:
        if wanted in (None, known.installation_id):
            return []
        raise RejectedError(f"{what} has the uuid {known.installation_id}, which cannot be changed")
    installation_id = wanted or str(uuid.uuid4())
    _require_free(transaction, installation_id, entry, what)
    created = InstallationCreated(installation_id, entry.app, entry.organization)
    change = Change("created", f"installation {installation_id} (app {entry.app}, organization {entry.organization})")
    return [_append(transaction, installation_stream(installation_id), created, change)]


def _prune(transaction: Transaction, entries: Iterable[InstallationEntry]) -> list[Change]:
    kept = {(entry.app, entry.organization) for entry in entries}
    gone = [one for one in read_installations(transaction.connection) if (one.app_id, one.organization_id) not in kept]
    return [
        _append(
            transaction,
            installation_stream(one.installation_id),
            InstallationRemoved(one.installation_id, reason="left out of the registry file"),
            Change(
                "removed",
                f"installation {one.installation_id} (app {one.app_id}, organization {one.organization_id})",
            ),
        )
        for one in gone
    ]


def _require_organization(transaction: Transaction, organization_id: int, what: str) -> None:
    try:
        find_organization(transaction.connection, organization_id)
    except NotFoundError as error:
        raise RejectedError(f"{what}: organization {organization_id} is neither in the file nor known") from error


def _require_own_uuid(transaction: Transaction, entry: AppEntry, what: str) -> None:
    if entry.uuid is None:
        return
    row = transaction.connection.execute(
        "SELECT app_id FROM apps WHERE uuid = ? AND app_id != ?", (parse_uuid(entry.uuid), entry.id)
    ).fetchone()
    if row is not None:
        raise RejectedError(f"{what}: uuid {parse_uuid(entry.uuid)} belongs to app {row[0]} already")


def _require_free(transaction: Transaction, installation_id: str, entry: InstallationEntry, what: str) -> None:
    try:
        taken = find_installation(transaction.connection, installation_id)
    except NotFoundError:
        return
    # A removed one may come back, but to nobody else: its missed deliveries are still there.
    if taken.state != "removed" or (taken.app_id, taken.organization_id) != (entry.app, entry.organization):
        raise RejectedError(f"{what}: uuid {installation_id} belongs to app {taken.app_id} already")


def _append(transaction: Transaction, stream: str, event: Event, change: Change) -> Change:
    transaction.append(NewEvent(stream, event))
    return change
