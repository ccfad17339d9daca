import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pykka
import pytest
import structlog
from structlog.typing import EventDict

from actors.assembly import system as system_module
from actors.assembly.outside import mail_transport_for, sender_for
from actors.assembly.rules import gate_rule, outage_rule, probing_rule
from actors.assembly.system import ActorSystem
from actors.delivery.concurrency_limiter import LimiterWatch
from actors.delivery.delivery_gate import GateRule
from actors.dispatch.dispatcher import DispatcherActor
from actors.journal import journal as journal_module
from actors.mail import mailer as mailer_module
from actors.mail.mail_transport import MemoryTransport
from actors.mail.maildir_transport import MaildirTransport
from actors.mail.smtp_transport import SmtpTransport
from actors.messages import PauseClaiming
from eventstore.common.shard import WHOLE
from eventstore.common.uptime import read_uptime
from eventstore.decisions.probing import ProbingRule
from eventstore.deliveries import commit_group
from eventstore.errors import DiskFullError
from eventstore.home.folder import Home
from eventstore.policies.breaker import BreakerRule
from eventstore.policies.clock_doubt import ClockPair
from eventstore.policies.outage_rule import OutageRule
from eventstore.queue.queries import count_deliveries
from eventstore.queue.sqlite_queue import SqliteQueue
from eventstore.settings.configuration import Configuration, configuration_of, load_configuration
from eventstore.wall_clock.watch import write_clock_pair
from tests.actors.stage import GONE, ONE, OWNERS, SERVER_ERROR, Receiver, Stage, lines_of
from webhook import FakeSender, Outcome, Sender, WebhookRequest

WAIT_S = 60.0
INSTALLATIONS = [f"{number:08d}-1111-4111-8111-111111111111" for number in range(1, 11)]


class GatedSender(FakeSender):
    """Answers only once the gate is open; `begun` says that somebody waits at it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun = threading.Event()

    def send(self, request: WebhookRequest) -> Outcome:
        self.begun.set()
        assert self.gate.wait(WAIT_S)
        return super().send(request)


class StuckSender(FakeSender):
    """Answers at once, except for one request: that waits until all others have come."""

    def __init__(self, stuck: int, others: int) -> None:
        super().__init__()
        self._stuck = stuck
        self._left = others
        self._lock = threading.Lock()
        self.have_come = threading.Event()

    def send(self, request: WebhookRequest) -> Outcome:
        with self._lock:
            number = len(self.requests)
            outcome = super().send(request)
            self._left -= number != self._stuck
            if not self._left:
                self.have_come.set()
        if number == self._stuck:
            assert self.have_come.wait(WAIT_S), "what waits behind it does not come"
        return outcome


class Plant:
    """An actor system on a real home, and the stage to look at it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.home.prepare()
        self.stage = Stage(folder)
        write_clock_pair(self.stage.store.connection, ClockPair(datetime.now(UTC), read_uptime()))
        self.postbox: MemoryTransport = MemoryTransport()
        self.failed = threading.Event()
        self.systems: list[ActorSystem] = []

    def start(self, sender: Any = None, settings: str = "", **share: Any) -> ActorSystem:
        self.home.configuration.write_text(f"[retry]\nschedule = [3600]\njitter = 0\n{settings}", encoding="utf-8")
        self.sender = sender or FakeSender()
        system = ActorSystem(
            self.home,
            load_configuration(self.home.configuration),
            sender=self.sender,
            postbox=self.postbox,
            on_failure=self.failed.set,
            **share,
        )
        self.systems.append(system)
        return system

    def drain(self, system: ActorSystem) -> None:
        deadline_s = time.monotonic() + WAIT_S
        system.look_around()
        while not system.is_drained():
            assert time.monotonic() < deadline_s, "it does not get done"
            assert not system.failure

    def counts(self) -> dict[str, int]:
        return count_deliveries(self.stage.store.connection)

    def delivered(self) -> set[str]:
        return {event.delivery_id for event in self.stage.events("delivery.succeeded")}

    def close(self) -> None:
        if isinstance(self.sender, GatedSender):
            self.sender.gate.set()
        for system in self.systems:
            system.stop()
        self.stage.close()


@pytest.fixture
def plant(tmp_path: Path, lines: list[EventDict]) -> Iterator[Plant]:
    plant = Plant(tmp_path / "home")
    yield plant
    plant.close()


def own_threads() -> set[str]:
    names = ("journal", "mailer", "dispatcher", "supervisor", "turns", "send")
    return {thread.name for thread in threading.enumerate() if thread.name.rpartition("-")[0] in names}


