import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from eventstore.errors import DaemonRunningError, HomeError, RejectedError
from eventstore.home.folder import Home
from eventstore.unit_of_work import Store
from tests.eventstore.processes import at_once, seen_daemon

NOBODY = 65534
HOLD = """
import sys
from eventstore.home.folder import Home
with Home(sys.argv[1]).ownership.held():
    print("held", flush=True)
    sys.stdin.read()
"""


def daemon_on(home: Home) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_home_is_made_with_its_parents_and_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    home.prepare()

    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.log.parent.stat().st_mode) == 0o700


def test_home_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Home(tmp_path).prepare()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_preparing_twice_is_harmless(home: Home) -> None:
    home.configuration.write_text("[log]\n")
    home.prepare()

    assert home.configuration.read_text() == "[log]\n"


def test_home_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HomeError, match=r"file cannot be used .* name another with --home or HOOKFUSE_HOME"):
        Home(tmp_path / "file").prepare()


def test_a_file_where_a_folder_of_the_home_is_to_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "logs").touch()

    with pytest.raises(HomeError, match=r"home .*/home cannot be used \(logs: File exists\)"):
        Home(tmp_path / "home").prepare()


def test_home_that_may_not_be_written_is_explained() -> None:
    """In a child that is nobody, as root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.getuid() == 0:
                    os.setuid(NOBODY)
                else:
                    Path(folder).chmod(0o500)
                Home(Path(folder) / "home").prepare()
            except HomeError as error:
                status = 0 if "Permission denied" in str(error) else 2
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        Path(folder).chmod(0o700)

    assert os.waitstatus_to_exitcode(ended) == 0


def test_home_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Home.from_environment().path == Path(".hookfuse")
    monkeypatch.setenv("HOOKFUSE_HOME", "/srv/hooks")
    assert Home.from_environment().database == Path("/srv/hooks/events.db")


def test_second_daemon_is_refused_and_told_the_process(home: Home) -> None:
    with home.ownership.held():
        ((text, pid),) = at_once(seen_daemon, home.path, count=1)

    assert f"a daemon already runs on home {home.path} (process {os.getpid()})" in text
    assert pid == os.getpid()


def test_one_of_the_daemons_that_start_at_once_holds_the_home(home: Home) -> None:
    with home.ownership.held(), pytest.raises(DaemonRunningError), Home(home.path).ownership.held():
        pass

    assert home.ownership.daemon_pid() is None


def test_home_is_free_when_its_daemon_was_killed(home: Home) -> None:
    process = daemon_on(home)
    try:
        assert home.ownership.daemon_pid() == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert home.ownership.daemon_pid() is None
        with home.ownership.held():
            assert home.ownership.daemon_pid() == os.getpid()
    finally:
        end(process)


def test_the_workers_of_a_daemon_are_named_beside_it(home: Home) -> None:
    before = home.ownership.worker_pids()
    with home.ownership.held():
        home.ownership.name_workers([4_194_303, 17, 4])
        named = (home.ownership.daemon_pid(), home.ownership.worker_pids())
        home.ownership.name_workers([5])
        fewer = home.ownership.worker_pids()

    assert before == home.ownership.worker_pids() == ()
    assert named == (os.getpid(), (4_194_303, 17, 4))
    assert fewer == (5,)


LEND = """
import subprocess, sys
from eventstore.home.folder import Home
with Home(sys.argv[1]).ownership.held() as hold:
    worker = "import sys; print('works', flush=True); sys.stdin.read()"
    subprocess.Popen([sys.executable, "-c", worker], pass_fds=[hold.workers_lock])
    sys.stdin.read()
