"""How things stand, as `status` has it: the counts that the metrics say, who is in trouble, and who is disabled."""

from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from msgspec import Struct

from eventstore.common.connection import Connection
from eventstore.common.identifiers import FLEET_STREAM
from eventstore.events.catalogue import DisablingFrozen, InstallationDisabled
from eventstore.events.codec import decode_event
from eventstore.log.event_log import read_events
from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts, window_start
from eventstore.policies.evaluation import least_of_a_day, progress_of
from eventstore.policies.policy import Policy, class_under
from eventstore.projections.failures import read_failures
from eventstore.projections.health import Outage, read_outage
from eventstore.projections.registry import apps_without_secret, find_app, find_installation
from eventstore.queue.missed import Ledger, missed_totals
from eventstore.sqlite.database import reading
from eventstore.views.breaker import breaker_of, read_opening
from eventstore.views.evaluation import read_evaluation
from eventstore.views.system_overview import SystemOverview, read_system_overview
from eventstore.wall_clock.survey import ClockSurvey, survey_clock

__all__ = ["LIST_LIMIT", "Disabled", "InTrouble", "StatusView", "Warned", "read_status"]

# So many entries of a list, beside how many there are: a document of thousands is read by nobody.
LIST_LIMIT = 100
# Below half a percent of the way nothing is wrong yet.
_WORTH_A_LINE = 0.005


class Warned(Struct, frozen=True):
    """An installation whose owners were told that it is `level` percent of the way to being disabled."""

    installation_id: str
    app_id: int
    app_slug: str
    organization_id: int
    level: int


class Disabled(Struct, frozen=True):
    """A disabled installation, and by whose decision; None = the log does not say."""

    installation_id: str
    app_id: int
    app_slug: str
    organization_id: int
    since: str
    cause: str | None
    by: str | None
    reason: str | None


class InTrouble(Struct, frozen=True):
    """An installation whose breaker is open, or that is on the way to being disabled."""

    installation_id: str
    app_id: int
    app_slug: str
    organization_id: int
    progress: float
    rule: str
    explanation: str
    warned_level: int
    breaker: str


class StatusView(Struct, frozen=True):
    """How things stand at one moment. Of each list the first ones, and how many there are.

    `in_trouble`: those in trouble, whose breaker is open first and then those nearest to their limit;
    `in_trouble_count` counts them. `frozen_by`: the hosts whose endpoints had begun to fail when disabling was frozen.
    `failures`: failed attempts of the last 24 hours by error class.
    """

    overview: SystemOverview
    in_trouble: tuple[InTrouble, ...]
    in_trouble_count: int
    disabled: tuple[Disabled, ...]
    warned: tuple[Warned, ...]
    outage: Outage
    frozen_by: tuple[str, ...]
    missed: Ledger
    failures: dict[str, int]
    apps_without_secret: tuple[int, ...]
    apps_without_secret_count: int
    clock: ClockSurvey


def read_status(
    connection: Connection, policy: Policy, now: datetime, *, limit: int, longest_retry_s: float
) -> StatusView:
    """Read how things stand, with the first `limit` of those in trouble, by a policy."""
    with reading(connection):
        outage = read_outage(connection)
        troubled = _troubled(connection, policy, now)
        without_secret = apps_without_secret(connection)
        return StatusView(
            overview=read_system_overview(connection, now),
            in_trouble=tuple(_in_trouble(connection, one, policy, now) for one in troubled[:limit]),
            in_trouble_count=len(troubled),
            disabled=_disabled(connection),
            warned=_warned(connection),
            outage=outage,
            frozen_by=_begun_by(connection) if outage.is_frozen else (),
            missed=missed_totals(connection),
            failures=read_failures(connection, since=now - timedelta(days=1), until=now),
            apps_without_secret=tuple(app.app_id for app in without_secret[:LIST_LIMIT]),
            apps_without_secret_count=len(without_secret),
            clock=survey_clock(connection, now, longest_retry_s=longest_retry_s),
        )


class _Troubled(Struct, frozen=True, gc=False):
    installation_id: str
    is_down: bool
    progress: float


