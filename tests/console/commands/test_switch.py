import os

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import installation_stream
from eventstore.deliveries.retention import expire_payloads
from eventstore.events.catalogue import InstallationDisabled, InstallationEnabled, MailRequested, RecoveryStarted
from eventstore.log.event_log import StoredEvent, read_events
from tests.console.conftest import CHAT, PAGER, SHOP, Hookfuse, World

AT = "2025-02-08T12:00:00.000000Z"


def _stream(world: World, installation_id: str) -> list[StoredEvent]:
    with world.store() as store:
        return list(read_events(store.connection, stream=installation_stream(installation_id)))


def test_disable_records_who_and_why_and_owes_a_mail(hookfuse: Hookfuse, world: World) -> None:
    world.home.configuration.write_text('[mail]\nsender = "fuse@platform.example"\n')

    ended = hookfuse("disable", "7c1f0a52", "--reason", "moving house", "--by", "bea")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"disabled installation {PAGER} (1 mail to send, event 30)\n"
    disabled, _, mail = [stored.event for stored in _stream(world, PAGER)[-3:]]
    assert isinstance(disabled, InstallationDisabled)
    assert (disabled.cause, disabled.by, disabled.reason) == ("person", "person:bea", "moving house")
    assert isinstance(mail, MailRequested)
    assert mail.message_id.endswith("@platform.example>")


def test_disable_may_be_without_mail_and_may_hit_a_published_app(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("disable", SHOP, "--reason", "x", "--no-mail")

    assert "(no mail to send, event 30)" in ended.out
    assert not [stored for stored in _stream(world, SHOP) if isinstance(stored.event, MailRequested)]


def test_by_is_the_login_name_where_none_is_given(
    hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "carl")

    hookfuse("disable", PAGER, "--reason", "x")

    disabled = _stream(world, PAGER)[-3].event
    assert isinstance(disabled, InstallationDisabled)
    assert disabled.by == "person:carl"


def test_a_user_without_a_name_is_a_number(hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)

    assert hookfuse("disable", PAGER, "--reason", "x").code == 0
    assert hookfuse("audit", "--json").json[0]["actor"] == f"person:uid {os.getuid()}"


def test_what_is_so_already_is_said_and_is_no_error(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("disable", CHAT, "--reason", "x").out == f"installation {CHAT}: it is disabled already\n"
    ended = hookfuse("enable", PAGER, "--reason", "x")

    assert (ended.code, ended.out) == (0, f"installation {PAGER}: it is active already\n")


def test_enable_says_how_to_send_what_was_missed(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("enable", CHAT, "--reason", "fixed", "--by", "bea")

    assert ended.out.splitlines() == [
        f"enabled installation {CHAT} (event 30)",
        f"it has missed deliveries (3); to send them: hookfuse enable {CHAT} --recover --reason TEXT",
    ]
    enabled = _stream(world, CHAT)[-2].event
    assert enabled == InstallationEnabled(CHAT, "person:bea", "fixed")


def test_enable_with_recover_says_what_is_recovered_and_how_long_it_takes(hookfuse: Hookfuse, world: World) -> None:
    world.home.configuration.write_text("[missed]\nrecover_per_s = 0.05\n")

    ended = hookfuse("enable", CHAT, "--recover", "--reason", "fixed", "--by", "bea")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"enabled installation {CHAT} (event 30)",
        (
            "recovering 3 missed deliveries, queued from 2025-02-08T12:00:00Z to 2025-02-08T12:00:00Z,"
            " 0.05 a second: about 1m"
        ),
    ]
    started = _stream(world, CHAT)[-1].event
    assert started == RecoveryStarted(CHAT, "person:bea", 3, AT, AT)


def test_enable_with_recover_of_an_active_one_only_recovers(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("enable", CHAT, "--reason", "fixed")

    first = hookfuse("enable", CHAT, "--recover", "--reason", "x")
    second = hookfuse("enable", CHAT, "--recover", "--reason", "x")
    other = hookfuse("enable", PAGER, "--recover", "--reason", "x")

    assert first.out.splitlines()[0] == f"installation {CHAT}: it is active already"
    assert first.out.splitlines()[1].startswith("recovering 3 missed deliveries")
    assert second.out.splitlines()[1] == "its recovery is under way: 3 of what it missed still wait to be sent"
    assert other.out.splitlines()[1] == "there is nothing to recover"


def test_what_has_no_payload_any_more_is_named_and_stays_missed(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=40)
    with world.store() as store, store.transaction() as transaction:
        expire_payloads(transaction, older_than=transaction.recorded_at, limit=1)
    ended = hookfuse("enable", CHAT, "--recover", "--reason", "fixed")

    assert "recovering 2 missed deliveries" in ended.out
    assert ended.out.splitlines()[2] == (
        "it has missed deliveries whose payload is gone (1); to see them:"
        f" hookfuse deliveries --installation {CHAT} --state missed"
    )


def test_a_pace_that_cannot_be_kept_changes_nothing(hookfuse: Hookfuse, world: World) -> None:
    world.home.configuration.write_text("[missed]\nrecover_per_s = 1e-300\n")

    ended = hookfuse("enable", CHAT, "--recover", "--reason", "fixed")

    assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
    assert "3 deliveries cannot be sent at 1e-300 a second" in ended.err
    assert hookfuse("show", CHAT, "--json").json["state"] == "disabled"


@pytest.mark.parametrize("command", ["disable", "enable"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("ffffff00-0000-4000-8000-000000000000", "--reason", "x"), ExitCode.NOT_FOUND),
        (("no-uuid", "--reason", "x"), ExitCode.BAD_INPUT),
        ((PAGER,), ExitCode.USAGE),
        ((PAGER, "--reason", "  "), ExitCode.USAGE),
        ((PAGER, "--reason", "a\x1b[2J"), ExitCode.USAGE),
        ((PAGER, "--reason", "x" * 1001), ExitCode.USAGE),
        ((PAGER, "--reason", "x", "--by", ""), ExitCode.USAGE),
    ],
)
def test_a_decision_that_cannot_be_taken_is_one_line(
    hookfuse: Hookfuse, world: World, command: str, words: tuple[str, ...], code: int
) -> None:
    before = _stream(world, PAGER)

    ended = hookfuse(command, *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert _stream(world, PAGER) == before


def test_a_decision_wakes_a_running_daemon(hookfuse: Hookfuse, world: World) -> None:
    doorbell = world.home.doorbell.listen()
    try:
        hookfuse("disable", PAGER, "--reason", "x")
        assert doorbell.heard()
    finally:
        doorbell.close()
