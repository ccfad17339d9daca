import json
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from actors.delivery.attempt import attempt_event, body_of, pause_moment, retry_moment, timeouts_of, webhook_request
from eventstore.common.clock import parse_time, time_text
from eventstore.common.endpoint_url import URL_BYTES, parse_url
from eventstore.deliveries.admission import compact_json_object
from eventstore.events.catalogue import (
    AttemptEvent,
    DeliveryBlocked,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.events.codec import encode_event
from eventstore.projections.app_secrets import AppSecrets
from eventstore.projections.registry import App, Endpoint, Installation
from eventstore.queue.delivery import QueuedDelivery
from eventstore.registry.rotation import public_key_text
from tests.actors.stage import DATA, EVENT_NAME, HEADER_VALUE, ONE, SECRET, START, URL, outcome
from webhook import (
    ErrorClass,
    Outcome,
    RetrySchedule,
    Timeouts,
    kind_of,
    sentry_signature,
    standard_signature,
)

# docs/original.md, section 2, to the letter.
EXAMPLE = """
{"action": "critical",
 "installation": {"uuid": "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"},
 "data": {
  "metric_alert": {
   "id": "4711", "identifier": "3", "organization_id": "17", "projects": ["checkout"],
   "alert_rule": {"id": "42", "name": "Error count", "organization_id": "17", "status": 0, "query_type": 0,
    "dataset": "events", "query": "level:error", "aggregate": "count()", "threshold_type": 0,
    "resolve_threshold": 10.0, "time_window": 10.0, "environment": null, "resolution": 1.0, "threshold_period": 1,
    "triggers": [{"id": "81", "alert_rule_id": "42", "label": "critical", "threshold_type": 0,
      "alert_threshold": 100.0, "resolve_threshold": 10.0, "date_created": "2025-01-02T03:04:05.000000Z",
      "actions": [{"id": "9", "alert_rule_trigger_id": "81", "type": "sentry_app", "target_type": "sentry_app",
        "target_identifier": 5, "sentry_app_id": 5, "desc": "Send a notification via Pager",
        "settings": [{"name": "channel", "value": "#ops"}]}]}],
    "projects": ["checkout"], "owner": "team:8", "detection_type": "static"},
   "activities": null, "status": 20, "status_method": 3, "type": 2, "title": "Error count",
   "date_started": "2025-02-01T10:00:00Z", "date_detected": "2025-02-01T10:01:00Z",
   "date_created": "2025-02-01T10:01:03.120000Z", "date_closed": null},
  "description_text": "1000 events in the last 10 minutes", "description_title": "Critical: Error count",
  "web_url": "https://acme.example/alerts/rules/details/42/?alert=3&referrer=metric_alert_sentry_app"},
 "actor": {"type": "application", "id": "sentry", "name": "Sentry"}}
"""


def delivery(**fields: object) -> QueuedDelivery:
    values: dict[str, object] = {
        "sequence": 7,
        "delivery_id": "01930000-0000-7000-8000-000000000001",
        "installation_id": ONE,
        "event_name": EVENT_NAME,
        "ordering_key": "",
        "state": "waiting",
        "attempts": 0,
        "enqueued_at": "2025-02-03T12:00:00.000000Z",
        "due_at": "2025-02-03T12:00:00.000000Z",
        "last_error": "",
        "actor": None,
        "data": DATA,
    }
    return QueuedDelivery(**values | fields)  # type: ignore[arg-type]


def app(**fields: object) -> App:
    values: dict[str, object] = {
        "app_id": 42,
        "slug": "pager",
        "name": "Pager",
        "uuid": "uuid-42",
        "status": "internal",
        "organization_id": 17,
        "webhook_url": URL,
        "events": (),
        "header_names": ("X-Key",),
        "secret_version": 1,
        "headers_version": 1,
        "connect_s": None,
        "read_s": None,
        "total_s": None,
    }
    return App(**values | fields)  # type: ignore[arg-type]


ENDPOINT = Endpoint(
    Installation(ONE, 42, 17, "active", "2025-02-01T00:00:00.000000Z", None),
    app(),
    AppSecrets(SECRET, (("X-Key", HEADER_VALUE),)),
)


def event_of(outcome: Outcome, *, body: bytes = b"{}", attempts: int = 0) -> AttemptEvent:
    return attempt_event(ENDPOINT, delivery(attempts=attempts), outcome, body=body, retry_at=None)


def test_the_body_of_the_example_is_byte_for_byte_the_original_s() -> None:
    example = json.loads(EXAMPLE)
    queued = delivery(
        installation_id=example["installation"]["uuid"], data=compact_json_object(json.dumps(example["data"], indent=4))
    )

    assert body_of(queued) == json.dumps(example, separators=(",", ":")).encode()


def test_the_body_names_the_actor_that_stands_behind_the_delivery() -> None:
    queued = delivery(actor='{"type":"application","id":"uuid-42","name":"Pager"}')

    assert json.loads(body_of(queued))["actor"] == {"type": "application", "id": "uuid-42", "name": "Pager"}


@given(
    data=st.dictionaries(
        st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), max_size=5
    ),
    attempts=st.integers(0, 50),
    due_at=st.datetimes(),
)
def test_the_body_is_equal_on_each_attempt(data: dict[str, object], attempts: int, due_at: datetime) -> None:
    text = compact_json_object(json.dumps(data))
    first = delivery(data=text)
    later = delivery(data=text, attempts=attempts, due_at=due_at.isoformat(), last_error="500 server_error")

    assert body_of(later) == body_of(first)
    assert json.loads(body_of(first))["data"] == data


