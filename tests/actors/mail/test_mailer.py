from email.message import EmailMessage
from typing import Any, cast

import pytest
from structlog.typing import EventDict

from actors.mail import mailer as mailer_module
from actors.mail.mail_transport import MailDeferred, MailRefused, MemoryTransport
from actors.messages import CheckOutbox, RecordMail, Ref
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.review import ReviewRequest, review
from eventstore.events.catalogue import MailFailed, MailRequested, MailSent
from eventstore.policies.policy import BALANCED
from tests.actors.stage import ONE, TWO, CrankedRef, Stage, lines_of

ADA, BOB = "ada@acme.example", "bob@acme.example"


class PostOffice:
    """A mailer with a pending mail to each owner of an installation that was disabled."""

    def __init__(self, stage: Stage, *failures: MailDeferred | MailRefused, owners: tuple[str, ...] = (ADA,)) -> None:
        self.stage = stage
        self.postbox = MemoryTransport()
        self.postbox.fail_next(*failures)
        stage.register(ONE, owners=owners)
        stage.decide(ONE)

    def start(self, **parts: Any) -> Ref:
        self.ref = self.stage.mailer(self.postbox, **parts)
        return self.ref

    def look(self) -> None:
        self.ref.tell(CheckOutbox())
        self.stage.run()

    def look_after(self, seconds: float) -> None:
        self.stage.clock.advance(seconds=seconds)
        self.look()

    @property
    def sent(self) -> list[str]:
        return [recipient for _, recipient in self.postbox.deliveries]

    @property
    def states(self) -> list[tuple[Any, ...]]:
        return self.stage.rows("SELECT recipient, state, attempts FROM outbox ORDER BY recipient")

    @property
    def retries(self) -> list[str | None]:
        return [event.retry_at for event in self.stage.events("mail.failed")]


def test_a_mail_that_is_owed_is_handed_over_and_recorded(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage)
    office.start()
    office.look()

    assert office.sent == [ADA]
    assert office.states == [(ADA, "sent", 1)]
    assert [event.attempt for event in stage.events("mail.sent")] == [1]


def test_one_look_hands_over_all_mails_that_are_due(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, owners=(ADA, BOB))
    office.start()
    office.look()

    assert sorted(office.sent) == [ADA, BOB]


def test_a_mail_that_was_sent_is_not_sent_again(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage)
    office.start()
    office.look()
    office.look_after(86_400)

    assert office.sent == [ADA]


def test_the_mail_says_which_integration_was_disabled(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage)
    office.start()
    office.look()

    ((message, _),) = office.postbox.deliveries
    assert message["Subject"] == "Action required: Fix your Pager integration"
    assert message["To"] == ADA
    assert message["Message-ID"] == stage.rows("SELECT message_id FROM outbox")[0][0]


def test_a_mail_that_is_refused_is_given_up(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, MailRefused("550 no such user"))
    office.start()
    office.look()
    office.look_after(86_400)

    assert office.sent == []
    assert office.states == [(ADA, "failed", 1)]
    (event,) = stage.events("mail.failed")
    assert event == MailFailed(event.mail_id, 1, "MailRefused: 550 no such user", None)


def test_a_mail_that_is_deferred_is_tried_again_when_its_time_has_come(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, MailDeferred("421 busy"))
    office.start(retry_delays_s=(5.0, 30.0))
    office.look()
    office.look_after(4.9)
    before = list(office.sent)
    office.look_after(0.1)

    assert before == []
    assert office.sent == [ADA]
    assert office.states == [(ADA, "sent", 2)]


def test_deferred_mails_wait_by_the_schedule_and_the_last_delay_again_and_again(
    stage: Stage, lines: list[EventDict]
) -> None:
    office = PostOffice(stage, *[MailDeferred("421 busy")] * 4)
    office.start(retry_delays_s=(5.0, 30.0))
    office.look()
    for seconds in (5, 30, 30):
        office.look_after(seconds)

    assert office.retries == [
        "2025-02-03T12:00:05.000000Z",
        "2025-02-03T12:00:35.000000Z",
        "2025-02-03T12:01:05.000000Z",
        "2025-02-03T12:01:35.000000Z",
    ]


def test_a_mail_is_given_up_when_its_next_attempt_would_be_too_late(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, *[MailDeferred("421 busy")] * 4)
    office.start(retry_delays_s=(40.0,), give_up_after_s=100.0)
    office.look()
    for _ in range(3):
        office.look_after(40)

    assert office.retries == ["2025-02-03T12:00:40.000000Z", "2025-02-03T12:01:20.000000Z", None]
    assert office.states == [(ADA, "failed", 3)]


def test_no_mail_is_given_up_for_its_age_while_the_clock_is_doubted(stage: Stage, lines: list[EventDict]) -> None:
    doubts = [True, False]
    office = PostOffice(stage, *[MailDeferred("421 busy")] * 2)
    office.start(retry_delays_s=(40.0,), give_up_after_s=100.0, is_clock_doubted=lambda: doubts.pop(0))
    office.look_after(31 * 86_400)
    office.look_after(40)

    assert office.retries == ["2025-03-06T12:00:40.000000Z", None]
    assert doubts == []


