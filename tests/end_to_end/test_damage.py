"""What was damaged while it waited is not sent, and what goes on beside it is."""

import sqlite3
from contextlib import closing

from tests.end_to_end.stage import Stage
from tests.end_to_end.waiting import wait_until


def _change(stage: Stage, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(stage.home / "events.db", isolation_level=None)) as connection:
        assert connection.execute(statement, parameters).rowcount == 1


def _waiting(stage: Stage) -> list[str]:
    return [one["delivery_id"] for one in stage.json("deliveries")]


def test_a_payload_that_was_changed_while_it_waited_is_not_sent_and_the_others_go_on(stage: Stage) -> None:
    stage.apply({5: "/200", 6: "/204"})
    stage.send([(5, "issue.created"), (5, "issue.resolved"), (5, "issue.assigned"), (6, "issue.created")])
    first, changed, *others = _waiting(stage)
    _change(stage, "UPDATE queue SET data = replace(data, 'number', 'numbeR') WHERE delivery_id = ?", changed)

    with stage.daemon() as daemon:
        wait_until(lambda: len(stage.receiver.seen()) == 3, "a request for each of the others")
        wait_until(lambda: stage.look("deliveries", "--state", "dead"), "a dead delivery")
        assert daemon.poll() is None

    sent = {request["headers"]["webhook-id"] for request in stage.receiver.seen()}
    (dead,) = stage.json("deliveries", "--state", "dead")
    assert sent == {first, *others}
    assert (dead["delivery_id"], dead["last_error"]) == (changed, "damaged")
    (event,) = stage.json("events", "--type", "delivery.exhausted")
    assert (event["data"]["delivery_id"], event["data"]["error_class"]) == (changed, "damaged")


def test_what_was_queued_before_there_were_checksums_is_sent(stage: Stage) -> None:
    stage.apply({5: "/200"})
    stage.send([(5, "issue.created")])
    (waiting,) = _waiting(stage)
    _change(stage, "UPDATE queue SET checksum = NULL")

    stage.run("run", "--drain")

    assert [request["headers"]["webhook-id"] for request in stage.receiver.seen()] == [waiting]
    assert stage.json("deliveries") == []
