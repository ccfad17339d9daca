import json
import os
from collections import Counter
from datetime import timedelta
from pathlib import Path

from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.common.uptime import Uptime
from eventstore.events.catalogue import (
    BreakerOpened,
    DeliveryFailed,
    DeliverySucceeded,
    DisableEvidence,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationWarned,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.clock_doubt import ClockPair, Doubt
from eventstore.unit_of_work import Store
from eventstore.views.system_overview import read_system_overview
from eventstore.wall_clock.watch import write_clock_pair
from tests.console.conftest import CHAT, PAGER, SHOP, Hookfuse, World, attempt


def test_status_json_holds_how_things_stand(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(seconds=90)

    found = hookfuse("status", "--json").json

    assert found["home"] == str(world.home.path)
    assert (found["is_running"], found["daemon_pid"]) == (False, None)
    assert (found["policy"], found["policy_version"], found["last_position"]) == ("balanced", 1, 29)
    assert found["installations"] == {"active": 2, "disabled": 1}
    assert found["deliveries"] == {"waiting": 1, "missed": 3, "dead": 1}
    assert found["oldest_waiting_s"] == 90.0
    assert found["mails"] == {"requested": 1, "sent": 0, "failed": 0}
    assert [(row["installation_id"], row["progress"]) for row in found["in_trouble"]] == [(SHOP, 0.3)]
    (disabled,) = found["disabled"]
    assert (disabled["installation_id"], disabled["cause"], disabled["by"]) == (CHAT, "policy", "system")
    assert disabled["since"] == "2025-02-08T12:00:00.000000Z"


def test_status_says_what_the_metrics_say(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(seconds=90)
    with world.store() as store:
        signs = read_system_overview(store.connection, world.clock.now())

    found = hookfuse("status", "--json").json
    for name in ("last_position", "deliveries", "oldest_waiting_s", "breakers", "paused", "mails"):
        assert found[name] == getattr(signs, name), name
    assert {"removed": 0} | found["installations"] == signs.installations
    assert found["outage"]["is_frozen"] == signs.is_frozen
    assert Counter(row["level"] for row in found["warned"]) == Counter(signs.warned)


def test_status_names_the_daemon_that_runs(hookfuse: Hookfuse, world: World) -> None:
    with world.home.ownership.held():
        assert hookfuse("status", "--json").json["daemon_pid"] == os.getpid()
        assert f"running (process {os.getpid()})" in hookfuse("status").out


def test_status_names_the_workers_of_the_daemon(hookfuse: Hookfuse, world: World) -> None:
    with world.home.ownership.held():
        world.home.ownership.name_workers([71, 72])
        assert hookfuse("status", "--json").json["worker_pids"] == [71, 72]
        assert f"running (process {os.getpid()}, workers 71, 72)" in hookfuse("status").out


def test_status_in_a_pipe_is_plain_text(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("status").out

    assert "daemon          not running\n" in shown
    assert "deliveries      1 waiting, 3 missed, 1 dead\n" in shown
    assert "\x1b" not in shown
    assert not any(char in shown for char in "─│┃")
    assert CHAT in shown


def test_status_follows_the_policy_of_the_configuration(hookfuse: Hookfuse, world: World) -> None:
    world.home.configuration.write_text('[policy]\nname = "sentry-2024"\n')

    assert hookfuse("status", "--json").json["policy"] == "sentry-2024"


def test_a_wrong_configuration_is_one_line(hookfuse: Hookfuse, world: World) -> None:
    world.home.configuration.write_text("[policy]\nnmae = 1\n[timeouts]\nread_s = -1\n")

    ended = hookfuse("status")

    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)
    assert "policy.nmae" in ended.err
    assert "timeouts.read_s" in ended.err


def test_status_changes_nothing(hookfuse: Hookfuse, world: World) -> None:
    before = hookfuse("events", "--json").out

    hookfuse("status")

    assert hookfuse("events", "--json").out == before
    json.loads(before)


def test_many_disabled_installations_are_counted_and_not_all_shown(hookfuse: Hookfuse, tmp_path: Path) -> None:
    organization = '[[organizations]]\nid = 1\nslug = "o"\nname = "O"\nurl = "https://o.example"\n'
    entries = "".join(
        f'[[apps]]\nid = {number}\nslug = "a{number}"\nname = "A"\norganization = 1\n'
        f'webhook_url = "https://a.example"\n[[installations]]\napp = {number}\norganization = 1\n'
        f'uuid = "{number:08}-0000-4000-8000-000000000000"\n'
        for number in range(1, 23)
    )
    (tmp_path / "registry.toml").write_text(organization + entries)
    hookfuse("apply", tmp_path / "registry.toml")
    for number in range(1, 23):
        hookfuse("disable", f"{number:08}", "--reason", "x")

    assert "and 2 more: hookfuse installations --state disabled" in hookfuse("status").out
    assert len(hookfuse("status", "--json").json["disabled"]) == 22


def append(world: World, installation_id: str, *events: Event) -> None:
    with world.store() as store, store.transaction() as transaction:
        transaction.append(*(NewEvent(installation_stream(installation_id), event) for event in events))


def warned(level: int) -> InstallationWarned:
    evidence = DisableEvidence("balanced", 1, "no-success", "x", (), 1)
    return InstallationWarned(PAGER, 5, 17, "https://pager.example/hook", level, level / 100, evidence)


def test_who_has_begun_to_fail_when_it_was_frozen_is_named(hookfuse: Hookfuse, world: World) -> None:
    frozen = DisablingFrozen(20, 12, 11, organizations=("17",), hosts=("one.example", "two.example"))
    with Store(world.home.database, world.clock) as store, store.transaction() as transaction:
        transaction.append(NewEvent(FLEET_STREAM, frozen))

    assert "It began at one.example, two.example." in hookfuse("status").out
    assert hookfuse("status", "--json").json["frozen_by"] == ["one.example", "two.example"]


def test_a_frozen_fleet_is_said_before_all_else(hookfuse: Hookfuse, world: World) -> None:
    append(world, PAGER, DisablingFrozen(20, 12, 11))
    lines = hookfuse("status").out.splitlines()

    assert lines[0].startswith("AUTOMATIC DISABLING IS FROZEN")
    assert "12 of 20 active at 2025-02-08T12:00:00Z" in lines[1]
    assert hookfuse("status", "--json").json["outage"] == {
        "is_frozen": True,
        "since": "2025-02-08T12:00:00.000000Z",
        "active": 20,
        "failing": 12,
    }


def test_a_fleet_that_is_thawed_or_never_was_frozen_is_not_worth_a_word(hookfuse: Hookfuse, world: World) -> None:
    never = hookfuse("status").out
    since = hookfuse("status", "--json").json["outage"]["since"]
    append(world, PAGER, DisablingFrozen(20, 12, 11), DisablingThawed(20, 2))

    assert since is None
    assert "FROZEN" not in never + hookfuse("status").out
    assert hookfuse("status", "--json").json["outage"]["is_frozen"] is False


def test_breakers_pauses_and_warnings_are_counted(hookfuse: Hookfuse, world: World) -> None:
    busy = attempt(5, "pager", status_code=503, error_class="unavailable", hold_until="2025-02-08T12:01:00.000000Z")
    append(world, PAGER, DeliveryFailed(**busy), warned(50), warned(90))
    append(world, PAGER, BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "x"))
    append(world, SHOP, BreakerOpened(SHOP, "2025-02-08T12:00:00.000000Z", "x"))
    found, shown = hookfuse("status", "--json").json, hookfuse("status").out

    assert (found["open_breakers"], found["paused"]) == (2, 1)
    assert found["breakers"] == {"open": 1, "half_open": 1, "recovering": 0}
    assert [(row["installation_id"], row["level"]) for row in found["warned"]] == [(PAGER, 90)]
    assert [row["breaker"] for row in found["in_trouble"]] == ["half_open", "open"]
    assert "breakers        1 open, 1 half open\n" in shown
    assert "paused          1, as their endpoints asked\n" in shown
    assert "warned          1 at 90%\n" in shown


def test_a_dry_run_opens_no_breaker(hookfuse: Hookfuse, world: World) -> None:
    append(world, PAGER, BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "x", is_dry_run=True))

    assert hookfuse("status", "--json").json["open_breakers"] == 0


def test_all_in_a_pipe_but_the_home_fits_80_columns(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("disable", PAGER, "--reason", "x" * 500, "--by", "ann")
    append(world, SHOP, DisablingFrozen(20, 12, 11))
    lines = [line for line in hookfuse("status").out.splitlines() if not line.startswith("home")]

    assert max(map(len, lines)) <= 80
    assert any(line.endswith("person:ann") for line in lines)
    assert lines[-1] == "the reasons: hookfuse why INSTALLATION"


def test_failures_are_told_apart_by_class_and_the_missed_ones_counted(hookfuse: Hookfuse, world: World) -> None:
    for error_class in ("dns", "tls", "tls"):
        append(world, PAGER, DeliveryFailed(**attempt(5, "pager", status_code=0, error_class=error_class)))
    found, shown = hookfuse("status", "--json").json, hookfuse("status").out

    assert (found["failures"]["tls"], found["failures"]["dns"]) == (2, 1)
    assert "2 tls" in shown
    assert found["missed"]["count"] == found["deliveries"]["missed"]


def test_apps_to_which_nothing_can_be_sent_for_want_of_a_secret_are_named(hookfuse: Hookfuse, world: World) -> None:
    before = hookfuse("status")
    with world.store() as store:
        store.connection.execute("DELETE FROM secrets WHERE app_id != 7")

    assert "no secret" not in before.out
    assert hookfuse("status", "--json").json["apps_without_secret"] == [5, 6]
    assert (
        "no secret       app 5, 6: nothing is sent before hookfuse apply, or hookfuse app rotate-secret"
        in hookfuse("status").out
    )


def test_who_is_down_now_comes_first_and_how_many_more_there_are_is_said(hookfuse: Hookfuse, world: World) -> None:
    """Pager had a success today, by which nothing of the policy is near; but its breaker is open."""
    append(world, PAGER, DeliverySucceeded(**attempt(5, "pager", status_code=200)))
    append(world, PAGER, BreakerOpened(PAGER, "2025-02-08T12:05:00.000000Z", "10 failures in a row (the limit is 10)"))
    found = hookfuse("status", "--json").json
    shown = hookfuse("status", "--limit", 1).out

    assert [row["installation_id"] for row in found["in_trouble"]] == [PAGER, SHOP]
    assert found["in_trouble"][0]["explanation"].startswith("breaker: 10 failures in a row")
    assert found["in_trouble_count"] == 2
    assert PAGER in shown
    assert SHOP not in shown
    assert "and 1 more: hookfuse status --limit 2\n" in shown


def test_a_clock_that_is_doubted_is_said_with_what_it_means(hookfuse: Hookfuse, world: World) -> None:
    with Store(world.home.database, world.clock) as store:
        month = timedelta(days=31)
        doubt = Doubt(month.total_seconds(), 60.0)
        pair = ClockPair(world.clock.now() - month, Uptime("another boot", 0.0), doubt)
        write_clock_pair(store.connection, pair)

    (line,) = [one for one in hookfuse("status").out.splitlines() if one.startswith("clock")]
    found = hookfuse("status", "--json").json["clock"]

    assert "doubted: " in line
    assert "nothing expires for" in line
    assert found["doubt_left_s"] > 0
