"""The actor that owns the writing connection."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pykka
import structlog

from actors.journal.transactions import decide
from actors.messages import (
    BatchesUnpacked,
    BeginWatch,
    BoundWaits,
    Decide,
    ExpirePayloads,
    FinishFirst,
    ForgetKeys,
    KeepClock,
    NoteRecorded,
    RecordDelivery,
    RecordEvent,
    RecordHealth,
    RecordMail,
    TrimWal,
    UnpackBatches,
    tell_if_alive,
)
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.shortage import lack_of
from eventstore.decisions.decision import Decision
from eventstore.decisions.outage_watch import begin_watch
from eventstore.deliveries.commit_group import CommitGroup
from eventstore.deliveries.retention import expire_payloads
from eventstore.errors import DatabaseError, NotFoundError, RejectedError, ShortageError
from eventstore.log.event_log import NewEvent
from eventstore.policies.clock_doubt import ClockPair
from eventstore.policies.waits import WaitRule
from eventstore.ports.committer import Committer
from eventstore.queue.idempotency import forget_idempotency_keys
from eventstore.unit_of_work import Store
from eventstore.wall_clock.bounded_moments import bound_kept, bound_waits
from eventstore.wall_clock.watch import write_clock_pair

__all__ = ["GroupCommit", "JournalActor"]

log = structlog.get_logger("hookfuse.journal")

Gathered = RecordDelivery | RecordEvent | RecordHealth | UnpackBatches
Kept = KeepClock | ForgetKeys | ExpirePayloads | TrimWal
Message = Gathered | Decide | RecordMail | BeginWatch | BoundWaits | Kept | FinishFirst


# Outcomes that come meanwhile are looked for so often; one that is enough by then need not wait for the rest.
_LOOK_S = 0.0025
# How long a commit is tried again, and how often, while this machine is short of something.
_SHORT_S = 60.0
_SHORT_PAUSE_S = 0.5
# Outcomes of a commit from which on others are likely to come while one waits.
_COMPANY = 2


@dataclass(frozen=True, slots=True)
class GroupCommit:
    """How long an outcome waits for others to share its commit: until `longest_s` after the commit before, at most.

    A commit costs a millisecond of a core however little is in it, and has all other writers wait. With `enough`
    outcomes together none waits any longer: it is what one installation may hold, and would be held up by. Nor does
    one wait behind a commit of one alone: deliveries that go one by one, as those of an ordering key do, have none to
    wait for. PostgreSQL's `commit_delay` and `commit_siblings` are the same thought.
    """

    enough: int = 1
    longest_s: float = 0.010


class JournalActor(SupervisedActor[Message]):
    """Owns the one writing connection of the daemon, and the records that wait for the next commit.

    Receives RecordDelivery, RecordEvent, RecordHealth and UnpackBatches, of which a turn's worth shares one commit, and
    Decide, RecordMail, BeginWatch, BoundWaits, KeepClock, ForgetKeys, ExpirePayloads, TrimWal and FinishFirst.
    Tells the installations what is recorded, and the dispatcher which packed batches are opened, after it is on disk.
    """

    mailbox_bound = 100_000  # the dispatcher's limit on deliveries in flight keeps it far from full
    turn_messages = 512  # records of one commit at most: an fsync costs as much as recording ten of them

    def __init__(
        self,
        *,
        pool: Pool,
        budget: RestartBudget,
        escalate: Callable[[str], None],
        store: Store,
        committer: Committer,
        company: GroupCommit = GroupCommit(),
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._store = store
        self._committer = committer
        self._group_commit = company
        self._clock_s = clock_s
        self._sleep = sleep
        self._committed_s = 0.0
        self._committed_count = 0
        self._gathered: list[RecordDelivery] = []
        self._gathered_events: list[NewEvent] = []
        self._gathered_health: list[RecordHealth] = []
        self._gathered_packed_batches: list[UnpackBatches] = []

    def receive(self, message: Message) -> object:
        """Gather a record, or carry the rest out in a transaction of its own, behind what was gathered."""
        if self._gathers(message):
            return None
        self._commit()
        match message:
            case Decide():
                return self._decide(message)
            case RecordMail(stream, event):
                with self._store.transaction() as transaction:
                    transaction.append(NewEvent(stream, event))
            case BeginWatch(shard):
                with self._store.transaction() as transaction:
                    begin_watch(transaction, shard)
            case BoundWaits(installation_ids, rule):
                self._bound_waits(installation_ids, rule)
            case KeepClock() | ForgetKeys() | TrimWal() | ExpirePayloads():
                self._keep_house(message)
        return None

    def _keep_house(self, message: Kept) -> None:
        match message:
            case KeepClock(pair):
                self._keep_clock(pair)
            case ForgetKeys(older_than):
                with self._store.transaction() as transaction:
                    forget_idempotency_keys(transaction.connection, older_than=older_than)
            case TrimWal():
                self._trim_wal()
            case ExpirePayloads(older_than):
                with self._store.transaction() as transaction:
                    expired = expire_payloads(transaction, older_than=older_than)
                if expired:  # some at a time, so that outcomes are not held up
                    tell_if_alive(self.actor_ref, message)

    def _trim_wal(self) -> None:
        try:
            self._store.trim_wal()
        except DatabaseError as error:  # what has to be written says for itself whether it can be
            log.warning("wal_not_cut", error=str(error), done="tried again in a minute; deliveries go on")

    def turn_ended(self) -> None:
        """Commit what has gathered in this turn: one fsync for all of it."""
        self._commit()

    def on_stop(self) -> None:
        """Close the connection; the last turn has committed."""
        self._store.close()

    def restarted(self, message: Message | None, error: Exception) -> None:  # noqa: ARG002
        """Commit what is left one by one, so that one bad record does not take the others with it.

        With a database that cannot be written there is nothing to fix: everything stays in the queue, and
        the error goes on.
        """
        if isinstance(error, DatabaseError | ShortageError):
            raise error
        gathered, self._gathered = self._gathered, []
        events, self._gathered_events = self._gathered_events, []
        health, self._gathered_health = self._gathered_health, []
        packed_batches, self._gathered_packed_batches = self._gathered_packed_batches, []
        if events or health:
            self._commit_group([], events, health, [])
        for asked in packed_batches:
            try:
                self._commit_group([], [], [], [asked])
            except (DatabaseError, ShortageError):
                raise
            except Exception:
                log.exception(
                    "packed_batches_not_opened", packed_batches=asked.packed_batches, done="the dispatcher asks again"
                )
        for record in gathered:
            try:
                self._commit_group([record], [], [], [])
            except (DatabaseError, ShortageError):
                raise
            except Exception:
                log.exception("record_failed", done="not recorded; the delivery stays in the queue")
                _reply(record, None)

    def _gathers(self, message: Message) -> bool:
        match message:
            case RecordDelivery():
                if not self._gathered:
                    self._wait_for_group()
                self._gathered.append(message)
            case RecordEvent(stream, event):
                self._gathered_events.append(NewEvent(stream, event))
            case RecordHealth():
                self._gathered_health.append(message)
            case UnpackBatches():
                self._gathered_packed_batches.append(message)
            case _:
                return False
        return True

    def _wait_for_group(self) -> None:
        # With the turn's first outcome: those that come meanwhile are of the same turn.
        if self._committed_count < _COMPANY:
            return
        until_s = self._committed_s + self._group_commit.longest_s
        while self.actor_inbox.depth + 1 < self._group_commit.enough and (left_s := until_s - self._clock_s()) > 0:
            self._sleep(min(left_s, _LOOK_S))

    def _decide(self, message: Decide) -> Decision:
        try:
            with self._store.transaction() as transaction:
                return decide(transaction, message.request)
        except (NotFoundError, RejectedError) as error:
            # A person was quicker, and removed it: that is an answer, not a crash of two actors.
            return Decision.declined(str(error))

    def _bound_waits(self, installation_ids: tuple[str, ...], rule: WaitRule) -> None:
        with self._store.transaction() as transaction:
            count = bound_waits(transaction, installation_ids, rule)
        if count:
            log.warning(
                "waits_shortened",
                deliveries=count,
                done="the clock was ahead, and they would have waited for longer than their rule allows",
            )

    def _keep_clock(self, pair: ClockPair) -> None:
        with self._store.transaction() as transaction:
            write_clock_pair(transaction.connection, pair)
            if pair.doubt is None:
                bound_kept(transaction.connection, pair.moment)

    def _commit(self) -> None:
        if self._gathered or self._gathered_events or self._gathered_health or self._gathered_packed_batches:
            self._commit_group(
                self._gathered, self._gathered_events, self._gathered_health, self._gathered_packed_batches
            )
            self._committed_s, self._committed_count = self._clock_s(), len(self._gathered)
            self._gathered = []
            self._gathered_events = []
            self._gathered_health = []
            self._gathered_packed_batches = []

    def _commit_group(
        self,
        group: list[RecordDelivery],
        events: list[NewEvent],
        health: list[RecordHealth],
        packed_batches: list[UnpackBatches],
    ) -> None:
        positions = self._write_group(
            CommitGroup(
                records=[message.record for message in group],
                events=events,
                health=[message.change for message in health],
                rule=health[-1].rule if health else None,
                packed_batches=[one for asked in packed_batches for one in asked.packed_batches],
            )
        )
        for message, position in zip(group, positions, strict=True):
            _reply(message, position)
        for asked in packed_batches:
            tell_if_alive(asked.reply_to, BatchesUnpacked(asked.packed_batches))

    def _write_group(self, group: CommitGroup) -> list[int]:
        """Commit a group; while this machine is short of something, again and again for a minute."""
        until_s = self._clock_s() + _SHORT_S
        while True:
            try:
                return self._committer.commit(group)
            except Exception as error:
                lack = lack_of(error)
                if lack is None or self._clock_s() > until_s:
                    raise
                self._budget.shortages.note(lack, done="outcomes wait to be committed, for a minute")
                self._sleep(_SHORT_PAUSE_S)


def _reply(message: RecordDelivery, position: int | None) -> None:
    try:
        message.reply_to.tell(NoteRecorded(message.record, position))
    except pykka.ActorDeadError:
        log.warning("record_unheard", position=position, done="recorded all the same; its actor has ended meanwhile")
