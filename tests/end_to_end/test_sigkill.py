"""A daemon that is killed again and again loses nothing and counts nothing twice."""

import random
import signal

import pytest

from eventstore.queue.queries import read_deliveries
from eventstore.sqlite.database import open_database
from tests.end_to_end.history import fail_for_days
from tests.end_to_end.proof import insist_on_all, insist_on_one_disabling
from tests.end_to_end.stage import LIMIT_S, PATIENT, Stage
from tests.end_to_end.waiting import kill_moments, wait_for_requests

_OWNERS = ("ann@acme.example", "bob@acme.example")
_BROKEN, _FLAKY, _HEALTHY = 5, 6, tuple(range(7, 25))


@pytest.mark.parametrize("seed", [1, 2])
def test_two_thousand_deliveries_survive_being_killed_at_random_moments(stage: Stage, seed: int) -> None:
    dice = random.Random(seed)
    stage.apply({_BROKEN: "/500", _FLAKY: "/flaky", **dict.fromkeys(_HEALTHY, "/200")}, owners=_OWNERS)
    stage.configure(PATIENT + "[retry]\nschedule = [0, 0, 0]\n")
    fail_for_days(stage.home, _BROKEN, days=3)
    apps = [_BROKEN] * 100 + [_FLAKY] * 100 + [dice.choice(_HEALTHY) for _ in range(1_800)]
    dice.shuffle(apps)
    stage.send([(app, "issue.created") for app in apps])
    connection = open_database(stage.home / "events.db", is_writer=False)
    queued = {delivery.delivery_id for delivery in read_deliveries(connection, limit=-1)}
    assert len(queued) == 2_000

    for moment in kill_moments(stage.receiver, dice, kills=12):
        with stage.daemon("--drain") as daemon:
            wait_for_requests(stage.receiver, moment)
            daemon.kill()
            assert daemon.wait(LIMIT_S) == -signal.SIGKILL, "it was over before"
    stage.run("run", "--drain")

    insist_on_all(connection, stage, queued)
    insist_on_one_disabling(connection, _BROKEN, _OWNERS)
    connection.close()
