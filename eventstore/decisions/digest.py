"""Digests: when many mails to one recipient are pending at once, they go as one."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from eventstore.common.clock import time_text
from eventstore.common.identifiers import MAIL_STREAM, new_id
from eventstore.decisions.decision import Change, Decision
from eventstore.events.catalogue import MailDigested
from eventstore.log.event_log import NewEvent
from eventstore.policies.waits import LONGEST_PAUSE_S
from eventstore.projections.outbox import PendingTo, read_pending_mails
from eventstore.unit_of_work import Transaction

__all__ = ["DigestRule", "GatherRequest", "MailPace", "gather_mails"]

# Entries of one digest at most: some 400 KB of text and HTML, which every mail server takes.
_ENTRIES_MAX = 500


@dataclass(frozen=True, slots=True)
class DigestRule:
    """How many mails one recipient gets within `window_s` seconds; what is more goes as one digest."""

    mails_max: int = 3
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class GatherRequest:
    """A request to send a recipient's pending mails as one; `longest_retry_s`: what lies further ahead is due."""

    recipient: str
    mail_domain: str
    longest_retry_s: float = LONGEST_PAUSE_S


@dataclass(slots=True)
class MailPace:
    """Remembers how many mails each recipient got lately, and says what is to be done next. No clock of its own.

    It begins empty: a recipient may get `mails_max` more after a restart.
    """

    rule: DigestRule
    _sent: dict[str, deque[datetime]] = field(default_factory=dict)

    def note(self, recipient: str, now: datetime) -> None:
        """Count a mail that was handed over."""
        self._sent.setdefault(recipient, deque()).append(now)

    def choose(
        self, pending: Sequence[PendingTo], now: datetime, *, is_last_chance: bool
    ) -> tuple[PendingTo, bool] | None:
        """Return who is next, and whether their mails are to be gathered first; None = all must wait.

        With `is_last_chance` nobody waits: the process is about to end.
        """
        self._forget(now)
        for one in pending:
            free = self.rule.mails_max - len(self._sent.get(one.recipient, ()))
            is_too_many = one.mails > max(free, 0) and one.gatherable > 1
            if free > 0 or is_last_chance:
                return one, is_too_many
        return None

    def _forget(self, now: datetime) -> None:
        oldest = now - timedelta(seconds=self.rule.window_s)
        for recipient in list(self._sent):
            moments = self._sent[recipient]
            # What lies in the future was counted by another clock.
            while moments and not oldest < moments[0] <= now:
                moments.popleft()
            if not moments:
                del self._sent[recipient]


def gather_mails(transaction: Transaction, request: GatherRequest) -> Decision:
    """Gather a recipient's pending mails into one digest, which is pending in their place.

    Which mails a digest holds is on disk before it is sent: sent again after a crash it is the same mail under the
    same Message-ID.
    """
    pending = read_pending_mails(
        transaction.connection,
        due_at=transaction.recorded_at,
        latest=time_text(transaction.now + timedelta(seconds=request.longest_retry_s)),
        recipient=request.recipient,
        is_gatherable=True,
        limit=_ENTRIES_MAX,
    )
    if len(pending) < 2:
        return Decision.declined("there is nothing to gather")
    mail_id = new_id()
    event = MailDigested(
        mail_id=mail_id,
        message_id=f"<{mail_id}@{request.mail_domain}>",
        recipient=request.recipient,
        gathered=tuple(mail.mail_id for mail in pending),
    )
    (stored,) = transaction.append(NewEvent(MAIL_STREAM, event))
    return Decision(Change.GATHERED, position=stored.position, mail_count=1)
