"""A real events.db, a clock that stands still, and actors that move when they are cranked."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pykka

from actors.delivery.delivery_gate import GateRule
from actors.delivery.installation import InstallationActor
from actors.delivery.installation_dependencies import InstallationDependencies
from actors.dispatch.dispatcher import DispatcherActor, DispatcherDependencies
from actors.dispatch.shares import Room
from actors.journal.journal import JournalActor
from actors.mail.mail_transport import MemoryTransport
from actors.mail.mailer import MailerActor, MailerDependencies
from actors.messages import CheckOutbox, Poll, Ref, WatchOutage, tell_if_alive
from actors.runtime.manual_pool import ManualPool
from actors.runtime.pooled_actor import PooledActor
from actors.runtime.restart_budget import RestartBudget
from actors.supervisor.supervisor import SupervisorActor, SupervisorDependencies
from eventstore.common.backoff import Backoff
from eventstore.common.clock import ManualClock, time_text
from eventstore.common.identifiers import app_stream, installation_stream, organization_stream
from eventstore.decisions.decision import Decision
from eventstore.decisions.disable import DisableRequest, disable
from eventstore.decisions.review import ReviewRequest, review
from eventstore.deliveries.commit_group import SqliteCommitter
from eventstore.events.catalogue import (
    AppRegistered,
    DeliveryFailed,
    Event,
    InstallationCreated,
    OrganizationRegistered,
)
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.policy import BALANCED, Policy
from eventstore.ports.committer import Committer
from eventstore.ports.queue import Queue
from eventstore.projections.app_secrets import AppSecrets, write_secrets
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import find_delivery
from eventstore.queue.sqlite_queue import SqliteQueue
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store
from webhook import (
    ErrorClass,
    FakeSender,
    Outcome,
    OutcomeKind,
    RetrySchedule,
    Timeouts,
    WebhookRequest,
    WebhookSender,
    kind_of,
)

START = datetime(2025, 2, 3, 12, tzinfo=UTC)
OWNERS = ("ada@acme.example", "bob@acme.example")
URL = "https://pager.example/hook"
SECRET = "the-client-secret"
HEADER_VALUE = "the-custom-header-value"
EVENT_NAME = "metric_alert.critical"
DATA = '{"metric_alert":{"id":"4711"}}'
ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"
THREE = "33333333-3333-4333-8333-333333333333"


class Recorder(PooledActor):
    """Writes down what it is told, and does what it is told to do on each message."""

    def __init__(self, pool: ManualPool, seen: list[Any]) -> None:
        super().__init__(pool=pool)
        self._seen = seen

    def on_receive(self, message: Any) -> None:
        self._seen.append(message)


class Heard:
    """A recording actor and what it has been told."""

    def __init__(self, pool: ManualPool) -> None:
        self.messages: list[Any] = []
        self.ref = cast("Ref", Recorder.start(pool, self.messages))

    def of(self, message_class: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, message_class)]


class CrankedRef:
    """A ref whose `ask` cranks the pool of the asked one: the thread that asks is the only one here."""

    def __init__(self, ref: Ref, pool: ManualPool) -> None:
        self._ref = ref
        self._pool = pool

    def tell(self, message: Any) -> None:
        self._ref.tell(message)

    def ask(self, message: Any, *, timeout: float | None = None) -> Any:
        assert timeout is not None, "an ask of one actor to another has a deadline"
        future = self._ref.ask(message, block=False)
        self._pool.run_all()
        return future.get(timeout=0)


def outcome(
    error_class: ErrorClass | None = None, status_code: int | None = None, *, response_body: str = "", **fields: Any
) -> Outcome:
    """Make the outcome of one attempt, a success unless a class of error is named."""
    kind = OutcomeKind.SUCCESS if error_class is None else kind_of(error_class)
    default_code = {OutcomeKind.SUCCESS: 200, OutcomeKind.FAILED: 500}.get(kind, 0)
    return Outcome(
        kind=kind,
        error_class=error_class,
        status_code=default_code if status_code is None else status_code,
        duration_ms=12.5,
        detail="" if error_class is None else f"{error_class}: on purpose",
        request_id="f" * 32,
        request_headers=(("Content-Type", "application/json"), ("X-Key", "[hidden]")),
        response_body=response_body,
        **fields,
    )


SERVER_ERROR = outcome(ErrorClass.SERVER_ERROR, 500)
READ_TIMEOUT = outcome(ErrorClass.READ_TIMEOUT)
GONE = outcome(ErrorClass.GONE, 410)


class Stage:
    """Everything that the actors need, and the means to look at what they did.

    `store` is another connection than the journal's: what a person's command or a producer would write by.
    """

    def __init__(self, folder: Path, clock: ManualClock | None = None) -> None:
        self.path = folder / "events.db"
        self.clock = clock or ManualClock(START)
        self.store = Store(self.path, self.clock)
        self.readers = Readers(self.path)
        self.pool = ManualPool()
        self.journal_pool = ManualPool()
        self.send_pool = ManualPool()
        self.budget = RestartBudget(intensity=3, period_s=3600.0)
        self.escalations: list[str] = []
        self.clock_s = 0.0
        self._refs: list[Ref] = []
        self._stores: list[Store] = []

    def close(self) -> None:
        for ref in [*self._refs, *pykka.ActorRegistry.get_all()]:
            if ref.is_alive():
                ref.stop(block=False)
        self.run()
        for store in [self.store, *self._stores]:
            store.close()
        self.readers.close()

    def run(self) -> None:
        """Crank until nothing moves any more."""
        while sum(pool.run_all() for pool in (self.pool, self.send_pool, self.journal_pool)):
            pass

    # What is on disk

    def register(
        self,
        *installation_ids: str,
        status: str = "internal",
        owners: tuple[str, ...] = OWNERS,
        **app_fields: Any,
    ) -> None:
        """Make each installation known, with an app and an organization of its own."""
        for installation_id in installation_ids:
            number = int(installation_id[:8]) % 10_000
            app = AppRegistered(number, "pager", "Pager", f"uuid-{number}", status, number, URL, **app_fields)
            organization = OrganizationRegistered(number, "acme", "Acme", "https://acme.example", owners)
            with self.store.transaction() as transaction:
                write_secrets(transaction.connection, number, AppSecrets(SECRET, (("X-Key", HEADER_VALUE),)))
                transaction.append(
                    NewEvent(organization_stream(number), organization),
                    NewEvent(app_stream(number), app),
                    NewEvent(
                        installation_stream(installation_id), InstallationCreated(installation_id, number, number)
                    ),
                )

    def append(self, stream: str, *events: Event) -> None:
        with self.store.transaction() as transaction:
            transaction.append(*(NewEvent(stream, event) for event in events))

    def enqueue(self, installation_id: str, count: int = 1, *, ordering_key: str = "") -> list[QueuedDelivery]:
        new = NewDelivery(installation_id, EVENT_NAME, DATA, ordering_key=ordering_key)
        with self.store.transaction() as transaction:
            ids = enqueue(transaction.connection, [new] * count, enqueued_at=transaction.recorded_at)
        found = [find_delivery(self.store.connection, delivery_id) for delivery_id in ids]
        return [delivery for delivery in found if delivery is not None]

    def pack(self, *installation_ids: str, ordering_key: str = "") -> list[str]:
        """Queue a batch that is packed, to each of the installations in turn, and return the deliveries' ids."""
        new = [NewDelivery(one, EVENT_NAME, DATA, ordering_key=ordering_key) for one in installation_ids]
        assert len(new) >= 64, "fewer are written as rows"
        with self.store.transaction() as transaction:
            return enqueue(transaction.connection, new, enqueued_at=transaction.recorded_at, in_packed_batches=True)

    def acknowledge(self, *deliveries: QueuedDelivery) -> None:
        """Take delivered deliveries out of the queue, as the journal would."""
        self.store.connection.executemany(
            "DELETE FROM queue WHERE sequence = ?", [(delivery.sequence,) for delivery in deliveries]
        )

    def put_off(self, delivery: QueuedDelivery, seconds: float) -> str:
        """Postpone a delivery to its next attempt; return the moment."""
        due_at = time_text(self.clock.now() + timedelta(seconds=seconds))
        self.store.connection.execute(
            "UPDATE queue SET attempts = attempts + 1, last_error = '500 server_error', due_at = ? WHERE sequence = ?",
            (due_at, delivery.sequence),
        )
        return due_at

    def decide(self, installation_id: str = ONE) -> Decision:
        """Disable by another connection, as a person's command does."""
        request = DisableRequest(installation_id, "person:ada", "on purpose", BALANCED)
        with self.store.transaction() as transaction:
            return disable(transaction, request)

    def decide_by_receiver(self, installation_id: str = ONE) -> Decision:
        """Disable by another connection, as after a 410."""
        with self.store.transaction() as transaction:
            gone_at = last_position(transaction.connection)
            return review(transaction, ReviewRequest(installation_id, BALANCED, gone_at=gone_at))

    def wear_out(self, installation_id: str = ONE, *, failures: int = 4, days: int = 3, **fields: Any) -> None:
        """Record failures over days, so many that one more is broken by `balanced`; the clock moves on."""
        values: dict[str, Any] = {"status_code": 500, "error_class": "server_error", "response_body": "boom"} | fields
        event = DeliveryFailed("d-0", EVENT_NAME, 1111, 1111, 1, URL, **values)
        for day in range(days):
            self.append(installation_stream(installation_id), *[event] * failures)
            if day < days - 1:
                self.clock.advance(days=1)

    def events(self, *type_names: str) -> list[Any]:
        """Return the events of these types, all of them when none is named."""
        return [stored.event for stored in read_events(self.store.connection, type_names=type_names)]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.store.connection.execute(statement).fetchall()

    def counts(self) -> list[tuple[Any, ...]]:
        """Return the buffer's rows without their zeros."""
        columns = "success, redirect, client_error, rate_limited, server_error, protocol, timeout, no_answer, fatal"
        names = columns.split(", ")
        return [
            tuple((name, count) for name, count in zip(names, row, strict=True) if count)
            for row in self.rows(f"SELECT {columns} FROM buffer ORDER BY installation_id, day")
        ]

    # Actors

    def keep(self, ref: pykka.ActorRef[Any]) -> Ref:
        self._refs.append(ref)
        return ref

    def hear(self) -> Heard:
        heard = Heard(self.pool)
        self.keep(heard.ref)
        return heard

    def cranked(self, ref: Ref) -> Ref:
        return cast("Ref", CrankedRef(ref, self.journal_pool))

    def open_store(self) -> Store:
        store = Store(self.path, self.clock)
        self._stores.append(store)
        return store

    def journal(self, store: Store | None = None, *, committer: Committer | None = None, **company: Any) -> Ref:
        store = store or self.open_store()
        return self.keep(
            JournalActor.start(
                pool=self.journal_pool,
                budget=self.budget,
                escalate=self.escalations.append,
                store=store,
                committer=committer or SqliteCommitter(store),
                **company,
            )
        )

    def dispatcher(self, spawn: Any, *, journal: Ref | None = None, queue: Queue | None = None, **limits: Any) -> Ref:
        room = {"in_flight": 100, "per_installation": 8, "first_window": 1000, "new_share": 1.0, "silent_share": 1.0}
        parts = DispatcherDependencies(
            queue=queue or SqliteQueue(self.readers),
            journal=journal or self.journal(),
            clock=self.clock,
            spawn=spawn,
            clock_s=lambda: self.clock_s,
            room=Room(**room | {name: limits.pop(name) for name in room.keys() & limits.keys()}),
            **{"idle_s": 60.0} | limits,
        )
        return self.keep(
            DispatcherActor.start(
                pool=self.pool, budget=self.budget, escalate=self.escalations.append, dependencies=parts
            )
        )

    def installation(
        self,
        installation_id: str = ONE,
        *,
        sender: WebhookSender | None = None,
        journal: Ref | None = None,
        supervisor: Ref | None = None,
        dispatcher: Ref | None = None,
        policy: Policy = BALANCED,
        delays_s: tuple[float, ...] = (5, 300),
        scope: str = "internal",
        send_pool: Any = None,
        gate: GateRule | None = None,
        **settings: Any,
    ) -> Ref:
        parts = InstallationDependencies(
            pool=self.pool,
            send_pool=send_pool or self.send_pool,
            budget=self.budget,
            escalate=self.escalations.append,
            readers=self.readers,
            sender=sender or FakeSender(),
            journal=journal or self.journal(),
            supervisor=supervisor or self.hear().ref,
            dispatcher=dispatcher or self.hear().ref,
            clock=self.clock,
            policy=policy,
            disable_scope=scope,
            retry=RetrySchedule(delays_s, jitter=0.0),
            timeouts=Timeouts(),
            gate=gate or GateRule(),
            random_unit=lambda: 0.5,
            **settings,
        )
        return self.keep(InstallationActor.start(installation_id, parts))

    def supervisor(
        self,
        *,
        journal: Ref,
        mailer: Ref | None = None,
        pool: Any = None,
        scope: str = "internal",
        policy: Policy = BALANCED,
        outage_rule: OutageRule | None = None,
        **settings: Any,
    ) -> Ref:
        parts = SupervisorDependencies(
            readers=self.readers,
            journal=journal,
            wake_mailer=partial(tell_if_alive, mailer or self.hear().ref, CheckOutbox()),
            clock=self.clock,
            policy=policy,
            disable_scope=scope,
            mail_domain="hookfuse.example",
            outage_rule=outage_rule,
            **settings,
        )
        return self.keep(
            SupervisorActor.start(
                pool=pool or self.pool, budget=self.budget, escalate=self.escalations.append, dependencies=parts
            )
        )

    def mailer(
        self,
        postbox: MemoryTransport,
        *,
        journal: Ref | None = None,
        retry_delays_s: tuple[float, ...] = (5.0, 30.0),
        give_up_after_s: float = 1000.0,
        **settings: Any,
    ) -> Ref:
        parts = MailerDependencies(
            readers=self.readers,
            journal=journal or self.cranked(self.journal()),
            postbox=postbox,
            clock=self.clock,
            sender_address="hookfuse@hookfuse.example",
            retry=Backoff(retry_delays_s),
            give_up_after_s=give_up_after_s,
            **settings,
        )
        return self.keep(
            MailerActor.start(pool=self.pool, budget=self.budget, escalate=self.escalations.append, dependencies=parts)
        )


