"""What the journal is told: what is to be recorded, decided or dropped."""

from dataclasses import dataclass
from datetime import datetime

from actors.messages.ref import Ref
from eventstore.common.shard import Shard
from eventstore.decisions.digest import GatherRequest
from eventstore.decisions.outage_watch import HealthChange
from eventstore.decisions.probing import ProbingRule
from eventstore.decisions.review import ReviewRequest
from eventstore.deliveries.record_attempts import DeliveryRecord
from eventstore.events.catalogue import Event, MailFailed, MailSent
from eventstore.policies.clock_doubt import ClockPair
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.waits import WaitRule

__all__ = [
    "BeginWatch",
    "BoundWaits",
    "Decide",
    "DecisionRequest",
    "EnableAfterProbe",
    "ExpirePayloads",
    "FinishFirst",
    "ForgetKeys",
    "KeepClock",
    "LiftFreeze",
    "RecordDelivery",
    "RecordEvent",
    "RecordHealth",
    "RecordMail",
    "SendProbe",
    "TrimWal",
    "UnpackBatches",
]


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
class FinishFirst:
    """To the supervisor or the journal, as an ask: reply when all that came before is done."""
