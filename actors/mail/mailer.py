"""The actor that mails the owners."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial

import structlog

from actors.mail.digest_message import render_digest
from actors.mail.mail_message import render_disabled_notice, render_warning_notice
from actors.mail.mail_transport import MailDeferred, MailRefused, MailTransport
from actors.mail.notice import digest_entries, disabled_notice, warning_notice
from actors.messages import CheckOutbox, Decide, RecordMail, Ref, tell_if_alive
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.backoff import Backoff
from eventstore.common.clock import Clock, parse_time, time_text
from eventstore.common.identifiers import MAIL_STREAM, installation_stream
from eventstore.decisions.digest import DigestRule, GatherRequest, MailPace
from eventstore.events.catalogue import MailFailed, MailSent
from eventstore.projections.outbox import (
    DIGEST,
    DISABLED,
    WARNED,
    PendingMail,
    PendingTo,
    read_pending_mails,
    read_pending_recipients,
)
from eventstore.sqlite.reader_pool import Readers

__all__ = ["MailerActor", "MailerDependencies"]

log = structlog.get_logger("hookfuse.mailer")

_RECORD_TIMEOUT_S = 120.0
_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class MailerDependencies:
    """What the mailer mails with. `retry`: the waits after failures.

    `is_clock_doubted`: then how old a mail is cannot be told, and none is given up for its age.
    """

    readers: Readers
    journal: Ref
    postbox: MailTransport
    clock: Clock
    sender_address: str
    retry: Backoff
    give_up_after_s: float
    digest: DigestRule = field(default_factory=DigestRule)
    is_clock_doubted: Callable[[], bool] = lambda: False


class MailerActor(SupervisedActor[CheckOutbox]):
    """Owns how many mails each recipient got lately; which mails are pending, and when, is in the outbox.

    Receives CheckOutbox, and hands over one mail a message, so that a stop is never behind more than one.
    Tells the journal which mails go as one and each mail's fate, and itself to go on.
    """

    turn_messages = 1  # a mail server may take its time: a turn that lasts is one that hangs

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], dependencies: MailerDependencies
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = dependencies
        self._pace = MailPace(dependencies.digest)

    def receive(self, _message: CheckOutbox) -> bool:
        """Hand over the mail that is longest due; the reply says whether there was one.

        Whoever has had enough lately waits, and then gets one mail for many. An asker wants to be done with it all.
        """
        now = self._dependencies.clock.now()
        with self._dependencies.readers.borrow() as connection:
            pending = read_pending_recipients(connection, due_at=time_text(now), latest=self._latest(now))
        choice = self._pace.choose(pending, now, is_last_chance=self.has_asker)
        if choice is None:
            return False
        one, is_gathered = choice
        if is_gathered:
            self._gather(one)
        with self._dependencies.readers.borrow() as connection:
            mails = read_pending_mails(
                connection, due_at=time_text(now), latest=self._latest(now), recipient=one.recipient, limit=1
            )
        for mail in mails:
            self._mail(mail)
        if not self.has_asker:
            tell_if_alive(self.actor_ref, CheckOutbox())  # once a stop has come, the rest waits in the outbox
        return True

    def _latest(self, now: datetime) -> str:
        return time_text(now + timedelta(seconds=max(self._dependencies.retry.delays_s)))

    def _gather(self, pending: PendingTo) -> None:
        domain = self._dependencies.sender_address.rpartition("@")[2]
        request = GatherRequest(pending.recipient, domain, max(self._dependencies.retry.delays_s))
        self._dependencies.journal.ask(Decide(request), timeout=_RECORD_TIMEOUT_S)
        log.info("mail.digested", message_to=pending.recipient, mails=pending.gatherable)

    def _mail(self, mail: PendingMail) -> None:
        facts = {"message_type": mail.kind, "message_id": mail.message_id, "message_to": mail.recipient}
        if not mail.attempts:
            log.info("mail.queued", **facts)
        attempt = mail.attempts + 1
        try:
            self._hand_over(mail)
        except MailRefused as error:
            self._failed(mail, attempt, error, is_final=True)
        except MailDeferred as error:
            self._failed(mail, attempt, error, is_final=False)
        except Exception as error:
            # A notice that cannot be made now may be made by the next version: it is pending all the same.
            log.exception("mail_crashed", mail_id=mail.mail_id, done="tried again later")
            self._failed(mail, attempt, error, is_final=False)
        else:
            self._pace.note(mail.recipient, self._dependencies.clock.now())
            self._record(mail, MailSent(mail.mail_id, attempt))
            log.info("mail.sent", attempt=attempt, **facts)

    def _hand_over(self, mail: PendingMail) -> None:
        self._dependencies.postbox.deliver(self._message(mail), mail.recipient)

    def _message(self, mail: PendingMail) -> EmailMessage:
        """Render the mail by its kind; one that only a newer hookfuse can write is put off."""
        with self._dependencies.readers.borrow() as connection:
            if mail.kind == DISABLED:
                render = partial(render_disabled_notice, disabled_notice(connection, mail))
            elif mail.kind == WARNED:
                render = partial(render_warning_notice, warning_notice(connection, mail))
            elif mail.kind == DIGEST:
                render = partial(render_digest, digest_entries(connection, mail))
            else:
                raise MailDeferred(f"this version cannot write a mail of kind {mail.kind[:60]!r}")
        return render(
            recipient=mail.recipient,
            sender_address=self._dependencies.sender_address,
            message_id=mail.message_id,
            date=parse_time(mail.requested_at),
        )

    def _failed(self, mail: PendingMail, attempt: int, error: Exception, *, is_final: bool) -> None:
        now = self._dependencies.clock.now()
        retry = now + timedelta(seconds=self._dependencies.retry.delay_s(attempt))
        is_given_up = is_final or (self._is_too_old(mail, attempt, retry) and not self._dependencies.is_clock_doubted())
        retry_at = None if is_given_up else time_text(retry)
        text = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS]
        self._record(mail, MailFailed(mail.mail_id, attempt, text, retry_at))
        log.warning(
            "mail.sent.failure",
            message_type=mail.kind,
            message_id=mail.message_id,
            message_to=mail.recipient,
            attempt=attempt,
            error=text,
            retry_at=retry_at,
        )

    def _is_too_old(self, mail: PendingMail, attempt: int, at: datetime) -> bool:
        age = at - parse_time(mail.requested_at)
        if age < timedelta():  # requested while the clock was ahead: what it has waited for at least counts
            waits = self._dependencies.retry
            age = timedelta(seconds=sum(waits.delay_s(number) for number in range(1, attempt + 1)))
        return age > timedelta(seconds=self._dependencies.give_up_after_s)

    def _record(self, mail: PendingMail, event: MailSent | MailFailed) -> None:
        # A digest tells of many installations, and is in no stream of one.
        stream = installation_stream(mail.installation_id) if mail.installation_id else MAIL_STREAM
        self._dependencies.journal.ask(RecordMail(stream, event), timeout=_RECORD_TIMEOUT_S)
