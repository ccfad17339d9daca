"""What every log does: the table in events.db, and the one in memory."""

from pathlib import Path

import pytest

from eventstore.common.clock import ManualClock
from eventstore.errors import ConflictError
from eventstore.events.catalogue import AuditRecorded, MailSent
from eventstore.log.event_log import NO_HASH, NewEvent, Origin
from tests.conformance.harness import Stored, opened

AT = "2025-02-03T12:00:00.000000Z"


def audit(number: int, stream: str = "home") -> NewEvent:
    return NewEvent(stream, AuditRecorded(f"home.tested-{number}", "system", "home", {}))


def mail(stream: str = "mails") -> NewEvent:
    return NewEvent(stream, MailSent("m", 1))


def test_positions_have_no_gaps_and_versions_count_within_a_stream(stored: Stored) -> None:
    before, _ = stored.log.head()
    appended = stored.log.append([audit(1), mail("a"), mail("b"), mail("a")], recorded_at=AT)

    assert [one.position - before for one in appended] == [1, 2, 3, 4]
    assert [(one.stream, one.version) for one in appended[1:]] == [("a", 1), ("b", 1), ("a", 2)]
    assert stored.log.append([mail("a")], recorded_at=AT)[0].version == 3
    assert list(stored.log.read(after_position=before))[:4] == appended


def test_what_is_read_is_what_was_appended_by_stream_type_order_and_limit(stored: Stored) -> None:
    before, _ = stored.log.head()
    first, second, third = stored.log.append([audit(1, "a"), mail("b"), audit(2, "a")], recorded_at=AT)

    assert list(stored.log.read(after_position=before, stream="a")) == [first, third]
    assert list(stored.log.read(after_position=before, type_names=["mail.sent"])) == [second]
    assert list(stored.log.read(is_newest_first=True, limit=2)) == [third, second]
    assert list(stored.log.read(after_position=first.position, limit=1)) == [second]
    assert list(stored.log.read(after_position=third.position)) == []


def test_a_version_that_is_expected_and_not_there_is_a_conflict_and_nothing_is_appended(stored: Stored) -> None:
    stored.log.append([mail("a")], recorded_at=AT, expected_versions={"a": 0})
    head = stored.log.head()

    with pytest.raises(ConflictError, match="stream a is at version 1, and 0 was expected"):
        stored.log.append([audit(1), mail("a")], recorded_at=AT, expected_versions={"a": 0})

    assert stored.log.head() == head
    stored.log.append([mail("a")], recorded_at=AT, expected_versions={"a": 1, "never": 0})


def test_each_append_moves_the_head(stored: Stored) -> None:
    position, event_hash = stored.log.head()
    assert (position == 0) is (event_hash == NO_HASH)
    heads = [stored.log.head()]
    for number in range(3):
        stored.log.append([audit(number)], recorded_at=AT)
        heads.append(stored.log.head())

    assert [one[0] - position for one in heads] == [0, 1, 2, 3]
    assert len({one[1] for one in heads}) == 4


def test_an_event_of_elsewhere_keeps_its_moment_and_its_form(stored: Stored) -> None:
    origin = Origin("2024-01-01T00:00:00.000000Z", 1, '{"mail_id":"m","attempt":1}', "mail.sent")
    (appended,) = stored.log.append([NewEvent("mails", MailSent("m", 1), origin)], recorded_at=AT)

    assert appended.recorded_at == origin.recorded_at


def test_the_same_events_have_the_same_hashes_in_every_store(tmp_path: Path, clock: ManualClock) -> None:
    with opened("sqlite", tmp_path, clock) as one, opened("memory", tmp_path, clock) as other:
        for stored in one.log.read():
            other.log.append([NewEvent(stored.stream, stored.event)], recorded_at=stored.recorded_at)
        assert other.log.head() == one.log.head()

        one.log.append([audit(1), mail()], recorded_at=AT)
        other.log.append([audit(1), mail()], recorded_at=AT)
        assert other.log.head() == one.log.head()
