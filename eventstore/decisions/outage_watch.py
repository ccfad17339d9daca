"""Who is at work, and since when it fails: the watch by which disabling is frozen and thawed, shared by all workers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.common.endpoint_url import parse_url
from eventstore.common.identifiers import FLEET_STREAM
from eventstore.common.shard import Shard
from eventstore.decisions.decision import Change, Decision
from eventstore.errors import UrlInvalidError
from eventstore.events.catalogue import DisablingFrozen, DisablingThawed
from eventstore.log.event_log import NewEvent
from eventstore.policies.outage_rule import FailingShare, OutageRule, OutageView, has_passed, is_outage, should_freeze
from eventstore.projections.at_work import (
    count_at_work,
    forget_at_work,
    note_at_work,
    read_at_work,
    who_is_at_work,
)
from eventstore.projections.health import read_outage
from eventstore.unit_of_work import Transaction

__all__ = ["HealthChange", "begin_watch", "has_freeze_passed", "lift_freeze", "note_health", "read_failing_share"]

# Of organizations and of hosts that have begun to fail so many are named.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class HealthChange:
    """An installation has begun to fail, or to work (`failing_since` None), or is at work no more."""

    installation_id: str
    failing_since: datetime | None
    is_at_work: bool = True


def begin_watch(transaction: Transaction, shard: Shard) -> None:
    """Forget who of a share was at work before its worker started, however that one ended."""
    forget_at_work(transaction.connection, shard.of(who_is_at_work(transaction.connection)))


def note_health(transaction: Transaction, changes: Sequence[HealthChange], rule: OutageRule) -> DisablingFrozen | None:
    """Take changes in, in order; freeze disabling when so many have begun to fail that the cause is likely here.

    Which worker notes the one that is too many makes no difference: it is frozen once.
    """
    connection = transaction.connection
    for change in changes:
        if change.is_at_work:
            since = change.failing_since
            note_at_work(connection, change.installation_id, time_text(since) if since else None)
        else:
            forget_at_work(connection, (change.installation_id,))
    if all(change.failing_since is None for change in changes) or read_outage(connection).is_frozen:
        return None
    state = read_failing_share(connection, rule, transaction.now)
    if not should_freeze(rule, state):
        return None
    known = _read_at_work(connection, rule, transaction.now)
    if not is_outage(rule, known.view()):
        return None
    frozen = DisablingFrozen(
        state.active,
        state.failing,
        state.newly_failing,
        organizations=known.organizations.named(),
        hosts=known.hosts.named(),
    )
    transaction.append(NewEvent(FLEET_STREAM, frozen))
    return frozen


def lift_freeze(transaction: Transaction, rule: OutageRule | None, *, watched_since: datetime) -> Decision:
    """End a freeze when it has passed; without a rule there is none to pass, and it ends at once."""
    if not read_outage(transaction.connection).is_frozen:
        return Decision.declined("it is not frozen")
    now = transaction.now
    watched_s = (now - watched_since).total_seconds()
    if rule is not None and not has_freeze_passed(transaction.connection, rule, now, watched_s=watched_s):
        return Decision.declined("too many are still failing")
    state = read_failing_share(transaction.connection, rule or OutageRule(), now)
    (stored,) = transaction.append(NewEvent(FLEET_STREAM, DisablingThawed(state.active, state.failing)))
    return Decision(Change.THAWED, position=stored.position)


def read_failing_share(connection: Connection, rule: OutageRule, now: datetime) -> FailingShare:
    """Count who is at work, who of them fails, and who has begun to within the rule's window."""
    start, end = _window(rule, now)
    return FailingShare(*count_at_work(connection, begun_after=start, begun_before=end))


def _window(rule: OutageRule, now: datetime) -> tuple[str, str]:
    """Return between which moments began what has begun now: what began further ahead began by another clock."""
    window = timedelta(seconds=rule.window_s)
    return time_text(now - window), time_text(now + window)


def has_freeze_passed(connection: Connection, rule: OutageRule, now: datetime, *, watched_s: float) -> bool:
    """Return whether no more than the usual share fails any more."""
    return has_passed(rule, _read_at_work(connection, rule, now).view(), watched_s=watched_s)


class _Counted:
    """Installations at work by something that they have in common, which counts once."""

    def __init__(self) -> None:
        self._failing: dict[object, bool] = {}
        self._begun: Counter[object] = Counter()

    def count(self, key: object, *, is_failing: bool, has_begun: bool) -> None:
        self._failing[key] = self._failing.get(key, False) or is_failing
        if has_begun:
            self._begun[key] += 1

    def state(self) -> FailingShare:
        return FailingShare(len(self._failing), sum(self._failing.values()), len(self._begun))

    def named(self) -> tuple[str, ...]:
        """Return the names of those that have begun to fail, the ones with the most installations first."""
        return tuple(str(key) for key, _ in self._begun.most_common(_NAMED) if not isinstance(key, _Unknown))


class _Unknown(str):
    """An installation that the registry does not know (any more): it has nothing in common with others."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _AtWork:
    installations: _Counted = field(default_factory=_Counted)
    organizations: _Counted = field(default_factory=_Counted)
    hosts: _Counted = field(default_factory=_Counted)

    def view(self) -> OutageView:
        return OutageView(self.installations.state(), self.organizations.state(), self.hosts.state())


def _read_at_work(connection: Connection, rule: OutageRule, now: datetime) -> _AtWork:
    start, end = _window(rule, now)
    at_work = _AtWork()
    for one in read_at_work(connection):
        since, unknown = one.failing_since, _Unknown(one.installation_id)
        fares = {"is_failing": since is not None, "has_begun": since is not None and start < since < end}
        at_work.installations.count(one.installation_id, **fares)
        at_work.organizations.count(unknown if one.organization_id is None else one.organization_id, **fares)
        at_work.hosts.count(unknown if one.webhook_url is None else _host(one.webhook_url), **fares)
    return at_work


def _host(url: str) -> str:
    try:
        return parse_url(url).host
    except UrlInvalidError:  # of a registry of before: nothing is sent to it either
        return url