def test_a_mail_that_was_requested_in_the_future_is_given_up_by_what_it_has_waited(
    stage: Stage, lines: list[EventDict]
) -> None:
    office = PostOffice(stage, *[MailDeferred("421 busy")] * 4)
    office.start(retry_delays_s=(40.0,), give_up_after_s=100.0)
    stage.clock.advance(days=-3652)
    for _ in range(3):
        office.look_after(40)

    assert [bool(retry) for retry in office.retries] == [True, True, False]


def test_each_attempt_carries_the_same_message_id(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, MailDeferred("421 busy"))
    shown: list[str] = []
    deliver = office.postbox.deliver

    class Watched(MemoryTransport):
        def deliver(self, message: Any, recipient: str) -> None:
            shown.append(message["Message-ID"])
            deliver(message, recipient)

    office.ref = stage.mailer(Watched())
    office.look()
    office.look_after(5)

    assert len(shown) == 2
    assert len(set(shown)) == 1


class FaultyJournal(CrankedRef):
    """Raises to the first asker, before anything is recorded."""

    faults = 1

    def ask(self, message: Any, *, timeout: float | None = None) -> Any:
        if self.faults:
            self.faults -= 1
            raise OSError("on purpose")
        return super().ask(message, timeout=timeout)


def test_a_crash_between_hand_over_and_record_sends_again_under_the_same_message_id(
    stage: Stage, lines: list[EventDict]
) -> None:
    office = PostOffice(stage)
    office.start(journal=cast("Ref", FaultyJournal(stage.journal(), stage.journal_pool)))
    office.look()
    recorded = stage.events("mail.sent")
    office.look()

    assert recorded == []
    assert office.sent == [ADA, ADA]
    assert len({message["Message-ID"] for message, _ in office.postbox.deliveries}) == 1
    assert office.states == [(ADA, "sent", 1)]
    assert office.ref.is_alive()


def test_a_sent_mail_is_logged_as_queued_and_sent(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage)
    office.start()
    office.look()

    ((message_id,),) = stage.rows("SELECT message_id FROM outbox")
    facts = {"message_type": "integration-disabled", "message_id": message_id, "message_to": ADA, "log_level": "info"}
    assert lines == [{"event": "mail.queued", **facts}, {"event": "mail.sent", "attempt": 1, **facts}]


def test_a_failed_mail_is_logged_with_its_error_and_its_next_attempt(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, MailDeferred("421 busy"))
    office.start()
    office.look()

    (line,) = lines_of(lines, "mail.sent.failure")
    assert (line["message_type"], line["message_to"], line["attempt"]) == ("integration-disabled", ADA, 1)
    assert line["error"] == "MailDeferred: 421 busy"
    assert line["retry_at"] == "2025-02-03T12:00:05.000000Z"
    assert lines_of(lines, "mail.sent") == []


def test_a_mail_is_logged_as_queued_once(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, MailDeferred("421 busy"))
    office.start()
    office.look()
    office.look_after(5)

    assert len(lines_of(lines, "mail.queued")) == 1


def test_a_mail_that_can_not_be_written_is_owed_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    office = PostOffice(stage)
    office.start()
    with monkeypatch.context() as patch:
        patch.setattr(mailer_module, "render_disabled_notice", _fail)
        office.look()
    office.look_after(5)

    assert office.ref.is_alive()
    assert len(lines_of(lines, "mail_crashed")) == 1
    assert stage.budget.crash_count == 0
    assert office.sent == [ADA]


def _fail(*_arguments: object, **_named: object) -> Any:
    raise KeyError("on purpose")


@pytest.mark.parametrize("failure", [MailRefused("550 no such user"), MailDeferred("421 busy")])
def test_one_recipient_s_failure_does_not_touch_the_other_s_mail(
    stage: Stage, lines: list[EventDict], failure: MailDeferred | MailRefused
) -> None:
    office = PostOffice(stage, failure, owners=(ADA, BOB))
    office.start()
    office.look()

    assert len(office.sent) == 1
    assert sorted(state for _, state, _ in office.states) == sorted(
        ["sent", "failed" if isinstance(failure, MailRefused) else "requested"]
    )


def test_an_address_that_is_none_is_refused_and_the_other_owner_gets_the_mail(
    stage: Stage, lines: list[EventDict]
) -> None:
    office = PostOffice(stage, owners=("ada@@acme", BOB))
    office.start()
    office.look()

    assert office.sent == [BOB]
    assert office.states == [("ada@@acme", "failed", 1), (BOB, "sent", 1)]


def test_an_asker_hears_whether_there_was_a_mail_and_hands_over_one_at_a_time(
    stage: Stage, lines: list[EventDict]
) -> None:
    office = PostOffice(stage, owners=(ADA, BOB))
    office.start()
    replies = []
    for _ in range(3):
        future = office.ref.ask(CheckOutbox(), block=False)
        stage.run()
        replies.append((future.get(timeout=0), len(office.sent)))

    assert replies == [(True, 1), (True, 2), (False, 2)]


