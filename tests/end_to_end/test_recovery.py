"""After a disabling: the ledger of what was missed, probes, and the way back."""

from tests.end_to_end.stage import LIMIT_S, Stage, installation_id
from tests.end_to_end.waiting import wait_until

_INSTALLATION = installation_id(5)


def _disable_and_miss(stage: Stage, missed: int) -> None:
    """Answer 410, and miss what comes then."""
    stage.apply({5: "/told"})
    stage.receiver.tell(410)
    stage.send([(5, "issue.created")])
    stage.run("run", "--drain")
    stage.send([(5, "issue.resolved")] * missed)
    stage.run("run", "--drain")


def test_what_was_missed_is_counted_and_recovered_in_order_and_the_gap_is_closed(stage: Stage) -> None:
    _disable_and_miss(stage, missed=20)
    ledger = stage.json("status")["missed"]
    kept = [one["delivery_id"] for one in stage.json("deliveries", "--state", "missed")]
    stage.receiver.tell(200)

    with stage.daemon() as daemon:
        stage.run("enable", _INSTALLATION, "--recover", "--reason", "fixed")
        wait_until(lambda: stage.look("events", "--type", "recovery.completed"), "the gap is closed")
        daemon.terminate()
        assert daemon.wait(LIMIT_S) == 0

    assert ledger["count"] == stage.json("events", "--type", "recovery.started")[0]["data"]["deliveries"] == 20
    assert [request["headers"]["webhook-id"] for request in stage.receiver.seen()][1:] == kept
    assert len(stage.json("events", "--type", "recovery.completed")) == 1
    assert stage.json("show", _INSTALLATION)["missed"]["count"] == 0


def test_a_test_delivery_tells_how_the_endpoint_answers_and_counts_for_nothing(stage: Stage) -> None:
    _disable_and_miss(stage, missed=0)
    stage.receiver.tell(503)

    with stage.daemon():
        wait_until(lambda: stage.look("status")["is_running"], "the daemon runs")
        failed = stage.run("test", _INSTALLATION, code=9)
        stage.run("enable", _INSTALLATION, "--probe", "--reason", "try", code=9)
        still = stage.json("show", _INSTALLATION)["state"]
        stage.receiver.tell(200)
        stage.run("test", _INSTALLATION)
        stage.run("enable", _INSTALLATION, "--probe", "--reason", "fixed")

    assert "503" in failed.stdout + failed.stderr
    assert still == "disabled"
    assert stage.json("show", _INSTALLATION)["state"] == "active"
    assert stage.json("show", _INSTALLATION)["buffer"] == []


def test_the_machine_probes_what_it_has_disabled_and_enables_it_when_it_answers(stage: Stage) -> None:
    stage.configure("[probing]\nenabled = true\nfirst_s = 0.5\n")
    _disable_and_miss(stage, missed=0)
    stage.receiver.tell(200)

    with stage.daemon():
        wait_until(lambda: stage.look("show", _INSTALLATION)["state"] == "active", "it is enabled again")

    (enabled,) = stage.json("events", "--type", "installation.enabled")
    assert enabled["data"]["by"] == "system"


def test_what_a_person_has_disabled_is_never_probed(stage: Stage) -> None:
    stage.configure("[probing]\nenabled = true\nfirst_s = 0.01\n")
    stage.apply({5: "/told", 6: "/200"})
    stage.run("disable", _INSTALLATION, "--reason", "no more")
    stage.send([(6, "issue.created")])

    stage.run("run", "--drain")

    assert [request["path"] for request in stage.receiver.seen()] == ["/200"]


def test_many_endpoints_that_begin_to_fail_at_once_freeze_disabling(stage: Stage) -> None:
    apps = range(5, 13)
    stage.apply(dict.fromkeys(apps, "/told"))
    stage.configure("[retry]\nschedule = []\n[outage]\nshare = 0.5\n")
    stage.send([(app, "issue.created") for app in apps])
    stage.run("run", "--drain")
    stage.receiver.tell(500)
    stage.send([(app, "issue.created") for app in apps])

    stage.run("run", "--drain")

    assert stage.json("status")["outage"]["is_frozen"]
    assert stage.json("events", "--type", "disabling.frozen")
    assert "FROZEN" in stage.run("status").stdout
    assert any(line["event"] == "disabling_frozen" and line["level"] == "error" for line in stage.log_lines())
