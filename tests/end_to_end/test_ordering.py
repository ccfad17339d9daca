"""Alerts of one incident arrive in order, whatever the receiver does."""

import json
from collections import defaultdict

from tests.end_to_end.stage import Stage, installation_id

_STORY = ("open", "warning", "critical", "resolved")


def _send_stories(stage: Stage, incidents: int) -> None:
    lines = [
        {
            "installation": installation_id(5),
            "event": f"metric_alert.{status}",
            "data": {"incident": incident},
            "ordering_key": f"incident:{incident}",
        }
        for status in _STORY
        for incident in range(incidents)
    ]
    stage.run("send", "--batch", "-", text="\n".join(json.dumps(line) for line in lines))


def test_no_alert_overtakes_another_of_its_incident_at_a_receiver_that_fails_at_random(stage: Stage) -> None:
    stage.apply({5: "/random"})
    stage.configure(f"[retry]\nschedule = {[0] * 30}\n")
    _send_stories(stage, incidents=40)

    stage.run("run", "--drain")

    attempts = defaultdict(list)
    for request in stage.receiver.seen():
        body = json.loads(request["body"])
        attempts[body["data"]["incident"]].append(body["action"])
    # All attempts at one alert, retries included, come before the first attempt at the next.
    assert len(attempts) == 40
    assert all(list(dict.fromkeys(actions)) == list(_STORY) for actions in attempts.values())
    assert all(actions == sorted(actions, key=_STORY.index) for actions in attempts.values())
    assert sum(len(actions) for actions in attempts.values()) > 40 * len(_STORY), "nothing was ever retried"
    assert stage.json("deliveries") == []


def test_a_stuck_incident_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.apply({5: "/once"})
    stage.configure("[retry]\nschedule = [3600]\n")
    _send_stories(stage, incidents=30)

    stage.run("run", "--drain")

    waiting = [one["ordering_key"] for one in stage.json("deliveries", "--limit", "1000") if one["state"] == "waiting"]
    arrived = defaultdict(list)
    for request in stage.receiver.seen():
        body = json.loads(request["body"])
        arrived[f"incident:{body['data']['incident']}"].append(body["action"])
    (stuck,) = set(waiting)
    assert len(waiting) == len(_STORY)
    assert arrived.pop(stuck) == ["open"], "it was tried once, and nothing of it overtakes that"
    assert list(arrived.values()) == [list(_STORY)] * 29, "all the others have gone on to their end"
