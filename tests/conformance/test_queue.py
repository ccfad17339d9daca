"""What every queue does: the one in events.db, and the one in memory."""

from datetime import timedelta

import pytest

from eventstore.common.clock import time_text
from eventstore.queue.claim import Claim
from eventstore.queue.news import Seen
from tests.conformance.harness import ONE, TWO, Stored, new


def now(stored: Stored, **ahead: float) -> str:
    return time_text(stored.clock.now() + timedelta(**ahead))


def claim(stored: Stored, limit: int = 10, installation_id: str = ONE, **arguments: object) -> Claim:
    at: dict[str, object] = {"due_at": now(stored)}
    return stored.queue.claim({installation_id: limit}, **at | arguments)[installation_id]  # type: ignore[arg-type]


def sequences(claimed: Claim) -> list[int]:
    return [one.sequence for one in claimed.deliveries]


# --- what is new ---


def test_a_first_look_sees_all_that_waits_and_the_next_one_what_came_since(stored: Stored) -> None:
    stored.put(new(ONE), new(TWO), new(ONE))
    first = stored.queue.poll(Seen())
    again = stored.queue.poll(first.seen)
    (sequence,) = stored.put(new(TWO))
    last = stored.queue.poll(again.seen)

    assert (first.is_changed, sorted(first.installations)) == (True, [ONE, TWO])
    assert (again.is_changed, again.installations) == (False, ())
    assert (last.is_changed, last.installations, last.seen.sequence) == (False, (TWO,), sequence)


def test_after_a_change_all_that_waits_is_new_again(stored: Stored) -> None:
    stored.put(new(ONE), new(TWO))
    first = stored.queue.poll(Seen())
    stored.notify_change()
    changed = stored.queue.poll(first.seen)

    assert (changed.is_changed, sorted(changed.installations)) == (True, [ONE, TWO])
    assert not stored.queue.poll(changed.seen).is_changed


def test_packed_batches_are_told_once_with_what_they_hold_in_their_order(stored: Stored) -> None:
    first, second = stored.put(new(ONE), new(TWO), is_packed=True)[0], stored.put(new(TWO), is_packed=True)[0]
    news = stored.queue.poll(Seen())
    third = stored.put(new(ONE), is_packed=True)[0]

    assert news.packed_batches == ((first, {ONE: 32, TWO: 32}), (second, {TWO: 64}))
    assert stored.queue.poll(news.seen).packed_batches == ((third, {ONE: 64}),)
    stored.notify_change()
    assert stored.queue.poll(stored.queue.poll(news.seen).seen).packed_batches == ()
    assert stored.queue.unopened([third, 10_000, first]) == (third, first)


# --- what is due ---


def test_what_is_due_is_claimed_longest_due_first_up_to_the_limit(stored: Stored) -> None:
    (late,) = stored.put(new(), due_at=now(stored, seconds=-1))
    (later,) = stored.put(new(), due_at=now(stored))
    (longest,) = stored.put(new(), due_at=now(stored, seconds=-2))

    assert sequences(claim(stored)) == [longest, late, later]
    assert sequences(claim(stored, 2)) == [longest, late]
    assert claim(stored, 2).next_due_at == now(stored)  # there may be more


def test_nothing_is_written_and_what_is_held_is_not_claimed_again(stored: Stored) -> None:
    one, two, three = stored.put(new(), new(), new())

    assert sequences(claim(stored)) == sequences(claim(stored)) == [one, two, three]
    assert sequences(claim(stored, in_flight_sequences=[one, three])) == [two]


def test_what_is_not_due_yet_is_said_where_there_is_room(stored: Stored) -> None:
    stored.put(new(), due_at=now(stored, seconds=60))
    (sooner,) = stored.put(new(), due_at=now(stored, seconds=30))
    claimed = claim(stored)

    assert (claimed.deliveries, claimed.next_due_at) == ((), now(stored, seconds=30))
    assert claimed.next_wait is not None
    assert (claimed.next_wait.sequence, claimed.next_wait.attempts) == (sooner, 0)


def test_where_nothing_else_waits_no_next_one_is_due(stored: Stored) -> None:
    stored.put(new())

    assert (claim(stored).next_due_at, claim(stored).next_wait) == (None, None)
    assert claim(stored, installation_id=TWO) == Claim((), None)


def test_each_installation_has_a_limit_of_its_own(stored: Stored) -> None:
    one, two = stored.put(new(ONE), new(TWO))
    stored.put(new(ONE))
    claims = stored.queue.claim({ONE: 1, TWO: 5}, due_at=now(stored))

    assert {installation_id: sequences(claimed) for installation_id, claimed in claims.items()} == {
        ONE: [one],
        TWO: [two],
    }


def test_of_an_ordering_key_the_first_alone_is_claimed_and_other_keys_are_not_held_up(stored: Stored) -> None:
    first, _second, other, none = stored.put(new(key="a"), new(key="a"), new(key="b"), new())

    assert sequences(claim(stored)) == [first, other, none]
    assert sequences(claim(stored, in_flight_sequences=[first])) == [other, none]


def test_the_next_of_a_key_waits_for_a_first_that_is_not_due(stored: Stored) -> None:
    stored.put(new(key="a"), due_at=now(stored, seconds=30))
    stored.put(new(key="a"))
    claimed = claim(stored)

    assert (claimed.deliveries, claimed.next_due_at) == ((), now(stored, seconds=30))


def test_what_is_recovered_comes_one_by_one(stored: Stored) -> None:
    first, _second = stored.put(new(), new(), is_recovery=True)
    (other,) = stored.put(new())

    assert sequences(claim(stored)) == [first, other]
    assert sequences(claim(stored, in_flight_sequences=[first])) == [other]


def test_what_was_queued_behind_a_packed_batch_waits_for_it_and_a_test_delivery_does_not(stored: Stored) -> None:
    (before,) = stored.put(new())
    packed = stored.put(new(), is_packed=True)[0]
    stored.put(new())
    (probe,) = stored.put(new(), is_probe=True)

    assert sequences(claim(stored, known_packed_batch=packed, before={ONE: packed})) == [before, probe]
    # One that is not known yet may hold anybody's.
    assert sequences(claim(stored)) == [before, probe]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_packed_batch_of_others_holds_up_nobody_once_it_is_known(stored: Stored, is_known: bool) -> None:
    packed = stored.put(new(TWO), is_packed=True)[0]
    (behind,) = stored.put(new())

    assert sequences(claim(stored, known_packed_batch=packed if is_known else 0)) == ([behind] if is_known else [])