def test_the_request_has_all_that_is_sent_and_signed() -> None:
    request = webhook_request(ENDPOINT, delivery(), b"{}", Timeouts(1.0, 2.0, 3.0), now=START)

    assert request.url == URL
    assert request.secrets == (SECRET,)
    assert request.event_name == EVENT_NAME
    assert request.body == b"{}"
    assert request.delivery_id == delivery().delivery_id
    assert request.custom_headers == (("X-Key", HEADER_VALUE),)
    assert request.timeouts == Timeouts(1.0, 2.0, 3.0)
    assert request.signing_key is None


OLD_SECRET = "the-secret-before-the-rotation"
UNTIL = START + timedelta(hours=24)
SEED = b"a seed that has exactly 32 bytes"
ROTATED = replace(
    ENDPOINT,
    secrets=AppSecrets(SECRET, (("X-Key", HEADER_VALUE),), OLD_SECRET, time_text(UNTIL), SEED),
)


def signatures_at(moment: datetime) -> tuple[str, dict[str, str]]:
    """Return both signatures of an attempt that is made under the secrets of a moment, and sent now."""
    request = webhook_request(ROTATED, delivery(), b"{}", Timeouts(), now=moment)
    timestamp_s = int(datetime.now(UTC).timestamp())  # the oracle has no clock but the machine's
    return sentry_signature(request.secrets[0], request.body), {
        "webhook-id": request.delivery_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": standard_signature(
            request.secrets, request.delivery_id, timestamp_s, request.body, signing_key=request.signing_key
        ),
    }


