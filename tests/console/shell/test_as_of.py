"""`show --as-of` and `why --as-of`: an installation as it was."""

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.events.catalogue import (
    AppChanged,
    BreakerOpened,
    DeliveryMissed,
    DeliverySucceeded,
    InstallationEnabled,
)
from eventstore.log.event_log import NewEvent, last_position
from tests.console.conftest import CHAT, PAGER, SECRET, SHOP, Hookfuse, World, attempt

# Positions in the world: where PAGER was created, and CHAT disabled.
CREATED, DISABLED = 5, 26


def test_what_has_changed_since_is_not_shown(hookfuse: Hookfuse, world: World) -> None:
    before = hookfuse("show", CHAT, "--json").json
    world.clock.advance(days=1)
    with world.store() as store, store.transaction() as transaction:
        url = "https://chat.example/new"
        changed = AppChanged(
            6, "chat", "Chat", "uuid-6", "internal", 17, url, secret_version=2, changed=("webhook_url",)
        )
        stream = installation_stream(CHAT)
        transaction.append(
            NewEvent(app_stream(6), changed),
            NewEvent(stream, InstallationEnabled(CHAT, "person:ann", "fixed")),
            NewEvent(stream, DeliverySucceeded(**attempt(6, "chat", status_code=200))),
            NewEvent(stream, BreakerOpened(CHAT, "2025-02-09T12:05:00.000000Z", "10 in a row")),
        )

    found = hookfuse("show", CHAT, "--as-of", "2025-02-08T13:00", "--json").json
    assert found["as_of"] == {"at": "2025-02-08T13:00:00.000000Z", "position": 29}
    # The world's queue was filled without events, and how many waited is not known.
    assert found["deliveries"]["waiting"] is None
    unknown = {"as_of", "deliveries", "missed", "app", "organization"}
    assert {name: value for name, value in found.items() if name not in unknown} == {
        name: value for name, value in before.items() if name not in unknown
    }
    assert found["app"]["webhook_url"] == "https://chat.example/hook"
    assert hookfuse("show", CHAT, "--json").json["as_of"] is None


def test_a_person_is_told_of_which_moment_it_is(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=20)
    shown = hookfuse("show", CHAT, "--as-of", str(DISABLED)).out

    assert "as of           2025-02-08T12:00:00Z (event 26)\n" in shown
    assert "evaluation      then: broken by policy balanced" in shown
    assert "deliveries      0 missed, 0 dead; how many waited is not recorded\n" in shown


def test_what_was_missed_then_is_known_from_the_events(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        missed = DeliveryMissed("d-1", "issue.created", transaction.recorded_at)
        transaction.append(NewEvent(installation_stream(CHAT), missed))
        position = last_position(transaction.connection)
    found = hookfuse("show", CHAT, "--as-of", str(position), "--json").json

    assert (found["deliveries"]["missed"], found["missed"]["count"]) == (1, 1)
    assert hookfuse("show", CHAT, "--as-of", str(position - 1), "--json").json["deliveries"]["missed"] == 0


def test_why_tells_of_the_same_moment(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=20)
    active = hookfuse("why", CHAT, "--as-of", str(DISABLED - 1), "--json").json
    disabled = hookfuse("why", CHAT, "--as-of", str(DISABLED), "--json").json

    assert (active["state"], active["disabled"], active["progress"]) == ("active", None, 1.0)
    assert active["positions"]["up_to"] == DISABLED - 1
    assert (disabled["state"], disabled["disabled"]["position"]) == ("disabled", DISABLED)
    shown = hookfuse("why", SHOP, "--as-of", "18d").out
    assert "as of         2025-02-10T12:00:00Z (event 29)\n" in shown
    assert "to read them" not in shown  # what is newest now is not what was


def test_a_breaker_that_opened_later_is_not_open_then(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        opened = BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "10 failures in a row")
        (stored,) = transaction.append(NewEvent(installation_stream(PAGER), opened))

    breakers = [
        hookfuse("why", PAGER, "--as-of", str(position), "--json").json["breaker"]
        for position in (stored.position - 1, stored.position)
    ]
    assert [(breaker["state"], breaker["explanation"]) for breaker in breakers] == [
        ("closed", ""),
        ("open", "10 failures in a row"),
    ]


@pytest.mark.parametrize("command", ["show", "why"])
@pytest.mark.parametrize(
    ("as_of", "code", "said"),
    [
        ("0", ExitCode.NOT_FOUND, "was not there yet at 2025-02-02T12:00:00Z (event 0): it was created at 2025-02-02"),
        ("2025-02-01", ExitCode.NOT_FOUND, "was not there yet at 2025-02-01T00:00:00Z (event 0)"),
        ("4000", ExitCode.BAD_INPUT, "there is no event 4000: the last one is "),
        ("9" * 40, ExitCode.BAD_INPUT, "there is no event 9999"),
        ("2025-02-09", ExitCode.BAD_INPUT, "2025-02-09T00:00:00Z lies in the future: nothing is known of it yet"),
        ("-1", ExitCode.BAD_INPUT, "'-1' is not a time such as"),
        ("yesterday", ExitCode.BAD_INPUT, "and no position of an event"),
        ("", ExitCode.BAD_INPUT, "'' is not a time such as"),
        ("٣", ExitCode.NOT_FOUND, "was not there yet"),  # a digit of another script is one
        ("99999999w", ExitCode.BAD_INPUT, "is not a time such as"),
    ],
)
def test_what_is_no_moment_of_its_past_is_said_so(
    hookfuse: Hookfuse, world: World, *, command: str, as_of: str, code: ExitCode, said: str
) -> None:
    ended = hookfuse(command, SHOP, "--as-of", as_of)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_the_moment_of_its_creation_is_the_first(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("show", PAGER, "--as-of", str(CREATED), "--json").json["state"] == "active"
    assert hookfuse("show", PAGER, "--as-of", str(CREATED - 1)).code == ExitCode.NOT_FOUND


def test_no_secret_is_shown_of_the_past(hookfuse: Hookfuse, world: World) -> None:
    assert SECRET not in hookfuse("show", PAGER, "--as-of", str(DISABLED), "--json").out
