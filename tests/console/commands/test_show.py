from typing import Any

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import BreakerClosed, BreakerOpened, DeliveryFailed, DisablingFrozen, Event
from eventstore.log.event_log import NewEvent
from tests.console.conftest import CHAT, HEADER_VALUE, PAGER, SECRET, SHOP, Hookfuse, World, attempt


def test_show_json_holds_all_about_an_installation(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("show", CHAT, "--json").json

    assert found["installation_id"] == CHAT
    assert found["app"]["id"] == 6
    assert found["app"]["slug"] == "chat"
    assert found["app"]["webhook_url"] == "https://chat.example/hook"
    assert found["app"]["status"] == "internal"
    assert found["organization"] == {
        "organization_id": 17,
        "slug": "acme",
        "name": "Acme",
        "url": "https://acme.example",
        "owners": ["ann@acme.example"],
    }
    assert (found["state"], found["since"]) == ("disabled", "2025-02-08T12:00:00.000000Z")
    assert found["deliveries"] == {"waiting": 0, "missed": 3, "dead": 0}
    assert len(found["requests"]) == 5


def test_the_buffer_has_the_days_with_traffic_as_the_policy_counts_them(hookfuse: Hookfuse, world: World) -> None:
    buffer = hookfuse("show", CHAT, "--json").json["buffer"]

    assert [day["day"] for day in buffer] == ["2025-02-02", "2025-02-03", "2025-02-04"]
    assert buffer[0] == {
        "day": "2025-02-02",
        "success": 0,
        "error": 4,
        "timeout": 0,
        "redirect": 0,
        "client_error": 0,
        "rate_limited": 0,
        "server_error": 4,
        "protocol": 0,
        "fatal": 0,
    }
    world.home.configuration.write_text('[policy]\nname = "sentry-2024"\n')
    assert hookfuse("show", CHAT, "--json").json["buffer"][0]["error"] == 0


def test_the_buffer_is_of_the_policys_window(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=2)

    assert [day["day"] for day in hookfuse("show", CHAT, "--json").json["buffer"]] == ["2025-02-04"]


def test_the_verdict_says_why(hookfuse: Hookfuse, world: World) -> None:
    evaluation = hookfuse("show", CHAT, "--json").json["evaluation"]

    assert evaluation == {
        "is_broken": True,
        "rule": "no-success",
        "explanation": "no success within 7 days, 12 failures over 3 days (the limit is 10 over 3)",
        "progress": 1.0,
        "policy": "balanced",
        "policy_version": 1,
    }


def test_a_disabling_is_shown_with_its_evidence(hookfuse: Hookfuse, world: World) -> None:
    disabled = hookfuse("show", CHAT, "--json").json["disabled"]

    assert (disabled["cause"], disabled["by"], disabled["policy"]) == ("policy", "system", "balanced")
    assert (disabled["rule"], disabled["position"]) == ("no-success", 26)
    assert disabled["at"] == "2025-02-08T12:00:00.000000Z"
    assert [day["server_error"] for day in disabled["evidence"]["days"]] == [4, 4, 4]
    assert disabled["evidence"]["last_failure"]["status_code"] == 500
    assert hookfuse("show", PAGER, "--json").json["disabled"] is None


def test_a_person_sees_the_same(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("show", CHAT).out

    assert "state           disabled since 2025-02-08T12:00:00Z\n" in shown
    assert "decided by      rule no-success of policy balanced, version 1\n" in shown
    assert "last failure    event 24, 2025-02-04T12:00:00Z: 500 server_error: [bold]oops[/bold]\\x1b[2J\n" in shown
    assert "2025-02-04        0      4        0             4\n" in shown


def test_no_secret_is_shown(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("show", PAGER).out + hookfuse("show", PAGER, "--json").out

    assert SECRET not in shown
    assert HEADER_VALUE not in shown
    assert "X-Token" in shown


def test_an_installation_without_traffic_is_shown(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=40)

    shown = hookfuse("show", PAGER).out

    assert "no traffic in the window" in shown
    assert "last requests\nnone yet\n" in shown


def test_a_removed_installation_is_shown(hookfuse: Hookfuse, world: World) -> None:
    registry = world.home.path / "registry.toml"
    registry.write_text("")
    hookfuse("apply", registry, "--prune")

    assert hookfuse("show", PAGER, "--json").json["state"] == "removed"


def test_the_beginning_of_an_id_is_enough_where_it_is_unique(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("show", "7C1F0A5", "--json").json["installation_id"] == PAGER
    ambiguous = hookfuse("show", "7c1f0a")
    unknown = hookfuse("show", "ffffff")

    assert (ambiguous.code, unknown.code) == (ExitCode.BAD_INPUT, ExitCode.NOT_FOUND)
    assert "several installations start with 7c1f0a" in ambiguous.err


def append(world: World, installation_id: str, *events: Event) -> None:
    with world.store() as store, store.transaction() as transaction:
        transaction.append(*(NewEvent(installation_stream(installation_id), event) for event in events))


OPENED = BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "10 failures in a row (the limit is 10)")
CLOSED = BreakerClosed(PAGER, "2025-02-08T12:20:00.000000Z")


@pytest.mark.parametrize(
    ("events", "seconds", "state", "said"),
    [
        ((), 0, "closed", ""),
        ((OPENED,), 299, "open", "open until 2025-02-08T12:05:00Z: its deliveries wait"),
        ((OPENED,), 300, "half_open", "half open: one delivery at a time is let through, to find out"),
        ((OPENED, CLOSED), 1199, "recovering", "closed again, with stricter limits until 2025-02-08T12:20:00Z"),
        ((OPENED, CLOSED), 1200, "closed", ""),
    ],
)
def test_the_breaker_stands_as_its_events_say(
    hookfuse: Hookfuse, world: World, *, events: tuple[Event, ...], seconds: float, state: str, said: str
) -> None:
    if events:
        append(world, PAGER, *events)
    world.clock.advance(seconds=seconds)
    shown = hookfuse("show", PAGER).out

    assert hookfuse("show", PAGER, "--json").json["breaker"]["state"] == state
    assert (f"breaker         {said}\n" in shown) is bool(said)
    assert ("breaker " in shown) is bool(said)


@pytest.mark.parametrize(("seconds", "expected"), [(59, "2025-02-08T12:01:00.000000Z"), (60, None)])
def test_a_pause_that_the_endpoint_asked_for_is_shown_until_it_is_over(
    hookfuse: Hookfuse, world: World, seconds: float, expected: str | None
) -> None:
    fields: dict[str, Any] = {"status_code": 429, "error_class": "rate_limited"}
    append(world, PAGER, DeliveryFailed(**attempt(5, "pager", hold_until="2025-02-08T12:01:00.000000Z", **fields)))
    world.clock.advance(seconds=seconds)

    assert hookfuse("show", PAGER, "--json").json["hold_until"] == expected
    assert ("paused          until 2025-02-08T12:01:00Z" in hookfuse("show", PAGER).out) is bool(expected)


def test_failures_are_counted_by_class_and_the_latest_by_their_exact_class(hookfuse: Hookfuse, world: World) -> None:
    for code, error_class in ((301, "redirect"), (503, "unavailable"), (500, "server_error")):
        failed = DeliveryFailed(**attempt(7, "shop", status_code=code, error_class=error_class))
        append(world, SHOP, failed)
    failures = hookfuse("show", SHOP, "--json").json["failures"]

    assert (failures["days"], failures["by_class"]) == (7, {"redirect": 1, "server_error": 2, "timeout": 3})
    assert [(row["error_class"], row["count"], row["last_code"]) for row in failures["latest"]] == [
        ("timeout", 3, 0),
        ("redirect", 1, 301),
        ("unavailable", 1, 503),
        ("server_error", 1, 500),
    ]
    assert "failures        1 redirect, 2 server_error, 3 timeout in 7 days\n" in hookfuse("show", SHOP).out


def test_failures_of_more_than_seven_days_ago_are_not_counted(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=7)

    assert hookfuse("show", SHOP, "--json").json["failures"] == {"days": 7, "by_class": {}, "latest": []}


def test_a_disabled_one_is_told_apart_from_how_its_days_stand_now(hookfuse: Hookfuse, world: World) -> None:
    disabled, active = hookfuse("show", CHAT).out, hookfuse("show", SHOP).out

    assert "nearest rule    now: no-success: no success within 7 days" in disabled
    assert "evaluation      now: broken by policy balanced" in disabled
    assert "nearest rule    no-success: " in active


def test_a_frozen_fleet_is_shown(hookfuse: Hookfuse, world: World) -> None:
    append(world, PAGER, DisablingFrozen(20, 12, 11))

    assert hookfuse("show", PAGER, "--json").json["outage"]["is_frozen"] is True
    assert "automatic disabling is frozen" in hookfuse("show", PAGER).out


def test_the_tables_in_a_pipe_fit_80_columns(hookfuse: Hookfuse, world: World) -> None:
    _, tables = hookfuse("show", CHAT).out.split("\n\n", 1)

    assert max(map(len, tables.splitlines())) <= 80
