"""As which class an outcome counts, and which days a window has."""

from datetime import UTC, datetime

import pytest

from eventstore.policies.day_counts import CLASS_TITLES, COUNTED_CLASSES, counted_class_of, window_start
from tests.eventstore.facts import failed, succeeded, timed_out


@pytest.mark.parametrize(
    ("error_class", "expected"),
    [
        ("redirect", "redirect"),
        ("client_error", "client_error"),
        ("gone", "client_error"),
        ("rate_limited", "rate_limited"),
        ("server_error", "server_error"),
        ("unavailable", "server_error"),
        ("protocol", "protocol"),
        ("internal", None),
        ("blocked", None),
        ("of a later version", None),
    ],
)
def test_failure_is_counted_by_its_error_class(error_class: str, expected: str | None) -> None:
    assert counted_class_of(failed(error_class)) == expected


@pytest.mark.parametrize(
    ("fault", "error_class", "expected"),
    [
        ("", "protocol", "protocol"),  # recorded before faults were kept
        ("no_answer", "protocol", "no_answer"),
        ("reset", "protocol", "no_answer"),
        ("bad_status_line", "protocol", "no_answer"),
        ("head_too_large", "protocol", "no_answer"),
        ("bad_head", "protocol", "protocol"),
        ("broken_body", "protocol", "protocol"),
        ("bad_head", "client_error", "client_error"),
        ("bad_head", "gone", "client_error"),
        ("broken_body", "client_error", "protocol"),
        ("broken_body", "server_error", "protocol"),
        ("reset", "client_error", "no_answer"),
        ("read_timeout", "client_error", "timeout"),
        ("deadline", "server_error", "timeout"),
        ("tls", "redirect", "timeout"),
        ("broken_body", "rate_limited", "rate_limited"),
        ("deadline", "rate_limited", "rate_limited"),
        ("of a later version", "client_error", "client_error"),
    ],
)
def test_what_was_wrong_with_an_answer_says_how_it_is_counted(
    fault: str, error_class: str, expected: str | None
) -> None:
    assert counted_class_of(failed(error_class, fault=fault)) == expected


@pytest.mark.parametrize("error_class", ["dns", "connect", "tls", "connect_timeout", "read_timeout", "deadline"])
def test_every_kind_of_timeout_is_counted_as_timeout(error_class: str) -> None:
    assert counted_class_of(timed_out(error_class)) == "timeout"


def test_success_is_counted_as_success() -> None:
    assert counted_class_of(succeeded()) == "success"


def test_every_counted_class_has_a_title() -> None:
    assert CLASS_TITLES.keys() == set(COUNTED_CLASSES)


@pytest.mark.parametrize(("window_days", "expected"), [(1, "2025-03-01"), (2, "2025-02-28"), (7, "2025-02-23")])
def test_window_ends_today(window_days: int, expected: str) -> None:
    assert window_start(datetime(2025, 3, 1, tzinfo=UTC), window_days) == expected
