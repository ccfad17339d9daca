import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.errors import DatabaseError
from eventstore.home.folder import Home
from eventstore.sqlite.writer_lock import WriterLock
from eventstore.unit_of_work import Store
from tests.eventstore.processes import at_once, writing

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from eventstore.sqlite.writer_lock import WriterLock
with WriterLock(Path(sys.argv[1])).taken():
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def turn(database: Path) -> Iterator[WriterLock]:
    turn = WriterLock(database)
    yield turn
    turn.close()


def holder(database: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


def is_free(database: Path) -> bool:
    other = WriterLock(database)
    try:
        with other.taken():
            return True
    except DatabaseError:
        return False
    finally:
        other.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.sqlite.writer_lock._PATIENCE_S", 0.05)


@pytest.mark.usefixtures("impatient")
def test_one_has_the_turn_and_then_another(turn: WriterLock, database: Path) -> None:
    with turn.taken():
        during = is_free(database)

    assert (during, is_free(database)) == (False, True)


def test_who_waits_has_it_when_it_is_given_back(turn: WriterLock, database: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        other = WriterLock(database)
        with other.taken():
            order.append("waited")
        other.close()

    waiting = threading.Thread(target=wait)
    with turn.taken():
        waiting.start()
        order.append("first")
    waiting.join(60)

    assert order == ["first", "waited"]


@pytest.mark.usefixtures("impatient")
def test_who_has_waited_in_vain_can_have_it_later_and_keeps_it_from_nobody(turn: WriterLock, database: Path) -> None:
    other = WriterLock(database)
    with turn.taken(), pytest.raises(DatabaseError, match="writing for too long: try again"), other.taken():
        pass
    with other.taken():
        pass
    other.close()

    assert is_free(database)


@pytest.mark.usefixtures("impatient")
def test_who_is_patient_waits_for_longer_than_others_do(turn: WriterLock, database: Path) -> None:
    order: list[str] = []
    patient = WriterLock(database, wait_forever=True)

    def wait() -> None:
        with patient.taken():
            order.append("patient")

    waiting = threading.Thread(target=wait)
    with turn.taken():
        waiting.start()
        assert not is_free(database), "another has given up meanwhile"
        order.append("first")
    waiting.join(60)
    patient.close()

    assert order == ["first", "patient"]


@pytest.mark.usefixtures("impatient")
def test_a_process_that_is_killed_has_it_no_more(database: Path) -> None:
    process = holder(database)
    before = is_free(database)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert (before, is_free(database)) == (False, True)


@pytest.mark.usefixtures("impatient")
def test_an_error_within_gives_it_back(turn: WriterLock, database: Path) -> None:
    with pytest.raises(RuntimeError), turn.taken():
        raise RuntimeError

    assert is_free(database)


@pytest.mark.usefixtures("impatient")
def test_a_child_that_is_forked_in_the_middle_does_not_hold_it_on(turn: WriterLock, database: Path) -> None:
    goes_on, lets_go = os.pipe()
    with turn.taken():
        child = os.fork()
        if child == 0:
            os.read(goes_on, 1)
            os._exit(0)
    free = is_free(database)
    os.write(lets_go, b"!")
    os.waitpid(child, 0)
    os.close(goes_on)
    os.close(lets_go)

    assert free


class FakeTime:
    """A clock that moves when somebody sleeps, or has the turn."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(round(seconds, 6))
        self.now_s += seconds


@pytest.mark.parametrize(
    ("is_wanted", "had_s", "rests_s"),
    [(True, 0.05, [0.05]), (True, 60.0, [0.1]), (True, 0.004, []), (False, 0.05, [])],
    ids=["long", "very long", "short", "nobody waits"],
)
def test_who_had_to_wait_and_then_had_it_for_long_lets_the_others_come_for_as_long(
    database: Path, monkeypatch: pytest.MonkeyPatch, *, is_wanted: bool, had_s: float, rests_s: list[float]
) -> None:
    clock = FakeTime()
    monkeypatch.setattr("eventstore.sqlite.writer_lock.time", clock)
    one = WriterLock(database, wait_forever=True)
    with monkeypatch.context() as patch:
        if is_wanted:
            patch.setattr(one, "_take_if_free", lambda: False)
        with one.taken():
            clock.now_s += had_s
    with one.taken():
        pass
    one.close()

    assert clock.slept_s == rests_s


def test_its_file_is_private(turn: WriterLock, database: Path) -> None:
    assert (database.parent / "events.db-turn").stat().st_mode & 0o777 == 0o600


def test_where_it_cannot_be_opened_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"events\.db-turn: cannot be opened \(No such file"):
        WriterLock(tmp_path / "nowhere" / "events.db")


def test_no_writer_is_left_behind_by_others_that_write_without_pause(home: Home) -> None:
    """With SQLite's own waiting one of three made a hundredth of what another did: here each gets all of its turns."""
    Store(home.database).close()

    assert at_once(writing, home.database, 100, count=3) == [100, 100, 100]
