"""The actor that takes decisions about broken installations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog

from actors.messages import CheckOutbox, ConsiderDisabling, Decide, FinishFirst, Ref, RefreshInstallation, tell_if_alive
from actors.pool import Pool
from actors.restart_budget import RestartBudget
from actors.supervised import SupervisedActor
from eventstore.disabling import SYSTEM, Decision, DisableRequest
from eventstore.events import DisableEvidence
from eventstore.policy import Policy
from eventstore.readers import Readers
from eventstore.registry import read_endpoint

__all__ = ["SupervisorActor", "SupervisorParts"]

log = structlog.get_logger("hookfuse.supervisor")

# Far beyond the longest commit; only a journal that is gone lets it pass.
_DECISION_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class SupervisorParts:
    """What the supervisor decides by, and whom it tells."""

    readers: Readers
    journal: Ref
    dispatcher: Ref
    mailer: Ref
    policy: Policy
    disable_scope: str
    mail_domain: str


class SupervisorActor(SupervisedActor[ConsiderDisabling | FinishFirst]):
    """Owns nothing: each decision is one transaction on what the database holds at that moment.

    Receives ConsiderDisabling and FinishFirst.
    Tells the journal to decide, the dispatcher to refresh the installation, the mailer to look into the outbox.
    """

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], parts: SupervisorParts
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._parts = parts

    def receive(self, message: ConsiderDisabling | FinishFirst) -> None:
        """Have it decided, and tell those whom it concerns."""
        if isinstance(message, ConsiderDisabling):
            self._consider(message)

    def _consider(self, message: ConsiderDisabling) -> None:
        request = DisableRequest(
            installation_id=message.installation_id,
            cause=message.cause,
            by=SYSTEM,
            reason=message.reason,
            policy=self._parts.policy,
            scope=self._parts.disable_scope,
            mail_domain=self._parts.mail_domain,
        )
        decision = cast("Decision", self._parts.journal.ask(Decide(request), timeout=_DECISION_TIMEOUT_S))
        # First the word to the installation, which holds its deliveries back until then. In a stop the
        # dispatcher goes first, and the decision counts all the same.
        tell_if_alive(self._parts.dispatcher, RefreshInstallation(message.installation_id))
        if decision.is_changed:
            tell_if_alive(self._parts.mailer, CheckOutbox())
            self._log(message, decision)
        else:
            log.info("disabling_declined", installation_id=message.installation_id, why=decision.why)

    def restarted(self, message: ConsiderDisabling | FinishFirst | None, error: Exception) -> None:  # noqa: ARG002
        """Let the installation go on; its next failure asks again."""
        if isinstance(message, ConsiderDisabling):
            tell_if_alive(self._parts.dispatcher, RefreshInstallation(message.installation_id))

    def _log(self, message: ConsiderDisabling, decision: Decision) -> None:
        with self._parts.readers.borrow() as connection:
            endpoint = read_endpoint(connection, message.installation_id)
        app = endpoint.app
        log.warning(
            "sentryapp.disabled",
            sentryapp_webhook=app.webhook_url,
            sentryapp_slug=app.slug,
            sentryapp_uuid=app.uuid,
            org_id=endpoint.installation.organization_id,
            buffer_record=_buffer_record(decision.evidence),
            installation_id=message.installation_id,
            cause=message.cause,
            rule=decision.evidence.rule if decision.evidence else None,
            position=decision.position,
            mails=decision.mail_count,
        )


def _buffer_record(evidence: DisableEvidence | None) -> dict[str, dict[str, int]]:
    """Give the counts a day, without the classes that are zero."""
    days = evidence.days if evidence else ()
    names = [name for name in type(days[0]).__struct_fields__ if name != "day"] if days else []
    return {day.day: {name: getattr(day, name) for name in names if getattr(day, name)} for day in days}
