"""Policies of every kind, for tests of what must hold for all."""

from hypothesis import strategies as st

from eventstore.policies.policy import DayRule, NoSuccessRule, Policy, Rule, StreakRule
from eventstore.policies.policy_file import ERROR_CLASSES

WINDOW_DAYS = 9

limits = st.integers(1, 12) | st.integers(1, 2_000)
shares = st.sampled_from((-1.0, 0.0, 0.05, 0.25, 0.3, 0.5, 0.9, 1.0))
spans = st.integers(1, WINDOW_DAYS + 1)

rules = st.one_of(
    st.builds(
        DayRule,
        name=st.just("-"),
        fatal_min=st.none() | limits,
        timeout_min=st.none() | limits,
        timeout_share_above=shares,
    ),
    st.builds(StreakRule, name=st.just("-"), days=spans),
    st.builds(NoSuccessRule, name=st.just("-"), failures_min=limits, failing_days_min=spans),
)


def _policy(
    window_days: int, errors: list[str], unnamed: list[Rule], gone_disables: bool, after: list[str], *, no_answer: str
) -> Policy:
    kinds = {DayRule: "day", StreakRule: "streak", NoSuccessRule: "no_success"}
    named: list[Rule] = []
    for number, rule in enumerate(unnamed, start=1):
        fields = {field: getattr(rule, field) for field in rule.__struct_fields__}
        named.append(type(rule)(**{**fields, "name": f"{kinds[type(rule)]}-{number}"}))
    return Policy("mine", 3, window_days, tuple(errors), tuple(named), gone_disables, tuple(after), no_answer)


def policies(rules_max: int = 4) -> st.SearchStrategy[Policy]:
    """Return any policy that the border lets in, with so many rules at most."""
    return st.builds(
        _policy,
        st.integers(1, WINDOW_DAYS),
        st.lists(st.sampled_from(ERROR_CLASSES), unique=True),
        st.lists(rules, max_size=rules_max),
        st.booleans(),
        st.just([]) | st.lists(st.sampled_from(ERROR_CLASSES), unique=True),
        no_answer=st.sampled_from(("protocol", "timeout")),
    )
