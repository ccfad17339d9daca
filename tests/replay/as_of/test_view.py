"""What is said of a moment is what the live readers said then; and nothing later shows through."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.errors import DamagedLogError, NotFoundError, RejectedError
from eventstore.log.event_log import last_position, read_events
from eventstore.unit_of_work import Store
from replay.as_of.view import AsOfView, open_past
from replay.reading.moment import Moment, latest_moment, moment_at, moment_of
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, failed, record, register, rows_of, succeeded
from tests.replay.past import HAPPENINGS, Document, as_of_document, happen, live_document

BEGAN = datetime(2025, 2, 3, 12, tzinfo=UTC)
OTHERS = ("put", "failed", "disabled", "enabled")

# What seldom comes about by chance.
SCENES = (
    ("disabled", "put", "put", "missed"),
    ("an hour passes", "expired", "enabled", "recovered"),
    ("frozen", "failed", "timed out", "thawed", "failed"),
    ("enabled", "recovered", "succeeded"),
    ("enabled", "put", "failed", "timed out"),
    ("failed", "a day passes", "failed", "a day passes", "failed", "reviewed"),
)

steps = st.sampled_from([(one,) for one in sorted(HAPPENINGS)]) | st.sampled_from(SCENES)
histories = st.lists(st.tuples(steps, st.booleans()), max_size=25).map(
    lambda drawn: [(one, is_other) for step, is_other in drawn for one in step]
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGAN)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with Store(tmp_path / "events.db", clock) as store:
        register(store)
        yield store


def database(store: Store) -> Path:
    return Path(store.connection.execute("PRAGMA database_list").fetchone()[2])


def document_at(store: Store, moment: Moment) -> Document:
    with open_past(database(store), INSTALLATION_ID) as past:
        past.move_to(moment)
        return as_of_document(past, INSTALLATION_ID, moment)


@contextmanager
def lived(history: list[tuple[str, bool]]) -> Iterator[tuple[Store, list[tuple[Moment, Document]]]]:
    """Live through a history, and write down after each step what the live readers say."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "events.db", ManualClock(BEGAN)) as store:
        register(store)
        register(store, installation_id=OTHER_INSTALLATION_ID)
        said = []
        for what, is_other in history:
            is_of_other = is_other and what in OTHERS
            happen(store, what, OTHER_INSTALLATION_ID if is_of_other else INSTALLATION_ID)
            said.append((latest_moment(store.connection, store.clock.now()), live_document(store, INSTALLATION_ID)))
        yield store, said


@given(history=histories)
@settings(max_examples=40)
def test_at_every_moment_of_a_history_the_past_says_what_the_live_readers_said(history: list[tuple[str, bool]]) -> None:
    with lived(history) as (store, said), open_past(database(store), INSTALLATION_ID) as past:
        for moment, document in said:
            past.move_to(moment)

            assert as_of_document(past, INSTALLATION_ID, moment) == document


@given(history=histories, data=st.data())
@settings(max_examples=25)
def test_a_moment_that_is_looked_at_first_is_no_other_than_one_that_is_moved_to(
    history: list[tuple[str, bool]], data: st.DataObject
) -> None:
    with lived(history) as (store, said):
        if not said:
            return
        moment, document = data.draw(st.sampled_from(said))

        assert document_at(store, moment) == document
        # By time too: what was said last at a time is what is known of it.
        last = [document for one, document in said if one.at == moment.at][-1]
        assert document_at(store, moment_at(store.connection, moment.at, store.clock.now())) == last


def test_every_position_between_two_commits_can_be_looked_at(store: Store, clock: ManualClock) -> None:
    for day in range(3):
        record(store, *[failed()] * 4)
        clock.advance(days=day < 2)
    happen(store, "reviewed")
    types = {stored.position: stored.type for stored in read_events(store.connection)}
    disabled = next(position for position, name in types.items() if name == "installation.disabled")
    before, at = (document_at(store, moment_of(store.connection, one)) for one in (disabled - 1, disabled))

    assert (before["state"], at["state"]) == ("active", "disabled")
    assert before["evaluation"]["is_broken"]
    assert at["disabled"]["position"] == disabled
    assert types[disabled + 1] == "audit.recorded"  # in the same commit, and not seen yet


