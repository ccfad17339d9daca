from typing import Any

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.decisions.review import ReviewRequest, review
from eventstore.events.catalogue import (
    AppChanged,
    BreakerOpened,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisablingFrozen,
    Event,
    InstallationWarningLifted,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.policy import BALANCED
from tests.console.conftest import CHAT, HEADER_VALUE, PAGER, SECRET, SHOP, Hookfuse, World, attempt

STOPPED = "One successful delivery, before there are 10 failures over 3 days, would stop it."


def append(world: World, stream: str, *events: Event) -> None:
    with world.store() as store, store.transaction() as transaction:
        transaction.append(*(NewEvent(stream, event) for event in events))


def make_internal(world: World) -> None:
    """Make the app internal, so that the machine may disable what is close to its limit."""
    changed = AppChanged(7, "shop", "Shop", "uuid-7", "internal", 17, "https://shop.example/hook")
    append(world, app_stream(7), changed)


def fail(world: World, count: int = 1, **fields: Any) -> None:
    values = {"status_code": 500, "error_class": "server_error", "response_body": "a\x1b[2Jb"} | fields
    append(world, installation_stream(SHOP), *[DeliveryFailed(**attempt(7, "shop", **values))] * count)


def warn(world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        review(transaction, ReviewRequest(SHOP, BALANCED, "internal", "hookfuse.example"))


def facts(shown: str) -> dict[str, str]:
    lines = [line.split("  ", 1) for line in shown.splitlines() if "  " in line]
    return {name: value.strip() for name, value in lines}


def test_a_disabled_one_has_the_evidence_of_the_decision(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("why", CHAT, "--json").json

    assert (found["installation_id"], found["state"]) == (CHAT, "disabled")
    assert (found["disabled"]["cause"], found["disabled"]["by"], found["disabled"]["position"]) == (
        "policy",
        "system",
        26,
    )
    assert (found["policy"], found["policy_version"], found["rule"]) == ("balanced", 1, "no-success")
    assert found["explanation"] == "no success within 7 days, 12 failures over 3 days (the limit is 10 over 3)"
    assert [(day["day"], day["server_error"]) for day in found["days"]] == [
        ("2025-02-02", 4),
        ("2025-02-03", 4),
        ("2025-02-04", 4),
    ]
    assert (found["first_failure"]["position"], found["last_failure"]["position"]) == (9, 24)
    assert (found["last_failure"]["status_code"], found["last_failure"]["error_class"]) == (500, "server_error")
    assert found["remediation"] == "One successful delivery between 2025-02-02 and 2025-02-08 would have prevented it."
    assert found["positions"] == {
        "decision": 26,
        "first_failure": 9,
        "last_failure": 24,
        "warning": None,
        "breaker_opened": None,
        "up_to": 25,
    }


def test_a_person_reads_the_same(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("why", CHAT[:8]).out
    read = facts(shown)

    assert read["decided at"] == "2025-02-08T12:00:00Z"
    assert read["decided by"] == "system"
    assert read["cause"] == "the policy: it was broken"
    assert read["policy"] == "balanced, version 1"
    assert read["rule"] == "no-success"
    assert read["because"] == "no success within 7 days, 12 failures over 3 days (the limit is 10 over 3)"
    assert read["first failure"] == "event 9, 2025-02-02T12:00:00Z: 500 server_error: [bold]oops[/bold]\\x1b[2J"
    assert "day         success  server_error\n2025-02-02        0             4\n" in shown
    assert "\nOne successful delivery between 2025-02-02 and 2025-02-08 would have prevented it.\n" in shown
    assert read["events"] == "decision 26, first failure 9, last failure 24"


def test_the_command_that_it_ends_with_finds_the_decision(hookfuse: Hookfuse, world: World) -> None:
    command = facts(hookfuse("why", CHAT).out)["to read them"]
    (event,) = hookfuse(*command.split()[1:]).json

    assert (event["position"], event["type"]) == (26, "installation.disabled")


def test_the_evidence_stays_that_of_the_decision(hookfuse: Hookfuse, world: World) -> None:
    before = hookfuse("why", CHAT, "--json").json
    world.clock.advance(days=30)
    after = hookfuse("why", CHAT, "--json").json

    for name in ("rule", "explanation", "days", "first_failure", "last_failure", "remediation", "positions"):
        assert after[name] == before[name]


def test_of_a_person_s_decision_it_says_who_and_why(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("disable", PAGER, "--reason", "moved away", "--by", "ann")
    shown = hookfuse("why", PAGER).out
    read = facts(shown)

    assert (read["decided by"], read["cause"], read["reason"]) == ("person:ann", "a person's decision", "moved away")
    assert "prevented" not in shown
    assert hookfuse("why", PAGER, "--json").json["remediation"] == ""


def test_of_a_receiver_s_wish_it_says_what_it_answered(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        review(transaction, ReviewRequest(PAGER, BALANCED, gone_at=0))
    shown = hookfuse("why", PAGER).out

    assert facts(shown)["cause"] == "the receiver: it answered 410 Gone"
    assert "\nAny answer other than 410 Gone would have prevented it.\n" in shown


def test_an_active_one_says_how_near_by_which_rule_and_what_would_stop_it(hookfuse: Hookfuse, world: World) -> None:
    make_internal(world)
    fail(world, 2)
    shown = hookfuse("why", SHOP).out
    read = facts(shown)

    assert read["progress"] == "50% of the way to being disabled"
    assert read["rule"] == "no-success"
    assert read["because"] == "no success within 7 days, 5 failures over 4 days (the limit is 10 over 3)"
    assert read["first failure"] == "event 13, 2025-02-02T12:00:00Z: no answer, timeout: read timed out"
    assert read["last failure"].endswith(": 500 server_error: a\\x1b[2Jb")
    assert f"\n{STOPPED}\n" in shown
    assert "warned" not in read


def test_what_would_stop_it_stops_it(hookfuse: Hookfuse, world: World) -> None:
    make_internal(world)
    fail(world, 6)
    append(world, installation_stream(SHOP), DeliverySucceeded(**attempt(7, "shop", status_code=200)))
    found = hookfuse("why", SHOP, "--json").json

    assert found["progress"] < 0.01
    assert found["rule"] != "no-success"  # that of the time-outs is left
    assert found["remediation"] == ""  # and nothing is near


def test_a_healthy_one_has_nothing_that_points_to_a_breakage(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("why", PAGER, "--json").json

    assert (found["progress"], found["rule"], found["remediation"]) == (0.0, "", "")
    assert facts(hookfuse("why", PAGER).out)["progress"] == "nothing points to a breakage"


def test_a_warning_is_named_until_it_is_over(hookfuse: Hookfuse, world: World) -> None:
    make_internal(world)
    fail(world, 2)
    warn(world)
    warned = hookfuse("why", SHOP, "--json").json
    shown = facts(hookfuse("why", SHOP).out)
    append(world, installation_stream(SHOP), InstallationWarningLifted(SHOP))
    lifted = hookfuse("why", SHOP, "--json").json

    assert (warned["warned_level"], shown["warned"]) == (50, "the owners were warned at 50%")
    assert shown["events"].endswith(f"warning {warned['positions']['warning']}")
    assert (lifted["warned_level"], lifted["positions"]["warning"]) == (0, None)


def test_the_last_warning_before_a_decision_is_named(hookfuse: Hookfuse, world: World) -> None:
    make_internal(world)
    fail(world, 2)
    warn(world)
    fail(world, 6)
    position = hookfuse("why", SHOP, "--json").json["positions"]["warning"]
    warn(world)
    found = hookfuse("why", SHOP, "--json").json

    assert found["state"] == "disabled"
    assert found["positions"]["warning"] == position


def test_an_open_breaker_says_until_when_and_why(hookfuse: Hookfuse, world: World) -> None:
    opened = BreakerOpened(SHOP, "2025-02-08T12:05:00.000000Z", "10 failures in a row (the limit is 10)")
    dry = BreakerOpened(SHOP, "2025-02-08T13:00:00.000000Z", "only tried", is_dry_run=True)
    append(world, installation_stream(SHOP), opened, dry)
    found = hookfuse("why", SHOP, "--json").json

    assert found["breaker"] == {
        "state": "open",
        "open_until": "2025-02-08T12:05:00.000000Z",
        "strict_until": None,
        "explanation": "10 failures in a row (the limit is 10)",
    }
    assert facts(hookfuse("why", SHOP).out)["breaker"] == (
        "open until 2025-02-08T12:05:00Z: its deliveries wait (10 failures in a row (the limit is 10))"
    )


@pytest.mark.parametrize(("seconds", "is_paused"), [(59, True), (60, False)])
def test_a_pause_is_said_while_it_lasts(hookfuse: Hookfuse, world: World, *, seconds: float, is_paused: bool) -> None:
    fail(world, status_code=429, error_class="rate_limited", hold_until="2025-02-08T12:01:00.000000Z")
    world.clock.advance(seconds=seconds)

    assert ("paused" in facts(hookfuse("why", SHOP).out)) is is_paused


def test_a_frozen_fleet_is_said(hookfuse: Hookfuse, world: World) -> None:
    append(world, "fleet", DisablingFrozen(20, 12, 11))

    assert facts(hookfuse("why", PAGER).out)["disabling"] == (
        "frozen since 2025-02-08T12:00:00Z: 12 of 20 were failing"
    )
    assert hookfuse("why", PAGER, "--json").json["outage"]["is_frozen"] is True


def test_a_published_app_is_not_disabled_by_the_machine_and_needs_nothing(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("why", SHOP).out
    assert facts(shown)["disabling"].startswith("not by the machine: the app is published")
    assert STOPPED not in shown

    world.home.configuration.write_text('[disabling]\napps = "all"\n')
    shown = hookfuse("why", SHOP).out
    assert "disabling" not in facts(shown)
    assert STOPPED in shown


def test_a_removed_one_says_so(hookfuse: Hookfuse, world: World) -> None:
    (world.home.path / "registry.toml").write_text("")
    hookfuse("apply", world.home.path / "registry.toml", "--prune")
    shown = hookfuse("why", CHAT).out

    assert facts(shown)["disabling"] == "it is removed: nothing is sent to it"
    assert "would" not in shown


def test_one_without_traffic_says_so(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=40)
    shown = hookfuse("why", PAGER).out

    assert "what was evaluated\nno traffic in the window\n" in shown


def test_neither_escapes_nor_secrets_are_shown(hookfuse: Hookfuse, world: World) -> None:
    shown = "".join(hookfuse("why", one).out + hookfuse("why", one, "--json").out for one in (CHAT, PAGER, SHOP))

    assert "\x1b" not in shown
    assert SECRET not in shown
    assert HEADER_VALUE not in shown


def test_an_unknown_one_is_not_found(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("why", "ffffff").code == ExitCode.NOT_FOUND


def test_who_asks_about_a_delivery_is_shown_the_way(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("why", world.dead_id)

    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err == (
        f"hookfuse: installation {world.dead_id} is not known: see `hookfuse installations`,"
        " or `hookfuse logs delivery` if it is a delivery\n"
    )


def test_of_one_that_is_not_on_its_way_nothing_is_said_to_stop_it(hookfuse: Hookfuse, world: World) -> None:
    """Two time-outs of the thousand that the rule asks for are 0% of the way."""
    with world.store() as store, store.transaction() as transaction:
        timed_out = DeliveryTimedOut("d", "issue.created", 5, 17, 1, "https://pager.example/hook", error_class="dns")
        succeeded = DeliverySucceeded(**attempt(5, "pager", status_code=200))
        transaction.append(*[NewEvent(installation_stream(PAGER), one) for one in (succeeded, timed_out, timed_out)])
    told = hookfuse("why", PAGER)

    assert "nothing points to a breakage" in told.out
    assert "would" not in told.out
    assert hookfuse("why", PAGER, "--json").json["remediation"] == ""


def test_an_answer_that_could_not_be_read_is_not_called_no_answer(hookfuse: Hookfuse, world: World) -> None:
    said = "the status line is none of HTTP/1.1 or HTTP/1.0"
    fail(world, status_code=0, error_class="protocol", fault="bad_status_line", detail=said, response_body="")

    told = hookfuse("why", SHOP).out

    assert f"no status, protocol: {said}" in told
    assert "no answer, protocol" not in told


def test_show_counts_failures_under_the_classes_of_its_buffer(hookfuse: Hookfuse, world: World) -> None:
    fail(world, status_code=0, error_class="protocol", fault="no_answer")

    failures = hookfuse("show", SHOP, "--json").json["failures"]["by_class"]

    assert failures["protocol"] == 1
    assert "no_answer" not in failures