def is_verified(secret: str, headers: dict[str, str]) -> bool:
    try:
        standardwebhooks.Webhook("whsec_" + b64encode(secret.encode()).decode()).verify("{}", headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


def test_during_the_overlap_a_receiver_with_either_secret_verifies_and_sentry_s_signature_is_the_old_one_s() -> None:
    sentry, standard = signatures_at(UNTIL - timedelta(seconds=1))

    assert is_verified(OLD_SECRET, standard)
    assert is_verified(SECRET, standard)
    assert sentry == sentry_signature(OLD_SECRET, b"{}")


def test_after_the_overlap_only_the_new_secret_verifies() -> None:
    sentry, standard = signatures_at(UNTIL)

    assert not is_verified(OLD_SECRET, standard)
    assert is_verified(SECRET, standard)
    assert sentry == sentry_signature(SECRET, b"{}")


def test_the_public_key_that_is_printed_verifies_the_last_signature() -> None:
    _, headers = signatures_at(UNTIL)
    signature = headers["webhook-signature"].split(" ")[-1].removeprefix("v1a,")
    public_key = Ed25519PublicKey.from_public_bytes(b64decode(public_key_text(SEED).removeprefix("whpk_")))

    public_key.verify(b64decode(signature), f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{{}}".encode())


def test_an_app_s_own_time_outs_come_before_the_default_ones() -> None:
    assert timeouts_of(app(connect_s=1.0, read_s=2.0, total_s=3.0), Timeouts(7, 8, 9)) == Timeouts(1, 2, 3)


def test_an_app_without_time_outs_has_the_default_ones() -> None:
    assert timeouts_of(app(), Timeouts(7, 8, 9)) == Timeouts(7, 8, 9)


def test_a_time_out_that_an_app_leaves_out_is_the_default_one() -> None:
    assert timeouts_of(app(read_s=2.0), Timeouts(7, 8, 9)) == Timeouts(7, 2, 9)


SCHEDULE = RetrySchedule((5, 300), jitter=0.0)


def moment_after(outcome: Outcome, attempt: int = 1, schedule: RetrySchedule = SCHEDULE) -> str | None:
    return retry_moment(outcome, schedule, attempt=attempt, now=START, random_unit=0.5)


def test_a_success_is_not_attempted_again() -> None:
    assert moment_after(outcome()) is None


_FINAL = {ErrorClass.BLOCKED, ErrorClass.DAMAGED, ErrorClass.GONE}


@pytest.mark.parametrize("error_class", sorted(_FINAL))
def test_what_can_not_change_is_not_attempted_again(error_class: ErrorClass) -> None:
    assert moment_after(outcome(error_class)) is None


@pytest.mark.parametrize("error_class", sorted(set(ErrorClass) - _FINAL))
def test_any_other_failure_is_attempted_again(error_class: ErrorClass) -> None:
    assert moment_after(outcome(error_class)) == "2025-02-03T12:00:05.000000Z"


def test_each_attempt_has_its_own_delay_and_after_the_last_there_is_none() -> None:
    failure = outcome(ErrorClass.SERVER_ERROR)

    assert [moment_after(failure, attempt) for attempt in (1, 2, 3)] == [
        "2025-02-03T12:00:05.000000Z",
        "2025-02-03T12:05:00.000000Z",
        None,
    ]


def test_the_endpoint_may_ask_for_more_time_than_the_schedule_gives() -> None:
    assert moment_after(outcome(ErrorClass.RATE_LIMITED, 429, retry_after_s=90.0)) == "2025-02-03T12:01:30.000000Z"


@given(attempt=st.integers(1, 9), random_unit=st.floats(0, 1), retry_after_s=st.none() | st.floats(0, 1e9))
def test_a_retry_is_never_before_its_shortest_delay_nor_more_than_a_day_after_its_longest(
    attempt: int, random_unit: float, retry_after_s: float | None
) -> None:
    schedule = RetrySchedule((5,) * 9, jitter=0.1)
    failure = outcome(ErrorClass.SERVER_ERROR, retry_after_s=retry_after_s)
    retry_at = retry_moment(failure, schedule, attempt=attempt, now=START, random_unit=random_unit)

    assert retry_at is not None
    assert START + timedelta(seconds=4.49) < parse_time(retry_at) <= START + timedelta(days=1)


EVENT_CLASS_OF = {
    "success": DeliverySucceeded,
    "failed": DeliveryFailed,
    "timed_out": DeliveryTimedOut,
    "blocked": DeliveryBlocked,
}


@pytest.mark.parametrize("error_class", ErrorClass)
def test_each_class_of_error_has_its_event(error_class: ErrorClass) -> None:
    event = event_of(outcome(error_class))

    assert type(event) is EVENT_CLASS_OF[kind_of(error_class)]
    assert event.error_class == error_class.value


def test_a_success_is_recorded_without_excerpts() -> None:
    event = event_of(outcome(response_body="thank you"), body=b'{"data":{}}')

    assert isinstance(event, DeliverySucceeded)
    assert (event.request_headers, event.request_body, event.response_body, event.detail) == ("", "", "", "")


def test_a_failure_is_recorded_with_what_was_sent_and_answered() -> None:
    event = event_of(outcome(ErrorClass.SERVER_ERROR, response_body="boom"), body=b'{"data":{}}')

    assert event.request_body == '{"data":{}}'
    assert event.response_body == "boom"
    assert json.loads(event.request_headers) == {"Content-Type": "application/json", "X-Key": "[hidden]"}
    assert event.detail == "server_error: on purpose"


def test_the_event_has_all_facts_of_the_attempt() -> None:
    fault = outcome(ErrorClass.UNAVAILABLE, 503, error_id="e-1", project_id="p-1")
    event = attempt_event(ENDPOINT, delivery(attempts=4), fault, body=b"", retry_at="2025-02-03T13:00:00.000000Z")

    assert (event.delivery_id, event.event_name) == (delivery().delivery_id, EVENT_NAME)
    assert (event.app_id, event.organization_id, event.webhook_url) == (42, 17, URL)
    assert (event.attempt, event.status_code, event.duration_ms) == (5, 503, 12.5)
    assert (event.request_id, event.retry_at) == ("f" * 32, "2025-02-03T13:00:00.000000Z")
    assert (event.error_id, event.project_id) == ("e-1", "p-1")


ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=3000)


def stored_bytes(event: AttemptEvent) -> int:
    return len(encode_event(event).encode())


def test_excerpts_are_the_first_1024_characters_where_there_is_room() -> None:
    event = event_of(outcome(ErrorClass.SERVER_ERROR, response_body="a" * 3000), body=b"b" * 800)

    assert event.request_body == "b" * 800
    assert event.response_body == "a" * 1024


@given(body=ANY_TEXT, response=ANY_TEXT, detail=ANY_TEXT, headers=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=20))
def test_no_failed_attempt_takes_more_than_three_kilobytes_in_the_log(
    body: str, response: str, detail: str, headers: dict[str, str]
) -> None:
    fault = Outcome(
        kind_of(ErrorClass.SERVER_ERROR),
        ErrorClass.SERVER_ERROR,
        500,
        1.0,
        detail,
        "f" * 32,
        request_headers=tuple(headers.items()),
        response_body=response,
    )
    event = event_of(fault, body=body.encode())

    assert stored_bytes(event) <= 2700
    assert body.startswith(event.request_body)
    assert response.startswith(event.response_body)
    assert detail.startswith(event.detail)


