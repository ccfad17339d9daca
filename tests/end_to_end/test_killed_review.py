"""A daemon that is killed at each step of a disabling disables once, and a person's decision stands."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.shell.cli import cli
from eventstore.sqlite.database import open_database
from replay.check.verification import verify
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.killed_at import MOMENTS
from tests.end_to_end.stage import LIMIT_S, Stage, installation_id
from tests.end_to_end.waiting import wait_until

_OWNERS = ("ann@acme.example", "bob@acme.example")
_APP = 5
_ROOT = Path(__file__).parent.parent.parent
# From here on the disabling is on disk.
_COMMITTED = list(MOMENTS).index("the disabling is committed")


def almost_broken(stage: Stage) -> None:
    """Bring an installation to where one more failure, which waits to be sent, is too many."""
    stage.configure("[retry]\nschedule = []\n[warnings]\nenabled = false\n[mail]\nretry = [0.05]\n")
    type_in(stage, "apply", str(stage.write_registry({_APP: "/500"}, _OWNERS)))
    fail_for_days(stage.home, _APP, days=2)
    send_one(stage)


def send_one(stage: Stage) -> None:
    data = stage.home.parent / "data.json"
    data.write_text("{}")
    type_in(stage, "send", "--installation", installation_id(_APP), "--event", "issue.created", "--data", str(data))


def type_in(stage: Stage, *arguments: str) -> None:
    """Run a command to its end within this process."""
    said = CliRunner().invoke(cli, ["--home", str(stage.home), *arguments], catch_exceptions=False)
    assert said.exit_code == 0, said.output


def killed(stage: Stage, *moment: str) -> "subprocess.Popen[bytes]":
    """Run a daemon that is killed at a moment, or stands still at it."""
    command = [sys.executable, "-m", "tests.end_to_end.killed_at", *moment, "--home", str(stage.home), "run", "--drain"]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def facts(stage: Stage) -> tuple[Counter[str], str]:
    """Count the events of the installation by type, and return its state; log and projections agree."""
    assert verify(stage.home / "events.db").differences == ()
    connection = open_database(stage.home / "events.db", is_writer=False)
    rows = connection.execute("SELECT type FROM events WHERE stream = ?", (f"installation-{installation_id(_APP)}",))
    types = Counter(row[0] for row in rows)
    (state,) = connection.execute("SELECT state FROM installations").fetchone()
    connection.close()
    return types, state


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_daemon_that_is_killed_at_any_step_of_a_disabling_disables_once(stage: Stage, moment: str) -> None:
    almost_broken(stage)
    assert killed(stage, moment).wait(LIMIT_S) == -signal.SIGKILL, f"it never came to this: {moment}"
    before = facts(stage)[0]["installation.disabled"]
    send_one(stage)
    stage.run("run", "--drain")

    types, state = facts(stage)
    assert before == (list(MOMENTS).index(moment) >= _COMMITTED)
    assert (len(stage.receiver.seen()), types["delivery.missed"]) == (1, 1), "nothing is sent before the decision"
    assert state == "disabled"
    assert (types["installation.disabled"], types["audit.recorded"]) == (1, 1)
    assert (types["mail.requested"], types["mail.sent"]) == (len(_OWNERS), len(_OWNERS))
    mails = {mail["message_id"]: mail["to"][0] for mail in stage.mail_server.seen()}
    assert sorted(mails.values()) == list(_OWNERS), "a mail that goes twice has its Message-ID"


@pytest.mark.parametrize(
    "moment",
    ["the failure is recorded", "the disabling is appended", "the disabling is committed", "a mail is handed over"],
)
def test_a_review_that_comes_after_a_person_s_decision_changes_nothing(stage: Stage, moment: str) -> None:
    almost_broken(stage)
    assert killed(stage, moment).wait(LIMIT_S) == -signal.SIGKILL, f"it never came to this: {moment}"
    type_in(stage, "disable", installation_id(_APP), "--reason", "moving", "--by", "ann", "--no-mail")
    type_in(stage, "enable", installation_id(_APP), "--reason", "moved", "--by", "ann")
    decided = facts(stage)[0]
    send_one(stage)
    stage.run("run", "--drain")

    types, state = facts(stage)
    assert (state, len(stage.receiver.seen())) == ("active", 2)
    assert (types["installation.disabled"], types["installation.enabled"]) == (1, 1)
    assert types["audit.recorded"] == decided["audit.recorded"]
    assert types["mail.requested"] == decided["mail.requested"]


def test_of_two_that_decide_at_once_the_one_that_is_killed_in_its_transaction_leaves_it_to_the_other(
    stage: Stage, tmp_path: Path
) -> None:
    almost_broken(stage)
    mark = tmp_path / "in its transaction"
    daemon = killed(stage, "hold", str(mark), "the disabling is appended")
    try:
        wait_until(mark.exists, "the daemon has appended the disabling")
        person = subprocess.Popen(
            stage.command("disable", installation_id(_APP), "--reason", "moving", "--by", "ann"),
            cwd=_ROOT,
            stdout=subprocess.DEVNULL,
        )
    finally:
        daemon.kill()
    assert daemon.wait(LIMIT_S) == -signal.SIGKILL
    assert person.wait(LIMIT_S) == 0
    stage.run("run", "--drain")

    types, state = facts(stage)
    assert state == "disabled"
    assert (types["installation.disabled"], types["audit.recorded"]) == (1, 1)
    assert (types["mail.requested"], types["mail.sent"]) == (len(_OWNERS), len(_OWNERS))