def test_mails_of_a_daemon_before_this_one_are_sent(stage: Stage, lines: list[EventDict]) -> None:
    office = PostOffice(stage, MailDeferred("421 busy"))
    office.start()
    office.look()
    office.ref.stop(block=False)
    stage.run()
    office.start()
    office.look_after(5)

    assert office.sent == [ADA]
    assert stage.events("mail.sent") == [MailSent(stage.events("mail.sent")[0].mail_id, 2)]


def test_a_warning_is_mailed_as_one(stage: Stage, lines: list[EventDict]) -> None:
    postbox = MemoryTransport()
    stage.register(ONE, owners=(ADA,))
    stage.wear_out(days=2)
    with stage.store.transaction() as transaction:
        review(transaction, ReviewRequest(ONE, BALANCED, "internal", "hookfuse.example"))
    stage.mailer(postbox).tell(CheckOutbox())
    stage.run()

    ((message, recipient),) = postbox.deliveries
    assert (message["Subject"], recipient) == ("Pager integration: 50% of the way to being disabled", ADA)
    assert message["X-Hookfuse-Kind"] == "warning-notice"
    assert len(stage.events("mail.sent")) == 1


def test_a_mail_of_a_kind_that_only_a_newer_version_knows_is_owed_all_the_same(
    stage: Stage, lines: list[EventDict]
) -> None:
    postbox = MemoryTransport()
    stage.register(ONE)
    request = MailRequested("m-1", "<m-1@hookfuse.example>", ADA, "integration-praised", 1)
    stage.append(installation_stream(ONE), request)
    stage.mailer(postbox).tell(CheckOutbox())
    stage.run()

    (failed,) = stage.events("mail.failed")
    assert postbox.deliveries == []
    assert failed.error == "MailDeferred: this version cannot write a mail of kind 'integration-praised'"
    assert failed.retry_at is not None
    assert stage.rows("SELECT state, attempts FROM outbox") == [("requested", 1)]


def plain_text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def burst(stage: Stage, count: int, *, owners: tuple[str, ...] = (ADA,)) -> list[str]:
    """Disable so many installations with the same owners."""
    ids = [f"{number:08d}-1111-4111-8111-111111111111" for number in range(1, count + 1)]
    stage.register(*ids, owners=owners)
    for installation_id in ids:
        stage.decide(installation_id)
    return ids


def test_a_burst_of_a_thousand_disablings_is_three_mails_within_the_minute_and_none_is_lost(
    stage: Stage, lines: list[EventDict]
) -> None:
    ids = burst(stage, 1000)
    postbox = MemoryTransport()
    mailer = stage.mailer(postbox)
    for _ in range(3):
        mailer.tell(CheckOutbox())
        stage.run()
    within_the_minute = len(postbox.deliveries)
    stage.clock.advance(seconds=60)
    mailer.tell(CheckOutbox())
    stage.run()

    assert within_the_minute <= 3
    assert stage.rows("SELECT DISTINCT state FROM outbox") == [("sent",)]
    texts = [plain_text(message) for message, _ in postbox.deliveries]
    assert [sum(text.count(installation_id) for text in texts) for installation_id in ids] == [1] * 1000


def test_a_digest_that_is_sent_again_is_the_same_mail_under_the_same_message_id(
    stage: Stage, lines: list[EventDict]
) -> None:
    burst(stage, 10)
    postbox = MemoryTransport()
    mailer = stage.mailer(postbox, journal=cast("Ref", FaultyMailJournal(stage.journal(), stage.journal_pool)))
    mailer.tell(CheckOutbox())
    stage.run()
    burst_before = list(postbox.deliveries)
    stage.register(TWO, owners=(ADA,))
    stage.decide(TWO)
    mailer.tell(CheckOutbox())
    stage.run()

    first, second = (message for message, _ in [*burst_before, *postbox.deliveries[len(burst_before) :]][:2])
    assert len(burst_before) == 1
    assert first["Message-ID"] == second["Message-ID"]
    assert plain_text(first) == plain_text(second)


class FaultyMailJournal(CrankedRef):
    """Raises to the first who has a mail's fate recorded, before it is."""

    faults = 1

    def ask(self, message: Any, *, timeout: float | None = None) -> Any:
        if self.faults and isinstance(message, RecordMail):
            self.faults -= 1
            raise OSError("on purpose")
        return super().ask(message, timeout=timeout)


def test_a_process_that_is_about_to_end_sends_what_waits_for_its_minute(stage: Stage, lines: list[EventDict]) -> None:
    burst(stage, 3)
    postbox = MemoryTransport()
    mailer = stage.mailer(postbox)
    mailer.tell(CheckOutbox())
    stage.run()
    stage.register(TWO, owners=(ADA,))
    stage.decide(TWO)
    mailer.tell(CheckOutbox())
    stage.run()
    before = len(postbox.deliveries)
    mailer.ask(CheckOutbox(), block=False)
    stage.run()

    assert (before, len(postbox.deliveries)) == (3, 4)
