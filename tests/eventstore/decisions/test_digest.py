"""When one recipient's mails go as one, and that a digest holds all that was pending and nothing twice."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.identifiers import MAIL_STREAM, installation_stream
from eventstore.decisions.decision import Change
from eventstore.decisions.digest import DigestRule, GatherRequest, MailPace, gather_mails
from eventstore.events.catalogue import MailDigested, MailRequested
from eventstore.log.event_log import NewEvent, read_events
from eventstore.projections.outbox import PendingTo, read_pending_mails
from eventstore.unit_of_work import Store

NOW = datetime(2025, 2, 3, 12, tzinfo=UTC)
ADA, BOB = "ada@x.example", "bob@x.example"


def request_mail(store: Store, *mail_ids: str, recipient: str = ADA, kind: str = "integration-disabled") -> None:
    with store.transaction() as transaction:
        for mail_id in mail_ids:
            request = MailRequested(mail_id, f"<{mail_id}@x>", recipient, kind, 1)
            transaction.append(NewEvent(installation_stream("i"), request))


def gather(store: Store, recipient: str = ADA) -> Change:
    with store.transaction() as transaction:
        return gather_mails(transaction, GatherRequest(recipient, "x.example")).change


def test_a_digest_holds_what_its_recipient_is_owed_and_nothing_of_others(store: Store) -> None:
    request_mail(store, "m-1", "m-2")
    request_mail(store, "m-3", recipient=BOB)
    gather(store)

    (stored,) = read_events(store.connection, stream=MAIL_STREAM)
    assert isinstance(stored.event, MailDigested)
    assert (stored.event.recipient, stored.event.gathered) == (ADA, ("m-1", "m-2"))
    assert stored.event.message_id == f"<{stored.event.mail_id}@x.example>"


def test_a_mail_is_gathered_once(store: Store) -> None:
    request_mail(store, "m-1", "m-2")

    assert gather(store) is Change.GATHERED
    assert gather(store) is Change.NOTHING


def test_a_mail_of_a_kind_that_a_digest_has_no_words_for_goes_by_itself(store: Store) -> None:
    request_mail(store, "m-1", "m-2")
    request_mail(store, "m-3", kind="integration-praised")
    gather(store)

    pending = [mail.kind for mail in read_pending_mails(store.connection, due_at="~")]
    assert sorted(pending) == ["digest", "integration-praised"]


def test_so_few_mails_go_one_by_one() -> None:
    pace = MailPace(DigestRule(mails_max=3))

    assert pace.choose([PendingTo(ADA, 3, 3)], NOW, is_last_chance=False) == (PendingTo(ADA, 3, 3), False)


def test_more_than_that_go_as_one() -> None:
    pace = MailPace(DigestRule(mails_max=3))
    pace.note(ADA, NOW)

    assert pace.choose([PendingTo(ADA, 3, 3)], NOW, is_last_chance=False) == (PendingTo(ADA, 3, 3), True)


def test_whoever_has_had_enough_waits_and_the_next_one_goes_on() -> None:
    pace = MailPace(DigestRule(mails_max=1, window_s=60))
    pace.note(ADA, NOW)
    pending = [PendingTo(ADA, 5, 5), PendingTo(BOB, 1, 1)]

    assert pace.choose(pending, NOW, is_last_chance=False) == (PendingTo(BOB, 1, 1), False)
    assert pace.choose(pending[:1], NOW + timedelta(seconds=59), is_last_chance=False) is None
    assert pace.choose(pending[:1], NOW + timedelta(seconds=60), is_last_chance=False) == (PendingTo(ADA, 5, 5), True)


def test_at_the_last_chance_nobody_waits_and_many_still_go_as_one() -> None:
    pace = MailPace(DigestRule(mails_max=1))
    pace.note(ADA, NOW)

    assert pace.choose([PendingTo(ADA, 5, 5)], NOW, is_last_chance=True) == (PendingTo(ADA, 5, 5), True)


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), max_size=30),
    mails_max=st.integers(1, 5),
)
def test_no_recipient_gets_more_than_the_limit_within_any_window_and_all_is_sent_in_the_end(
    arrivals: list[tuple[int, int]], mails_max: int
) -> None:
    pace = MailPace(DigestRule(mails_max=mails_max, window_s=60))
    now, pending, handed_over, sent = NOW, 0, 0, list[datetime]()
    for wait_s, count in [*arrivals, (1000, 0), (1000, 0)]:
        now += timedelta(seconds=wait_s)
        pending += count
        while pending and (choice := pace.choose([PendingTo(ADA, pending, pending)], now, is_last_chance=False)):
            _, is_gathered = choice
            handed_over, pending = handed_over + (pending if is_gathered else 1), 0 if is_gathered else pending - 1
            pace.note(ADA, now)
            sent.append(now)

    assert handed_over == sum(count for _, count in arrivals)
    for moment in sent:
        assert sum(1 for other in sent if moment - timedelta(seconds=60) < other <= moment) <= mails_max
