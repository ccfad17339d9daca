"""What is asked for by a filter: names instead of numbers, unknown ones, and what makes no sense, in every command."""

import pytest

from console.shell.filters import ERROR_CLASSES
from tests.console.conftest import CHAT, PAGER, Hookfuse, World
from webhook import ErrorClass

PERIODS = [
    ("requests",),
    ("deliveries",),
    ("events",),
    ("events", "export"),
    ("audit",),
    ("logs",),
    ("logs", "summary"),
    ("replay", "timeline", "aa000000"),
]


@pytest.mark.parametrize("command", PERIODS, ids=" ".join)
def test_a_period_that_ends_before_it_begins_is_refused(
    hookfuse: Hookfuse, world: World, command: tuple[str, ...]
) -> None:
    ended = hookfuse(*command, "--since", "2d", "--until", "3d")

    assert (ended.code, ended.out) == (3, "")
    assert "is after" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", [*PERIODS, ("replay", "what-if", "--policy", "balanced")], ids=" ".join)
def test_what_lies_ahead_is_refused(hookfuse: Hookfuse, world: World, command: tuple[str, ...]) -> None:
    ended = hookfuse(*command, "--since", "2097-01-01")

    assert (ended.code, ended.out) == (3, "")
    assert "lies in the future" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("requests", "--app", 999),
        ("requests", "--app", 10**30),
        ("requests", "--app", "five"),
        ("requests", "--organization", 99),
        ("requests", "--organization", "nobody"),
        ("requests", "--event", "unheard.of"),
        ("requests", "--installation", "ffffff"),
        ("installations", "--app", 999),
        ("installations", "--organization", "nobody"),
        ("audit", "--organization", 99),
        ("deliveries", "--event", "unheard.of"),
        ("deliveries", "--error-class", "bad_luck"),
        ("deliveries", "--installation", "ffffff"),
        ("events", "--stream", "app-999"),
        ("events", "--installation", "ffffff"),
        ("events", "export", "--installation", "ffffff"),
        ("replay", "what-if", "--policy", "balanced", "ffffff"),
        ("replay", "timeline", "ffffff"),
        ("app", "secret", "nobody", "--to", "x.secret"),
        ("app", "rotate-secret", 999),
        ("app", "signing-key", "nobody"),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_json", [False, True])
def test_what_is_not_known_is_not_found(
    hookfuse: Hookfuse, world: World, words: tuple[object, ...], is_json: bool
) -> None:
    is_json = is_json and words[0] != "app" and "export" not in words
    ended = hookfuse(*words, *(["--json"] if is_json else []))

    assert (ended.code, ended.out, ended.err.count("\n")) == (4, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ("requests", "--app", ""),
        ("requests", "--organization", " "),
        ("requests", "--event", "no event"),
        ("deliveries", "--event", "x" * 200),
        ("requests", "--since", "yesterday"),
        ("audit", "--until", "tomorrow"),
        ("deliveries", "--until", "-3"),
        ("events", "--since", ""),
        ("requests", "--app", "\udcff"),
        ("requests", "--organization", "ac\udcffme"),
        ("audit", "--organization", "\udcff"),
        ("events", "--stream", "\udcff"),
        ("installations", "--app", "\udcff"),
        ("app", "signing-key", "\udcff"),
        ("deliveries", "resend", "\udcff"),
    ],
    ids=str,
)
def test_nonsense_is_bad_input(hookfuse: Hookfuse, world: World, words: tuple[object, ...]) -> None:
    ended = hookfuse(*words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)


@pytest.mark.parametrize(
    ("by_name", "by_number"),
    [
        (("requests", "--app", "pager"), ("requests", "--app", 5)),
        (("requests", "--organization", "acme"), ("requests", "--organization", 17)),
        (("installations", "--app", "chat"), ("installations", "--app", 6)),
        (("installations", "--organization", "acme"), ("installations", "--organization", 17)),
        (("audit", "--organization", "acme"), ("audit", "--organization", 17)),
    ],
    ids=str,
)
def test_a_slug_does_as_well_as_a_number(
    hookfuse: Hookfuse, world: World, by_name: tuple[object, ...], by_number: tuple[object, ...]
) -> None:
    found = hookfuse(*by_name, "--json").json

    assert found
    assert found == hookfuse(*by_number, "--json").json


def test_events_audit_and_deliveries_are_those_of_the_time_asked_for(hookfuse: Hookfuse, world: World) -> None:
    for command, name in (("events", "recorded_at"), ("audit", "recorded_at"), ("deliveries", "enqueued_at")):
        moments = sorted(row[name] for row in hookfuse(command, "--json", "--limit", 1000).json)
        middle = moments[len(moments) // 2]

        before = hookfuse(command, "--json", "--until", middle, "--limit", 1000).json
        after = hookfuse(command, "--json", "--since", middle, "--limit", 1000).json
        assert sorted(row[name] for row in before) == [one for one in moments if one <= middle]
        assert sorted(row[name] for row in after) == [one for one in moments if one >= middle]


def test_the_classes_that_may_be_asked_for_are_those_that_attempts_have() -> None:
    assert {str(one) for one in ErrorClass} == set(ERROR_CLASSES)


def test_no_installation_in_a_state_is_told_from_no_installation_at_all(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("enable", CHAT, "--reason", "fixed")

    assert hookfuse("installations", "--state", "disabled").out == "none is disabled; 3 installations are known\n"
    assert hookfuse("installations", "--state", "disabled", "--json").out == "[]\n"
    assert PAGER in hookfuse("installations", "--state", "active").out