@pytest.mark.parametrize("letter", ["a", "\N{SNOWMAN}", "\N{PILE OF POO}", "\x01", '"', "\\"])
def test_whatever_an_excerpt_s_characters_take_the_event_has_room_for_them(letter: str) -> None:
    event = event_of(outcome(ErrorClass.SERVER_ERROR, response_body=letter * 5000), body=(letter * 5000).encode())

    assert stored_bytes(event) <= 2700
    assert 0 < len(event.request_body) <= 1024
    assert set(event.request_body) == set(event.response_body) == {letter}


@pytest.mark.parametrize("letter", ["a", "\N{PILE OF POO}", "\x01"])
def test_beside_the_longest_url_and_ids_there_is_room_left_and_no_more_is_taken(letter: str) -> None:
    url = f"https://pager.example/{'p' * (URL_BYTES - 22)}"
    parse_url(url)
    longest = replace(ENDPOINT, app=structs.replace(ENDPOINT.app, webhook_url=url))
    fault = outcome(
        ErrorClass.SERVER_ERROR, 503, error_id=letter * 100, project_id="\xe9" * 100, response_body=letter * 5000
    )

    event = attempt_event(longest, delivery(), fault, body=(letter * 5000).encode(), retry_at=None)

    assert event.webhook_url == url
    assert stored_bytes(event) <= 2700
    assert event.response_body


def test_of_headers_without_room_the_last_ones_are_left_out_and_the_rest_is_json() -> None:
    headers = tuple((f"X-{number}", "v" * 100) for number in range(50))
    fault = Outcome(kind_of(ErrorClass.DNS), ErrorClass.DNS, 0, 1.0, "", "", request_headers=headers)
    text = event_of(fault).request_headers

    assert len(text) <= 1024
    assert list(json.loads(text).items()) == list(headers[:8])


@pytest.mark.parametrize("secret", [SECRET, HEADER_VALUE, OLD_SECRET])
def test_the_sender_is_told_of_each_secret_to_hide_and_none_is_in_the_excerpt_of_the_body(secret: str) -> None:
    request = webhook_request(ROTATED, delivery(), b"{}", Timeouts(), now=START)
    fault = outcome(ErrorClass.SERVER_ERROR)
    event = attempt_event(ROTATED, delivery(), fault, body=b'{"key":"%b"}' % secret.encode(), retry_at=None)

    assert secret in request.secret_texts
    assert event.request_body == '{"key":"[hidden]"}'


def pause_after(outcome: Outcome) -> str | None:
    return pause_moment(outcome, now=START, slow_down_s=5.0)


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMITED, ErrorClass.UNAVAILABLE])
def test_a_retry_after_of_429_or_503_pauses_the_installation(error_class: ErrorClass) -> None:
    assert pause_after(outcome(error_class, retry_after_s=90.0)) == "2025-02-03T12:01:30.000000Z"


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMITED, ErrorClass.UNAVAILABLE])
def test_without_a_retry_after_the_pause_is_the_configured_one(error_class: ErrorClass) -> None:
    assert pause_after(outcome(error_class)) == "2025-02-03T12:00:05.000000Z"


def test_a_pause_is_a_day_at_most() -> None:
    assert pause_after(outcome(ErrorClass.RATE_LIMITED, retry_after_s=1e9)) == "2025-02-04T12:00:00.000000Z"


@pytest.mark.parametrize("error_class", [None, *sorted({*ErrorClass} - {"rate_limited", "unavailable"})])
def test_nothing_else_pauses_an_installation(error_class: ErrorClass | None) -> None:
    assert pause_after(outcome(error_class, retry_after_s=90.0)) is None


def test_the_event_says_until_when_the_installation_pauses() -> None:
    fault = outcome(ErrorClass.RATE_LIMITED, 429)
    event = attempt_event(
        ENDPOINT, delivery(), fault, body=b"", retry_at=None, hold_until="2025-02-03T13:00:00.000000Z"
    )

    assert event.hold_until == "2025-02-03T13:00:00.000000Z"


@pytest.mark.parametrize(
    ("error_class", "event_class"),
    [(None, ProbeSucceeded), (ErrorClass.DNS, ProbeFailed), (ErrorClass.GONE, ProbeFailed)],
)
def test_a_test_delivery_has_events_of_its_own(error_class: ErrorClass | None, event_class: type[AttemptEvent]) -> None:
    event = attempt_event(ENDPOINT, delivery(is_probe=True), outcome(error_class), body=b"", retry_at=None)

    assert type(event) is event_class
