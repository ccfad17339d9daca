"""Commits that are gone are noticed, whatever took them: a mark beside the database says how far it had come."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.backup.copy import back_up, restore
from eventstore.common.clock import ManualClock
from eventstore.deliveries.producer import Producer
from eventstore.errors import DatabaseError, LostCommitsError
from eventstore.home.folder import Home
from eventstore.integrity.accepted_loss import accept_loss
from eventstore.log.event_log import NewEvent, last_position
from eventstore.projections.audit import read_audit
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.sequences import newest_sequence
from eventstore.sqlite.high_water_mark import Mark, mark_path, read_mark
from eventstore.unit_of_work import Store, TakenBackError
from tests.eventstore.facts import INSTALLATION_ID, record, register, succeeded

ONE = NewDelivery(INSTALLATION_ID, "issue.created", '{"n":1}')


def copy_without_wal(home: Home, target: Path) -> None:
    with closing(sqlite3.connect(home.database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def record_for_a_while(store: Store) -> None:
    for _ in range(10_000):
        record(store, succeeded())


def test_the_mark_says_how_far_each_commit_has_come_by_whomever(home: Home, store: Store) -> None:
    register(store)
    with Producer(home) as producer:
        producer.send([ONE] * 3)
        record(store, succeeded())
        mark = read_mark(home.database)

        assert mark is not None
        assert (mark.position, mark.sequence) == (last_position(store.connection), newest_sequence(store.connection))
        assert (mark.position, mark.sequence) == (4, 3)


def test_what_is_taken_back_moves_no_mark(store: Store, home: Home) -> None:
    before = read_mark(home.database)
    with suppress(TakenBackError), store.transaction() as transaction:
        transaction.append(NewEvent("installation-i", succeeded()))
        raise TakenBackError

    assert read_mark(home.database) == before


@pytest.mark.parametrize("is_queued", [False, True])
def test_an_older_copy_of_the_database_is_refused(home: Home, store: Store, tmp_path: Path, is_queued: bool) -> None:
    register(store)
    copy_without_wal(home, tmp_path / "older.db")
    with Producer(home) as producer:
        if is_queued:
            producer.send([ONE])
        else:
            record(store, succeeded())
    store.close()
    shutil.copy(tmp_path / "older.db", home.database)

    what = "lacks 1 delivery that it had" if is_queued else "lacks 1 event that it had"
    for opened in (lambda: Store(home.database), lambda: Producer(home), lambda: back_up(home, tmp_path / "b.db")):
        with pytest.raises(LostCommitsError, match=f"{what}.*hookfuse restore FILE.*hookfuse accept-loss"):
            opened()
    assert not (tmp_path / "b.db").exists()


def test_another_database_is_refused(home: Home, store: Store, tmp_path: Path) -> None:
    store.close()
    with Store(tmp_path / "other.db") as other:
        register(other)
    for path in home.path.glob("events.db-[ws]*"):
        path.unlink()
    shutil.copy(tmp_path / "other.db", home.database)

    with pytest.raises(LostCommitsError, match="not the database that was here"):
        Store(home.database)


@pytest.mark.parametrize("content", [None, b""])
def test_a_database_that_is_missing_or_empty_is_not_begun_anew(home: Home, store: Store, content: bytes | None) -> None:
    register(store)
    store.close()
    home.database.unlink()
    if content is not None:
        home.database.write_bytes(content)

    with pytest.raises(LostCommitsError, match=r"is (missing|empty), and there was a database here"):
        Store(home.database)
    mark_path(home.database).unlink()
    home.log.write_text("{}\n")  # that of a daemon that ran before there were marks
    with pytest.raises(LostCommitsError, match=r"as hookfuse\.jsonl shows"):
        Store(home.database)


def test_a_wal_that_is_removed_under_a_writer_is_noticed_before_anything_more_is_acknowledged(
    home: Home, store: Store
) -> None:
    register(store)
    for name in ("events.db-wal", "events.db-shm"):
        (home.path / name).unlink()

    with pytest.raises(LostCommitsError, match=r"events\.db-wal was removed or replaced"):
        record_for_a_while(store)


def test_who_commits_to_other_files_than_these_is_noticed_with_the_next_commit(
    home: Home, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    register(store)
    folder = tmp_path / "folder"
    shutil.copytree(home.path, folder)  # as it was, with its WAL
    record(store, succeeded())
    shutil.copy(mark_path(home.database), mark_path(folder / "events.db"))

    with pytest.raises(LostCommitsError, match="lacks 1 event that it had"):
        Store(folder / "events.db")


@pytest.mark.parametrize("torn", [b"", b"\x00" * 91, b"hookfuse", b"x" * 4096])
def test_a_mark_that_is_absent_or_torn_is_said_and_made_anew(
    home: Home, store: Store, torn: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    register(store)
    store.close()
    mark_path(home.database).write_bytes(torn)

    with Store(home.database) as again:
        assert "mark_missing" in capfd.readouterr().out
        assert read_mark(home.database) == again._mark.reached(3)


def test_restoring_sets_the_mark(home: Home, store: Store, tmp_path: Path) -> None:
    register(store)
    back_up(home, tmp_path / "copy.db")
    record(store, succeeded(), succeeded())
    store.close()
    restore(home, tmp_path / "copy.db")

    with Store(home.database) as restored:
        assert last_position(restored.connection) == 3
        record(restored, succeeded())
    mark = read_mark(home.database)
    assert mark is not None
    assert mark.position == 4


def test_a_loss_is_accepted_by_a_person_and_recorded(
    home: Home, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    register(store)
    copy_without_wal(home, tmp_path / "older.db")
    record(store, *[succeeded()] * 5)
    store.close()
    shutil.copy(tmp_path / "older.db", home.database)
    loss = accept_loss(home, clock, by="person:ann", reason="no backup")

    assert loss is not None
    assert loss.before is not None
    assert (loss.before.position, loss.left.position) == (8, 3)
    with Store(home.database, clock) as left:
        (entry,) = read_audit(left.connection)
        assert (entry.event, entry.actor, entry.data["events_before"]) == ("home.accept-loss", "person:ann", "8")
    assert accept_loss(home, clock, by="person:ann", reason="again") is None


def test_numbers_of_deliveries_that_were_given_up_are_not_given_again(
    home: Home, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    register(store)
    copy_without_wal(home, tmp_path / "older.db")
    with Producer(home) as producer:
        producer.send([ONE] * 70)
    store.close()
    shutil.copy(tmp_path / "older.db", home.database)
    accept_loss(home, clock, by="person:ann", reason="no backup")

    with Producer(home) as producer:
        producer.send([ONE])
        assert newest_sequence(producer.store.connection) == 71


def test_a_database_that_is_gone_is_begun_anew_on_a_persons_word(home: Home, store: Store, clock: ManualClock) -> None:
    register(store)
    store.close()
    home.log.write_text("{}\n")
    home.database.write_bytes(b"")
    accept_loss(home, clock, by="person:ann", reason="no backup")

    with Store(home.database, clock) as again:
        assert last_position(again.connection) == 1


@given(st.binary(max_size=200))
def test_nothing_but_a_whole_line_is_read_as_a_mark(line: bytes) -> None:
    assert Mark.from_bytes(line) is None


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mark_with_one_bit_flipped_is_torn(position: int, sequence: int, data: st.DataObject) -> None:
    mark = Mark("0123456789abcdef" * 2, position, sequence)
    line = bytearray(mark.to_bytes())
    assert Mark.from_bytes(bytes(line)) == mark
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert Mark.from_bytes(bytes(line)) is None


def _a_link(mark: Path) -> None:
    (mark.parent / "mine").write_text("mine")
    mark.symlink_to(mark.parent / "mine")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_a_link, "is a link"),
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, r"(is not a regular file|cannot be opened \(Is a directory\))"),
    ],
    ids=["link", "pipe", "folder"],
)
def test_what_stands_in_the_place_of_the_mark_is_named_and_never_written_to(
    home: Home, store: Store, make: Callable[[Path], None], what: str
) -> None:
    register(store)
    store.close()
    mark_path(home.database).unlink()
    make(mark_path(home.database))

    for opened in (lambda: Store(home.database), lambda: Producer(home), lambda: read_mark(home.database)):
        with pytest.raises(DatabaseError, match=f"{what}.*: move it away"):
            opened()
    assert not (home.path / "mine").exists() or (home.path / "mine").read_text() == "mine"


def test_of_a_mark_without_end_no_more_is_read_than_a_mark_has(home: Home, store: Store) -> None:
    with mark_path(home.database).open("ab") as file:
        file.truncate(1 << 40)

    assert read_mark(home.database) is None


def _truncated(mark: Path) -> None:
    os.truncate(mark, 0)


def _half(mark: Path) -> None:
    os.truncate(mark, 40)


def _written_over(mark: Path) -> None:
    with mark.open("r+b") as file:
        file.write(b"x")


def _replaced(mark: Path) -> None:
    other = mark.with_name("other")
    other.write_bytes(b"x" * 91)
    other.replace(mark)


@pytest.mark.parametrize("damage", [_truncated, _half, _written_over, Path.unlink, _replaced])
def test_a_mark_that_is_torn_under_a_writer_is_said_and_made_anew(
    home: Home, store: Store, damage: Callable[[Path], None]
) -> None:
    register(store)
    damage(mark_path(home.database))

    with structlog.testing.capture_logs() as lines:
        record(store, succeeded())
        record(store, succeeded())

    assert [line["event"] for line in lines] == ["mark_torn"]
    mark = read_mark(home.database)
    assert mark is not None
    assert mark.position == last_position(store.connection)


def test_a_writer_follows_the_mark_to_the_file_that_others_write_to(home: Home, store: Store) -> None:
    register(store)
    mark_path(home.database).unlink()
    with Store(home.database) as other:
        record(other, succeeded())
        with structlog.testing.capture_logs() as lines:
            record(store, succeeded())

    assert lines == []
    mark = read_mark(home.database)
    assert mark is not None
    assert mark.position == last_position(store.connection)


def test_what_was_committed_stands_though_the_mark_cannot_follow_and_that_is_said_once(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store)
    before = read_mark(home.database)

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", fail)
    with structlog.testing.capture_logs() as lines:
        record(store, succeeded())
        record(store, succeeded())
    monkeypatch.undo()

    assert [line["event"] for line in lines] == ["mark_unwritten"]
    assert (read_mark(home.database), last_position(store.connection)) == (before, 5)
    record(store, succeeded())
    assert read_mark(home.database) == store._mark.reached(6)


@pytest.mark.parametrize("make", [_a_link, os.mkfifo, Path.mkdir], ids=["link", "pipe", "folder"])
def test_what_is_put_in_the_place_of_the_mark_under_a_writer_ends_its_commits(
    home: Home, store: Store, make: Callable[[Path], None]
) -> None:
    register(store)
    mark_path(home.database).unlink()
    make(mark_path(home.database))

    for _ in range(2):
        with pytest.raises(DatabaseError, match="move it away"):
            record(store, succeeded())
    assert last_position(store.connection) == 3
    assert not (home.path / "mine").exists() or (home.path / "mine").read_text() == "mine"


def test_a_home_that_is_gone_under_a_writer_acknowledges_nothing_more(home: Home, store: Store) -> None:
    register(store)
    home.path.rename(home.path.with_name("elsewhere"))

    with pytest.raises(LostCommitsError, match="was removed or replaced"):
        record_for_a_while(store)
