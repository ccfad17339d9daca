"""What actors tell each other: imperative, frozen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pykka

from eventstore.common.shard import Shard
from eventstore.decisions.digest import GatherRequest
from eventstore.decisions.outage_watch import HealthChange
from eventstore.decisions.probing import ProbingRule
from eventstore.decisions.review import ReviewRequest
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.errors import Lack
from eventstore.events.catalogue import Event, MailFailed, MailSent
from eventstore.policies.clock_doubt import ClockPair
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.waits import WaitRule
from eventstore.queue.delivery import QueuedDelivery

__all__ = [
    "BatchesUnpacked",
    "BeginWatch",
    "BoundWaits",
    "CatchUp",
    "CheckOutbox",
    "CountEvents",
    "Decide",
    "DecisionRequest",
    "Deliver",
    "EnableAfterProbe",
    "ExpirePayloads",
    "FinishFirst",
    "ForgetKeys",
    "Hold",
    "Ingest",
    "KeepClock",
    "LiftFreeze",
    "Load",
    "NoteHealth",
    "NoteRecorded",
    "PauseClaiming",
    "Poll",
    "Postpone",
    "RecordDelivery",
    "RecordEvent",
    "RecordHealth",
    "RecordMail",
    "Ref",
    "Refresh",
    "Release",
    "ReportLoad",
    "ReviewAfterProbe",
    "ReviewInstallation",
    "SendProbe",
    "UnpackBatches",
    "WatchOutage",
    "tell_if_alive",
]

Ref = pykka.ActorRef[Any]


def tell_if_alive(ref: Ref, message: object) -> bool:
    """Tell an actor that may have been stopped before the one that tells it; return whether it still hears."""
    try:
        ref.tell(message)
    except pykka.ActorDeadError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Poll:
    """To the dispatcher: look for new deliveries, for those that have become due, and for changes."""


@dataclass(frozen=True, slots=True)
class PauseClaiming:
    """To the dispatcher: hand nothing more out."""


@dataclass(frozen=True, slots=True)
class ReportLoad:
    """To the dispatcher, as an ask: look around and reply a Load."""


@dataclass(frozen=True, slots=True)
class Load:
    """The dispatcher's reply: deliveries that are handed out and not settled, and actors that live.

    `unpacking_batches`: those whose deliveries come next.
    """

    held_deliveries: int
    live_installations: int
    unpacking_batches: int = 0

    @property
    def is_busy(self) -> bool:
        """Return whether something is handed out, or about to be."""
        return bool(self.held_deliveries or self.unpacking_batches)


@dataclass(frozen=True, slots=True)
class Release:
    """To the dispatcher: what was handed out is recorded. `retry_at` None = it waits for nothing more.

    `is_answered` False: it does not answer, and gets one delivery at a time; `has_key`: it has an ordering key, and
    the next one of that key may go; `hold_until`: nothing more is to be handed out to the installation before.
    `is_postponed`: nothing could be recorded, so that the queue still calls it due; it rests until `retry_at`.
    """

    installation_id: str
    sequence: int
    retry_at: str | None
    is_answered: bool
    is_postponed: bool = False
    has_key: bool = False
    hold_until: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """To the dispatcher: the installation's gate is closed until then, None = it is open. Its latest word counts."""

    installation_id: str
    until: str | None


@dataclass(frozen=True, slots=True)
class Deliver:
    """To an installation: make the next attempt at this delivery."""

    delivery: QueuedDelivery


@dataclass(frozen=True, slots=True)
class Refresh:
    """To an installation: what it asked for is decided, or the registry has changed; read that, and go on."""


@dataclass(frozen=True, slots=True)
class NoteRecorded:
    """To an installation: the record is on disk at `position`; 0 = it was not counted, None = it can't be recorded."""

    record: DeliveryRecord
    position: int | None


@dataclass(frozen=True, slots=True)
class Postpone:
    """To an installation: this attempt could not be made, as this machine was short of something; no outcome."""

    delivery: QueuedDelivery
    lack: Lack


@dataclass(frozen=True, slots=True)
class RecordDelivery:
    """To the journal: record with the next commit, and let `reply_to` learn of it."""

    record: DeliveryRecord
    reply_to: Ref


