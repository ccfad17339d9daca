"""The actor that hands deliveries out."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from actors.dispatch.packed_batch_index import PackedBatchIndex
from actors.messages import (
    BatchesUnpacked,
    BoundWaits,
    Deliver,
    Hold,
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
from eventstore.log.change_signal import change_version
from eventstore.policies.waits import QueuedWait, WaitRule
from eventstore.queue.claim import Claim, claim, installations_with_waiting
from eventstore.queue.packed_batches import is_unopened, unopened_packed_batches
from eventstore.sqlite.database import reading
from eventstore.sqlite.reader_pool import Readers

__all__ = ["DispatcherActor", "DispatcherDependencies"]

log = structlog.get_logger("hookfuse.dispatcher")

# After so many actors have been put away it pays to see to the memory that they leave: a few milliseconds each time.
_MANY = 1000

# Of those that do not answer so many are tried at once, and more of them one by one, so long apart: what begins in one
# moment is given up in one moment, again and again. Fifty threads wake at once then, and everybody else's deliveries
# wait for the interpreter.
_SILENT_AT_ONCE = 8
_SILENT_APART_S = 0.05

# Packed batches are opened ahead, as that takes a commit, and for so many full windows at once: an installation
# that gets its deliveries one by one has a claim made for each.
_STOCK_WINDOWS = 4

# Clocks that are looked after are set back by less, if at all.
_STEP = timedelta(seconds=1)

Message = Poll | PauseClaiming | ReportLoad | Release | Hold | BatchesUnpacked


@dataclass(frozen=True, slots=True)
class DispatcherDependencies:
    """What the dispatcher works with. `spawn` starts an installation's actor; limits count deliveries.

    `first_window`: how many an installation may hold before its first answer. `new_share` and `silent_share`: how much
    of the room is for those that have not answered yet, and for those that did not answer last, all together: however
    many never answer, the others have theirs.
    `shard`: the installations that are this worker's; the others are somebody else's. `wait_rule`: how long deliveries
    may wait.
    """

    readers: Readers
    journal: Ref
    clock: Clock
    spawn: Callable[[str], Ref]
    in_flight: int
    per_installation: int
    idle_s: float
    first_window: int = 1
    new_share: float = 0.5
    silent_share: float = 0.25
    shard: Shard = WHOLE
    wait_rule: WaitRule = field(default_factory=WaitRule)
    clock_s: Callable[[], float] = time.monotonic
    give_memory_back: Callable[[], object] = give_memory_back


@dataclass(slots=True, eq=False)
class _Line:
    """Installations that wait for their turn, and how many deliveries more all of their standing may hold."""

    room: int
    waiting: "deque[_Share]" = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Share:
    """What one installation has of the dispatcher's attention.

    `held`: sequence numbers handed out and not settled. `is_ready`: more may be due. `window`: how many it may
    hold; one that does not answer gets one at a time, so that it takes no room from those that do. `not_before`:
    until when nothing is handed out to it, as its gate is closed. `stock`: how many deliveries of packed batches are
    in the queue now and not handed out, as far as is known. `astray`: the moment, further ahead than its rule allows,
    of which the journal was told last.
    """

    installation_id: str
    window: int
    line: _Line
    ref: Ref | None = None
    held: set[int] = field(default_factory=set)
    is_ready: bool = False
    is_in_line: bool = False
    not_before: str = ""
    used_s: float = 0.0
    stock: int = 0
    astray: str = ""


class DispatcherActor(SupervisedActor[Message]):
    """Owns which deliveries are handed out, and the refs of the installations' actors.

    Receives Poll, Release, Hold, BatchesUnpacked, PauseClaiming and ReportLoad.
    Tells the installations to deliver and to refresh, and the journal to open packed batches and to bound waits.
    """

    mailbox_bound = 100_000  # each message but Poll answers something that was handed out

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], parts: DispatcherDependencies
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = parts
        self._shares: dict[str, _Share] = {}
        self._new = _Line(max(1, int(parts.in_flight * parts.new_share)))
        self._silent = _Line(max(1, int(parts.in_flight * parts.silent_share)))
        self._answering = _Line(parts.in_flight)
        # Under way to those that do not answer there are `_silent_room` less the room in their line.
        self._silent_room = self._silent.room
        self._silent_again_s = 0.0
        self._timers = Timers()
        self._held_count = 0
        self._last_sequence = 0
        self._packed_batches = PackedBatchIndex()
        self._attention = -1
        self._is_claiming = True
        self._left_behind = 0
        self._looked_at: datetime | None = None

    def receive(self, message: Message) -> Load | None:
        """Handle one message; what it makes possible is handed out at the turn's end."""
        match message:
            case Release():
                self._settle(message)
            case Hold(installation_id, until):
                self._hold(installation_id, until)
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
                    self._held_count,
                    sum(1 for share in self._shares.values() if share.ref),
                    self._packed_batches.asked_count,
                )
        return None

    def turn_ended(self) -> None:
        """Hand out what there is room for, once for all messages of the turn."""
        self._hand_out()

    def restarted(self, message: Message | None, error: Exception) -> None:  # noqa: ARG002
        """Look for everything anew; what is handed out is still known."""
        self._attention = -1
        for line in (self._silent, self._new, self._answering):
            line.waiting.clear()
        for share in self._shares.values():
            share.is_in_line = False

    def _settle(self, message: Release) -> None:
        share = self._shares.get(message.installation_id)
        if share is None or message.sequence not in share.held:
            return
        share.held.discard(message.sequence)
        self._held_count -= 1
        share.line.room += 1
        if not message.is_postponed:
            self._change_line(share, self._answering if message.is_answered else self._silent)
        share.window = min(share.window * 2, self._dependencies.per_installation) if message.is_answered else 1
        if message.retry_at is not None:
            self._timers.set(message.installation_id, message.retry_at)
        if message.hold_until is not None:
            share.not_before = message.hold_until
            self._timers.set(message.installation_id, message.hold_until)
        if message.is_postponed:
            share.is_ready = False  # the queue calls it due still: it would be handed out again at once, for ever
        elif message.has_key:
            share.is_ready = True  # the next of its key, which a claim has passed over, may go now
        if share.is_ready:
            self._line_up(share)

    def _hold(self, installation_id: str, until: str | None) -> None:
        share = self._shares.get(installation_id)
        if share is None:
            return
        share.not_before = until or ""
        if share.is_ready:
            self._line_up(share)  # a gate that is still closed gets its timer there

    def _look_around(self) -> None:
        has_leapt = self._has_leapt()
        if has_leapt:  # the moments that were set are those of another clock
            self._attention = -1
            self._timers = Timers()
        # Of one moment: else what another worker makes of a packed batch in between would be seen as neither.
        with self._dependencies.readers.borrow() as connection, reading(connection):
            attention = change_version(connection)
            is_new = attention != self._attention
            found, self._last_sequence = installations_with_waiting(
                connection, after_sequence=0 if is_new else self._last_sequence
            )
            packed_batches = unopened_packed_batches(connection, after_sequence=self._packed_batches.newest)
        if is_new:
            self._attention = attention
            for share in self._shares.values():
                share.not_before = ""  # a test delivery, or a person's decision, goes through a closed gate
                if share.ref is not None:
                    share.ref.tell(Refresh())
            self._make_all_ready(self._packed_batches.installations())
        mine = self._dependencies.shard.of(found)
        if has_leapt:
            self._bound(mine)
        self._make_all_ready(mine)
        for packed_batch, counts in packed_batches:
            theirs = self._dependencies.shard.of(counts)
            self._packed_batches.put(
                packed_batch, {installation_id: counts[installation_id] for installation_id in theirs}
            )
            self._make_all_ready(theirs)
        self._make_all_ready(self._timers.take_due(time_text(self._dependencies.clock.now())))
        self._put_idle_away()

    def _has_leapt(self) -> bool:
        """Return whether the clock was set back since the last look; before the first it may have been, too."""
        looked_at, self._looked_at = self._looked_at, self._dependencies.clock.now()
        return looked_at is None or self._looked_at < looked_at - _STEP

    def _bound(self, installation_ids: Sequence[str]) -> None:
        if installation_ids:
            self._dependencies.journal.tell(BoundWaits(tuple(installation_ids), self._dependencies.wait_rule))

    def _make_all_ready(self, installation_ids: Iterable[str]) -> None:
        for installation_id in installation_ids:
            self._make_ready(installation_id)

    def _make_ready(self, installation_id: str) -> _Share:
        share = self._shares.get(installation_id)
        if share is None:
            window = min(self._dependencies.first_window, self._dependencies.per_installation)
            share = self._shares[installation_id] = _Share(installation_id, window, self._new)
        share.is_ready = True
        self._line_up(share)
        return share

    def _line_up(self, share: _Share) -> None:
        if not share.is_in_line:
            share.is_in_line = True
            share.line.waiting.append(share)

    def _change_line(self, share: _Share, line: _Line) -> None:
        """Follow an installation that has begun to answer, or has ceased to."""
        if share.line is line:
            return
        if share.is_in_line:
            share.line.waiting.remove(share)
            line.waiting.append(share)
        share.line.room += len(share.held)
        line.room -= len(share.held)
        share.line = line

    def _hand_out(self) -> None:
        if not self._is_claiming:
            return
        due_at = time_text(self._dependencies.clock.now())
        # Each round takes installations out of the lines, fills some room or takes one from the index: it ends.
        is_more = True
        while is_more:
            while picked := self._pick(due_at):
                self._claim_for(picked, due_at)
            is_more = self._open_packed_batches()

    def _claim_for(self, picked: list[tuple[_Share, int]], due_at: str) -> None:
        limits = {share.installation_id: room for share, room in picked}
        with self._dependencies.readers.borrow() as connection:
            claims = claim(
                connection,
                limits,
                due_at=due_at,
                held_sequences=[sequence for share, _ in picked for sequence in share.held],
                before={
                    one: packed_batch
                    for one in limits
                    if (packed_batch := self._packed_batches.first_of(one)) is not None
                },
                known_packed_batch=self._packed_batches.newest,
            )
        for share, room in picked:
            self._take(share, room, claims[share.installation_id])

    def _open_packed_batches(self) -> bool:
        """Ask for packed batches whose turn it is; return whether another worker has opened some meanwhile."""
        wanted = self._packed_batches.next_to_open(self._dependencies.clock_s())
        if not wanted:
            return False
        with self._dependencies.readers.borrow() as connection:
            unopened = tuple(packed_batch for packed_batch in wanted if is_unopened(connection, packed_batch))
        if unopened:
            self._dependencies.journal.tell(UnpackBatches(unopened, self.actor_ref))
        self._opened(packed_batch for packed_batch in wanted if packed_batch not in unopened)
        return len(unopened) < len(wanted)

    def _opened(self, packed_batches: Iterable[int]) -> None:
        for packed_batch in packed_batches:
            for installation_id, count in self._packed_batches.opened(packed_batch).items():
                share = self._make_ready(installation_id)
                share.stock += count

    def _pick(self, due_at: str) -> list[tuple[_Share, int]]:
        """Take installations out of the lines, in turn, as long as there is room for what they may get."""
        picked: list[tuple[_Share, int]] = []
        free = self._dependencies.in_flight - self._held_count
        for line in (self._silent, self._new, self._answering):
            line_free = min(free, line.room)
            if line is self._silent:
                line_free = min(line_free, self._silent_allowance())
            while line.waiting and line_free > 0:
                room = self._room(line.waiting.popleft(), line_free, due_at, picked)
                line_free -= room
                free -= room
        return picked

    def _silent_allowance(self) -> int:
        """Return how many that do not answer may be tried now."""
        under_way = self._silent_room - self._silent.room
        return max(_SILENT_AT_ONCE - under_way, int(self._dependencies.clock_s() >= self._silent_again_s))

    def _room(self, share: _Share, free: int, due_at: str, picked: list[tuple[_Share, int]]) -> int:
        share.is_in_line = False
        room = min(share.window - len(share.held), free)
        if share.not_before > due_at:
            self._timers.set(share.installation_id, share.not_before)
        elif room > 0 and share.is_ready:
            picked.append((share, room))
            return room
        return 0

    def _take(self, share: _Share, room: int, claimed: Claim) -> None:
        share.is_ready = len(claimed.deliveries) == room
        share.stock = max(0, share.stock - len(claimed.deliveries)) if share.is_ready else 0
        if share.stock < self._dependencies.per_installation:
            self._packed_batches.want(
                share.installation_id, _STOCK_WINDOWS * self._dependencies.per_installation - share.stock
            )
        if not share.is_ready and claimed.next_due_at is not None:
            self._timers.set(share.installation_id, claimed.next_due_at)
            self._look_after(share, claimed.next_wait)
        share.used_s = self._dependencies.clock_s()
        if share.line is self._silent and claimed.deliveries:
            self._silent_again_s = share.used_s + _SILENT_APART_S
        for delivery in claimed.deliveries:
            if share.ref is None:
                share.ref = self._dependencies.spawn(share.installation_id)
            share.ref.tell(Deliver(delivery))
            share.held.add(delivery.sequence)
            self._held_count += 1
            share.line.room -= 1
        if share.is_ready and len(share.held) < share.window:
            self._line_up(share)

    def _look_after(self, share: _Share, wait: QueuedWait | None) -> None:
        """Have it put right, once, that the next one waits for too long: it came from a clock that is ahead."""
        if wait is None or wait.due_at == share.astray:
            return
        if self._dependencies.wait_rule.is_astray(wait, self._dependencies.clock.now()):
            share.astray = wait.due_at
            self._bound((share.installation_id,))

    def _put_idle_away(self) -> None:
        """Stop the actors that have had nothing for a while; memory follows the active, not the installed."""
        oldest_s = self._dependencies.clock_s() - self._dependencies.idle_s
        idle = [
            share
            for share in self._shares.values()
            if not share.held and not share.is_ready and share.used_s < oldest_s
        ]
        for share in idle:
            del self._shares[share.installation_id]
            if share.ref is not None:
                share.ref.stop(block=False)
        if not idle:
            return
        log.debug("installations_put_away", count=len(idle))
        self._left_behind += len(idle)
        if self._left_behind >= _MANY or not self._shares:
            self._left_behind = 0
            self._dependencies.give_memory_back()
