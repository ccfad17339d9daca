import threading
from itertools import permutations
from typing import Any, cast

import pytest
from structlog.typing import EventDict

from actors.journal.journal import JournalActor
from actors.messages import (
    CheckOutbox,
    Decide,
    FinishFirst,
    NoteHealth,
    Ref,
    Refresh,
    ReviewInstallation,
    WatchOutage,
)
from actors.runtime.thread_pool import TurnPool
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.deliveries.commit_group import SqliteCommitter
from eventstore.events.catalogue import DeliveryFailed, DeliverySucceeded, InstallationRemoved
from eventstore.log.event_log import read_events
from eventstore.policies.outage_rule import OutageRule
from eventstore.projections.health import read_outage
from replay.check.verification import verify
from tests.actors.stage import (
    EVENT_NAME,
    ONE,
    OWNERS,
    READ_TIMEOUT,
    SERVER_ERROR,
    URL,
    CrankedRef,
    Heard,
    Stage,
    Works,
    lines_of,
    outcome,
)
from webhook import ErrorClass

WAIT_S = 60.0


class Court:
    """A supervisor at a real journal; whom it tells only writes down, both into one list."""

    def __init__(self, stage: Stage, journal: Ref | None = None, **settings: Any) -> None:
        self.stage = stage
        self.told = stage.hear()
        self.ref = stage.supervisor(
            journal=journal or stage.cranked(stage.journal()),
            mailer=self.told.ref,
            **settings,
        )

    def note(self, *installation_ids: str, is_failing: bool | None) -> None:
        for installation_id in installation_ids:
            self.ref.tell(NoteHealth(installation_id, is_failing=is_failing))
        self.stage.run()

    def watch_outage(self) -> None:
        self.ref.tell(WatchOutage())
        self.stage.run()

    def consider(self, *, gone_at: int | None = None) -> None:
        self.ref.tell(self.wish(gone_at=gone_at))
        self.stage.run()

    def wish(self, *, gone_at: int | None = None) -> ReviewInstallation:
        return ReviewInstallation(ONE, self.told.ref, gone_at)


def decisions(stage: Stage) -> dict[str, int]:
    names = ("installation.disabled", "audit.recorded", "mail.requested")
    return {name: len(stage.events(name)) for name in names}


ONCE = {"installation.disabled": 1, "audit.recorded": 1, "mail.requested": len(OWNERS)}
NEVER = dict.fromkeys(ONCE, 0)


