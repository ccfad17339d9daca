import threading
from itertools import permutations
from typing import Any, cast

import pytest
from structlog.typing import EventDict

from actors.journal import JournalActor
from actors.messages import CheckOutbox, ConsiderDisabling, Decide, FinishFirst, Ref, RefreshInstallation
from actors.pool import TurnPool
from eventstore.events import DeliverySucceeded, InstallationRemoved
from eventstore.identifiers import installation_stream
from tests.actors.stage import EVENT_NAME, ONE, OWNERS, URL, CrankedRef, Heard, Stage, lines_of

WAIT_S = 20.0


class Court:
    """A supervisor at a real journal; whom it tells only writes down, both into one list."""

    def __init__(self, stage: Stage, journal: Ref | None = None) -> None:
        self.stage = stage
        self.told = stage.hear()
        self.ref = stage.supervisor(
            journal=journal or stage.cranked(stage.journal()), dispatcher=self.told.ref, mailer=self.told.ref
        )

    def consider(self, cause: str = "policy", reason: str = "") -> None:
        self.ref.tell(ConsiderDisabling(ONE, cause, reason))
        self.stage.run()


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

    assert court.told.messages == [RefreshInstallation(ONE), CheckOutbox()]


def test_nobody_is_told_before_the_decision_is_on_disk(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    seen: list[Any] = []

    class Reader:
        def tell(self, message: object) -> None:
            seen.append((type(message), decisions(stage) == ONCE))

    reader = cast("Ref", Reader())
    ref = stage.supervisor(journal=stage.cranked(stage.journal()), dispatcher=reader, mailer=reader)
    ref.tell(ConsiderDisabling(ONE, "policy", ""))
    stage.run()

    assert seen == [(RefreshInstallation, True), (CheckOutbox, True)]


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
    Court(stage).consider("receiver", "the endpoint answered 410 Gone")

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
    assert court.told.messages == [RefreshInstallation(ONE)]
    assert lines_of(lines, "disabling_declined")[0]["why"] == "policy balanced no longer finds it broken"


def test_an_installation_that_was_removed_meanwhile_goes_on_to_be_refreshed(
    stage: Stage, lines: list[EventDict]
) -> None:
    stage.register(ONE)
    stage.wear_out()
    stage.append(installation_stream(ONE), InstallationRemoved(ONE))
    court = Court(stage)
    court.consider()

    assert court.told.messages == [RefreshInstallation(ONE)]
    assert stage.budget.crash_count == 0
    assert "removed" in lines_of(lines, "disabling_declined")[0]["why"]


def test_a_decision_that_crashes_lets_the_installation_go_on(stage: Stage, lines: list[EventDict]) -> None:
    class Crashing:
        def ask(self, _message: object, *, timeout: float) -> Any:
            raise RuntimeError("on purpose")

    court = Court(stage, cast("Ref", Crashing()))
    court.consider()

    assert court.told.messages == [RefreshInstallation(ONE)]
    assert court.ref.is_alive()


def test_a_decision_counts_though_the_dispatcher_was_stopped_first(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    stopped, mailer = stage.hear(), stage.hear()
    stopped.ref.stop(block=False)
    ref = stage.supervisor(journal=stage.cranked(stage.journal()), dispatcher=stopped.ref, mailer=mailer.ref)
    ref.tell(ConsiderDisabling(ONE, "policy", ""))
    stage.run()

    assert decisions(stage) == ONCE
    assert mailer.messages == [CheckOutbox()]
    assert len(lines_of(lines, "sentryapp.disabled")) == 1
    assert stage.budget.crash_count == 0


def test_who_waits_for_the_supervisor_to_finish_hears_after_its_decisions(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    court = Court(stage)
    court.ref.tell(ConsiderDisabling(ONE, "policy", ""))
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
        courts[name].ref.tell(ConsiderDisabling(ONE, "policy", ""))
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
            quicker.ref.tell(ConsiderDisabling(ONE, "policy", ""))
            stage.run()
            return super().ask(message, timeout=timeout)

    slow = Court(stage, cast("Ref", Overtaken(slow_journal, stage.journal_pool)))
    slow.consider()

    assert decisions(stage) == ONCE
    assert len(quicker.told.of(CheckOutbox)) == 1
    assert slow.told.messages == [RefreshInstallation(ONE)]


def test_two_supervisors_in_two_threads_at_the_same_moment_disable_once(stage: Stage, lines: list[EventDict]) -> None:
    stage.register(ONE)
    stage.wear_out()
    barrier = threading.Barrier(2)
    pools = [TurnPool(f"court-{number}", 1) for number in range(4)]
    journals = [_journal_behind(barrier, stage, pool) for pool in pools[:2]]
    told: list[Heard] = [stage.hear(), stage.hear()]
    courts = [
        stage.supervisor(journal=journal, dispatcher=heard.ref, mailer=heard.ref, pool=pool)
        for journal, heard, pool in zip(journals, told, pools[2:], strict=True)
    ]
    for court in courts:
        court.tell(ConsiderDisabling(ONE, "policy", ""))
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

    return stage.keep(
        MeetingJournal.start(
            pool=pool, budget=stage.budget, escalate=stage.escalations.append, store=stage.open_store()
        )
    )
