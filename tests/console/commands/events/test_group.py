import json

import pytest

from console.output.event_text import event_summary, full_fields
from console.shell.exit_codes import ExitCode
from eventstore.events.catalogue import AuditRecorded, DayRecord, DisableEvidence
from tests.console.conftest import CHAT, PAGER, Hookfuse, World


def test_events_json_has_the_fields_that_are_promised(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("events", "--json").json

    assert [event["position"] for event in found] == list(range(1, 30))
    assert set(found[0]) == {"position", "stream", "version", "type", "recorded_at", "data"}
    assert found[0]["type"] == "organization.registered"
    assert found[0]["data"]["owners"] == ["ann@acme.example"]


def test_a_field_with_its_default_is_in_the_data(hookfuse: Hookfuse, world: World) -> None:
    (event,) = hookfuse("events", "--json", "--type", "delivery.timed_out", "--limit", 1).json

    assert event["data"]["status_code"] == 0
    assert event["data"]["retry_at"] is None


@pytest.mark.parametrize(
    ("words", "positions"),
    [
        (("--limit", 2), [1, 2]),
        (("--newest", "--limit", 2), [29, 28]),
        (("--after", 27), [28, 29]),
        (("--type", "installation.disabled", "--type", "audit.recorded"), [26, 27]),
        (("--stream", "organization-17"), [1]),
        (("--installation", "7c1f0a52", "--newest", "--limit", 1), [29]),
    ],
)
def test_events_are_filtered(hookfuse: Hookfuse, world: World, words: tuple[object, ...], positions: list[int]) -> None:
    assert [event["position"] for event in hookfuse("events", "--json", *words).json] == positions


def test_events_in_a_pipe_are_one_row_a_line(hookfuse: Hookfuse, world: World) -> None:
    lines = hookfuse("events", "--json").out.splitlines()

    assert (lines[0], lines[-1], len(lines)) == ("[", "]", 31)
    assert json.loads(lines[1].removesuffix(","))["position"] == 1


def test_a_person_sees_a_summary(hookfuse: Hookfuse, world: World) -> None:
    line = hookfuse("events", "--newest", "--limit", 3).out.splitlines()[-1]

    assert line.split() == [
        "27",
        "2025-02-08T12:00:00Z",
        f"installation-{CHAT}",
        "15",
        "audit.recorded",
        "event=internal-integration.disable",
        "actor=system",
        "target=organization:17",
        "data=name:Chat",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limit", 2), "--after 2, a larger --limit or --newest\n"),
        (("--newest", "--limit", 2), "a larger --limit\n"),
        (("--limit", 30), ""),
        (("--type", "breaker.opened"), ""),
        (("--limit", 2, "--json"), ""),
    ],
)
def test_a_person_is_told_where_the_rest_is(
    hookfuse: Hookfuse, world: World, words: tuple[object, ...], said: str
) -> None:
    told = hookfuse("events", *words).err

    assert told == (f"hookfuse: that is as many as are shown at once: see {said}" if said else "")


@pytest.mark.parametrize(
    "words",
    [
        ("--type", "delivery.lost"),
        ("--stream", "app-5", "--installation", PAGER),
        ("--limit", "0"),
        ("--after", "-1"),
        ("--after", "9" * 30),
    ],
)
def test_a_filter_that_there_is_not_is_one_line(hookfuse: Hookfuse, world: World, words: tuple[str, ...]) -> None:
    ended = hookfuse("events", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.USAGE, "", 1)


def test_nested_values_are_whole_too() -> None:
    evidence = DisableEvidence("p", 1, "r", "e", (DayRecord("2025-02-01"),), 7)

    assert full_fields(evidence) == {
        "policy": "p",
        "policy_version": 1,
        "rule": "r",
        "explanation": "e",
        "days": [full_fields(DayRecord("2025-02-01"))],
        "up_to_position": 7,
        "first_failure": None,
        "last_failure": None,
        "remediation": "",
    }


def test_a_summary_quotes_what_has_spaces() -> None:
    assert event_summary(AuditRecorded("e", "person:ann b", "t", {})) == 'event=e actor="person:ann b" target=t'


def test_audit_json_has_the_fields_that_are_promised(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("audit", "--json").json == [
        {
            "event": "internal-integration.disable",
            "actor": "system",
            "target": "organization:17",
            "data": {"name": "Chat"},
            "recorded_at": "2025-02-08T12:00:00.000000Z",
            "position": 27,
        }
    ]


def test_audit_is_newest_first_and_limited(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("enable", CHAT, "--reason", "fixed", "--by", "bea")

    assert [entry["position"] for entry in hookfuse("audit", "--json").json] == [31, 27]
    (newest,) = hookfuse("audit", "--json", "--limit", 1).json
    assert (newest["actor"], newest["data"]) == ("person:bea", {"name": "Chat", "reason": "fixed"})
    assert "name: Chat, reason: fixed" in hookfuse("audit").out
