import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream
from eventstore.errors import RejectedError
from eventstore.events.catalogue import AppChanged, AppSettings, BreakerOpened, EndpointChanged, Event
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.projections.app_secrets import read_secrets
from eventstore.projections.registry import find_app, find_installation, find_organization, read_installations
from eventstore.registry.apply import Change, apply_document
from eventstore.registry.document import AppEntry, RegistryDocument
from eventstore.unit_of_work import Store
from replay.as_of.settings_diff import app_settings as settings_of_app
from replay.as_of.settings_diff import changes_between
from tests.eventstore.documents import (
    APP,
    HEADER_VALUE,
    INSTALLATION,
    ORGANIZATION,
    SECRET,
    WHOLE,
    WITH_SECRETS,
    apply_text,
)
from tests.eventstore.facts import failed

UUID = "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"
SETTINGS: dict[str, Any] = {
    "events": ("issue.created",),
    "connect_s": 1.0,
    "read_s": 2.0,
    "total_s": 3.0,
    "client_certificate": "/etc/pager.pem",
    "client_key": "/etc/pager.key",
}
OTHER_APP = APP.replace("42", "43").replace("pager", "other")


def newest(store: Store) -> Event:
    return next(read_events(store.connection, is_newest_first=True)).event


def test_everything_new_is_registered(store: Store, tmp_path: Path) -> None:
    changes = apply_text(store, tmp_path, WHOLE)

    assert [(change.action, change.what.split()[0]) for change in changes] == [
        ("registered", "organization"),
        ("registered", "app"),
        ("created", "installation"),
    ]
    assert [one.type for one in read_events(store.connection)] == [
        "organization.registered",
        "app.registered",
        "installation.created",
    ]
    assert find_organization(store.connection, 17).owners == ("ada@acme.example",)
    assert find_app(store.connection, 42).webhook_url == "https://pager.example/hook"


@pytest.mark.parametrize("setting", AppSettings.__struct_fields__)
def test_every_setting_of_an_entry_comes_to_the_event_the_row_and_what_tells_of_the_change(
    store: Store, tmp_path: Path, setting: str
) -> None:
    apply_text(store, tmp_path, WHOLE)
    before = find_app(store.connection, 42)
    value = SETTINGS[setting]
    entry = AppEntry(42, "pager", "Pager", 17, before.webhook_url, **{setting: value})
    with store.transaction() as transaction:
        (change, *_) = apply_document(transaction, RegistryDocument(apps=(entry,)))
    event = next(one.event for one in read_events(store.connection, type_names=("app.changed",)))
    assert isinstance(event, AppChanged)

    assert change.fields == (setting,)
    assert getattr(event, setting) == value
    assert find_app(store.connection, 42) == replace(before, **{setting: value})
    assert [one.name for one in changes_between(settings_of_app(before), settings_of_app(event))] == [setting]


@pytest.mark.parametrize("text", [WHOLE, WITH_SECRETS])
def test_second_apply_changes_nothing(store: Store, tmp_path: Path, text: str) -> None:
    apply_text(store, tmp_path, text)
    before = last_position(store.connection), read_secrets(store.connection, 42)

    assert apply_text(store, tmp_path, text) == []
    assert (last_position(store.connection), read_secrets(store.connection, 42)) == before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "Acme"', 'name = "Acme Inc"', Change("changed", "organization 17 (acme)", ("name",))),
        ('["ada@acme.example"]', "[]", Change("changed", "organization 17 (acme)", ("owners",))),
        ("pager.example/hook", "pager.example/new", Change("changed", "app 42 (pager)", ("webhook_url",))),
        ('name = "Pager"', 'name = "P"\nread_s = 3', Change("changed", "app 42 (pager)", ("name", "read_s"))),
        (SECRET, "another", Change("changed", "app 42 (pager)", ("secret",))),
        (HEADER_VALUE, "another", Change("changed", "app 42 (pager)", ("headers",))),
    ],
)
def test_each_change_is_one_event(store: Store, tmp_path: Path, old: str, new: str, expected: Change) -> None:
    apply_text(store, tmp_path, WITH_SECRETS)
    changes = apply_text(store, tmp_path, WITH_SECRETS.replace(old, new))

    of_endpoint = [name for name in expected.fields if name in ("webhook_url", "secret", "headers")]
    assert changes == [expected]
    assert last_position(store.connection) == 4 + bool(of_endpoint)
    assert getattr(newest(store), "changed") == expected.fields  # noqa: B009


def test_rotated_secret_and_headers_move_their_versions(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WITH_SECRETS)
    apply_text(store, tmp_path, WITH_SECRETS.replace(SECRET, "another"))

    app, secrets = find_app(store.connection, 42), read_secrets(store.connection, 42)
    assert (app.secret_version, app.headers_version) == (2, 1)
    assert secrets is not None
    assert (secrets.client_secret, secrets.headers) == ("another", (("X-Token", HEADER_VALUE),))


def test_uuid_and_secret_are_made_once_and_kept(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE)
    app, secrets = find_app(store.connection, 42), read_secrets(store.connection, 42)
    apply_text(store, tmp_path, WHOLE.replace('name = "Pager"', 'name = "New"'))

    assert str(uuid.UUID(app.uuid)) == app.uuid
    assert secrets is not None
    assert len(secrets.client_secret) == 64
    assert find_app(store.connection, 42).uuid == app.uuid
    assert read_secrets(store.connection, 42) == secrets