def test_a_past_day_is_judged_as_of_that_day(store: Store, clock: ManualClock) -> None:
    for _ in range(3):
        record(store, *[failed()] * 4)
        clock.advance(days=1)
    clock.advance(days=20)
    positions = [last_position(store.connection)]
    record(store, succeeded())

    assert document_at(store, moment_of(store.connection, positions[0]))["evaluation"]["is_broken"]
    silent = moment_at(store.connection, clock.now() - timedelta(days=10), clock.now())
    assert silent.position == positions[0]
    assert not document_at(store, silent)["evaluation"]["is_broken"]  # by then its days had left the window
    assert document_at(store, silent)["buffer"] == ()


def test_before_it_was_there_the_past_says_since_when_it_is(store: Store, clock: ManualClock) -> None:
    clock.advance(days=1)
    register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43)
    created = last_position(store.connection)

    with open_past(database(store), OTHER_INSTALLATION_ID) as past:
        with pytest.raises(
            NotFoundError, match=rf"not there yet at .*: it was created at 2025-02-04.* \(event {created}\)"
        ):
            past.move_to(moment_of(store.connection, created - 1))
        past.move_to(moment_of(store.connection, created))
    with open_past(database(store), OTHER_INSTALLATION_ID) as past, pytest.raises(NotFoundError, match="not there yet"):
        past.move_to(moment_at(store.connection, BEGAN - timedelta(days=1), clock.now()))


def test_an_installation_that_never_was_is_not_found(store: Store) -> None:
    with open_past(database(store), "nobody") as past, pytest.raises(NotFoundError, match=r"not there yet .*\)$"):
        past.move_to(moment_of(store.connection, 1))


def test_what_lies_ahead_is_no_moment_of_the_past(store: Store, clock: ManualClock) -> None:
    with pytest.raises(RejectedError, match="lies in the future"):
        moment_at(store.connection, clock.now() + timedelta(seconds=1), clock.now())
    with pytest.raises(RejectedError, match="there is no event 4: the last one is 3"):
        moment_of(store.connection, 4)


def test_a_time_means_the_last_event_recorded_by_then(store: Store, clock: ManualClock) -> None:
    clock.advance(seconds=10)
    record(store, failed(), failed())

    at = [moment_at(store.connection, BEGAN + timedelta(seconds=one), clock.now()).position for one in (-1, 0, 9, 10)]
    assert at == [0, 3, 3, 5]


def test_an_imported_history_is_seen_at_the_times_that_it_tells_of(store: Store, clock: ManualClock) -> None:
    record(store, failed())
    present = clock.now()
    clock.moment = present - timedelta(days=9)  # as an import does: later in the log, earlier in time
    register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43, organization_id=18)
    record(store, succeeded(app_id=43), installation_id=OTHER_INSTALLATION_ID)
    clock.moment = present
    record(store, failed(app_id=43), installation_id=OTHER_INSTALLATION_ID)
    earlier = moment_at(store.connection, present - timedelta(days=8), present)

    with open_past(database(store), OTHER_INSTALLATION_ID) as past:
        past.move_to(earlier)
        imported = as_of_document(past, OTHER_INSTALLATION_ID, earlier)
    assert [request["response_code"] for request in imported["requests"]] == [200]
    with open_past(database(store), INSTALLATION_ID) as past, pytest.raises(NotFoundError):
        past.move_to(earlier)  # though events of it stand before those in the log


def test_a_registry_that_is_younger_than_what_is_told_of_its_installation_is_seen(
    store: Store, clock: ManualClock
) -> None:
    clock.advance(days=-30)
    record(store, failed())
    told = moment_at(store.connection, clock.now(), BEGAN)

    assert document_at(store, told)["failures"]["by_class"] == {"server_error": 1}
    assert document_at(store, told)["app"]["slug"] == "pager"


