"""`replay diff`: what has changed between two moments."""

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.events.catalogue import AppChanged, DeliverySucceeded, InstallationEnabled, OrganizationChanged
from eventstore.log.event_log import NewEvent
from tests.console.conftest import CHAT, PAGER, SECRET, Hookfuse, World, attempt

BEFORE, DISABLED = 25, 26


def repair(world: World) -> None:
    """A day later: another URL and secret, other owners, enabled again, and it works."""
    world.clock.advance(days=1)
    url = "https://chat.example/new"
    app = AppChanged(
        6,
        "chat",
        "Chat",
        "00000000-0000-4000-8000-000000000006",
        "internal",
        17,
        url,
        secret_version=2,
        headers_version=3,
    )
    organization = OrganizationChanged(17, "acme", "Acme", "https://acme.example", ("eve@acme.example",))
    with world.store() as store, store.transaction() as transaction:
        transaction.append(
            NewEvent(app_stream(6), app),
            NewEvent(organization_stream(17), organization),
            NewEvent(installation_stream(CHAT), InstallationEnabled(CHAT, "person:ann", "fixed")),
            NewEvent(installation_stream(CHAT), DeliverySucceeded(**attempt(6, "chat", status_code=200))),
        )


def test_a_disabling_is_a_change_of_state_with_the_decision_beside_it(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("replay", "diff", CHAT, "--from", BEFORE, "--to", DISABLED, "--json").json

    assert found["from"] == {"at": "2025-02-04T12:00:00.000000Z", "position": BEFORE}
    assert {"name": "state", "before": "active", "after": "disabled"} in found["changes"]
    assert found["counters"] == []
    assert [(entry["kind"], entry["last_position"]) for entry in found["entries"]] == [("disabled", DISABLED)]


def test_settings_owners_counters_and_decisions_are_named(hookfuse: Hookfuse, world: World) -> None:
    repair(world)
    found = hookfuse("replay", "diff", CHAT, "--from", "1d", "--json").json
    changes = {change["name"]: (change["before"], change["after"]) for change in found["changes"]}

    assert changes["state"] == ("disabled", "active")
    assert changes["webhook url"] == ("https://chat.example/hook", "https://chat.example/new")
    assert (changes["secret version"], changes["headers version"]) == (("1", "2"), ("1", "3"))
    assert changes["owners"] == ("ann@acme.example", "eve@acme.example")
    assert (changes["evaluation"], changes["progress"]) == (("broken", "not broken"), ("100%", "0%"))
    assert changes["disabled by"] == ("system", None)
    assert {(one["day"], one["counted"], one["before"], one["after"]) for one in found["counters"]} == {
        ("2025-02-02", "server_error", 4, 0),
        ("2025-02-03", "server_error", 4, 0),
        ("2025-02-04", "server_error", 4, 0),
        ("2025-02-09", "success", 0, 1),
    }
    assert [entry["kind"] for entry in found["entries"]] == ["app", "organization", "enabled"]


def test_a_person_sees_the_same(hookfuse: Hookfuse, world: World) -> None:
    repair(world)
    shown = hookfuse("replay", "diff", CHAT, "--from", "1d").out

    assert "state            disabled → active\n" in shown
    assert "disabled by      system → none\n" in shown
    assert "2025-02-09    0 → 1\n" in shown
    assert "emptied by an enabling: 3 days, 2025-02-02 the first\n" in shown
    assert "enabled  by person:ann: fixed\n" in shown
    assert "webhook URL: https://chat.example/hook → https://chat.example/new\n" in shown


def test_where_nothing_has_changed_it_is_said_so(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=1)
    shown = hookfuse("replay", "diff", PAGER, "--from", "10h", "--to", "9h")
    found = hookfuse("replay", "diff", PAGER, "--from", "10h", "--to", "9h", "--json").json

    assert (shown.code, shown.out.splitlines()[-1]) == (ExitCode.OK, "nothing has changed")
    assert (found["changes"], found["counters"], found["entries"]) == ([], [], [])


def test_what_was_not_there_yet_comes_into_being(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("replay", "diff", PAGER, "--from", "2025-01-01", "--to", "2025-02-02T12:00", "--json").json
    shown = hookfuse("replay", "diff", PAGER, "--from", "2025-01-01").out

    assert {change["before"] for change in found["changes"]} == {None}
    assert [entry["kind"] for entry in found["entries"]] == ["created"]
    assert "state                none → active\n" in shown


def test_times_alone_can_change_a_verdict(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=20)
    found = hookfuse("replay", "diff", CHAT, "--from", DISABLED, "--json").json

    names = {change["name"] for change in found["changes"]}
    assert names == {"evaluation", "progress", "nearest rule"}
    assert found["counters"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), ExitCode.USAGE, "Missing option '--from'"),
        (("--from", "26", "--to", "25"), ExitCode.BAD_INPUT, "(event 26) is after 2025-02-04T12:00:00Z (event 25)"),
        (("--from", "1h", "--to", "2h"), ExitCode.BAD_INPUT, "swap them"),
        (("--from", "rubbish"), ExitCode.BAD_INPUT, "and no position of an event"),
        (("--from", "1h", "--to", "2030-01-01"), ExitCode.BAD_INPUT, "lies in the future"),
        (("--from", "2025-01-01", "--to", "2025-01-02"), ExitCode.NOT_FOUND, "was not there yet"),
    ],
)
def test_what_is_no_stretch_of_its_past_is_said_so(
    hookfuse: Hookfuse, world: World, *, arguments: tuple[str, ...], code: ExitCode, said: str
) -> None:
    ended = hookfuse("replay", "diff", CHAT, *arguments)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert hookfuse("replay", "diff", "ffffff", "--from", "1").code == ExitCode.NOT_FOUND


def test_no_secret_is_in_it(hookfuse: Hookfuse, world: World) -> None:
    assert SECRET not in hookfuse("replay", "diff", PAGER, "--from", "2025-01-01", "--json").out