"""


def test_a_worker_that_outlives_its_daemon_keeps_the_next_one_waiting(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEND, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr("eventstore.home.ownership._WORKERS_END_S", 0.05)
    with (
        pytest.raises(DaemonRunningError, match="worker processes of a daemon that was killed"),
        home.ownership.held(),
    ):
        pass
    is_seen = home.ownership.daemon_pid()
    process.stdin.close()
    process.stdout.read()  # until the worker has ended too
    process.stdout.close()
    monkeypatch.undo()
    with home.ownership.held():
        assert home.ownership.daemon_pid() == os.getpid()

    assert is_seen is None


def test_home_is_free_after_an_error_within(home: Home) -> None:
    with pytest.raises(RuntimeError), home.ownership.held():
        raise RuntimeError

    assert home.ownership.daemon_pid() is None


def test_looking_for_the_daemon_keeps_none_from_starting(home: Home) -> None:
    assert home.ownership.daemon_pid() is None
    with home.ownership.held():
        pass
    assert home.ownership.daemon_pid() is None
    with home.ownership.held():
        assert home.ownership.daemon_pid() == os.getpid()


def test_shorter_pid_leaves_nothing_of_a_longer_one(home: Home) -> None:
    (home.path / "daemon.lock").write_text("99999999999999\n")
    with home.ownership.held():
        assert home.ownership.daemon_pid() == os.getpid()


def test_home_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=r"daemon\.lock"), Home(tmp_path / "nowhere").ownership.held():
        pass


def test_lock_is_private(home: Home) -> None:
    with home.ownership.held():
        assert stat.S_IMODE((home.path / "daemon.lock").stat().st_mode) == 0o600


def test_a_home_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=r"no home at .*new \(it does not exist\): start the daemon"):
        Home(tmp_path / "new").require()
    with pytest.raises(HomeError, match=r"\(it is not a home\)"):
        Home(tmp_path).require()

    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_looked_at_is_refused_as_one_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=r"cannot be used \(File name too long\): name another"):
        Home(tmp_path / ("x" * 300)).require()


def test_database_stands_in_the_home(home: Home) -> None:
    Store(home.database).close()

    assert home.database.parent == home.path


def test_a_folder_with_another_use_is_never_made_private(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    tmp_path.chmod(0o755)

    with pytest.raises(HomeError, match=r"holiday\.jpg"):
        Home(tmp_path).prepare()

    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("flag", "fault"), [(os.ST_RDONLY, "Read-only file system"), (0, "Permission denied")], ids=["read-only", "mode"]
)
def test_a_read_only_file_system_is_not_taken_for_a_lack_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int, fault: str
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=flag))

    with pytest.raises(HomeError, match=fault):
        home.prepare()


@pytest.mark.parametrize(
    "name",
    [
        *("events.db", "events.db-wal", "events.db-shm", "events.db-mark", "hookfuse.toml", "a-policy.toml"),
        *("daemon.json", "daemon.lock", "workers.lock", "doorbell", "identity", "logs/hookfuse.jsonl", "outbox/mail"),
    ],
)
def test_no_file_is_put_over_one_of_the_homes_own_by_whatever_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    own = home.path / name
    own.parent.mkdir(exist_ok=True)
    own.touch()
    (tmp_path / "symbolic").symlink_to(home.path)
    monkeypatch.chdir(home.path)

    for target in (own, Path(name), tmp_path / "symbolic" / name, home.path / "logs" / ".." / name):
        with pytest.raises(RejectedError, match="is the home's own"):
            home.refuse_own(target)
    home.refuse_own(tmp_path / "elsewhere")
    home.refuse_own(home.path / "mine.json")


@pytest.mark.parametrize("name", ["events.db", "events.db-wal", "events.db-mark", "hookfuse.toml", "daemon.lock"])
def test_no_file_is_put_over_another_name_of_one_of_the_homes_own(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.path / name).touch()
    (tmp_path / "hard").hardlink_to(home.path / name)
    (tmp_path / "symbolic").symlink_to(home.path / name)

    for target in (tmp_path / "hard", tmp_path / "symbolic"):
        with pytest.raises(RejectedError, match="is the home's own"):
            home.refuse_own(target)
