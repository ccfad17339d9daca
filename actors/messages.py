"""What actors tell each other: imperative, frozen."""

from dataclasses import dataclass
from typing import Any

import pykka

from eventstore.disabling import DisableRequest
from eventstore.events import MailFailed, MailSent
from eventstore.recording import DeliveryRecord
from eventstore.work_queue import QueuedDelivery

__all__ = [
    "CheckOutbox",
    "ConsiderDisabling",
    "Decide",
    "Deliver",
    "FinishFirst",
    "ForgetKeys",
    "LearnRecorded",
    "Load",
    "LookAround",
    "PauseClaiming",
    "RecordDelivery",
    "RecordMail",
    "Ref",
    "Refresh",
    "RefreshInstallation",
    "ReportLoad",
    "Settle",
    "tell_if_alive",
]

Ref = pykka.ActorRef[Any]


def tell_if_alive(ref: Ref, message: object) -> bool:
    """Tell an actor that may have been stopped before the one that tells it; say whether it still hears."""
    try:
        ref.tell(message)
    except pykka.ActorDeadError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class LookAround:
    """To the dispatcher: look for new deliveries, for those that have become due, and for changes."""


@dataclass(frozen=True, slots=True)
class PauseClaiming:
    """To the dispatcher: hand nothing more out."""


@dataclass(frozen=True, slots=True)
class ReportLoad:
    """To the dispatcher, as an ask: look around and reply a Load."""


@dataclass(frozen=True, slots=True)
class Load:
    """The dispatcher's reply: deliveries that are handed out and not settled, and actors that live."""

    held_deliveries: int
    live_installations: int


@dataclass(frozen=True, slots=True)
class RefreshInstallation:
    """To the dispatcher: have this installation's actor read its registry entry again."""

    installation_id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """To the dispatcher: what was handed out is recorded. `retry_at` None = it waits for nothing more.

    `is_postponed`: nothing could be recorded, so that the queue still calls it due; it rests until `retry_at`.
    """

    installation_id: str
    sequence: int
    retry_at: str | None
    is_answered: bool
    is_postponed: bool = False


@dataclass(frozen=True, slots=True)
class Deliver:
    """To an installation: make the next attempt at this delivery."""

    delivery: QueuedDelivery


@dataclass(frozen=True, slots=True)
class Refresh:
    """To an installation: read the registry again, and go on with what was held back."""


@dataclass(frozen=True, slots=True)
class LearnRecorded:
    """To an installation: the record is on disk at `position`; 0 = it was not counted, None = it can't be recorded."""

    record: DeliveryRecord
    position: int | None


@dataclass(frozen=True, slots=True)
class RecordDelivery:
    """To the journal: record with the next commit, and let `reply_to` learn of it."""

    record: DeliveryRecord
    reply_to: Ref


@dataclass(frozen=True, slots=True)
class RecordMail:
    """To the journal, as an ask: record what became of a mail; replied to when it is on disk."""

    installation_id: str
    event: MailSent | MailFailed


@dataclass(frozen=True, slots=True)
class Decide:
    """To the journal, as an ask: disable in one transaction if it still holds; the reply is a Decision."""

    request: DisableRequest


@dataclass(frozen=True, slots=True)
class ForgetKeys:
    """To the journal: drop the idempotency keys of before this moment."""

    older_than: str


@dataclass(frozen=True, slots=True)
class ConsiderDisabling:
    """To the supervisor: this installation looks broken ("policy") or wants no more ("receiver")."""

    installation_id: str
    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class FinishFirst:
    """To the supervisor, as an ask: reply when all that came before is done."""


@dataclass(frozen=True, slots=True)
class CheckOutbox:
    """To the mailer: hand over the next mail that is due. As an ask: say whether there was one."""
