import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.deliveries import producer as producer_module
from eventstore.deliveries.producer import INCIDENT_STATUSES, Producer, send_incident_alert_notification
from eventstore.errors import ConfigurationError, DocumentError, HomeError, NotFoundError, RejectedError
from eventstore.events.catalogue import InstallationRemoved
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.queue.delivery import NewDelivery
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, register, rows_of


@pytest.fixture
def producer(store: Store, home: Home, clock: ManualClock) -> Iterator[Producer]:
    register(store)
    producer = Producer(home, clock)
    yield producer
    producer.close()


@pytest.fixture
def known(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home with one installation, named by the environment."""
    register(store)
    monkeypatch.setenv("HOOKFUSE_HOME", str(home.path))
    yield home
    if hasattr(producer_module._producers, "producer"):
        producer_module._producers.producer.close()
        producer_module._producers.__dict__.clear()


def new(data: str = "{}", **fields: Any) -> NewDelivery:
    return NewDelivery(**{"installation_id": INSTALLATION_ID, "event_name": "issue.created", "data": data} | fields)


def alert(**arguments: Any) -> bool:
    values: dict[str, Any] = {
        "sentry_app_id": 42,
        "action_id": 9,
        "incident_id": 4711,
        "new_status": 20,
        "incident_attachment_json": '{"metric_alert": {"id": "4711"}}',
        "organization_id": 17,
    }
    return send_incident_alert_notification(**values | arguments)


def queued(home: Home, columns: str = "data") -> list[tuple[Any, ...]]:
    return rows_of(home.database, f"SELECT {columns} FROM queue ORDER BY sequence")


def in_child(work: Any) -> int:
    """Fork, do the work in the child and give its exit code."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_was_sent_is_on_disk(producer: Producer, home: Home) -> None:
    (delivery_id,) = producer.send([new('{"a": 1}')])

    assert queued(home, "delivery_id, installation_id, event_name, state, data, due_at") == [
        (delivery_id, INSTALLATION_ID, "issue.created", "waiting", '{"a":1}', "2025-02-03T12:00:00.000000Z")
    ]


def test_sending_rings_the_doorbell(producer: Producer, home: Home) -> None:
    doorbell = home.doorbell.listen()
    producer.send([new()])

    assert doorbell.heard()
    doorbell.close()


def test_one_bad_delivery_keeps_all_out(producer: Producer, home: Home) -> None:
    with pytest.raises(DocumentError):
        producer.send([new(), new("{")])
    with pytest.raises(NotFoundError):
        producer.send([new(), new(installation_id="another")])

    assert queued(home) == []


def test_removed_installation_takes_nothing(producer: Producer, store: Store, home: Home) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))
    with pytest.raises(NotFoundError, match="is removed"):
        producer.send([new()])

    assert queued(home) == []


@pytest.mark.parametrize(
    "name", ["", "issue", "issue.", ".created", "Issue.created", "issue.created\n", "a.b.c", "a b.c", "a." + "b" * 99]
)
def test_what_is_no_event_name_is_refused(producer: Producer, name: str) -> None:
    with pytest.raises(RejectedError, match="is not an event name"):
        producer.send([new(event_name=name)])


@pytest.mark.parametrize("key", ["", "x" * 257, "\ud800"])
def test_what_is_no_idempotency_key_is_refused(producer: Producer, key: str) -> None:
    with pytest.raises(RejectedError, match="idempotency key"):
        producer.send([new(idempotency_key=key)])


@pytest.mark.parametrize("key", ["x" * 257, "\udfff"])
def test_what_is_no_ordering_key_is_refused(producer: Producer, key: str) -> None:
    with pytest.raises(RejectedError, match="ordering key"):
        producer.send([new(ordering_key=key)])


def test_actor_is_checked_like_the_data(producer: Producer, home: Home) -> None:
    with pytest.raises(DocumentError):
        producer.send([new(actor="ada")])
    producer.send([new(actor='{"type": "user"}')])

    assert queued(home, "actor") == [('{"type":"user"}',)]


@pytest.mark.parametrize(("size_bytes", "is_taken"), [(40, True), (41, False)])
def test_limit_is_in_bytes(home: Home, size_bytes: int, is_taken: bool) -> None:
    home.configuration.write_text("[limits]\nattachment_bytes = 40\n")
    data = '{"a":"' + "é" * 16 + "x" * (size_bytes - 40) + '"}'
    with Store(home.database) as store:
        register(store)
    producer = Producer(home)
    try:
        if is_taken:
            producer.send([new(data)])
        else:
            with pytest.raises(RejectedError, match=r"41 bytes, and \[limits\] attachment_bytes is 40"):
                producer.send([new(data)])
    finally:
        producer.close()

    assert len(queued(home)) == is_taken


