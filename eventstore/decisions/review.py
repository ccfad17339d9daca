"""The review of one installation after an outcome: disabled, warned of, calm again, or left as it is."""

from dataclasses import dataclass
from typing import Literal

from eventstore.common.identifiers import installation_stream
from eventstore.decisions.decision import Change, Decision
from eventstore.decisions.disable import SYSTEM, Disabling, record_disabling
from eventstore.decisions.owner_mails import mails_about
from eventstore.events.catalogue import (
    EndpointChanged,
    InstallationEnabled,
    InstallationWarned,
    InstallationWarningLifted,
)
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.policies.evaluation import Evaluation, warning_level
from eventstore.policies.policy import Policy
from eventstore.policies.scope import may_be_disabled
from eventstore.projections.health import read_outage
from eventstore.projections.outbox import WARNED
from eventstore.projections.registry import App, Installation, find_app, find_installation
from eventstore.unit_of_work import Transaction
from eventstore.views.evaluation import read_evaluation, read_evidence

__all__ = ["ReviewRequest", "Step", "needs_review", "review", "what_follows"]

Step = Literal["", "disable", "calm", "warn"]

_GONE_REASON = "the endpoint answered 410 Gone"
# After them a 410 of before says nothing any more.
_TAKE_GONE_BACK = (InstallationEnabled.type_name, EndpointChanged.type_name)


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """A wish to look at an installation. `is_warned`: whether owners are warned.

    `scope` says which apps a machine may disable: internal (the original's rule) or all. `gone_at`: the position in
    the log as of which its endpoint has answered 410 Gone, None = it has not.
    """

    installation_id: str
    policy: Policy
    scope: str = "internal"
    mail_domain: str = "hookfuse.invalid"
    is_warned: bool = True
    gone_at: int | None = None


def what_follows(evaluation: Evaluation, warned_level: int, *, is_warned: bool) -> Step:
    """Return what an evaluation comes to for an installation that is warned of a level, where nothing forbids it.

    Pure: the installation's actor, the review and what-if all ask this function.
    """
    level = warning_level(evaluation.progress)
    if evaluation.is_broken:
        return "disable"
    if level == 0 and warned_level > 0:
        return "calm"
    return "warn" if is_warned and level > warned_level else ""


def needs_review(evaluation: Evaluation, installation: Installation, *, is_warned: bool) -> bool:
    """Return whether a review would change something. Pure: the installation's actor asks it after each outcome."""
    return bool(what_follows(evaluation, installation.warned_level, is_warned=is_warned))


def review(transaction: Transaction, request: ReviewRequest) -> Decision:
    """Look at what the database holds now, and disable, warn or calm, with the mails, all or none.

    It is evaluated once: whatever follows rests on that evaluation, and says so in its evidence. Whoever comes twice,
    late or after a person's decision finds nothing to be done. A warning is given once a level and an episode, which
    ends when it is less than half of the way again. Raises NotFoundError.
    """
    installation = find_installation(transaction.connection, request.installation_id)
    app = find_app(transaction.connection, installation.app_id)
    if why_not := _why_not(installation, app, request.scope):
        return Decision.declined(why_not)
    now = transaction.now
    evaluation = read_evaluation(transaction.connection, request.installation_id, request.policy, now)
    if _is_gone(transaction, request):
        return record_disabling(
            transaction, installation, app, evaluation, _disabling(request, "receiver", _GONE_REASON)
        )
    follows = what_follows(evaluation, installation.warned_level, is_warned=request.is_warned)
    if why_not := _why_nothing_follows(transaction, follows):
        return Decision.declined(why_not)
    if follows == "calm":
        return _calm(transaction, installation)
    if follows == "warn":
        return _warn(transaction, request, installation, app, evaluation)
    return record_disabling(transaction, installation, app, evaluation, _disabling(request, "policy", ""))


def _why_not(installation: Installation, app: App, scope: str) -> str:
    """Return why a machine decides nothing about it, empty = it may."""
    if not installation.is_active:
        return f"it is {installation.state}"
    if not may_be_disabled(app.status, scope):
        return f"app {app.slug} is {app.status}, and only internal apps may be disabled"
    return ""


def _why_nothing_follows(transaction: Transaction, follows: Step) -> str:
    if not follows:
        return "nothing has changed"
    if follows != "calm" and read_outage(transaction.connection).is_frozen:
        return "automatic disabling is frozen: too many installations have begun to fail at once"
    return ""


def _calm(transaction: Transaction, installation: Installation) -> Decision:
    event = InstallationWarningLifted(installation.installation_id)
    (stored,) = transaction.append(NewEvent(installation_stream(installation.installation_id), event))
    return Decision(Change.WARNING_LIFTED, position=stored.position)


def _is_gone(transaction: Transaction, request: ReviewRequest) -> bool:
    """Return whether the endpoint has answered 410, and nobody has enabled the installation or changed it since."""
    if request.gone_at is None:
        return False
    since = read_events(
        transaction.connection,
        after_position=request.gone_at,
        stream=installation_stream(request.installation_id),
        type_names=_TAKE_GONE_BACK,
        limit=1,
    )
    return not any(since)


def _disabling(request: ReviewRequest, cause: str, reason: str) -> Disabling:
    return Disabling(cause, SYSTEM, reason, request.policy, request.mail_domain)


def _warn(
    transaction: Transaction, request: ReviewRequest, installation: Installation, app: App, evaluation: Evaluation
) -> Decision:
    stream = installation_stream(installation.installation_id)
    now = transaction.now
    evidence = read_evidence(transaction.connection, request.policy, evaluation, now)
    warned = InstallationWarned(
        installation_id=installation.installation_id,
        app_id=app.app_id,
        organization_id=installation.organization_id,
        webhook_url=app.webhook_url,
        level=warning_level(evaluation.progress),
        progress=round(evaluation.progress, 3),
        evidence=evidence,
    )
    position = last_position(transaction.connection) + 1
    mails = mails_about(transaction, installation, position, kind=WARNED, mail_domain=request.mail_domain)
    stored = transaction.append(*(NewEvent(stream, event) for event in (warned, *mails)))
    return Decision(Change.WARNED, position=stored[0].position, mail_count=len(mails), evidence=evidence)
