"""Behind an open breaker deliveries wait, and none is dropped."""

from tests.end_to_end.stage import LIMIT_S, Stage, installation_id
from tests.end_to_end.waiting import wait_until

_BREAKER = "[breaker]\nstreak_min = 3\nopen_s = 0.3\n[retry]\nschedule = [0, 0]\n[delivery]\nper_installation = 1\n"


def test_deliveries_wait_behind_an_open_breaker_and_flow_when_a_trial_succeeds(stage: Stage) -> None:
    stage.apply({5: "/told", 6: "/200"})
    stage.configure(_BREAKER)
    stage.receiver.tell(500)
    stage.send([(5, "issue.created")] * 30 + [(6, "issue.created")] * 5)

    with stage.daemon() as daemon:
        wait_until(lambda: len(stage.look("events", "--type", "breaker.opened")) >= 2, "a trial that fails")
        stage.receiver.tell(200)
        wait_until(lambda: stage.look("events", "--type", "breaker.closed"), "a trial that succeeds")
        wait_until(lambda: not stage.look("deliveries", "--state", "waiting"), "nothing is waiting any longer")
        daemon.terminate()
        assert daemon.wait(LIMIT_S) == 0

    delivered = stage.json("events", "--type", "delivery.succeeded", "--limit", "100")
    dead = stage.json("deliveries", "--state", "dead")
    assert len(delivered) + len(dead) == 35
    # How many trials there are until it is told 200 is a matter of the machine; that nothing else is tried is not.
    opened = stage.json("events", "--type", "breaker.opened", "--limit", "1000")
    failures = stage.json("events", "--type", "delivery.failed", "--limit", "1000")
    assert len(failures) == 3 + len(opened) - 1, "three before it opened, and then its trials"
    assert len(dead) <= len(failures) / 3, "each has used up its three attempts"


def test_an_open_breaker_is_open_after_a_restart(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[breaker]\nstreak_min = 3\nopen_s = 3600\n[retry]\nschedule = [0, 0, 0, 0]\n")
    stage.send([(5, "issue.created")] * 3)
    stage.run("run", "--drain")
    seen = len(stage.receiver.seen())

    stage.run("run", "--drain")

    assert len(stage.receiver.seen()) == seen
    assert len(stage.json("deliveries", "--state", "waiting")) == 3
    assert stage.json("show", installation_id(5))["state"] == "active"


def test_a_dry_run_records_and_holds_nothing_back(stage: Stage) -> None:
    stage.apply({5: "/500"})
    stage.configure("[breaker]\nstreak_min = 3\ndry_run = true\n[retry]\nschedule = []\n")
    stage.send([(5, "issue.created")] * 9)

    stage.run("run", "--drain")

    opened = stage.json("events", "--type", "breaker.opened")
    assert opened
    assert all(event["data"]["is_dry_run"] for event in opened)
    assert len(stage.receiver.seen()) == 9


def test_429_with_retry_after_pauses_the_installation_and_no_other(stage: Stage) -> None:
    stage.apply({5: "/429", 6: "/200"})
    stage.configure("[retry]\nschedule = [0, 0]\n[delivery]\nper_installation = 1\nslow_down_s = 3600\n")
    stage.send([(5, "issue.created")] * 5 + [(6, "issue.created")] * 5)

    stage.run("run", "--drain")

    paths = [request["path"] for request in stage.receiver.seen()]
    assert paths.count("/429") == 1
    assert paths.count("/200") == 5
    assert len(stage.json("deliveries", "--state", "waiting")) == 5
