from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import Event, MailDigested, MailFailed, MailRequested, MailSent
from eventstore.log.event_log import NewEvent
from eventstore.projections.outbox import (
    PendingTo,
    count_mails,
    read_gathered_mails,
    read_pending_mails,
    read_pending_recipients,
)
from eventstore.unit_of_work import Store

NOW = "2025-02-03T12:00:00.000000Z"
LATER = "2025-02-03T12:05:00.000000Z"


def put(store: Store, *events: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(installation_stream("i"), event) for event in events))


def requested(mail_id: str = "m") -> MailRequested:
    return MailRequested(mail_id, f"<{mail_id}@x>", "ada@x", "integration-disabled", 3)


def pending(store: Store, due_at: str = NOW, limit: int = 100) -> list[str]:
    return [mail.mail_id for mail in read_pending_mails(store.connection, due_at=due_at, limit=limit)]


def test_requested_mail_is_due_at_once(store: Store) -> None:
    put(store, requested())

    assert pending(store) == ["m"]


def test_sent_mail_is_owed_no_more(store: Store) -> None:
    put(store, requested(), MailSent("m", 1))

    assert pending(store, "~") == []
    assert count_mails(store.connection) == {"requested": 0, "sent": 1, "failed": 0}


def test_failed_mail_is_owed_again_when_its_retry_is_due(store: Store) -> None:
    put(store, requested(), MailFailed("m", 1, "451 busy", LATER))

    assert pending(store, NOW) == []
    assert pending(store, LATER) == ["m"]


def test_attempts_are_those_already_made(store: Store) -> None:
    put(store, requested(), MailFailed("m", 1, "451 busy", NOW), MailFailed("m", 2, "451 busy", NOW))

    (mail,) = read_pending_mails(store.connection, due_at=NOW)
    assert (mail.attempts, mail.installation_id, mail.requested_at) == (2, "i", NOW)


def test_mail_without_a_retry_is_given_up(store: Store) -> None:
    put(store, requested(), MailFailed("m", 1, "550 unknown"))

    assert pending(store, "~") == []
    assert count_mails(store.connection)["failed"] == 1


def test_longest_due_mail_comes_first_and_no_more_than_the_limit(store: Store, clock: ManualClock) -> None:
    put(store, requested("z"))
    clock.advance(seconds=1)
    put(store, requested("b"), requested("a"))

    assert pending(store, "~") == ["z", "a", "b"]
    assert pending(store, "~", limit=1) == ["z"]


def gathered(*mail_ids: str) -> MailDigested:
    return MailDigested("digest", "<digest@x>", "ada@x", mail_ids)


def test_gathered_mails_are_due_as_their_digest(store: Store) -> None:
    put(store, requested("m-1"), requested("m-2"), requested("m-3"))
    put(store, gathered("m-1", "m-3"))

    assert sorted(pending(store)) == ["digest", "m-2"]
    assert [mail.mail_id for mail in read_gathered_mails(store.connection, "digest")] == ["m-1", "m-3"]
    assert read_pending_recipients(store.connection, due_at=NOW) == (PendingTo("ada@x", mails=2, gatherable=1),)


def test_what_becomes_of_a_digest_becomes_of_each_mail_in_it(store: Store) -> None:
    put(store, requested("m-1"), requested("m-2"), gathered("m-1", "m-2"), MailFailed("digest", 1, "451 busy", LATER))

    assert pending(store, NOW) == []
    assert pending(store, LATER) == ["digest"]

    put(store, MailSent("digest", 2))

    assert pending(store, "~") == []
    assert count_mails(store.connection) == {"requested": 0, "sent": 3, "failed": 0}


def test_a_digest_that_is_refused_leaves_no_mail_of_it_owed(store: Store) -> None:
    put(store, requested("m-1"), requested("m-2"), gathered("m-1", "m-2"), MailFailed("digest", 1, "550 unknown"))

    assert pending(store, "~") == []
    assert count_mails(store.connection) == {"requested": 0, "sent": 0, "failed": 3}