def test_a_broken_installation_is_disabled_with_audit_entry_and_one_mail_for_each_owner(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.wear_out()
    Court(stage).consider()

    assert decisions(stage) == ONCE
    assert stage.rows("SELECT state FROM installations") == [("disabled",)]
    assert sorted(event.recipient for event in stage.events("mail.requested")) == list(OWNERS)


def test_first_the_installation_is_refreshed_and_then_the_mailer_looks(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    court = Court(stage)
    court.consider()

    assert court.told.messages == [Refresh(), CheckOutbox()]


def test_nobody_is_told_before_the_decision_is_on_disk(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    seen: list[Any] = []

    class Reader:
        def tell(self, message: object) -> None:
            seen.append((type(message), decisions(stage) == ONCE))

    reader = cast("Ref", Reader())
    ref = stage.supervisor(journal=stage.cranked(stage.journal()), mailer=reader)
    ref.tell(ReviewInstallation(ONE, reader))
    stage.run()

    assert seen == [(Refresh, True), (CheckOutbox, True)]


def test_the_log_line_of_a_disabling_has_the_full_buffer_record(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    Court(stage).consider()

    (line,) = lines_of(lines, "sentryapp.disabled")
    assert line == {
        "event": "sentryapp.disabled",
        "log_level": "warning",
        "sentryapp_webhook": URL,
        "sentryapp_slug": "pager",
        "sentryapp_uuid": "uuid-1111",
        "org_id": 1111,
        "buffer_record": {
            "2025-02-03": {"server_error": 4},
            "2025-02-04": {"server_error": 4},
            "2025-02-05": {"server_error": 4},
        },
        "installation_id": ONE,
        "cause": "policy",
        "rule": "no-success",
        "position": 16,
        "mails": 2,
    }


def test_a_receiver_s_410_disables_at_once_and_says_so(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    Court(stage).consider(gone_at=3)

    (event,) = stage.events("installation.disabled")
    assert (event.cause, event.by, event.reason) == ("receiver", "system", "the endpoint answered 410 Gone")
    assert lines_of(lines, "sentryapp.disabled")[0]["rule"] == "receiver"


def test_what_is_not_broken_any_more_is_not_disabled(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    stage.append(installation_stream(ONE), DeliverySucceeded("d-1", EVENT_NAME, 1111, 1111, 1, URL, 200))
    court = Court(stage)
    court.consider()

    assert decisions(stage) == NEVER
    assert court.told.messages == [Refresh()]
    assert lines_of(lines, "disabling_declined")[0]["why"] == "nothing has changed"


def test_an_installation_that_was_removed_meanwhile_goes_on_to_be_refreshed(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.wear_out()
    stage.append(installation_stream(ONE), InstallationRemoved(ONE))
    court = Court(stage)
    court.consider()

    assert court.told.messages == [Refresh()]
    assert stage.budget.crash_count == 0
    assert "removed" in lines_of(lines, "disabling_declined")[0]["why"]


def test_a_decision_that_crashes_lets_the_installation_go_on(stage: Stage, lines: list[EventDict]) -> None:
    class Crashing:
        def ask(self, _message: object, *, timeout: float) -> Any:
            raise RuntimeError("on purpose")

    court = Court(stage, cast("Ref", Crashing()))
    court.consider()

    assert court.told.messages == [Refresh()]
    assert court.ref.is_alive()


def test_a_decision_counts_though_the_installation_was_stopped_first(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    stopped, mailer = stage.hear(), stage.hear()
    stopped.ref.stop(block=False)
    ref = stage.supervisor(journal=stage.cranked(stage.journal()), mailer=mailer.ref)
    ref.tell(ReviewInstallation(ONE, stopped.ref))
    stage.run()

    assert decisions(stage) == ONCE
    assert mailer.messages == [CheckOutbox()]
    assert len(lines_of(lines, "sentryapp.disabled")) == 1
    assert stage.budget.crash_count == 0


def test_who_waits_for_the_supervisor_to_finish_hears_after_its_decisions(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    court = Court(stage)
    court.ref.tell(court.wish())
    future = court.ref.ask(FinishFirst(), block=False)
    stage.run()

    assert future.get(timeout=0) is None
    assert decisions(stage) == ONCE


@pytest.mark.parametrize("order", [*permutations("aab", 3)])
def test_two_supervisors_at_two_journals_disable_once(
    stage: Stage, lines: list[EventDict], order: tuple[str, ...]
) -> None:
    stage.register(ONE)
    stage.wear_out()
    courts = {name: Court(stage) for name in "ab"}
    for name in order:
        courts[name].ref.tell(courts[name].wish())
    stage.run()

    assert decisions(stage) == ONCE
    assert len(lines_of(lines, "sentryapp.disabled")) == 1
    assert [message for court in courts.values() for message in court.told.of(CheckOutbox)] == [CheckOutbox()]


def test_a_supervisor_that_is_overtaken_between_its_verdict_and_its_transaction_disables_nothing(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.wear_out()
    quicker = Court(stage)
    slow_journal = stage.journal()

    class Overtaken(CrankedRef):
        def ask(self, message: Any, *, timeout: float | None = None) -> Any:
            assert isinstance(message, Decide)
            quicker.ref.tell(quicker.wish())
            stage.run()
            return super().ask(message, timeout=timeout)

    slow = Court(stage, cast("Ref", Overtaken(slow_journal, stage.journal_pool)))
    slow.consider()

    assert decisions(stage) == ONCE
    assert len(quicker.told.of(CheckOutbox)) == 1
    assert slow.told.messages == [Refresh()]


def test_two_supervisors_in_two_threads_at_the_same_moment_disable_once(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    barrier = threading.Barrier(2)
    pools = [TurnPool(f"court-{number}", 1) for number in range(4)]
    journals = [_journal_behind(barrier, stage, pool) for pool in pools[:2]]
    told: list[Heard] = [stage.hear(), stage.hear()]
    courts = [
        stage.supervisor(journal=journal, mailer=heard.ref, pool=pool)
        for journal, heard, pool in zip(journals, told, pools[2:], strict=True)
    ]
    for court in courts:
        court.tell(ReviewInstallation(ONE, stage.hear().ref))
    for court in courts:
        court.ask(FinishFirst(), timeout=WAIT_S)
    for ref in [*courts, *journals]:
        ref.stop(timeout=WAIT_S)
    stage.run()

    assert all(pool.stop(WAIT_S) for pool in pools)
    assert decisions(stage) == ONCE
    assert len(lines_of(lines, "sentryapp.disabled")) == 1
    assert sorted(len(heard.of(CheckOutbox)) for heard in told) == [0, 1]


def _journal_behind(barrier: threading.Barrier, stage: Stage, pool: TurnPool) -> Ref:
    class MeetingJournal(JournalActor):
        def receive(self, message: Any) -> object:
            barrier.wait(WAIT_S)
            return super().receive(message)

    store = stage.open_store()
    return stage.keep(
        MeetingJournal.start(
            pool=pool,
            budget=stage.budget,
            escalate=stage.escalations.append,
            store=store,
            committer=SqliteCommitter(store),
        )
    )


def almost_broken(stage: Stage, *, failures: int = 4) -> None:
    """Record failures over two days: 8 of 10 over 2 of 3 days are two thirds of the way."""
    stage.register(ONE)
    stage.wear_out(failures=failures, days=2)


def test_who_is_warned_of_gets_one_mail_for_each_owner_and_goes_on(stage: Stage, lines: list[EventDict]) -> None:
    almost_broken(stage)
    court = Court(stage)
    court.consider()

    assert [event.level for event in stage.events("installation.warned")] == [50]
    assert {event.kind for event in stage.events("mail.requested")} == {"integration-warned"}
    assert court.told.messages == [Refresh(), CheckOutbox()]
    assert stage.rows("SELECT state FROM installations") == [("active",)]


def test_a_warning_is_one_log_line_with_its_reason(stage: Stage, lines: list[EventDict]) -> None:
    almost_broken(stage)
    Court(stage).consider()

    (line,) = lines_of(lines, "installation_reviewed")
    assert (line["log_level"], line["decision"], line["rule"], line["mails"]) == ("warning", "warned", "no-success", 2)
    assert "8 failures" in line["explanation"]


def test_a_calm_again_mails_nobody(stage: Stage, lines: list[EventDict]) -> None:
    almost_broken(stage)
    Court(stage).consider()
    stage.append(installation_stream(ONE), DeliverySucceeded("d-1", EVENT_NAME, 1111, 1111, 1, URL, 200))
    court = Court(stage)
    court.consider()

    assert len(stage.events("installation.warning_lifted")) == 1
    assert court.told.messages == [Refresh()]


def test_without_warnings_nobody_is_warned(stage: Stage, lines: list[EventDict]) -> None:
    almost_broken(stage)
    Court(stage, is_warned=False).consider()

    assert stage.events("installation.warned", "mail.requested") == []


@pytest.mark.parametrize(("scope", "expected"), [("internal", 0), ("all", 1)])
def test_a_published_app_is_warned_of_where_it_may_be_disabled(
    stage: Stage, lines: list[EventDict], scope: str, expected: int
) -> None:
    stage.register(ONE, status="published")
    stage.wear_out(failures=4, days=2)
    Court(stage, scope=scope).consider()

    assert len(stage.events("installation.warned")) == expected


@pytest.mark.parametrize("order", [*permutations("aab", 3)])
def test_two_supervisors_at_two_journals_warn_once(
    stage: Stage, lines: list[EventDict], order: tuple[str, ...]
) -> None:
    almost_broken(stage)
    courts = {name: Court(stage) for name in "ab"}
    for name in order:
        courts[name].ref.tell(courts[name].wish())
    stage.run()

    assert len(stage.events("installation.warned")) == 1
    assert len(stage.events("mail.requested")) == len(OWNERS)
    assert [message for court in courts.values() for message in court.told.of(CheckOutbox)] == [CheckOutbox()]


def test_two_supervisors_in_two_threads_at_the_same_moment_warn_once(stage: Stage, lines: list[EventDict]) -> None:
    almost_broken(stage)
    barrier = threading.Barrier(2)
    pools = [TurnPool(f"court-{number}", 1) for number in range(4)]
    journals = [_journal_behind(barrier, stage, pool) for pool in pools[:2]]
    courts = [stage.supervisor(journal=one, pool=pool) for one, pool in zip(journals, pools[2:], strict=True)]
    for court in courts:
        court.tell(ReviewInstallation(ONE, stage.hear().ref))
    for court in courts:
        court.ask(FinishFirst(), timeout=WAIT_S)
    for ref in [*courts, *journals]:
        ref.stop(timeout=WAIT_S)
    stage.run()

    assert all(pool.stop(WAIT_S) for pool in pools)
    assert len(stage.events("installation.warned")) == 1
    assert len(stage.events("mail.requested")) == len(OWNERS)


FLEET = OutageRule(share=0.3, window_s=300, installations_min=5)
IDS = [f"{number:08d}-1111-4111-8111-111111111111" for number in range(1, 21)]


def is_frozen(stage: Stage) -> bool:
    return read_outage(stage.store.connection).is_frozen


def test_many_that_begin_to_fail_at_once_freeze_and_it_is_said_loudly_once(
    stage: Stage, lines: list[EventDict]
) -> None:
    court = Court(stage, outage_rule=FLEET)
    court.note(*IDS[10:], is_failing=False)
    court.note(*IDS[:4], is_failing=True)
    before = is_frozen(stage)
    court.note(*IDS[4:10], is_failing=True)
    court.watch_outage()

    assert (before, is_frozen(stage)) == (False, True)
    (event,) = stage.events("disabling.frozen")
    assert (event.active, event.failing, event.newly_failing) == (20, 10, 10)
    (line,) = lines_of(lines, "disabling_frozen")
    assert line["log_level"] == "error"


def test_few_that_fail_freeze_nothing(stage: Stage, lines: list[EventDict]) -> None:
    court = Court(stage, outage_rule=FLEET)
    court.note(*IDS[6:], is_failing=False)
    court.note(*IDS[:4], is_failing=True)

    assert not is_frozen(stage)


def test_those_that_fail_one_after_the_other_freeze_nothing(stage: Stage, lines: list[EventDict]) -> None:
    court = Court(stage, outage_rule=FLEET)
    for installation_id in IDS:
        court.note(installation_id, is_failing=True)
        stage.clock.advance(seconds=75)

    assert not is_frozen(stage)


def test_those_that_failed_long_before_the_daemon_started_freeze_nothing(stage: Stage, lines: list[EventDict]) -> None:
    failure = DeliveryFailed("d-0", EVENT_NAME, 1111, 1111, 1, URL, 500, error_class="server_error")
    for installation_id in IDS:
        stage.append(installation_stream(installation_id), failure)
    stage.clock.advance(seconds=301)
    for installation_id in IDS:
        stage.append(installation_stream(installation_id), failure)
    court = Court(stage, outage_rule=FLEET)
    court.note(*IDS, is_failing=True)

    assert not is_frozen(stage)


def test_one_whose_actor_was_put_away_in_between_begins_nothing(stage: Stage, lines: list[EventDict]) -> None:
    failure = DeliveryFailed("d-0", EVENT_NAME, 1111, 1111, 1, URL, 500, error_class="server_error")
    court = Court(stage, outage_rule=FLEET)
    for installation_id in IDS[:5]:
        stage.append(installation_stream(installation_id), failure)
        court.note(installation_id, is_failing=True)
        court.note(installation_id, is_failing=None)
        stage.clock.advance(seconds=400)
    for installation_id in IDS[:5]:
        stage.append(installation_stream(installation_id), failure)
        court.note(installation_id, is_failing=True)

    assert not is_frozen(stage)


def frozen(stage: Stage) -> Court:
    court = Court(stage, outage_rule=FLEET)
    court.note(*IDS[:10], is_failing=True)
    assert is_frozen(stage)
    return court


def test_it_thaws_when_it_has_passed_and_says_so(stage: Stage, lines: list[EventDict]) -> None:
    court = frozen(stage)
    court.note(*IDS[:6], is_failing=False)
    court.watch_outage()
    before = is_frozen(stage)
    court.note(IDS[6], is_failing=False)
    court.watch_outage()

    assert (before, is_frozen(stage)) == (True, False)
    assert [(event.active, event.failing) for event in stage.events("disabling.thawed")] == [(10, 3)]
    assert len(lines_of(lines, "disabling_thawed")) == 1


def test_silence_thaws_nothing(stage: Stage, lines: list[EventDict]) -> None:
    court = frozen(stage)
    stage.clock.advance(seconds=100_000)
    court.note(*IDS[:10], is_failing=None)  # their actors are put away between two attempts
    court.watch_outage()

    assert is_frozen(stage)


def test_after_a_restart_it_stays_frozen_until_enough_was_seen(stage: Stage, lines: list[EventDict]) -> None:
    frozen(stage).ref.stop(block=False)
    stage.run()
    court = Court(stage, outage_rule=FLEET)
    court.watch_outage()
    court.note(*IDS[:4], is_failing=False)
    court.watch_outage()
    before = is_frozen(stage)
    court.note(IDS[4], is_failing=False)
    court.watch_outage()

    assert (before, is_frozen(stage)) == (True, False)


def test_after_a_restart_a_freeze_is_not_recorded_again(stage: Stage, lines: list[EventDict]) -> None:
    frozen(stage)
    Court(stage, outage_rule=FLEET).note(*IDS, is_failing=True)

    assert len(stage.events("disabling.frozen")) == 1


def test_where_it_is_switched_off_nothing_freezes(stage: Stage, lines: list[EventDict]) -> None:
    Court(stage, outage_rule=None).note(*IDS, is_failing=True)

    assert not is_frozen(stage)


def test_where_it_was_switched_off_meanwhile_a_freeze_ends_at_once(stage: Stage, lines: list[EventDict]) -> None:
    frozen(stage)
    Court(stage, outage_rule=None).watch_outage()

    assert not is_frozen(stage)


def test_while_frozen_nothing_is_disabled_or_warned_of_and_a_person_may(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    court = frozen(stage)
    court.consider()
    by_the_policy = decisions(stage)
    by_a_person = stage.decide(ONE)

    assert by_the_policy == NEVER
    assert "frozen" in lines_of(lines, "disabling_declined")[0]["why"]
    assert court.told.messages == [Refresh()]
    assert by_a_person.is_changed


def test_a_freeze_is_on_disk_before_the_next_decision(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    court = Court(stage, outage_rule=FLEET)
    for installation_id in IDS[:5]:
        court.ref.tell(NoteHealth(installation_id, is_failing=True))
    court.ref.tell(court.wish())
    stage.run()

    assert decisions(stage) == NEVER
    assert is_frozen(stage)


def fleet_at_work(stage: Stage) -> Works:
    stage.register(*IDS[:10])
    works = Works(stage, outage_rule=FLEET, delays_s=(10, 10, 10, 10))
    for installation_id in IDS[:10]:
        stage.enqueue(installation_id)
    works.look_around()
    return works


def test_an_outage_of_our_own_is_held_against_nobody_and_passes(stage: Stage, lines: list[EventDict]) -> None:
    works = fleet_at_work(stage)
    works.receiver.answer = READ_TIMEOUT
    for _ in range(3):
        for installation_id in IDS[:10]:
            stage.enqueue(installation_id)
        works.look_around(after_s=10)
    during = is_frozen(stage)
    works.receiver.answer = outcome()
    works.look_around(after_s=10)
    works.look_around()
    works.receiver.answer = SERVER_ERROR
    stage.enqueue(IDS[0])
    works.look_around()

    positions = [stored.position for stored in read_events(stage.store.connection) if stored.stream == FLEET_STREAM]
    counted = stage.rows("SELECT sum(timeout), sum(server_error), sum(success) FROM buffer")
    assert (during, is_frozen(stage), len(positions)) == (True, False, 2)
    assert len(stage.events("delivery.timed_out")) == 60
    assert counted == [(10, 1, 40)]  # the group commit that the first failures came with was counted
    assert verify(stage.path).differences == ()


def test_endpoints_that_all_say_slowly_are_no_outage(stage: Stage, lines: list[EventDict]) -> None:
    works = fleet_at_work(stage)
    works.receiver.answer = outcome(ErrorClass.RATE_LIMITED, 429)
    for installation_id in IDS[:10]:
        stage.enqueue(installation_id)
    works.look_around()

    assert len(stage.events("delivery.failed")) == 10
    assert not is_frozen(stage)
