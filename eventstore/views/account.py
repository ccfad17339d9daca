"""Why an installation is as it is, as `why` has it: the evidence of its disabling or, while active, of now."""

from datetime import datetime

from msgspec import Struct

from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import (
    DisableEvidence,
    InstallationEnabled,
    InstallationWarned,
    InstallationWarningLifted,
)
from eventstore.log.event_log import read_events
from eventstore.policies.evaluation import Evaluation
from eventstore.policies.policy import Policy
from eventstore.policies.scope import may_be_disabled
from eventstore.projections.health import Outage, read_outage
from eventstore.projections.registry import App, Installation, find_app, find_installation
from eventstore.views.breaker import Breaker, Opening, breaker_of, pause_of, read_opening
from eventstore.views.evaluation import read_evaluation, read_evidence
from eventstore.views.installation import Disabling, read_disabling

__all__ = ["WORTH_A_WORD", "Account", "read_account"]

# Below half a percent of the way there is nothing to be stopped: it is shown as 0%.
WORTH_A_WORD = 0.005


class Account(Struct, frozen=True):
    """Why an installation is as it is. `evidence`: of the decision or, while active, of now.

    `remediation`: what would have prevented the disabling or would stop it, empty = nothing would. `can_end`: whether
    it is disabled, or the machine may disable it. `warning`: position of the warning of this episode.
    """

    installation: Installation
    app: App
    disabling: Disabling | None
    evaluation: Evaluation
    evidence: DisableEvidence
    remediation: str
    can_end: bool
    breaker: Breaker
    opening: Opening | None
    hold_until: str | None
    outage: Outage
    warning: int | None

    @property
    def positions(self) -> dict[str, int | None]:
        """The events that it rests on."""
        first, last = self.evidence.first_failure, self.evidence.last_failure
        return {
            "decision": self.disabling.position if self.disabling else None,
            "first_failure": first.position if first else None,
            "last_failure": last.position if last else None,
            "warning": self.warning,
            "breaker_opened": self.opening.position if self.opening else None,
            "up_to": self.evidence.up_to_position,
        }


def read_account(
    connection: Connection,
    installation_id: str,
    policy: Policy,
    now: datetime,
    *,
    scope: str,
    up_to_position: int | None = None,
) -> Account:
    """Read why an installation is as it is. `scope`: which apps the machine may disable.

    `up_to_position`: where the log ends for who looks at the past. Raises NotFoundError.
    """
    installation = find_installation(connection, installation_id)
    app = find_app(connection, installation.app_id)
    disabling = read_disabling(connection, installation)
    evaluation = read_evaluation(connection, installation_id, policy, now)
    recorded = disabling.evidence if disabling else None
    breaker = breaker_of(installation, now)
    can_end = disabling is not None or (installation.is_active and may_be_disabled(app.status, scope))
    evidence = recorded or read_evidence(connection, policy, evaluation, now, up_to_position=up_to_position)
    return Account(
        installation=installation,
        app=app,
        disabling=disabling,
        evaluation=evaluation,
        evidence=evidence,
        remediation=evidence.remediation if disabling or (can_end and evaluation.progress >= WORTH_A_WORD) else "",
        can_end=can_end,
        breaker=breaker,
        opening=None if breaker.state == "closed" else read_opening(connection, installation_id),
        hold_until=pause_of(installation, now),
        outage=read_outage(connection),
        warning=_warning_position(connection, installation),
    )


def _warning_position(connection: Connection, installation: Installation) -> int | None:
    """Return the last warning before the decision or, while active, that of this episode."""
    if installation.disabled_position is None and not installation.warned_level:
        return None
    warnings = read_events(
        connection,
        stream=installation_stream(installation.installation_id),
        type_names=tuple(one.type_name for one in (InstallationWarned, InstallationWarningLifted, InstallationEnabled)),
        is_newest_first=True,
        limit=1,
    )
    return next((stored.position for stored in warnings if isinstance(stored.event, InstallationWarned)), None)
