"""The actor that mails the owners."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from functools import partial

import structlog

from actors.mail_message import render_disabled_notice, render_warning_notice
from actors.messages import CheckOutbox, RecordMail, Ref, tell_if_alive
from actors.notice import disabled_notice, warning_notice
from actors.pool import Pool
from actors.postbox import MailDeferred, MailRefused, Postbox
from actors.restart_budget import RestartBudget
from actors.supervised import SupervisedActor
from eventstore.clock import Clock, parse_time, time_text
from eventstore.events import MailFailed, MailSent
from eventstore.outbox import OwedMail, read_owed_mails
from eventstore.readers import Readers

__all__ = ["MailerActor", "MailerParts"]

log = structlog.get_logger("hookfuse.mailer")

_RECORD_TIMEOUT_S = 120.0
_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class MailerParts:
    """What the mailer mails with. `retry_delays_s`: seconds after each failure, the last one again and again."""

    readers: Readers
    journal: Ref
    postbox: Postbox
    clock: Clock
    sender_address: str
    retry_delays_s: tuple[float, ...]
    give_up_after_s: float


class MailerActor(SupervisedActor[CheckOutbox]):
    """Owns nothing: which mails are owed, and when, is in the outbox.

    Receives CheckOutbox, and hands over one mail a message, so that a stop is never behind more than one.
    Tells the journal each mail's fate, and itself to go on.
    """

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], parts: MailerParts
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._parts = parts

    def receive(self, _message: CheckOutbox) -> bool:
        """Hand over the mail that is longest due; the reply says whether there was one."""
        now = self._parts.clock.now()
        with self._parts.readers.borrow() as connection:
            owed = read_owed_mails(connection, due_at=time_text(now), limit=1)
        for mail in owed:
            self._mail(mail)
            if not self.has_asker:
                tell_if_alive(self.actor_ref, CheckOutbox())  # once a stop has come, the rest waits in the outbox
        return bool(owed)

    def _mail(self, mail: OwedMail) -> None:
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
            # A notice that cannot be made now may be made by the next version: it is owed all the same.
            log.exception("mail_crashed", mail_id=mail.mail_id, done="tried again later")
            self._failed(mail, attempt, error, is_final=False)
        else:
            self._record(mail, MailSent(mail.mail_id, attempt))
            log.info("mail.sent", attempt=attempt, **facts)

    def _hand_over(self, mail: OwedMail) -> None:
        self._parts.postbox.deliver(self._message(mail), mail.recipient)

    def _message(self, mail: OwedMail) -> EmailMessage:
        """Render the mail by its kind; one that only a newer hookfuse can write is put off."""
        with self._parts.readers.borrow() as connection:
            if mail.kind == "integration-disabled":
                render = partial(render_disabled_notice, disabled_notice(connection, mail))
            elif mail.kind == "integration-warned":
                render = partial(render_warning_notice, warning_notice(connection, mail))
            else:
                raise MailDeferred(f"this version cannot write a mail of kind {mail.kind[:60]!r}")
        return render(
            recipient=mail.recipient,
            sender_address=self._parts.sender_address,
            message_id=mail.message_id,
            date=parse_time(mail.requested_at),
        )

    def _failed(self, mail: OwedMail, attempt: int, error: Exception, *, is_final: bool) -> None:
        now = self._parts.clock.now()
        delays_s = self._parts.retry_delays_s
        retry = now + timedelta(seconds=delays_s[min(attempt, len(delays_s)) - 1])
        is_too_old = retry - parse_time(mail.requested_at) > timedelta(seconds=self._parts.give_up_after_s)
        retry_at = None if is_final or is_too_old else time_text(retry)
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

    def _record(self, mail: OwedMail, event: MailSent | MailFailed) -> None:
        self._parts.journal.ask(RecordMail(mail.installation_id, event), timeout=_RECORD_TIMEOUT_S)