class HangingTransport(MemoryTransport):
    """A mail server that takes its time, until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.gate = threading.Event(), threading.Event()

    def deliver(self, message: EmailMessage, recipient: str) -> None:
        self.asked.set()
        assert self.gate.wait(WAIT_S)
        super().deliver(message, recipient)


def test_an_actor_that_is_at_one_turn_for_long_is_named(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.postbox = postbox = HangingTransport()
    plant.stage.register(INSTALLATIONS[0])
    system = plant.start()
    plant.stage.decide_by_receiver(INSTALLATIONS[0])
    system.look_around()
    assert postbox.asked.wait(WAIT_S)
    assert system.liveness() == {"actors": "ok", "turns": "ok"}

    monkeypatch.setattr("actors.assembly.system._TURN_S", 0.0)  # as if a minute had gone by
    try:
        assert system.liveness()["turns"].startswith("mailer has been in one turn for ")
    finally:
        postbox.gate.set()


def test_two_hundred_deliveries_to_ten_installations_are_each_sent_once(plant: Plant) -> None:
    plant.stage.register(*INSTALLATIONS)
    for installation_id in INSTALLATIONS:
        plant.stage.enqueue(installation_id, 20)
    plant.drain(plant.start())

    assert len(plant.sender.requests) == 200
    assert len(plant.delivered()) == 200
    assert Counter(row[0] for row in plant.stage.rows("SELECT success FROM buffer")) == {20: 10}
    assert plant.counts() == {"waiting": 0, "missed": 0, "dead": 0}


def test_each_delivery_is_one_log_line(plant: Plant, lines: list[EventDict]) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 50)
    plant.drain(plant.start())

    assert len({line["delivery_id"] for line in lines_of(lines, "delivery_attempted")}) == 50
    assert [line for line in lines if line["log_level"] == "error"] == []


def test_a_system_decides_by_the_policy_that_its_home_has_in_a_file(plant: Plant) -> None:
    (plant.home.path / "mine.toml").write_text(
        'name = "mine"\nversion = 3\nwindow_days = 5\nerrors = ["server_error"]\n'
        '[[rules]]\nkind = "no_success"\nname = "quiet"\nfailures_min = 1\nfailing_days_min = 1\n'
    )
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 1)
    plant.drain(plant.start(FakeSender([SERVER_ERROR]), '[policy]\nfile = "mine.toml"\n'))

    (disabled,) = plant.stage.events("installation.disabled")
    evidence = disabled.evidence
    assert (evidence.policy, evidence.policy_version, evidence.rule) == ("mine", 3, "quiet")
    assert plant.stage.rows("SELECT state FROM installations") == [("disabled",)]
    mail = plant.postbox.deliveries[0][0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "mine v3" in mail
    assert "would have prevented it" in mail


def test_a_receiver_that_is_gone_is_disabled_and_its_owners_mailed_before_it_is_drained(plant: Plant) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 30)
    plant.drain(plant.start(FakeSender(itertools.repeat(GONE)), "[delivery]\nper_installation = 1\n"))

    assert len(plant.sender.requests) == 1
    assert len(plant.stage.events("installation.disabled")) == 1
    assert sorted(recipient for _, recipient in plant.postbox.deliveries) == list(OWNERS)
    assert plant.counts() == {"waiting": 0, "missed": 29, "dead": 1}


def test_what_waits_for_a_retry_does_not_keep_it_from_being_drained(plant: Plant) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 3)
    plant.drain(plant.start(FakeSender([SERVER_ERROR] * 3)))

    assert plant.counts() == {"waiting": 3, "missed": 0, "dead": 0}
    assert plant.stage.rows("SELECT DISTINCT attempts FROM queue") == [(1,)]


def test_a_daemon_goes_on_with_what_the_one_before_it_left(plant: Plant) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 5)
    plant.start().stop()
    left = plant.counts()["waiting"]
    plant.drain(plant.start())

    assert left == 5
    assert len(plant.sender.requests) == 5


def test_of_two_workers_each_sends_its_own_and_the_lead_the_mails_of_both(plant: Plant) -> None:
    rung = threading.Event()
    first, second = WHOLE.shared_out(2)
    (of_second, *_) = second.of(INSTALLATIONS)
    plant.stage.register(*INSTALLATIONS)
    for installation_id in INSTALLATIONS:
        plant.stage.enqueue(installation_id, 3)
    answers = {of_second: GONE}
    receiver = Receiver()
    receiver.answers = answers
    lead = plant.start(receiver, shard=first)
    plant.drain(lead)
    sent_by_lead = {receiver.installation_of(request) for request in receiver.requests}
    other = plant.start(receiver, shard=second, wake_lead=rung.set)
    plant.drain(other)
    mailed_before = list(plant.postbox.deliveries)
    plant.drain(lead)

    assert sent_by_lead == set(first.of(INSTALLATIONS))
    assert len(plant.stage.events("installation.disabled")) == 1
    assert rung.is_set()
    assert mailed_before == []
    assert sorted(recipient for _, recipient in plant.postbox.deliveries) == list(OWNERS)
    assert plant.counts()["waiting"] == 0


def test_only_the_lead_keeps_house(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(
        journal_module, "forget_idempotency_keys", lambda _connection, *, older_than: kept.append(older_than)
    )
    for shard in reversed(WHOLE.shared_out(2)):
        system = plant.start(shard=shard)
        system.keep_house()
        system.stop()

    assert len(kept) == 1


def test_a_request_that_takes_long_does_not_hold_up_the_others_to_its_endpoint(plant: Plant) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 20)
    sender = StuckSender(stuck=10, others=19)
    system = plant.start(sender, "[delivery]\nper_installation = 16\n")
    deadline_s = time.monotonic() + WAIT_S
    while not sender.have_come.wait(0.01):  # as the daemon's loop does
        system.look_around()
        assert time.monotonic() < deadline_s, f"only {len(sender.requests)} have come"
    plant.drain(system)

    assert len(plant.delivered()) == 20


def test_stop_waits_for_what_is_in_flight_and_loses_nothing(plant: Plant) -> None:
    plant.stage.register(*INSTALLATIONS)
    for installation_id in INSTALLATIONS:
        plant.stage.enqueue(installation_id, 20)
    sender = GatedSender()
    system = plant.start(sender, "[daemon]\nstop_s = 15\n")
    system.look_around()
    assert sender.begun.wait(WAIT_S)
    stopping = threading.Thread(target=system.stop)
    stopping.start()
    sender.gate.set()
    stopping.join(WAIT_S)

    sent = {request.delivery_id for request in sender.requests}
    assert not stopping.is_alive()
    assert system.failure == ""
    assert plant.delivered() == sent
    assert len(sender.requests) == len(sent)
    assert len(sent) + plant.counts()["waiting"] == 200


def test_stop_beyond_its_deadline_leaves_everything_in_the_queue(plant: Plant) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 5)
    sender = GatedSender()
    system = plant.start(sender, "[daemon]\nstop_s = 0.3\n")
    system.look_around()
    assert sender.begun.wait(WAIT_S)
    started_s = time.monotonic()
    system.stop()
    took_s = time.monotonic() - started_s

    assert took_s < WAIT_S / 2  # the answer would come after WAIT_S
    assert plant.counts()["waiting"] == 5
    assert plant.stage.events("delivery.succeeded") == []


def test_an_answer_that_comes_after_the_stop_is_no_failure(plant: Plant, lines: list[EventDict]) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 5)
    sender = GatedSender()
    system = plant.start(sender, "[daemon]\nstop_s = 0.3\n")
    system.look_around()
    assert sender.begun.wait(WAIT_S)
    system.stop()
    sender.gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("send-"):
            thread.join(WAIT_S)

    assert system.failure == ""
    assert {line["event"] for line in lines} == {"outcome_unheard"}
    assert plant.counts()["waiting"] == 5


def test_stop_keeps_its_deadline_though_the_dispatcher_hangs(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    system = plant.start(settings="[daemon]\nstop_s = 0.3\n")
    monkeypatch.setattr(SqliteQueue, "poll", lambda *_: goes_on.wait(WAIT_S) or _fail())
    started_s = time.monotonic()
    system.stop()
    took_s = time.monotonic() - started_s
    goes_on.set()

    assert took_s < WAIT_S / 2  # it would go on after WAIT_S


def test_stop_hands_nothing_more_out_however_far_behind_the_dispatcher_is(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 20)
    sender = GatedSender()
    system = plant.start(sender, "[delivery]\nin_flight = 1\n[daemon]\nstop_s = 2\n")
    real_receive = DispatcherActor.receive

    def receive(actor: DispatcherActor, message: Any) -> Any:
        reply = real_receive(actor, message)
        if isinstance(message, PauseClaiming):
            sender.gate.set()
        return reply

    monkeypatch.setattr(DispatcherActor, "receive", receive)
    system.look_around()
    assert sender.begun.wait(WAIT_S)
    monkeypatch.setattr(system_module, "mailbox_depth", lambda _ref: 10_000)
    system.stop()

    assert len(plant.delivered()) == 1
    assert plant.counts()["waiting"] == 19


def test_the_actors_stop_in_the_order_in_which_they_need_each_other(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    real_stop = pykka.ActorRef.stop

    def stop(ref: pykka.ActorRef[Any], **named: Any) -> Any:
        stopped.append(ref.actor_class.__name__)
        return real_stop(ref, **named)

    monkeypatch.setattr(pykka.ActorRef, "stop", stop)
    plant.start().stop()

    assert stopped[:4] == ["DispatcherActor", "SupervisorActor", "MailerActor", "JournalActor"]


def test_after_a_stop_nothing_is_left_running(plant: Plant) -> None:
    plant.stage.register(*INSTALLATIONS)
    for installation_id in INSTALLATIONS:
        plant.stage.enqueue(installation_id, 3)
    system = plant.start()
    plant.drain(system)
    running = own_threads()
    system.stop()

    assert {name.rpartition("-")[0] for name in running} >= {"journal", "dispatcher", "turns", "send"}
    assert own_threads() == set()
    assert plant.sender.is_closed


def test_a_disk_that_is_full_is_said_as_the_failure_and_nothing_is_lost(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 5)

    def record(*_arguments: object) -> Any:
        raise DiskFullError("the disk is full")

    monkeypatch.setattr(commit_group, "record_deliveries", record)
    system = plant.start(settings="[daemon]\nstop_s = 2\n")
    system.look_around()

    assert plant.failed.wait(WAIT_S)
    assert system.failure.startswith("JournalActor crashed and its restart failed: DiskFullError")
    system.stop()
    assert own_threads() == set()
    assert plant.counts()["waiting"] == 5


def test_more_crashes_than_the_budget_has_are_said_as_the_failure(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE)
    monkeypatch.setattr(SqliteQueue, "claim", _fail)
    system = plant.start(settings="[daemon]\nrestarts = 2\n")
    while not plant.failed.wait(0.001):
        system.look_around()

    assert "the restart budget is used up" in system.failure
    system.look_around()
    system.stop()
    assert plant.counts()["waiting"] == 1


def _fail(*_arguments: object, **_named: object) -> Any:
    raise OSError("on purpose")


def test_a_crash_of_the_dispatcher_while_it_is_asked_does_not_reach_who_drains(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE)
    system = plant.start()
    with monkeypatch.context() as patch:
        patch.setattr(SqliteQueue, "poll", _fail)
        while_it_crashes = system.is_drained()
    plant.drain(system)

    assert not while_it_crashes
    assert not system.failure
    assert len(plant.delivered()) == 1


def test_a_crash_of_the_mailer_while_it_is_asked_does_not_reach_who_drains(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = plant.start()
    with monkeypatch.context() as patch:
        patch.setattr(mailer_module, "read_pending_recipients", _fail)
        while_it_crashes = system.is_drained()

    assert not while_it_crashes
    assert system.is_drained()


def test_a_stop_during_which_the_dispatcher_crashes_stops_the_others_all_the_same(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = plant.start()
    monkeypatch.setattr(SqliteQueue, "poll", _fail)
    system.stop()

    assert own_threads() == set()


def test_old_idempotency_keys_are_dropped_by_the_housekeeping(plant: Plant) -> None:
    plant.stage.store.connection.execute(
        "INSERT INTO idempotency_keys VALUES (?, 'old', 'd-1', '2025-01-01T00:00:00.000000Z', NULL)", (ONE,)
    )
    system = plant.start()
    system.keep_house()
    system.stop()

    assert plant.stage.rows("SELECT count(*) FROM idempotency_keys") == [(0,)]


def test_without_a_mail_server_mails_go_into_the_maildir_of_the_home(tmp_path: Path) -> None:
    assert isinstance(mail_transport_for(Home(tmp_path), Configuration()), MaildirTransport)


def test_with_a_mail_server_mails_go_there(tmp_path: Path) -> None:
    configuration = configuration_of({"smtp": {"host": "mail.example"}})

    assert isinstance(mail_transport_for(Home(tmp_path), configuration), SmtpTransport)


def test_the_sender_is_the_one_that_the_configuration_describes() -> None:
    sender = sender_for(configuration_of({"guard": {"allow_http": False}}))
    with structlog.testing.capture_logs():
        outcome = sender.send(WebhookRequest("http://127.0.0.1:9/", ("s",), "a.b", b"{}", "d-1"))
    sender.close()

    assert isinstance(sender, Sender)
    assert outcome.kind == "blocked"


def test_the_configured_breaker_opens_and_what_waits_behind_it_does_not_keep_it_from_being_drained(
    plant: Plant,
) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 10)
    settings = "[breaker]\nstreak_min = 4\n[delivery]\nper_installation = 1\n"
    system = plant.start(FakeSender([SERVER_ERROR] * 10), settings)
    plant.drain(system)
    system.stop()  # which commits what nobody waits for

    assert len(plant.sender.requests) == 4
    assert [event.is_dry_run for event in plant.stage.events("breaker.opened")] == [False]
    assert plant.counts() == {"waiting": 10, "missed": 0, "dead": 0}


@pytest.mark.parametrize(("settings", "events"), [("enabled = false", []), ("dry_run = true", [True, True])])
def test_a_breaker_that_is_switched_off_or_only_tried_out_holds_nothing(
    plant: Plant, settings: str, events: list[bool]
) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 10)
    text = f"[breaker]\nstreak_min = 4\n{settings}\n[delivery]\nper_installation = 1\n"
    system = plant.start(FakeSender([SERVER_ERROR] * 10), text)
    plant.drain(system)
    system.stop()

    assert len(plant.sender.requests) == 10
    assert [event.is_dry_run for event in plant.stage.events("breaker.opened")] == events


def test_the_configured_rate_lets_one_burst_through_at_once(plant: Plant) -> None:
    plant.stage.register(ONE)
    plant.stage.enqueue(ONE, 10)
    plant.drain(plant.start(settings="[delivery]\nrate_per_s = 0.001\nrate_burst = 4\n"))

    assert len(plant.delivered()) == 4
    assert plant.counts()["waiting"] == 6


@pytest.mark.parametrize(("settings", "expected"), [("", 1), ("[outage]\nenabled = false\n", 0)])
def test_many_that_fail_at_once_freeze_where_it_is_configured_and_it_is_said_before_all_is_drained(
    plant: Plant, lines: list[EventDict], settings: str, expected: int
) -> None:
    plant.stage.register(*INSTALLATIONS)
    for installation_id in INSTALLATIONS:
        plant.stage.enqueue(installation_id)
    system = plant.start(FakeSender([SERVER_ERROR] * 10), settings)
    plant.drain(system)

    assert len(lines_of(lines, "disabling_frozen")) == expected
    assert len(plant.stage.events("disabling.frozen")) == expected


@pytest.mark.parametrize(("settings", "expected"), [("", 2), ("[warnings]\nenabled = false\n", 0)])
def test_owners_are_warned_and_mailed_before_it_is_drained(plant: Plant, settings: str, expected: int) -> None:
    plant.stage.register(ONE)
    plant.stage.clock.moment = datetime.now(UTC) - timedelta(days=1)
    plant.stage.wear_out(failures=4, days=2)
    plant.stage.enqueue(ONE)
    plant.drain(plant.start(FakeSender([SERVER_ERROR]), settings))

    assert len(plant.stage.events("installation.warned")) == expected // 2
    assert len(plant.postbox.deliveries) == expected


def test_the_rules_are_those_of_the_configuration() -> None:
    configuration = configuration_of(
        {
            "breaker": {"open_s": 7.0, "open_max_s": 70.0, "recovery_s": 8.0, "streak_min": 9, "dry_run": True},
            "delivery": {"rate_per_s": 3.0, "rate_burst": 4},
            "outage": {"share": 0.5, "window_s": 60.0, "installations_min": 9},
            "probing": {"enabled": True, "first_s": 1.0, "factor": 3.0, "max_s": 99.0, "cool_down_s": 5.0},
        }
    )

    assert gate_rule(configuration) == GateRule(
        BreakerRule(open_s=7.0, open_max_s=70.0, recovery_s=8.0, streak_min=9),
        is_dry_run=True,
        rate_per_s=3.0,
        rate_burst=4,
    )
    assert outage_rule(configuration) == OutageRule(0.5, 60.0, 9)
    assert probing_rule(configuration) == ProbingRule(
        enabled=True, first_s=1.0, factor=3.0, max_s=99.0, cool_down_s=5.0
    )


def test_the_defaults_of_the_configuration_are_those_of_the_rules() -> None:
    defaults = Configuration()

    assert gate_rule(defaults) == GateRule(BreakerRule(), rate_burst=10)
    assert outage_rule(defaults) == OutageRule()
    assert probing_rule(defaults) is None


def test_a_look_around_lets_every_backlog_know_that_something_may_have_come(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(LimiterWatch, "rung", lambda _watch: heard.append(1))
    system = plant.start()
    system.look_around()
    system.look_around()

    assert len(heard) == 2
