"""Policies as data: what counts as an error, and when an integration is broken."""

from msgspec import Struct

__all__ = [
    "BALANCED",
    "POLICIES",
    "SENTRY_2024",
    "DayRule",
    "NoSuccessRule",
    "Policy",
    "Rule",
    "StreakRule",
    "class_under",
    "is_checked_after",
]


class DayRule(Struct, frozen=True, tag="day", tag_field="kind", forbid_unknown_fields=True):
    """Fires when one day of the window has at least so many fatal outcomes, or time-outs.

    The time-outs must also be more than `timeout_share_above` of the day's attempts (0 to 1, -1 = any share).
    """

    name: str
    fatal_min: int | None = None
    timeout_min: int | None = None
    timeout_share_above: float = -1.0


class StreakRule(Struct, frozen=True, tag="streak", tag_field="kind", forbid_unknown_fields=True):
    """Fires when each of the last `days` days, today among them, has errors and no success."""

    name: str
    days: int


class NoSuccessRule(Struct, frozen=True, tag="no_success", tag_field="kind", forbid_unknown_fields=True):
    """Fires when the window has no success, at least `failures_min` failures (errors and time-outs), over at
    least `failing_days_min` days. Days without traffic neither break nor heal.
    """  # noqa: D205

    name: str
    failures_min: int
    failing_days_min: int


Rule = DayRule | StreakRule | NoSuccessRule


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """When an integration is broken.

    `errors` names the classes of eventstore.policies.day_counts.COUNTED_CLASSES that count as an error;
    rules are tested in order, over the `window_days` UTC days that end today; `gone_disables`: 410 Gone disables at
    once.
    `checked_after` names the classes of failed attempts after which they are tested; empty = after each.
    `no_answer`: what it is that a connection ends before there was an answer, "protocol" or "timeout".
    """

    name: str
    version: int
    window_days: int
    errors: tuple[str, ...]
    rules: tuple[Rule, ...]
    gone_disables: bool = False
    checked_after: tuple[str, ...] = ()
    no_answer: str = "protocol"


def class_under(policy: Policy, counted: str) -> str:
    """Return the class that a policy has a counted outcome be of.

    Pure: the evaluation, the installation's actor, what-if and Redis ask it.
    """
    return policy.no_answer if counted == "no_answer" else counted


def is_checked_after(policy: Policy, counted: str | None) -> bool:
    """Return whether a failed attempt that is counted under a class (None = nowhere) has the installation checked.

    Pure: the installation's actor and what-if ask this function.
    """
    return not policy.checked_after or (counted is not None and class_under(policy, counted) in policy.checked_after)


# docs/original.md, section 4, with the classes of section 3: only a 4xx other than 429 is an error.
SENTRY_2024 = Policy(
    name="sentry-2024",
    version=1,
    window_days=7,
    errors=("client_error",),
    rules=(
        DayRule(name="fatal-day", fatal_min=1),
        DayRule(name="timeout-day", timeout_min=1000),
        StreakRule(name="seven-error-days", days=7),
    ),
    # docs/original.md, section 4: only after a recorded failure; 429, 5xx, 3xx and what was blocked are never recorded.
    checked_after=("client_error", "timeout", "fatal"),
    # docs/original.md, section 3: requests has one ConnectionError for what is refused, reset, closed, or garbage for
    # a status line.
    no_answer="timeout",
)

# Ten failures over three days: a weekly alert never trips it, as its eight attempts (the default
# retry schedule takes 28 hours, and may touch three UTC days) are fewer; an endpoint that is used daily trips it on
# the third day.
BALANCED = Policy(
    name="balanced",
    version=1,
    window_days=7,
    errors=("redirect", "client_error", "server_error", "protocol"),
    rules=(
        DayRule(name="timeout-day", timeout_min=1000, timeout_share_above=0.5),
        NoSuccessRule(name="no-success", failures_min=10, failing_days_min=3),
    ),
    gone_disables=True,
)

POLICIES = {policy.name: policy for policy in (SENTRY_2024, BALANCED)}
