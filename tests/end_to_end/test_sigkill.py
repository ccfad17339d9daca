"""A daemon that is killed again and again loses nothing and counts nothing twice."""

import random
import signal
import subprocess
from contextlib import suppress

import pytest

from eventstore.database import open_database
from eventstore.queue_view import count_deliveries, read_deliveries
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.proof import insist_on_all, insist_on_one_disabling
from tests.end_to_end.stage import Stage

_OWNERS = ("ann@acme.example", "bob@acme.example")
_BROKEN, _FLAKY, _HEALTHY = 5, 6, tuple(range(7, 25))


@pytest.mark.parametrize("seed", [1, 2])
def test_two_thousand_deliveries_survive_being_killed_at_random_moments(stage: Stage, seed: int) -> None:
    dice = random.Random(seed)
    stage.apply({_BROKEN: "/500", _FLAKY: "/flaky", **dict.fromkeys(_HEALTHY, "/200")}, owners=_OWNERS)
    stage.configure("[retry]\nschedule = [0, 0, 0]\n")
    fail_for_days(stage.home, _BROKEN, days=3)
    apps = [_BROKEN] * 100 + [_FLAKY] * 100 + [dice.choice(_HEALTHY) for _ in range(1_800)]
    dice.shuffle(apps)
    stage.send([(app, "issue.created") for app in apps])
    connection = open_database(stage.home / "events.db", is_writer=False)
    queued = {delivery.delivery_id for delivery in read_deliveries(connection, limit=-1)}
    assert len(queued) == 2_000

    kills = 0
    while kills < 12 and count_deliveries(connection)["waiting"]:
        kills += _run_and_kill(stage, after_s=dice.uniform(0.3, 1.4))
    stage.run("run", "--drain")

    assert kills >= 3, "the run was over before it was killed often enough to prove anything"
    insist_on_all(connection, stage, queued)
    insist_on_one_disabling(connection, _BROKEN, _OWNERS)
    connection.close()


def _run_and_kill(stage: Stage, after_s: float) -> int:
    """Run the daemon for some moments; 1 = it was killed, 0 = it had drained the queue before."""
    with stage.daemon("--drain") as daemon:
        with suppress(subprocess.TimeoutExpired):
            return daemon.wait(timeout=after_s) * 0
        daemon.send_signal(signal.SIGKILL)
        return 1
