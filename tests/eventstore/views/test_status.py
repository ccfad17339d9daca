"""How things stand: what two queries say of all is what evaluating each one says."""

import random
from datetime import timedelta

import pytest

from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.events.catalogue import (
    AppRegistered,
    BreakerOpened,
    DisableEvidence,
    Event,
    InstallationCreated,
    InstallationDisabled,
    InstallationWarned,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.day_counts import COUNTED_CLASSES
from eventstore.policies.policy import BALANCED, SENTRY_2024, DayRule, Policy
from eventstore.projections.failures import read_failures
from eventstore.projections.registry import read_installations
from eventstore.unit_of_work import Store
from eventstore.views import status
from eventstore.views.breaker import breaker_of
from eventstore.views.evaluation import read_evaluation
from eventstore.views.status import LIST_LIMIT, StatusView, read_status
from tests.eventstore.facts import failed, record, register, succeeded, timed_out

WIDE = Policy(
    name="wide",
    version=1,
    window_days=30,
    errors=("server_error", "timeout"),
    rules=(DayRule(name="day", fatal_min=400, timeout_min=600, timeout_share_above=0.0), *BALANCED.rules[1:]),
    no_answer="timeout",
)
EVIDENCE = DisableEvidence("balanced", 1, "no-success", "x", (), 1)


def installation_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def create(store: Store, count: int) -> None:
    apps = [AppRegistered(n, f"app-{n}", "A", "u", "internal", 17, "https://a.example") for n in range(1, count + 1)]
    created = [InstallationCreated(installation_id(app.app_id), app.app_id, 17) for app in apps]
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(app_stream(app.app_id), app) for app in apps))
        transaction.append(*(NewEvent(installation_stream(one.installation_id), one) for one in created))


def tell(store: Store, *events: Event) -> None:
    with store.transaction() as transaction:
        for event in events:
            stream = installation_stream(event.installation_id)  # type: ignore[attr-defined]
            transaction.append(NewEvent(stream, event))


def look(store: Store, policy: Policy = BALANCED, limit: int = 10) -> StatusView:
    return read_status(store.connection, policy, store.clock.now(), limit=limit, longest_retry_s=3600.0)


def count_days(store: Store, clock: ManualClock, chance: random.Random, count: int) -> None:
    """Write days of all kinds: before, within and after the window, with and without success."""
    for number in range(1, count + 1):
        for ago in range(-1, 40):
            if chance.random() < 0.5:
                continue
            day = time_text(clock.now() - timedelta(days=ago))[:10]
            counts = [chance.choice((0, 0, 0, 1, 2, 3, 5, 40, 700)) for _ in COUNTED_CLASSES]
            counts[0] = chance.choice((0, 0, 1, 900))
            store.connection.execute(
                f"INSERT INTO buffer (installation_id, day, {', '.join(COUNTED_CLASSES)})"
                f" VALUES (?, ?{', ?' * len(COUNTED_CLASSES)})",
                (installation_id(number), day, *counts),
            )


@pytest.mark.parametrize("policy", [BALANCED, SENTRY_2024, WIDE], ids=lambda policy: policy.name)
@pytest.mark.parametrize("seed", range(4))
def test_who_is_in_trouble_is_who_is_when_each_one_is_judged(
    store: Store, clock: ManualClock, policy: Policy, seed: int
) -> None:
    chance = random.Random(seed)
    create(store, 60)
    count_days(store, clock, chance, 40)
    for number in (3, 41, 42):  # the last two have no day at all
        tell(store, BreakerOpened(installation_id(number), time_text(clock.now() + timedelta(seconds=60)), "x"))
    tell(store, InstallationDisabled(installation_id(5), 5, 17, "https://a.example", "policy", "system", "x", EVIDENCE))

    expected = {}
    for one in read_installations(store.connection):
        evaluation = read_evaluation(store.connection, one.installation_id, policy, clock.now())
        is_down = breaker_of(one, clock.now()).is_down
        if one.is_active and (is_down or evaluation.progress >= 0.005):
            expected[one.installation_id] = (not is_down, -evaluation.progress)
    found = look(store, policy, limit=100)

    assert found.in_trouble_count == len(found.in_trouble) == len(expected) > 10
    assert [(one.breaker != "open", -one.progress) for one in found.in_trouble] == sorted(expected.values())
    assert {one.installation_id for one in found.in_trouble} == set(expected)


def test_those_in_trouble_are_found_by_the_index_of_days_that_matter(store: Store) -> None:
    wanted = dict.fromkeys(("first", "today", "is_timeout", "timeouts", "fatals"), 0)
    plan = store.connection.execute(f"EXPLAIN QUERY PLAN {status._CANDIDATES}", wanted).fetchall()

    assert any("COVERING INDEX buffer_of_trouble (day>? AND day<?)" in step[3] for step in plan)
    assert not any("SCAN buffer" in step[3] for step in plan)


def test_lists_are_cut_and_counted(store: Store) -> None:
    count = LIST_LIMIT + 5
    create(store, 2 * count)
    ids = [installation_id(number) for number in range(1, 2 * count + 1)]
    url = "https://a.example"
    tell(store, *(InstallationDisabled(one, 1, 17, url, "person", "person:a", "x") for one in ids[:count]))
    tell(store, *(InstallationWarned(one, 1, 17, url, 50, 0.5, EVIDENCE) for one in ids[count:]))
    found = look(store)

    assert [one.installation_id for one in found.disabled] == ids[:LIST_LIMIT]
    assert [one.installation_id for one in found.warned] == ids[count : count + LIST_LIMIT]
    assert found.apps_without_secret == tuple(range(1, LIST_LIMIT + 1))
    assert (found.overview.installations["disabled"], found.overview.warned[50]) == (count, count)
    assert found.apps_without_secret_count == 2 * count


def test_failures_are_those_of_the_last_24_hours_of_the_clock(store: Store, clock: ManualClock) -> None:
    register(store)
    record(store, failed(), failed(), succeeded())
    clock.advance(seconds=23 * 3600)
    record(store, timed_out())
    at_23 = look(store).failures
    clock.advance(seconds=3600)

    assert list(at_23.values()) == [2, 1]
    assert look(store).failures == {timed_out().error_class: 1}
    everything = read_failures(store.connection, since=clock.now() - timedelta(days=9), until=clock.now())
    assert everything == at_23
