"""The actor that takes decisions about broken installations."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog

from actors.messages import (
    CheckOutbox,
    ConsiderDisabling,
    ConsiderEnabling,
    Decide,
    DecisionRequest,
    EnableAfterProbe,
    FinishFirst,
    LookAfterFleet,
    NoteHealth,
    RecordEvent,
    Ref,
    RefreshInstallation,
    SendProbe,
    tell_if_alive,
)
from actors.pool import Pool
from actors.restart_budget import RestartBudget
from actors.supervised import SupervisedActor
from eventstore.clock import Clock
from eventstore.disabling import SYSTEM, Decision, DisableRequest
from eventstore.events import DisableEvidence, DisablingFrozen, DisablingThawed
from eventstore.fleet import FleetRule, FleetWatch
from eventstore.health import failing_since, read_fleet
from eventstore.identifiers import FLEET_STREAM
from eventstore.policy import Policy
from eventstore.probing import ProbingRule, due_probes
from eventstore.readers import Readers
from eventstore.registry import read_endpoint
from eventstore.review import ReviewRequest

__all__ = ["SupervisorActor", "SupervisorParts"]

log = structlog.get_logger("hookfuse.supervisor")

# Far beyond the longest commit; only a journal that is gone lets it pass.
_DECISION_TIMEOUT_S = 120.0
# Seconds between two looks at who is to be probed; probes are hours apart.
_PROBING_S = 5.0


Message = ConsiderDisabling | ConsiderEnabling | NoteHealth | LookAfterFleet | FinishFirst


@dataclass(frozen=True, slots=True)
class SupervisorParts:
    """What the supervisor decides by, and whom it tells. `fleet_rule` and `probing_rule` None = there is none."""

    readers: Readers
    journal: Ref
    dispatcher: Ref
    mailer: Ref
    clock: Clock
    policy: Policy
    disable_scope: str
    mail_domain: str
    is_warned: bool = True
    fleet_rule: FleetRule | None = None
    probing_rule: ProbingRule | None = None


class SupervisorActor(SupervisedActor[Message]):
    """Owns the watch over the fleet; each decision is one transaction on what the database holds at that moment.

    Receives ConsiderDisabling, ConsiderEnabling, NoteHealth, LookAfterFleet and FinishFirst.
    Tells the journal to decide, the dispatcher to refresh the installation, the mailer to look into the outbox.
    """

    def __init__(
        self, *, pool: Pool, budget: RestartBudget, escalate: Callable[[str], None], parts: SupervisorParts
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._parts = parts
        self._watch = FleetWatch(parts.fleet_rule or FleetRule(), since=parts.clock.now())
        self._is_frozen = False
        self._probed_at: datetime | None = None

    def on_start(self) -> None:
        """Learn whether disabling was frozen when the daemon stopped."""
        with self._parts.readers.borrow() as connection:
            self._is_frozen = read_fleet(connection).is_frozen

    def receive(self, message: Message) -> None:
        """Have it decided, and tell those whom it concerns."""
        match message:
            case ConsiderDisabling():
                self._consider(message)
            case ConsiderEnabling():
                self._enable(message)
            case NoteHealth(installation_id, is_failing):
                self._note(installation_id, is_failing=is_failing)
            case LookAfterFleet():
                self._thaw()
                self._probe()

    def restarted(self, message: Message | None, error: Exception) -> None:  # noqa: ARG002
        """Let the installation go on; its next failure asks again."""
        if isinstance(message, ConsiderDisabling):
            tell_if_alive(self._parts.dispatcher, RefreshInstallation(message.installation_id))

    def _decide(self, request: DecisionRequest) -> Decision:
        return cast("Decision", self._parts.journal.ask(Decide(request), timeout=_DECISION_TIMEOUT_S))

    def _consider(self, message: ConsiderDisabling) -> None:
        parts = self._parts
        if message.cause == "policy":
            decision = self._decide(
                ReviewRequest(
                    installation_id=message.installation_id,
                    policy=parts.policy,
                    scope=parts.disable_scope,
                    mail_domain=parts.mail_domain,
                    is_warned=parts.is_warned,
                )
            )
        else:
            decision = self._decide(
                DisableRequest(
                    installation_id=message.installation_id,
                    cause=message.cause,
                    by=SYSTEM,
                    reason=message.reason,
                    policy=parts.policy,
                    scope=parts.disable_scope,
                    mail_domain=parts.mail_domain,
                )
            )
        # First the word to the installation, which holds its deliveries back until then.
        tell_if_alive(parts.dispatcher, RefreshInstallation(message.installation_id))
        if decision.mail_count:
            tell_if_alive(parts.mailer, CheckOutbox())
        if decision.why == "disabled":
            self._log(message, decision)
        elif decision.is_changed:
            log.warning(
                "installation_reviewed",
                installation_id=message.installation_id,
                decision=decision.why,
                position=decision.position,
                rule=decision.evidence.rule if decision.evidence else None,
                explanation=decision.evidence.explanation if decision.evidence else None,
                mails=decision.mail_count,
            )
        else:
            log.info("disabling_declined", installation_id=message.installation_id, why=decision.why)

    def _enable(self, message: ConsiderEnabling) -> None:
        installation_id = message.installation_id
        decision = self._decide(EnableAfterProbe(installation_id, message.probe_enqueued_at, self._parts.probing_rule))
        tell_if_alive(self._parts.dispatcher, RefreshInstallation(installation_id))
        event = "installation_enabled" if decision.is_changed else "enabling_declined"
        log.warning(event, installation_id=installation_id, why=decision.why, position=decision.position)

    def _note(self, installation_id: str, *, is_failing: bool | None) -> None:
        now = self._parts.clock.now()
        if is_failing is None:
            self._watch.forget(installation_id)
            return
        self._watch.note(
            installation_id, failing_since=self._failing_since(installation_id, now) if is_failing else None
        )
        if self._parts.fleet_rule is None or self._is_frozen or not self._watch.should_freeze(now):
            return
        state = self._watch.state(now)
        self._record(DisablingFrozen(state.active, state.failing, state.newly_failing))
        self._is_frozen = True
        log.error(
            "disabling_frozen",
            active=state.active,
            failing=state.failing,
            newly_failing=state.newly_failing,
            done="nothing is disabled or warned of, and no failure counts, until most work again: look at this"
            " machine's network first",
        )

    def _failing_since(self, installation_id: str, now: datetime) -> datetime:
        # By its events: one whose actor was put away, or that failed before the daemon started, begins nothing.
        not_before = now - timedelta(seconds=self._watch.rule.window_s)
        with self._parts.readers.borrow() as connection:
            return failing_since(connection, installation_id, not_before=not_before) or now

    def _thaw(self) -> None:
        now = self._parts.clock.now()
        # Where it can't be frozen any more, a freeze that was recorded before ends at once.
        is_over = self._parts.fleet_rule is None or self._watch.should_thaw(now)
        if not self._is_frozen or not is_over:
            return
        state = self._watch.state(now)
        self._record(DisablingThawed(state.active, state.failing))
        self._is_frozen = False
        log.warning("disabling_thawed", active=state.active, failing=state.failing, done="failures count again")

    def _record(self, event: DisablingFrozen | DisablingThawed) -> None:
        tell_if_alive(self._parts.journal, RecordEvent(FLEET_STREAM, event))

    def _probe(self) -> None:
        rule, now = self._parts.probing_rule, self._parts.clock.now()
        if rule is None or (self._probed_at is not None and (now - self._probed_at).total_seconds() < _PROBING_S):
            return
        self._probed_at = now
        with self._parts.readers.borrow() as connection:
            due = due_probes(connection, rule, now)
        for installation_id in due:
            self._decide(SendProbe(installation_id))

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
