"""The latest outcomes of one installation: what its breaker and its actor start from. Pure."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from eventstore.common.clock import parse_time
from eventstore.events.catalogue import (
    BreakerClosed,
    BreakerOpened,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    EndpointChanged,
    InstallationCountsImported,
    InstallationCreated,
    InstallationEnabled,
    stored_names,
)
from eventstore.policies.breaker import SAYS_NOTHING
from eventstore.policies.day_counts import counted_class

__all__ = ["LATEST_EVENTS", "OUTCOMES", "RecentOutcomes", "StreamRow", "says_nothing"]

# How far back in a stream is looked, in events, and how many outcomes are kept: far above any breaker's floor.
LATEST_EVENTS = 2000
_KEPT_OUTCOMES = 500

OUTCOMES = (DeliverySucceeded.type_name, DeliveryFailed.type_name, DeliveryTimedOut.type_name)
# Its breaker forgets then what was before.
_STARTS_ANEW = tuple(
    event.type_name
    for event in (BreakerOpened, BreakerClosed, EndpointChanged, InstallationCreated, InstallationEnabled)
)
# What answered 410 may work now, or is another.
_TAKES_GONE_BACK = (InstallationEnabled.type_name, EndpointChanged.type_name)
_COUNTS_IMPORTED = stored_names((InstallationCountsImported.type_name,))
_GONE_IN_JSON = '"error_class":"gone"'
_NOTHING_IN_JSON = tuple(f'"error_class":"{name}"' for name in SAYS_NOTHING)

# Version, type, recorded_at and data of an event, as they are stored.
StreamRow = tuple[int, str, str, str]


def says_nothing(type_name: str, data: str) -> bool:
    """Return whether a stored outcome says nothing about the endpoint, without decoding it."""
    return type_name != DeliverySucceeded.type_name and any(text in data for text in _NOTHING_IN_JSON)


class _Failure(msgspec.Struct, frozen=True):
    error_class: str = ""
    fault: str = ""


_decoder = msgspec.json.Decoder(_Failure)


def _class_of(type_name: str, data: str) -> str:
    """Return the class that a stored outcome is counted under, empty = nowhere."""
    if type_name == DeliverySucceeded.type_name:  # it is not decoded: by far the most are
        return "success"
    try:
        failure = _decoder.decode(data)
        return counted_class(type_name, failure.error_class, failure.fault) or ""
    except msgspec.MsgspecError:
        return ""  # a damaged event, which `replay verify --log` names


class RecentOutcomes(msgspec.Struct, frozen=True, array_like=True):
    """A fold of an installation's stream up to `version`.

    `outcomes` are (version, moment, whether it succeeded), oldest first, of those that say something about the
    endpoint, since its breaker started again. `last_attempt` is the version of the latest outcome of any kind, 0 =
    there is none; what is further back than LATEST_EVENTS is forgotten. `has_failed_last`: it failed, and no counts of
    another system came after it; `last_class` is what it is counted under, empty = nowhere. `is_gone_last`: it was
    answered with 410, and nobody has enabled the installation since, or changed its endpoint.
    """

    version: int = 0
    last_attempt: int = 0
    has_failed_last: bool = False
    outcomes: tuple[tuple[int, datetime, bool], ...] = ()
    is_gone_last: bool = False
    last_class: str = ""

    def followed_by(self, rows: Iterable[StreamRow]) -> "RecentOutcomes":
        """Take in what comes next in the stream, oldest first: in pieces or at once, the result is the same."""
        version, last_attempt, has_failed_last = self.version, self.last_attempt, self.has_failed_last
        is_gone_last, last_class = self.is_gone_last, self.last_class
        outcomes = list(self.outcomes)
        for version, type_name, recorded_at, data in rows:
            if type_name in OUTCOMES:
                is_success = type_name == DeliverySucceeded.type_name
                last_attempt, has_failed_last = version, not is_success
                last_class = _class_of(type_name, data)
                is_gone_last = not is_success and _GONE_IN_JSON in data
                if not says_nothing(type_name, data):
                    outcomes.append((version, parse_time(recorded_at), is_success))
            elif type_name in _STARTS_ANEW:
                outcomes.clear()
                is_gone_last = is_gone_last and type_name not in _TAKES_GONE_BACK
            elif type_name in _COUNTS_IMPORTED:
                has_failed_last = False  # what they add is evaluated with the next failure, and not by an actor's start
        oldest = version - LATEST_EVENTS
        if last_attempt <= oldest:
            last_attempt, has_failed_last, is_gone_last, last_class = 0, False, False, ""
        kept = tuple(outcome for outcome in outcomes[-_KEPT_OUTCOMES:] if outcome[0] > oldest)
        return RecentOutcomes(version, last_attempt, has_failed_last, kept, is_gone_last, last_class)

    def moments(self) -> list[tuple[datetime, bool]]:
        """Return when each outcome was recorded and whether it was a success, oldest first."""
        return [(at, is_success) for _, at, is_success in self.outcomes]
