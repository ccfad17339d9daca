"""`replay timeline`: the story of one installation, for a person and for a program."""

import pytest

from console.output.timeline_text import entry_lines
from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import FLEET_STREAM, app_stream, installation_stream, organization_stream
from eventstore.events.catalogue import (
    AppChanged,
    DeliveryMissed,
    DisablingFrozen,
    InstallationEnabled,
    MailSent,
    OrganizationChanged,
    ProbeFailed,
    RecoveryStarted,
)
from eventstore.log.event_log import NewEvent, read_events
from replay.timeline.entries import Entry
from tests.console.conftest import CHAT, PAGER, SECRET, Hookfuse, World, attempt


def append(world: World, *events: NewEvent) -> None:
    with world.store() as store, store.transaction() as transaction:
        transaction.append(*events)


def test_a_story_has_attempts_decisions_evidence_and_mails(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("replay", "timeline", CHAT, "--json").json

    assert (found["installation_id"], found["since"]) == (CHAT, None)
    assert found["until"]["at"] == "2025-02-08T12:00:00.000000Z"
    assert [entry["kind"] for entry in found["entries"]] == ["created", "attempts", "gap", "disabled"]
    created, attempts, gap, disabled = found["entries"]
    assert (attempts["succeeded"], attempts["failed"]) == (0, {"server_error": 12})
    assert (gap["quiet_days"], gap["last_at"]) == (3, "2025-02-08T12:00:00.000000Z")
    assert disabled["evidence"]["rule"] == "no-success"
    assert disabled["mails"] == [
        {"recipient": "ann@acme.example", "sent": 0, "failed": 0, "pending": 1, "last_error": ""}
    ]
    assert created["app_id"] == 6


def test_a_person_reads_it_in_words(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("replay", "timeline", CHAT).out

    assert "failed        12 server_error\n" in shown
    assert "2025-02-02 12:00  2d   failing   12 attempts failed in a row: server_error\n" in shown
    assert "2025-02-04 12:00  4d   quiet     no attempt on 3 days\n" in shown
    assert "disabled  by rule no-success of policy balanced, version 1: no success within 7" in shown
    assert "mail to ann@acme.example: not sent yet\n" in shown
    assert "\x1b" not in shown  # what the receiver said is printable
    assert "oops[/bold]\\x1b[2J" in shown


def test_what_else_happens_is_told_in_words(hookfuse: Hookfuse, world: World) -> None:
    stream = installation_stream(CHAT)
    with world.store() as store:
        mails = [one.event for one in read_events(store.connection, type_names=("mail.requested",))]
    url = "https://chat.example/new"
    uuid = "00000000-0000-4000-8000-000000000006"
    changed = AppChanged(
        6, "chat", "Chat", uuid, "internal", 17, url, ("X-Token",), secret_version=2, headers_version=13
    )
    moments = ("2025-02-08T00:00:00.000000Z", "2025-02-08T01:00:00.000000Z")
    append(
        world,
        NewEvent(stream, MailSent(getattr(mails[0], "mail_id"), 1)),  # noqa: B009 - of an event
        NewEvent(stream, DeliveryMissed("d", "issue.created", moments[0])),
        NewEvent(stream, ProbeFailed(**attempt(6, "chat", error_class="timeout"))),
        NewEvent(app_stream(6), changed),
        NewEvent(organization_stream(17), OrganizationChanged(17, "acme", "Acme", "https://acme.example", ())),
        NewEvent(FLEET_STREAM, DisablingFrozen(20, 12, 11)),
        NewEvent(stream, InstallationEnabled(CHAT, "person:ann", "fixed")),
        NewEvent(stream, RecoveryStarted(CHAT, "person:ann", 1, *moments)),
    )
    shown = hookfuse("replay", "timeline", CHAT).out

    for line in (
        "mail to ann@acme.example: sent",
        "missed    1 delivery kept, and not sent",
        "tested    1 test delivery failed: timeout",
        "app       webhook URL: https://chat.example/hook → https://chat.example/new",
        "its secret was changed (it is the 2nd)",
        "its custom headers were changed (they are the 13th)",
        "owners    owners: ann@acme.example → none",
        "frozen    automatic disabling, for all: 12 of 20 active ones were failing; it",
        "enabled   by person:ann: fixed",
        "recovery  1 missed delivery sent by person:ann, not done yet",
    ):
        assert line in shown


def test_every_kind_of_entry_has_words() -> None:
    def leaves(kind: type[Entry]) -> list[type[Entry]]:
        return [leaf for one in kind.__subclasses__() for leaf in leaves(one) or [one]]

    from console.output.timeline_text import _words

    assert len(leaves(Entry)) >= 16
    assert [kind.__name__ for kind in leaves(Entry) if _words.dispatch(kind) is _words.dispatch(Entry)] == []
    nothing = Entry(first_at="2025-02-02T12:00:00Z", last_at="2025-02-02T12:00:00Z", first_position=1, last_position=1)
    with pytest.raises(TypeError, match="no words for Entry"):
        list(entry_lines(nothing, is_exact=False))


def test_a_story_that_is_soon_over_is_told_by_the_second(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("replay", "timeline", PAGER, "--until", "2025-02-03").out

    assert "2025-02-02 12:00:00       created    app 5 in organization 17\n" in shown
    assert "2025-02-02 12:00:00       delivered  1, and no attempt failed\n" in shown


def test_since_and_until_bound_the_story(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("replay", "timeline", CHAT, "--since", "2025-02-03", "--until", "2025-02-04", "--json").json

    assert [(entry["kind"], entry["count"]) for entry in found["entries"]] == [("created", 1), ("attempts", 4)]
    assert found["since"] == {"at": "2025-02-03T00:00:00.000000Z", "position": 13}
    assert "told          2025-02-03T00:00:00Z (event 13) to" in hookfuse(
        "replay", "timeline", CHAT, "--since", "13"
    ).out + (hookfuse("replay", "timeline", CHAT, "--since", "2025-02-03").out)


def test_told_lines_are_folded_in_a_pipe(hookfuse: Hookfuse, world: World) -> None:
    table = hookfuse("replay", "timeline", CHAT).out.split("\n\n", 1)[1]

    assert max(map(len, table.splitlines())) <= 110


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--since", "26", "--until", "25"), ExitCode.BAD_INPUT, "is after 2025-02-04T12:00:00Z (event 25)"),
        (("--since", "rubbish"), ExitCode.BAD_INPUT, "and no position of an event"),
        (("--until", "2030-01-01"), ExitCode.BAD_INPUT, "lies in the future"),
        (("--until", "2025-01-02"), ExitCode.NOT_FOUND, "was not there yet"),
    ],
)
def test_what_is_no_stretch_of_its_past_is_said_so(
    hookfuse: Hookfuse, world: World, *, arguments: tuple[str, ...], code: ExitCode, said: str
) -> None:
    ended = hookfuse("replay", "timeline", CHAT, *arguments)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


def test_no_secret_is_told(hookfuse: Hookfuse, world: World) -> None:
    assert SECRET not in hookfuse("replay", "timeline", PAGER, "--json").out
