"""The fold of a stream's latest outcomes, in pieces and at once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.clock import time_text
from eventstore.policies import recent_outcomes
from eventstore.policies.recent_outcomes import RecentOutcomes, StreamRow

START = datetime(2025, 2, 3, 12, tzinfo=UTC)
FAILED = ("delivery.failed", '{"error_class":"server_error"}')
LIMITED = ("delivery.failed", '{"error_class":"rate_limited"}')
GONE = ("delivery.failed", '{"status_code":410,"error_class":"gone"}')
ENABLED = ("installation.enabled", "{}")
SUCCEEDED = ("delivery.succeeded", "{}")
TIMED_OUT = ("delivery.timed_out", '{"error_class":"dns"}')
MISSED = ("delivery.missed", "{}")
OPENED = ("breaker.opened", "{}")
IMPORTED = ("installation.counts_imported", "{}")
OURS = ("delivery.failed", '{"error_class":"internal"}')
ALL = (IMPORTED, FAILED, LIMITED, GONE, SUCCEEDED, TIMED_OUT, MISSED, OPENED, ENABLED)


def rows(*events: tuple[str, str], after: int = 0) -> list[StreamRow]:
    return [
        (version, type_name, time_text(START + timedelta(seconds=version)), data)
        for version, (type_name, data) in enumerate(events, start=after + 1)
    ]


def shown(recent: RecentOutcomes) -> str:
    return "".join("+" if is_success else "-" for _, is_success in recent.moments())


@given(
    history=st.lists(st.sampled_from(ALL), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_in_pieces_it_is_what_it_is_at_once(history: list[tuple[str, str]], cuts: list[int]) -> None:
    stream = rows(*history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_outcomes, "LATEST_EVENTS", 20)
        patch.setattr(recent_outcomes, "_KEPT_OUTCOMES", 7)
        in_pieces = RecentOutcomes()
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
            in_pieces = in_pieces.followed_by(stream[start:end])

        assert in_pieces == RecentOutcomes().followed_by(stream)


def test_a_429_is_the_latest_attempt_and_no_outcome() -> None:
    recent = RecentOutcomes().followed_by(rows(SUCCEEDED, LIMITED))

    assert (shown(recent), recent.last_attempt, recent.has_failed_last, recent.last_class) == (
        "+",
        2,
        True,
        "rate_limited",
    )


def test_a_new_beginning_forgets_the_outcomes_and_not_how_the_latest_attempt_went() -> None:
    recent = RecentOutcomes().followed_by(rows(FAILED, FAILED, OPENED))

    assert (shown(recent), recent.has_failed_last, recent.last_class) == ("", True, "server_error")


def test_what_is_further_back_than_is_looked_is_forgotten() -> None:
    recent = RecentOutcomes().followed_by(rows(FAILED, *[MISSED] * recent_outcomes.LATEST_EVENTS))

    assert (shown(recent), recent.last_attempt, recent.has_failed_last, recent.last_class) == ("", 0, False, "")


@pytest.mark.parametrize(
    ("history", "is_gone"),
    [
        ((FAILED, GONE), True),
        ((GONE, MISSED, OPENED), True),
        ((GONE, SUCCEEDED), False),
        ((GONE, FAILED), False),
        ((GONE, ENABLED), False),
        ((GONE, *[MISSED] * recent_outcomes.LATEST_EVENTS), False),
    ],
)
def test_a_410_counts_as_the_latest_word_until_another_attempt_or_an_enabling(
    history: tuple[tuple[str, str], ...], is_gone: bool
) -> None:
    assert RecentOutcomes().followed_by(rows(*history)).is_gone_last is is_gone


@pytest.mark.parametrize(
    ("history", "has_failed", "counted"),
    [
        ((SUCCEEDED, GONE), True, "client_error"),
        ((FAILED, TIMED_OUT), True, "timeout"),
        ((FAILED, OURS), True, ""),
        ((FAILED, SUCCEEDED), False, "success"),
        ((FAILED, MISSED, ENABLED), True, "server_error"),
        ((FAILED, IMPORTED), False, "server_error"),
        ((IMPORTED, FAILED), True, "server_error"),
    ],
)
def test_the_latest_attempt_is_told_by_the_class_that_it_is_counted_under(
    history: tuple[tuple[str, str], ...], has_failed: bool, counted: str
) -> None:
    recent = RecentOutcomes().followed_by(rows(*history))

    assert (recent.has_failed_last, recent.last_class) == (has_failed, counted)
