"""Homes to measure on: as a user makes them, with many installations, whose endpoints are the receiver's."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.alert import EVENT_NAME, alert_data
from benchmarks.endpoints import Endpoints
from benchmarks.history import installation_id
from eventstore.home.folder import Home
from eventstore.projections.registry import App, find_app, read_installations
from eventstore.queue.delivery import NewDelivery
from eventstore.registry.apply import apply_document
from eventstore.registry.document import AppEntry, InstallationEntry, OrganizationEntry, RegistryDocument
from eventstore.unit_of_work import Store

__all__ = ["aim_home", "alert", "build_home", "write_settings"]

# Everything else is as it comes. The time-outs are those that all contenders have.
_SETTINGS = """
[guard]
allow_networks = ["127.0.0.0/8"]
allow_http = true

[timeouts]
connect_s = 5
read_s = 5
total_s = 5
"""


def build_home(folder: Path, endpoints: Endpoints, *, apps: int, organizations: int = 0, settings: str = "") -> Home:
    """Make a home. Each app is internal, of an organization of its own; with `organizations`, each is installed
    in so many of them, so that there are apps x organizations installations.
    """
    home = Home(folder)
    home.prepare()
    write_settings(home, settings)
    document = _published(endpoints, apps, organizations) if organizations else _internal(endpoints, apps)
    with Store(home.database) as store, store.transaction() as transaction:
        apply_document(transaction, document)
    return home


def write_settings(home: Home, settings: str = "") -> None:
    """Write the settings that every home here has, and some more."""
    home.configuration.write_text(_SETTINGS + settings)


def aim_home(home: Home, endpoints: Endpoints) -> None:
    """Point the apps of an existing home at the receiver, by the numbers that they were made with."""
    with Store(home.database) as store, store.transaction() as transaction:
        apps = {
            one.app_id: find_app(transaction.connection, one.app_id) for one in read_installations(store.connection)
        }
        apply_document(transaction, RegistryDocument(apps=tuple(_aimed(app, endpoints) for app in apps.values())))


def alert(number: int, installation_number: int, queued_s: float) -> NewDelivery:
    """Return a delivery as send_incident_alert_notification queues it: in order with those of its incident."""
    return NewDelivery(
        installation_id=installation_id(installation_number),
        event_name=EVENT_NAME,
        data=alert_data(number, queued_s),
        ordering_key=f"incident:{number}",
    )


def _internal(endpoints: Endpoints, apps: int) -> RegistryDocument:
    return RegistryDocument(
        organizations=tuple(_organizations(range(1, apps + 1))),
        apps=tuple(_app(endpoints, number, number + 1, "internal") for number in range(apps)),
        installations=tuple(
            InstallationEntry(number + 1, number + 1, uuid=installation_id(number)) for number in range(apps)
        ),
    )


def _published(endpoints: Endpoints, apps: int, organizations: int) -> RegistryDocument:
    return RegistryDocument(
        organizations=tuple(_organizations(range(1, organizations + 1))),
        apps=tuple(_app(endpoints, number, 1, "published") for number in range(apps)),
        installations=tuple(
            InstallationEntry(number % apps + 1, number // apps + 1, uuid=installation_id(number))
            for number in range(apps * organizations)
        ),
    )


def _organizations(ids: Iterable[int]) -> Iterable[OrganizationEntry]:
    for one in ids:
        yield OrganizationEntry(
            one, f"organization-{one}", f"Organization {one}", f"https://{one}.example", (f"owner@{one}.example",)
        )


def _app(endpoints: Endpoints, number: int, organization_id: int, status: str) -> AppEntry:
    return AppEntry(
        id=number + 1,
        slug=f"app-{number + 1}",
        name=f"App {number + 1}",
        organization=organization_id,
        webhook_url=endpoints.url(number),
        status="internal" if status == "internal" else "published",
        secret=f"secret of app {number + 1}",
    )


def _aimed(app: App, endpoints: Endpoints) -> AppEntry:
    return AppEntry(app.app_id, app.slug, app.name, app.organization_id, endpoints.url(app.app_id - 1))
