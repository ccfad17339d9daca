import os

import pytest

from console.exit_codes import ExitCode
from eventstore.events import InstallationDisabled, InstallationEnabled, MailRequested
from eventstore.identifiers import installation_stream
from eventstore.log import StoredEvent, read_events
from tests.console.conftest import CHAT, PAGER, SHOP, Hookfuse, World


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
    ended = hookfuse("enable", CHAT, "--reason", "mended", "--by", "bea")

    assert ended.out.splitlines() == [
        f"enabled installation {CHAT} (event 30)",
        f"it has missed deliveries (3); to send them: hookfuse deliveries resend --installation {CHAT} --state missed",
    ]
    enabled = _stream(world, CHAT)[-2].event
    assert enabled == InstallationEnabled(CHAT, "person:bea", "mended")


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
    doorbell = world.home.open_doorbell()
    try:
        hookfuse("disable", PAGER, "--reason", "x")
        assert os.read(doorbell, 10) == b"!"
    finally:
        os.close(doorbell)
