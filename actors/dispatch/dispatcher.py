"""The actor that hands deliveries out."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from actors.dispatch.packed_batch_index import PackedBatchIndex
from actors.dispatch.shares import Room, Share, Shares
from actors.messages import (
    BatchesUnpacked,
    BoundWaits,
    Deliver,
    HoldBack,
    Load,
    PauseClaiming,
    Poll,
    Ref,
    Refresh,
    Release,
    ReportLoad,
    UnpackBatches,
)
from actors.runtime.memory import give_memory_back
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from actors.runtime.timers import Timers
from eventstore.common.clock import Clock, time_text
from eventstore.common.shard import WHOLE, Shard
from eventstore.policies.waits import QueuedWait, WaitRule
from eventstore.ports.queue import Queue
from eventstore.queue.claim import Claim
from eventstore.queue.news import Seen

__all__ = ["DispatcherActor", "DispatcherDependencies"]

log = structlog.get_logger("hookfuse.dispatcher")

# After so many actors have been put away it pays to check the memory that they leave: a few milliseconds each time.
_MANY = 1000

# Packed batches are opened ahead, as that takes a commit, and for so many full windows at once: an installation
# that gets its deliveries one by one has a claim made for each.
_STOCK_WINDOWS = 4

# Clocks that have a worker are set back by less, if at all.
_STEP = timedelta(seconds=1)

Message = Poll | PauseClaiming | ReportLoad | Release | HoldBack | BatchesUnpacked


@dataclass(frozen=True, slots=True)
class DispatcherDependencies:
    """What the dispatcher works with. `spawn` starts an installation's actor; limits count deliveries.

    `shard`: the installations that are this worker's; the others are somebody else's. `wait_rule`: how long deliveries
    may wait.
    """

    queue: Queue
    journal: Ref
    clock: Clock
    spawn: Callable[[str], Ref]
    room: Room
    idle_s: float
    shard: Shard = WHOLE
    wait_rule: WaitRule = field(default_factory=WaitRule)
    clock_s: Callable[[], float] = time.monotonic
    give_memory_back: Callable[[], object] = give_memory_back


class DispatcherActor(SupervisedActor[Message]):
    """Owns which deliveries are handed out, and the refs of the installations' actors.

    Receives Poll, Release, HoldBack, BatchesUnpacked, PauseClaiming and ReportLoad.
    Tells the installations to deliver and to refresh, and the journal to open packed batches and to bound waits.
    """

    mailbox_bound = 100_000  # each message but Poll answers something that was handed out

    def __init__(
        self,
        *,
        pool: Pool,
        budget: RestartBudget,
        escalate: Callable[[str], None],
        dependencies: DispatcherDependencies,
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = dependencies
        self._shares = Shares(dependencies.room)
        self._seen = Seen()
        self._packed_batches = PackedBatchIndex()
        self._is_claiming = True
        self._left_behind = 0
        self._looked_at: datetime | None = None

    def receive(self, message: Message) -> Load | None:
        """Handle one message; what it makes possible is handed out at the turn's end."""
        match message:
            case Release():
                self._shares.release(message)
            case HoldBack(installation_id, until):
                self._shares.hold(installation_id, until)
            case Poll():
                self._look_around()
            case BatchesUnpacked(packed_batches):
                self._opened(packed_batches)
            case PauseClaiming():
                self._is_claiming = False
            case ReportLoad():
                self._look_around()
                self._hand_out()
                return Load(
                    self._shares.in_flight_count,
                    sum(1 for share in self._shares if share.ref),
                    self._packed_batches.asked_count,
                )
        return None

    def turn_ended(self) -> None:
        """Hand out what there is room for, once for all messages of the turn."""
        self._hand_out()

    def restarted(self, message: Message | None, error: Exception) -> None:  # noqa: ARG002
        """Look for everything again; what is handed out is still known."""
        self._look_anew()
        self._shares.line_up_again()

    def _look_around(self) -> None:
        has_leapt = self._has_leapt()
        if has_leapt:  # the moments that were set are those of another clock
            self._look_anew()
            self._shares.timers = Timers()
        news = self._dependencies.queue.poll(self._seen)
        # First of all, as nothing of it can fail: whoever looks again goes on behind them.
        for packed_batch, counts in news.packed_batches:
            theirs = self._dependencies.shard.of(counts)
            self._packed_batches.put(
                packed_batch, {installation_id: counts[installation_id] for installation_id in theirs}
            )
        self._seen = news.seen
        if news.is_changed:
            for share in self._shares:
                share.not_before = ""  # a test delivery, or a person's decision, goes through a closed gate
                if share.ref is not None:
                    share.ref.tell(Refresh())
            self._make_all_ready(self._packed_batches.installations())
        mine = self._dependencies.shard.of(news.installations)
        if has_leapt:
            self._bound(mine)
        self._make_all_ready(mine)
        for _, counts in news.packed_batches:
            self._make_all_ready(self._dependencies.shard.of(counts))
        self._make_all_ready(self._shares.timers.take_due(time_text(self._dependencies.clock.now())))
        self._put_idle_away()

    def _look_anew(self) -> None:
        """Treat all that waits as new at the next look; the index has what it has of packed batches."""
        self._seen = replace(self._seen, version=Seen().version)

    def _has_leapt(self) -> bool:
        """Return whether the clock was set back since the last look; before the first it may have been, too."""
        looked_at, self._looked_at = self._looked_at, self._dependencies.clock.now()
        return looked_at is None or self._looked_at < looked_at - _STEP

    def _bound(self, installation_ids: Sequence[str]) -> None:
        if installation_ids:
            self._dependencies.journal.tell(BoundWaits(tuple(installation_ids), self._dependencies.wait_rule))

    def _make_all_ready(self, installation_ids: Iterable[str]) -> None:
        for installation_id in installation_ids:
            self._shares.make_ready(installation_id)

    def _hand_out(self) -> None:
        if not self._is_claiming:
            return
        due_at = time_text(self._dependencies.clock.now())
        # Each round takes installations out of the lines, fills some room or takes one from the index: it ends.
        is_more = True
        while is_more:
            while picked := self._shares.pick(due_at, self._dependencies.clock_s()):
                self._claim_for(picked, due_at)
            is_more = self._open_packed_batches()

    def _claim_for(self, picked: list[tuple[Share, int]], due_at: str) -> None:
        limits = {share.installation_id: room for share, room in picked}
        claims = self._dependencies.queue.claim(
            limits,
            due_at=due_at,
            in_flight_sequences=[sequence for share, _ in picked for sequence in share.in_flight],
            before={
                one: packed_batch for one in limits if (packed_batch := self._packed_batches.first_of(one)) is not None
            },
            known_packed_batch=self._seen.packed_batch,
        )
        for share, room in picked:
            self._take(share, room, claims[share.installation_id])

    def _open_packed_batches(self) -> bool:
        """Ask for the packed batches that are next; return whether another worker has opened some meanwhile."""
        wanted = self._packed_batches.next_to_open(self._dependencies.clock_s())
        if not wanted:
            return False
        unopened = self._dependencies.queue.unopened(wanted)
        if unopened:
            self._dependencies.journal.tell(UnpackBatches(unopened, self.actor_ref))
        self._opened(packed_batch for packed_batch in wanted if packed_batch not in unopened)
        return len(unopened) < len(wanted)

    def _opened(self, packed_batches: Iterable[int]) -> None:
        for packed_batch in packed_batches:
            for installation_id, count in self._packed_batches.opened(packed_batch).items():
                share = self._shares.make_ready(installation_id)
                share.stock += count

    def _take(self, share: Share, room: int, claimed: Claim) -> None:
        share.is_ready = len(claimed.deliveries) == room
        share.stock = max(0, share.stock - len(claimed.deliveries)) if share.is_ready else 0
        if share.stock < self._dependencies.room.per_installation:
            self._packed_batches.want(
                share.installation_id, _STOCK_WINDOWS * self._dependencies.room.per_installation - share.stock
            )
        if not share.is_ready and claimed.next_due_at is not None:
            self._shares.timers.set(share.installation_id, claimed.next_due_at)
            self._look_after(share, claimed.next_wait)
        for delivery in claimed.deliveries:
            if share.ref is None:
                share.ref = self._dependencies.spawn(share.installation_id)
            share.ref.tell(Deliver(delivery))
            self._shares.hand_out(share, delivery.sequence)
        self._shares.had_its_turn(share, self._dependencies.clock_s(), has_got_some=bool(claimed.deliveries))

    def _look_after(self, share: Share, wait: QueuedWait | None) -> None:
        """Correct, once, that the next delivery waits for too long: it came from a clock that is ahead."""
        if wait is None or wait.due_at == share.astray:
            return
        if self._dependencies.wait_rule.is_astray(wait, self._dependencies.clock.now()):
            share.astray = wait.due_at
            self._bound((share.installation_id,))

    def _put_idle_away(self) -> None:
        """Stop the actors that have had nothing for a while; memory follows the active, not the installed."""
        oldest_s = self._dependencies.clock_s() - self._dependencies.idle_s
        idle = self._shares.drop_idle(oldest_s)
        for share in idle:
            if share.ref is not None:
                share.ref.stop(block=False)
        if not idle:
            return
        log.debug("installations_put_away", count=len(idle))
        self._left_behind += len(idle)
        if self._left_behind >= _MANY or not len(self._shares):
            self._left_behind = 0
            self._dependencies.give_memory_back()