class Receiver:
    """A sender whose endpoints answer as they are told to; `answers` are of one installation, `answer` of the rest."""

    def __init__(self, answer: Outcome | None = None) -> None:
        self.answer = answer or outcome()
        self.answers: dict[str, Outcome] = {}
        self.requests: list[WebhookRequest] = []

    def send(self, request: WebhookRequest) -> Outcome:
        self.requests.append(request)
        return self.answers.get(self.installation_of(request), self.answer)

    def installation_of(self, request: WebhookRequest) -> str:
        return str(json.loads(request.body)["installation"]["uuid"])

    def delivery_ids(self, installation_id: str = ONE) -> list[str]:
        return [one.delivery_id for one in self.requests if self.installation_of(one) == installation_id]

    def close_idle(self) -> None:
        pass

    def close(self) -> None:
        pass


class Works:
    """Dispatcher, installations, journal and supervisor at one database; `restart` has another daemon go on."""

    def __init__(
        self,
        stage: Stage,
        *,
        receiver: Receiver | None = None,
        gate: GateRule | None = None,
        outage_rule: OutageRule | None = None,
        limits: dict[str, Any] | None = None,
        policy: Policy = BALANCED,
        is_warned: bool = True,
        **settings: Any,
    ) -> None:
        self.stage = stage
        self.receiver = receiver or Receiver()
        self._gate = gate
        self._outage_rule = outage_rule
        self._limits = limits or {}
        self._judging: dict[str, Any] = {"policy": policy, "is_warned": is_warned}
        self._settings = settings
        self._refs: list[Ref] = []
        self._start()

    def _start(self) -> None:
        stage = self.stage
        journal = stage.journal()
        dispatcher = stage.dispatcher(self._spawn, **self._limits)
        supervisor = stage.supervisor(journal=stage.cranked(journal), outage_rule=self._outage_rule, **self._judging)
        self.journal, self.dispatcher, self.supervisor = journal, dispatcher, supervisor
        self.actors: dict[str, Ref] = {}

    def _spawn(self, installation_id: str) -> Ref:
        self.actors[installation_id] = self.stage.installation(
            installation_id,
            sender=self.receiver,
            journal=self.journal,
            supervisor=self.supervisor,
            dispatcher=self.dispatcher,
            gate=self._gate,
            **self._judging,
            **self._settings,
        )
        return self.actors[installation_id]

    def restart(self, *, gate: GateRule | None = None, outage_rule: OutageRule | None = None) -> None:
        for ref in (*self.actors.values(), self.dispatcher, self.supervisor, self.journal):
            if ref.is_alive():
                ref.stop(block=False)
        self.stage.run()
        self._gate = gate or self._gate
        self._outage_rule = outage_rule or self._outage_rule
        self._start()

    def look_around(self, *, after_s: float = 0.0) -> int:
        """Advance the clock, crank everything, and return how many requests were sent meanwhile."""
        before = len(self.receiver.requests)
        self.stage.clock.advance(seconds=after_s)
        self.stage.clock_s += after_s
        self.dispatcher.tell(Poll())
        self.supervisor.tell(WatchOutage())
        self.stage.run()
        return len(self.receiver.requests) - before


def lines_of(lines: Iterable[Any], event: str) -> Sequence[dict[str, Any]]:
    """Return the log lines of one event."""
    return [dict(line) for line in lines if line["event"] == event]
