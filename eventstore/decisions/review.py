"""The review of one installation after an outcome: disabled, warned of, calm again, or left as it is."""

from dataclasses import dataclass
from typing import Literal

from eventstore.common.identifiers import installation_stream
from eventstore.decisions.disable import SYSTEM, Decision, DisableRequest, disable, may_be_disabled
from eventstore.decisions.evidence import evidence_of, verdict_of
from eventstore.decisions.owner_mails import mails_about
from eventstore.events.catalogue import InstallationCalmed, InstallationWarned
from eventstore.log.event_log import NewEvent, last_position
from eventstore.policies.evaluation import Verdict, warning_level
from eventstore.policies.policy import Policy
from eventstore.projections.health import read_fleet
from eventstore.projections.outbox import WARNED
from eventstore.projections.registry import App, Installation, find_app, find_installation
from eventstore.unit_of_work import Transaction

__all__ = ["ReviewRequest", "Step", "needs_review", "review", "what_follows"]

Step = Literal["", "disable", "calm", "warn"]


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """A wish to look at an installation; `scope` as in DisableRequest, `is_warned`: whether owners are warned."""

    installation_id: str
    policy: Policy
    scope: str
    mail_domain: str
    is_warned: bool = True


def what_follows(verdict: Verdict, warned_level: int, *, is_warned: bool) -> Step:
    """Say what a verdict comes to for an installation that is warned of a level, where nothing forbids it.

    Pure: the installation's actor, the review and what-if all ask this function.
    """
    level = warning_level(verdict.nearness)
    if verdict.is_broken:
        return "disable"
    if level == 0 and warned_level > 0:
        return "calm"
    return "warn" if is_warned and level > warned_level else ""


def needs_review(verdict: Verdict, installation: Installation, *, is_warned: bool) -> bool:
    """Say whether a review would change something. Pure: the installation's actor asks it after each outcome."""
    return bool(what_follows(verdict, installation.warned_level, is_warned=is_warned))


def review(transaction: Transaction, request: ReviewRequest) -> Decision:
    """Judge what the database holds now, and disable, warn or calm, with the mails, all or none.

    A warning is given once a level and an episode, which ends when it is less than half of the way again.
    Raises NotFoundError.
    """
    installation = find_installation(transaction.connection, request.installation_id)
    app = find_app(transaction.connection, installation.app_id)
    if not installation.is_active:
        return Decision(False, f"it is {installation.state}")
    if not may_be_disabled(app, request.scope):
        return Decision(False, f"app {app.slug} is {app.status}, and only internal apps may be disabled")
    verdict = verdict_of(transaction, request.installation_id, request.policy)
    follows = what_follows(verdict, installation.warned_level, is_warned=request.is_warned)
    if follows == "disable":
        return disable(transaction, _disable_request(request))
    if follows == "calm":
        event = InstallationCalmed(installation.installation_id)
        (stored,) = transaction.append(NewEvent(installation_stream(installation.installation_id), event))
        return Decision(True, "calmed", stored.position)
    if not follows:
        return Decision(False, "nothing has changed")
    return _warn(transaction, request, installation, app, verdict)


def _disable_request(request: ReviewRequest) -> DisableRequest:
    return DisableRequest(
        installation_id=request.installation_id,
        cause="policy",
        by=SYSTEM,
        reason="",
        policy=request.policy,
        scope=request.scope,
        mail_domain=request.mail_domain,
    )


def _warn(
    transaction: Transaction, request: ReviewRequest, installation: Installation, app: App, verdict: Verdict
) -> Decision:
    level = warning_level(verdict.nearness)
    if read_fleet(transaction.connection).is_frozen:
        return Decision(False, "automatic disabling is frozen, and so are warnings")
    stream = installation_stream(installation.installation_id)
    evidence = evidence_of(transaction, verdict, rule=verdict.rule, explanation=verdict.explanation)
    warned = InstallationWarned(
        installation_id=installation.installation_id,
        app_id=app.app_id,
        organization_id=installation.organization_id,
        webhook_url=app.webhook_url,
        level=level,
        nearness=round(verdict.nearness, 3),
        evidence=evidence,
    )
    position = last_position(transaction.connection) + 1
    mails = mails_about(transaction, installation, position, kind=WARNED, mail_domain=request.mail_domain)
    stored = transaction.append(*(NewEvent(stream, event) for event in (warned, *mails)))
    return Decision(True, "warned", stored[0].position, len(mails), evidence)