@pytest.mark.parametrize("named", ["", "typo"])
def test_a_home_that_is_not_there_is_refused_as_the_command_does_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOKFUSE_HOME", named)
    if not named:
        monkeypatch.delenv("HOOKFUSE_HOME")

    for use in (Producer, alert):
        with pytest.raises(HomeError, match=rf"no home at {named or '.hookfuse'} \(it does not exist\)"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_wrong_configuration_is_said_when_a_queue_is_opened(home: Home) -> None:
    Store(home.database).close()
    home.configuration.write_text("[limits]\nattachment_bytes = 0\n")

    with pytest.raises(ConfigurationError, match="attachment_bytes"):
        Producer(home)


def test_alert_is_on_disk_when_true_is_returned(known: Home) -> None:
    assert alert()
    assert queued(known, "installation_id, event_name, ordering_key, actor, data") == [
        (INSTALLATION_ID, "metric_alert.critical", "incident:4711", None, '{"metric_alert":{"id":"4711"}}')
    ]


@pytest.mark.parametrize(("status", "name"), [(1, "open"), (2, "resolved"), (10, "warning"), (20, "critical")])
def test_status_numbers_are_those_of_the_original(known: Home, status: int, name: str) -> None:
    alert(new_status=status)

    assert queued(known, "event_name") == [(f"metric_alert.{name}",)]
    assert INCIDENT_STATUSES[status] == name


@pytest.mark.parametrize("status", [0, 3, 11, 30, -1])
def test_unknown_status_is_refused(known: Home, status: int) -> None:
    with pytest.raises(RejectedError, match="is not an incident status"):
        alert(new_status=status)


def test_unknown_app_is_logged_and_false(known: Home) -> None:
    with capture_logs() as logs:
        assert not alert(sentry_app_id=5)

    assert logs == [
        {
            "event": "metric_alert_webhook.missing_sentryapp",
            "log_level": "info",
            "sentry_app_id": 5,
            "organization_id": 17,
        }
    ]
    assert queued(known) == []


def test_unknown_installation_is_logged_and_false(known: Home) -> None:
    with capture_logs() as logs:
        assert not alert(organization_id=18)

    assert logs == [
        {
            "event": "metric_alert_webhook.missing_installation",
            "log_level": "info",
            "action": 9,
            "incident": 4711,
            "organization_id": 18,
            "sentry_app_id": 42,
        }
    ]
    assert queued(known) == []


def test_notification_uuid_queues_once_for_its_action_and_status(known: Home) -> None:
    for arguments in ({}, {}, {"action_id": 10}, {"new_status": 2}, {"incident_id": 1}):
        assert alert(notification_uuid="n-1", **arguments)

    assert len(queued(known)) == 3


def test_alert_without_a_notification_uuid_is_queued_each_time(known: Home) -> None:
    alert()
    alert()

    assert len(queued(known)) == 2


def test_malformed_attachment_is_refused(known: Home) -> None:
    with pytest.raises(DocumentError, match="line 1, column"):
        alert(incident_attachment_json="{'id': 1}")


def test_forked_child_gets_a_connection_of_its_own(known: Home) -> None:
    alert()
    parents = producer_module._producer()

    assert in_child(lambda: [alert(), os._exit(int(producer_module._producer() is parents))]) == 0
    assert producer_module._producer() is parents
    assert len(queued(known)) == 2


@pytest.mark.parametrize("is_explicit", [False, True])
def test_childs_delivery_outlives_the_parents_connection(known: Home, store: Store, is_explicit: bool) -> None:
    """A child that leant on its parent's locks would write to a WAL that is deleted under it."""
    store.close()
    explicit = Producer(known)
    send = (lambda: explicit.send([new()])) if is_explicit else alert
    send()
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            send()
            os.write(to_parent[1], b"!")
            os.read(to_child[0], 1)
            send()
            status = 0
        finally:
            os._exit(status)
    os.read(to_parent[0], 1)
    explicit.close()
    if hasattr(producer_module._producers, "producer"):
        producer_module._producers.producer.close()
        producer_module._producers.__dict__.clear()
    os.write(to_child[1], b"!")
    _, ended = os.waitpid(child, 0)
    for descriptor in (*to_child, *to_parent):
        os.close(descriptor)

    assert os.waitstatus_to_exitcode(ended) == 0
    assert len(queued(known)) == 3


def test_another_home_gets_another_queue(known: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alert()
    other = Home(tmp_path / "other")
    other.prepare()
    Store(other.database).close()
    monkeypatch.setenv("HOOKFUSE_HOME", str(other.path))

    assert not alert()
    monkeypatch.setenv("HOOKFUSE_HOME", str(known.path))
    assert alert()
    assert len(queued(known)) == 2


def test_home_that_was_made_anew_gets_a_new_queue(known: Home, store: Store) -> None:
    alert()
    store.close()
    for path in known.path.glob("events.db*"):
        path.unlink()
    with Store(known.database) as again:
        register(again)

    assert alert()
    assert len(queued(known)) == 1


def test_queue_that_could_not_be_opened_does_not_spoil_the_other(
    known: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert()
    bad = Home(tmp_path / "bad")
    bad.prepare()
    Store(bad.database).close()
    bad.configuration.write_text("foo = 1")
    monkeypatch.setenv("HOOKFUSE_HOME", str(bad.path))
    with pytest.raises(ConfigurationError):
        alert()
    monkeypatch.setenv("HOOKFUSE_HOME", str(known.path))

    assert alert()
