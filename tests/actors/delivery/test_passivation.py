import structlog

from tests.actors.passivation import send_messages


def test_no_message_is_lost_or_overtaken_while_actors_are_put_away_and_come_back() -> None:
    with structlog.testing.capture_logs() as lines:
        outcome = send_messages(30_000, addresses=200)

    assert outcome.faults == []
    assert outcome.last == outcome.sent
    assert sum(outcome.last) == 30_000
    assert outcome.store > 100
    assert outcome.started > 200
    assert lines == []