@dataclass(frozen=True, slots=True)
class UnpackBatches:
    """To the journal: make rows of these packed batches' deliveries with the next commit, and let `reply_to` know.

    A packed batch is named by the sequence number of its first delivery.
    """

    packed_batches: tuple[int, ...]
    reply_to: Ref


@dataclass(frozen=True, slots=True)
class BatchesUnpacked:
    """To the dispatcher: the deliveries of these packed batches are in the queue."""

    packed_batches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecordMail:
    """To the journal, as an ask: record what became of a mail; replied to when it is on disk."""

    stream: str
    event: MailSent | MailFailed


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """To the journal: append this event with the next commit."""

    stream: str
    event: Event


@dataclass(frozen=True, slots=True)
class RecordHealth:
    """To the journal: have the watch over the fleet know with the next commit; too many that fail freeze it."""

    change: HealthChange
    rule: OutageRule


@dataclass(frozen=True, slots=True)
class BeginWatch:
    """To the journal: none of the share's installations is at work yet."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class SendProbe:
    """A request for a test delivery, by the machine."""

    installation_id: str


@dataclass(frozen=True, slots=True)
class EnableAfterProbe:
    """A request to enable what the machine has disabled, as a test delivery that was queued then succeeded."""

    installation_id: str
    probe_enqueued_at: str | None = None
    rule: ProbingRule | None = None


@dataclass(frozen=True, slots=True)
class LiftFreeze:
    """A request to end a freeze that has passed; `rule` None = there is no freezing any more."""

    rule: OutageRule | None
    watched_since: datetime


DecisionRequest = ReviewRequest | SendProbe | EnableAfterProbe | LiftFreeze | GatherRequest


@dataclass(frozen=True, slots=True)
class Decide:
    """To the journal, as an ask: decide in one transaction on what holds then; the reply is a Decision."""

    request: DecisionRequest


@dataclass(frozen=True, slots=True)
class BoundWaits:
    """To the journal: let no delivery to these installations wait for longer than its rule allows."""

    installation_ids: tuple[str, ...]
    rule: WaitRule


@dataclass(frozen=True, slots=True)
class KeepClock:
    """To the journal: write down what time it is by the clock that is believed, and how long the machine has run."""

    pair: ClockPair


@dataclass(frozen=True, slots=True)
class ForgetKeys:
    """To the journal: drop the idempotency keys of before this moment."""

    older_than: str


@dataclass(frozen=True, slots=True)
class TrimWal:
    """Put the WAL back into the database where it has become large."""


@dataclass(frozen=True, slots=True)
class ExpirePayloads:
    """To the journal: drop the payloads of missed and dead deliveries of before this moment."""

    older_than: str


@dataclass(frozen=True, slots=True)
class ReviewInstallation:
    """To the supervisor: have this installation reviewed, and let `reply_to` refresh when it is done.

    `gone_at`: the position in the log as of which its endpoint has answered 410 Gone, None = it has not.
    """

    installation_id: str
    reply_to: Ref
    gone_at: int | None = None


@dataclass(frozen=True, slots=True)
class ReviewAfterProbe:
    """To the supervisor: a test delivery to this installation succeeded; let `reply_to` refresh when it is decided."""

    installation_id: str
    reply_to: Ref
    probe_enqueued_at: str


@dataclass(frozen=True, slots=True)
class NoteHealth:
    """To the supervisor: this installation has begun to fail, or to work again; None = it is active no more."""

    installation_id: str
    is_failing: bool | None


@dataclass(frozen=True, slots=True)
class WatchOutage:
    """To the supervisor: see whether a freeze has passed, and whom to probe."""


@dataclass(frozen=True, slots=True)
class FinishFirst:
    """To the supervisor or the journal, as an ask: reply when all that came before is done."""


@dataclass(frozen=True, slots=True)
class CheckOutbox:
    """To the mailer: hand over the next mail that is due. As an ask: say whether there was one."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """To the projector: bring Redis up to the events. As an ask: say whether there was something to write."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """To the intake: take in what is new in the stream. As an ask: say whether there was something to do."""


@dataclass(frozen=True, slots=True)
class CountEvents:
    """To the metrics_actor: count what was recorded meanwhile. As an ask: say whether there was something."""