_OF_TROUBLE = "(success = 0 OR timeout > 0 OR no_answer > 0 OR fatal > 0)"  # as the index has it
# Whoever has a day in the window that a rule can speak about, or is down, and of their days those by which they are
# evaluated: of days that went well only the last one counts.
_CANDIDATES = (
    "WITH named AS (SELECT installation_id FROM buffer"  # noqa: S608 - names of this module
    f" WHERE day >= :first AND day <= :today AND {_OF_TROUBLE}"
    " AND (success = 0 OR timeout + :is_timeout * no_answer >= :timeouts OR fatal >= :fatals)"
    " UNION SELECT installation_id FROM installations WHERE state = 'active' AND breaker_open_until IS NOT NULL),"
    " candidates AS MATERIALIZED (SELECT installation_id, breaker_open_until IS NOT NULL AS is_down,"
    " (SELECT day FROM buffer WHERE buffer.installation_id = named.installation_id AND day >= :first AND day <= :today"
    " AND success > 0 ORDER BY day DESC LIMIT 1) AS last_success"
    " FROM named JOIN installations USING (installation_id) WHERE state = 'active')"
    f" SELECT candidates.installation_id, is_down, day, {', '.join(COUNTED_CLASSES)} FROM candidates"
    " LEFT JOIN buffer ON buffer.installation_id = candidates.installation_id AND day >= :first AND day <= :today"
    f" AND ({_OF_TROUBLE} OR day = last_success)"
)


def _troubled(connection: Connection, policy: Policy, now: datetime) -> list[_Troubled]:
    """Return who is in trouble: those that are down now first, whatever they were before, then by progress."""
    timeouts, fatals = least_of_a_day(policy, _WORTH_A_LINE)
    today = now.date()
    wanted = {
        "first": window_start(now, policy.window_days),
        "today": today.isoformat(),
        "is_timeout": class_under(policy, "no_answer") == "timeout",
        "timeouts": timeouts,
        "fatals": fatals,
    }
    rows = connection.execute(_CANDIDATES, wanted)
    troubled = []
    for (installation_id, is_down), group in groupby(rows, key=itemgetter(0, 1)):
        days = [DayCounts(*row[2:]) for row in group if row[2] is not None]
        progress = progress_of(policy, days, today)
        if is_down or progress >= _WORTH_A_LINE:
            troubled.append(_Troubled(installation_id, bool(is_down), progress))
    return sorted(troubled, key=lambda one: (not one.is_down, -one.progress, one.installation_id))


def _in_trouble(connection: Connection, troubled: _Troubled, policy: Policy, now: datetime) -> InTrouble:
    installation = find_installation(connection, troubled.installation_id)
    evaluation = read_evaluation(connection, troubled.installation_id, policy, now)
    explanation = evaluation.explanation
    if troubled.is_down and (opening := read_opening(connection, troubled.installation_id)):
        explanation = "; ".join(part for part in (f"breaker: {opening.explanation}", explanation) if part)
    return InTrouble(
        installation_id=installation.installation_id,
        app_id=installation.app_id,
        app_slug=find_app(connection, installation.app_id).slug,
        organization_id=installation.organization_id,
        progress=evaluation.progress,
        rule=evaluation.rule,
        explanation=explanation,
        warned_level=installation.warned_level,
        breaker=breaker_of(installation, now).state,
    )


def _disabled(connection: Connection) -> tuple[Disabled, ...]:
    rows = connection.execute(
        "SELECT installation_id, app_id, slug, installations.organization_id, changed_at, type, schema, data"
        " FROM installations JOIN apps USING (app_id) LEFT JOIN events ON position = disabled_position"
        " WHERE state = 'disabled' ORDER BY app_id, installations.organization_id LIMIT ?",
        (LIST_LIMIT,),
    )
    return tuple(
        Disabled(installation_id, app_id, app_slug, organization_id, since, *_decision(type_name, schema, data))
        for installation_id, app_id, app_slug, organization_id, since, type_name, schema, data in rows
    )


def _decision(type_name: str | None, schema: int, data: str) -> tuple[str | None, str | None, str | None]:
    event = decode_event(type_name, schema, data) if type_name else None
    return (event.cause, event.by, event.reason) if isinstance(event, InstallationDisabled) else (None, None, None)


def _warned(connection: Connection) -> tuple[Warned, ...]:
    rows = connection.execute(
        "SELECT installation_id, app_id, slug, installations.organization_id, warned_level"
        " FROM installations JOIN apps USING (app_id)"
        " WHERE warned_level > 0 ORDER BY app_id, installations.organization_id LIMIT ?",
        (LIST_LIMIT,),
    )
    return tuple(Warned(*row) for row in rows)


def _begun_by(connection: Connection) -> tuple[str, ...]:
    frozen = read_events(
        connection, stream=FLEET_STREAM, type_names=(DisablingFrozen.type_name,), is_newest_first=True, limit=1
    )
    hosts = (stored.event.hosts for stored in frozen if isinstance(stored.event, DisablingFrozen))
    return next(hosts, ())[:LIST_LIMIT]