def test_two_apps_get_secrets_of_their_own(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE + OTHER_APP)

    assert read_secrets(store.connection, 42) != read_secrets(store.connection, 43)


def test_secret_that_got_lost_is_made_anew(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE)
    store.connection.execute("DELETE FROM secrets")

    assert apply_text(store, tmp_path, WHOLE) == [Change("changed", "app 42 (pager)", ("secret",))]
    assert read_secrets(store.connection, 42) is not None
    assert apply_text(store, tmp_path, WHOLE) == []


def test_uuids_are_kept_in_canonical_spelling(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE + f'uuid = "{UUID.upper()}"\n')

    assert find_installation(store.connection, UUID).app_id == 42
    assert apply_text(store, tmp_path, WHOLE + f'uuid = "{UUID}"\n') == []


def test_secrets_are_nowhere_but_in_their_table(store: Store, tmp_path: Path) -> None:
    changes = apply_text(store, tmp_path, WITH_SECRETS)
    changes += apply_text(store, tmp_path, WITH_SECRETS.replace(SECRET, SECRET + "-2"))
    tables = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    dump = {table: repr(store.connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables}
    shown = repr((changes, list(read_events(store.connection)), read_secrets(store.connection, 42)))

    assert {table for table, rows in dump.items() if SECRET in rows or HEADER_VALUE in rows} == {"secrets"}
    assert SECRET not in shown
    assert HEADER_VALUE not in shown
    assert isinstance(newest(store), EndpointChanged)


def test_what_is_left_out_stays(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE)

    assert apply_text(store, tmp_path, "") == []
    assert len(read_installations(store.connection)) == 1


def test_pruning_removes_installations_that_are_left_out_once(store: Store, tmp_path: Path) -> None:
    kept = OTHER_APP + INSTALLATION.replace("42", "43")
    apply_text(store, tmp_path, WHOLE + kept)
    changes = apply_text(store, tmp_path, ORGANIZATION + APP + kept, is_pruned=True)

    assert [change.action for change in changes] == ["removed"]
    assert [one.app_id for one in read_installations(store.connection)] == [43]
    assert apply_text(store, tmp_path, ORGANIZATION + APP + kept, is_pruned=True) == []


def test_removed_installation_may_come_back_to_its_own(store: Store, tmp_path: Path) -> None:
    text = WHOLE + f'uuid = "{UUID}"\n'
    apply_text(store, tmp_path, text)
    apply_text(store, tmp_path, ORGANIZATION + APP, is_pruned=True)

    assert [change.action for change in apply_text(store, tmp_path, text)] == ["created"]
    assert find_installation(store.connection, UUID).is_active


def test_uuid_of_a_removed_installation_goes_to_nobody_else(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE + f'uuid = "{UUID}"\n')
    apply_text(store, tmp_path, ORGANIZATION + APP, is_pruned=True)

    with pytest.raises(RejectedError, match="belongs to app 42"):
        apply_text(store, tmp_path, OTHER_APP + INSTALLATION.replace("42", "43") + f'uuid = "{UUID}"\n')


def test_uuid_of_another_installation_is_refused(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE + f'uuid = "{UUID}"\n')

    with pytest.raises(RejectedError, match="belongs to app 42"):
        apply_text(store, tmp_path, OTHER_APP + INSTALLATION.replace("42", "43") + f'uuid = "{UUID}"\n')


def test_uuid_of_another_app_is_refused(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, ORGANIZATION + APP + f'uuid = "{UUID}"\n')

    with pytest.raises(RejectedError, match="belongs to app 42"):
        apply_text(store, tmp_path, OTHER_APP + f'uuid = "{UUID.upper()}"\n')


def test_uuid_of_an_installation_cannot_be_changed(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE)

    with pytest.raises(RejectedError, match="cannot be changed"):
        apply_text(store, tmp_path, WHOLE + f'uuid = "{UUID}"\n')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (APP, "organization 17 is neither in the file nor known"),
        (ORGANIZATION + INSTALLATION, "app 42 is neither in the file nor known"),
        (ORGANIZATION + APP + INSTALLATION.replace("17", "18"), "organization 18 is neither in the file nor known"),
    ],
)
def test_unknown_organization_or_app_leaves_nothing_applied(
    store: Store, tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(RejectedError, match=expected):
        apply_text(store, tmp_path, text)

    assert last_position(store.connection) == 0
    assert read_secrets(store.connection, 42) is None


def test_another_url_lets_each_installation_go_on_and_says_of_which(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE)
    (held,) = read_installations(store.connection)
    until = time_text(store.clock.now() + timedelta(hours=2))
    with store.transaction() as transaction:
        transaction.append(
            NewEvent(
                installation_stream(held.installation_id), BreakerOpened(held.installation_id, until, "on purpose")
            ),
            NewEvent(installation_stream(held.installation_id), failed("unavailable", 503, hold_until=until)),
        )
    changes = apply_text(store, tmp_path, WHOLE.replace("pager.example/hook", "pager.example/new"))

    what = f"installation {held.installation_id} (app 42, organization 17)"
    assert changes == [
        Change("changed", "app 42 (pager)", ("webhook_url",)),
        Change("released", what, ("the breaker is closed", "the pause is lifted")),
    ]
    assert newest(store) == EndpointChanged(held.installation_id, "https://pager.example/new", ("webhook_url",))
    assert apply_text(store, tmp_path, WHOLE.replace("pager.example/hook", "pager.example/new")) == []
