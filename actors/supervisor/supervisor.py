"""The actor that takes decisions about broken installations."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog

from actors.messages import (
    BeginWatch,
    Decide,
    DecisionRequest,
    EnableAfterProbe,
    FinishFirst,
    LiftFreeze,
    NoteHealth,
    RecordHealth,
    Ref,
    Refresh,
    ReviewAfterProbe,
    ReviewInstallation,
    SendProbe,
    WatchOutage,
    tell_if_alive,
)
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import Pool
from eventstore.common.clock import Clock
from eventstore.common.identifiers import FLEET_STREAM
from eventstore.common.shard import WHOLE, Shard
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.outage_watch import HealthChange, has_freeze_passed
from eventstore.decisions.probing import ProbingRule, due_probes
from eventstore.decisions.review import ReviewRequest
from eventstore.events.catalogue import DisableEvidence, DisablingFrozen, DisablingThawed
from eventstore.log.event_log import read_events
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.policy import Policy
from eventstore.policies.waits import is_held
from eventstore.projections.health import failing_since, read_outage
from eventstore.projections.registry import read_endpoint
from eventstore.sqlite.reader_pool import Readers

__all__ = ["SupervisorActor", "SupervisorDependencies"]

log = structlog.get_logger("hookfuse.supervisor")

# Far beyond the longest commit; only a journal that is gone lets it pass.
_DECISION_TIMEOUT_S = 120.0
# Seconds between two looks at who is to be probed; probes are hours apart.
_PROBING_S = 5.0


Message = ReviewInstallation | ReviewAfterProbe | NoteHealth | WatchOutage | FinishFirst


@dataclass(frozen=True, slots=True)
class SupervisorDependencies:
    """What the supervisor decides by, and whom it tells. `outage_rule` and `probing_rule` None = there is none.

    `wake_mailer` has the mailer look into the outbox, in whichever process it is.
    """

    readers: Readers
    journal: Ref
    wake_mailer: Callable[[], object]
    clock: Clock
    policy: Policy
    disable_scope: str
    mail_domain: str
    is_warned: bool = True
    outage_rule: OutageRule | None = None
    probing_rule: ProbingRule | None = None
    shard: Shard = WHOLE


class SupervisorActor(SupervisedActor[Message]):
    """Owns nothing but what it has said last; each decision is one transaction on what the database holds.

    Receives ReviewInstallation, ReviewAfterProbe, NoteHealth, FinishFirst and, in the lead, WatchOutage.
    Tells the journal to decide and how installations fare, the installation that asked to refresh, the mailer to look
    into the outbox.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        budget: RestartBudget,
        escalate: Callable[[str], None],
        dependencies: SupervisorDependencies,
    ) -> None:
        super().__init__(pool=pool, budget=budget, escalate=escalate)
        self._dependencies = dependencies
        self._watched_since = dependencies.clock.now()
        self._is_said_frozen = False
        self._probe_again_at: datetime | None = None

    def on_start(self) -> None:
        """Begin the watch again, and learn whether disabling was frozen when the daemon stopped."""
        self._dependencies.journal.tell(BeginWatch(self._dependencies.shard))
        with self._dependencies.readers.borrow() as connection:
            self._is_said_frozen = read_outage(connection).is_frozen

    def receive(self, message: Message) -> None:
        """Take the decision, and tell those whom it concerns."""
        match message:
            case ReviewInstallation():
                self._review(message)
            case ReviewAfterProbe():
                self._enable(message)
            case NoteHealth(installation_id, is_failing):
                self._note(installation_id, is_failing=is_failing)
            case WatchOutage():
                self._lift_freeze()
                self._say_freeze()
                self._probe()

    def restarted(self, message: Message | None, error: Exception) -> None:  # noqa: ARG002
        """Release the installation; its next failure asks again."""
        if isinstance(message, ReviewInstallation | ReviewAfterProbe):
            tell_if_alive(message.reply_to, Refresh())

    def _decide(self, request: DecisionRequest) -> Decision:
        return cast("Decision", self._dependencies.journal.ask(Decide(request), timeout=_DECISION_TIMEOUT_S))

    def _review(self, message: ReviewInstallation) -> None:
        dependencies = self._dependencies
        decision = self._decide(
            ReviewRequest(
                installation_id=message.installation_id,
                policy=dependencies.policy,
                scope=dependencies.disable_scope,
                mail_domain=dependencies.mail_domain,
                is_warned=dependencies.is_warned,
                gone_at=message.gone_at,
            )
        )
        # First the word to the installation, which holds its deliveries back until then.
        tell_if_alive(message.reply_to, Refresh())
        if decision.mail_count:
            dependencies.wake_mailer()
        self._say(message.installation_id, decision)

    def _enable(self, message: ReviewAfterProbe) -> None:
        installation_id = message.installation_id
        decision = self._decide(
            EnableAfterProbe(installation_id, message.probe_enqueued_at, self._dependencies.probing_rule)
        )
        tell_if_alive(message.reply_to, Refresh())
        event = "installation_enabled" if decision.is_changed else "enabling_declined"
        log.warning(event, installation_id=installation_id, why=decision.why, position=decision.position)

    def _note(self, installation_id: str, *, is_failing: bool | None) -> None:
        rule = self._dependencies.outage_rule
        if rule is None:
            return
        since = self._failing_since(installation_id, rule) if is_failing else None
        change = HealthChange(installation_id, since, is_at_work=is_failing is not None)
        tell_if_alive(self._dependencies.journal, RecordHealth(change, rule))

    def _failing_since(self, installation_id: str, rule: OutageRule) -> datetime:
        # By its events: one whose actor was put away, or that failed before the daemon started, begins nothing.
        now = self._dependencies.clock.now()
        not_before = now - timedelta(seconds=rule.window_s)
        with self._dependencies.readers.borrow() as connection:
            return failing_since(connection, installation_id, not_before=not_before) or now

    def _lift_freeze(self) -> None:
        rule, now = self._dependencies.outage_rule, self._dependencies.clock.now()
        self._watched_since = min(self._watched_since, now)  # the clock may have been set back
        with self._dependencies.readers.borrow() as connection:
            if not read_outage(connection).is_frozen:
                return
            # Where it can't be frozen any more, a freeze that was recorded before ends at once.
            watched_s = (now - self._watched_since).total_seconds()
            is_over = rule is None or has_freeze_passed(connection, rule, now, watched_s=watched_s)
        if is_over:
            self._decide(LiftFreeze(rule, self._watched_since))

    def _say_freeze(self) -> None:
        """Log loudly what has changed since the last time, whichever worker's outcomes have brought it about."""
        with self._dependencies.readers.borrow() as connection:
            if read_outage(connection).is_frozen == self._is_said_frozen:
                return
            (stored,) = read_events(connection, stream=FLEET_STREAM, is_newest_first=True, limit=1)
        event = stored.event
        self._is_said_frozen = isinstance(event, DisablingFrozen)
        if isinstance(event, DisablingFrozen):
            log.error(
                "disabling_frozen",
                active=event.active,
                failing=event.failing,
                newly_failing=event.newly_failing,
                organizations=", ".join(event.organizations),
                hosts=", ".join(event.hosts),
                done="nothing is disabled or warned of, and no failure counts, until most work again: look at this"
                " machine's network first",
            )
        elif isinstance(event, DisablingThawed):
            log.warning("disabling_thawed", active=event.active, failing=event.failing, done="failures count again")

    def _probe(self) -> None:
        rule, now = self._dependencies.probing_rule, self._dependencies.clock.now()
        if rule is None or is_held(self._probe_again_at, now, _PROBING_S):
            return
        self._probe_again_at = now + timedelta(seconds=_PROBING_S)
        with self._dependencies.readers.borrow() as connection:
            due = due_probes(connection, rule, now)
        for installation_id in due:
            self._decide(SendProbe(installation_id))

    def _say(self, installation_id: str, decision: Decision) -> None:
        if decision.change is Change.NOTHING:
            log.info("disabling_declined", installation_id=installation_id, why=decision.why)
        elif decision.change is Change.DISABLED:
            self._say_disabled(installation_id, decision)
        else:
            log.warning(
                "installation_reviewed",
                installation_id=installation_id,
                decision=decision.change.value,
                position=decision.position,
                rule=decision.evidence.rule if decision.evidence else None,
                explanation=decision.evidence.explanation if decision.evidence else None,
                mails=decision.mail_count,
            )

    def _say_disabled(self, installation_id: str, decision: Decision) -> None:
        with self._dependencies.readers.borrow() as connection:
            endpoint = read_endpoint(connection, installation_id)
        app = endpoint.app
        log.warning(
            "sentryapp.disabled",
            sentryapp_webhook=app.webhook_url,
            sentryapp_slug=app.slug,
            sentryapp_uuid=app.uuid,
            org_id=endpoint.installation.organization_id,
            buffer_record=_buffer_record(decision.evidence),
            installation_id=installation_id,
            cause=decision.cause,
            rule=decision.evidence.rule if decision.evidence else None,
            position=decision.position,
            mails=decision.mail_count,
        )


def _buffer_record(evidence: DisableEvidence | None) -> dict[str, dict[str, int]]:
    """Return the counts a day, without the classes that are zero."""
    days = evidence.days if evidence else ()
    names = [name for name in type(days[0]).__struct_fields__ if name != "day"] if days else []
    return {day.day: {name: getattr(day, name) for name in names if getattr(day, name)} for day in days}