def test_the_past_moves_forward_only(store: Store) -> None:
    record(store, failed())
    with open_past(database(store), INSTALLATION_ID) as past:
        past.move_to(moment_of(store.connection, 4))
        with pytest.raises(RejectedError, match=r"\(event 3\) is before what was looked at last"):
            past.move_to(moment_of(store.connection, 3))


def test_looking_back_changes_nothing(store: Store) -> None:
    happen(store, "put")
    happen(store, "missed")
    tables = ("events", "queue", "buffer", "installations", "request_log", "fleet", "attention")
    before = {table: rows_of(database(store), f"SELECT * FROM {table}") for table in tables}

    document_at(store, moment_of(store.connection, 3))

    assert {table: rows_of(database(store), f"SELECT * FROM {table}") for table in tables} == before


def test_while_it_is_looked_at_the_past_does_not_grow(store: Store) -> None:
    record(store, failed())
    moment = moment_of(store.connection, 4)
    with open_past(database(store), INSTALLATION_ID) as past:
        past.move_to(moment)
        said = as_of_document(past, INSTALLATION_ID, moment)
        record(store, failed())

        assert as_of_document(past, INSTALLATION_ID, moment) == said


def test_others_of_its_app_push_none_of_its_requests_out(store: Store) -> None:
    register(store, installation_id=OTHER_INSTALLATION_ID)
    record(store, succeeded())
    record(store, *[succeeded()] * 101, installation_id=OTHER_INSTALLATION_ID)

    assert live_document(store, INSTALLATION_ID)["requests"] == []
    assert len(document_at(store, moment_of(store.connection, last_position(store.connection)))["requests"]) == 1


def test_more_requests_than_the_log_keeps_are_not_shown(store: Store) -> None:
    record(store, *[failed()] * 70, *[succeeded()] * 150)

    document = document_at(store, moment_of(store.connection, last_position(store.connection)))
    assert document == live_document(store, INSTALLATION_ID)
    assert document["failures"]["latest"][0]["count"] == 70


@pytest.mark.parametrize(
    "damage",
    [
        "data = '{\"delivery_id\":1}'",
        "data = 'not json'",
        "schema = 9",
        "type = 'delivery.eaten'",
        "data = CAST(x'ff80' AS TEXT)",
    ],
)
def test_an_event_that_cannot_be_read_is_not_passed_over(store: Store, damage: str) -> None:
    record(store, failed())
    moment = moment_of(store.connection, 4)
    store.connection.execute("DROP TRIGGER events_refuse_update")
    store.connection.execute(f"UPDATE events SET {damage} WHERE position = 4")

    with open_past(database(store), INSTALLATION_ID) as past, pytest.raises(DamagedLogError, match="event 4"):
        past.move_to(moment)


def test_progress_is_told_of_every_event(store: Store) -> None:
    record(store, *[succeeded()] * 20_000)
    told: list[int] = []
    first, last = (moment_of(store.connection, one) for one in (5_000, last_position(store.connection)))
    with open_past(database(store), INSTALLATION_ID) as past:
        counts = [past.count_events(last)]
        past.move_to(first, told.append)
        counts.append(past.count_events(last))
        past.move_to(last, told.append)

        # The app's and the organization's are among those that are told, and not worth counting beforehand.
        assert (counts, sum(told)) == ([20_001, 15_003], 20_003)
    assert len(told) > 4


def test_no_event_is_followed_twice(store: Store, clock: ManualClock) -> None:
    moments = []
    for _ in range(4):
        record(store, failed(), succeeded())
        clock.advance(seconds=60)
        moments.append(latest_moment(store.connection, clock.now()))
    followed: list[int] = []
    with open_past(database(store), INSTALLATION_ID) as past:
        for moment in moments:
            past.move_to(moment, followed.append)

    assert followed == [5, 2, 2, 2]
    assert isinstance(past, AsOfView)
