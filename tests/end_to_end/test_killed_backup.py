"""What a backup leaves that was killed in its middle: it holds secrets, so it must not stay."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.stage import LIMIT_S, Stage

_ROOT = Path(__file__).parent.parent.parent
_TARGET = "2026-03-01.db"
# As the documented line of the crontab does it, whatever the age of the file is.
_CLEAN_UP = ("-name", "*.db")
# Nothing is copied yet; a page, twenty pages, all pages are; all is checked.
_MOMENTS = (("read_mark", 1), ("advance", 1), ("advance", 20), ("_leave_wal_mode", 1), ("_check", 1))
# The real command, which kills itself when a function of it has done its work so many times.
_KILLED_AFTER = """
import os, signal, sys
from runner import main
from console.output.progress import SlowProgress
from eventstore.backup import copy as backup
backup._PAGES, calls = 1, 0
_, name, times, *arguments = sys.argv
owner = SlowProgress if name == "advance" else backup
work = getattr(owner, name)
def work_and_die(*arguments, **options):
    global calls
    done = work(*arguments, **options)
    calls += 1
    if calls == int(times):
        os.kill(os.getpid(), signal.SIGKILL)
    return done
setattr(owner, name, work_and_die)
sys.argv[1:] = arguments
main()
"""


def _kill_backup(stage: Stage, folder: Path, function: str, times: int) -> None:
    _, _, _, *arguments = stage.command("backup", str(folder / _TARGET))
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_AFTER, function, str(times), *arguments],
        capture_output=True,
        timeout=LIMIT_S,
        cwd=_ROOT,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def test_what_a_killed_backup_leaves_goes_with_the_documented_clean_up_and_with_the_next_backup(
    stage: Stage, tmp_path: Path
) -> None:
    stage.apply({5: "/200"})
    stage.send([(5, "issue.created")])
    folder = tmp_path / "backups"
    folder.mkdir()
    known: set[Path] = set()

    for function, times in _MOMENTS:
        _kill_backup(stage, folder, function, times)

        (left,) = folder.iterdir()  # and none of those before, which this one has removed
        assert left not in known
        known.add(left)
        assert left.name.startswith(".hookfuse-draft-")
        assert left.stat().st_mode & 0o777 == 0o600
        found = subprocess.run(["find", str(folder), *_CLEAN_UP], capture_output=True, text=True, check=True)
        assert found.stdout.splitlines() == [str(left)]
    stage.run("backup", str(folder / _TARGET))

    assert [path.name for path in folder.iterdir()] == [_TARGET]


def test_the_clean_up_is_the_documented_one() -> None:
    documented = (_ROOT / "docs" / "backup.md").read_text()
    name, pattern = _CLEAN_UP

    assert f"find /var/backups/hookfuse {name} '{pattern}' -mtime +14 -delete" in documented
    assert "leaves `.hookfuse-draft-*` beside its target, under a name that ends as the target does" in documented
