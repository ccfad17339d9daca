"""The alert that every contender delivers, and the mark by which a receiver knows it again."""

from typing import NamedTuple

from eventstore.deliveries.admission import compact_json_object

__all__ = ["EVENT_NAME", "INSTALLATIONS", "Mark", "alert_data", "mark_of"]

INSTALLATIONS = 500
EVENT_NAME = "metric_alert.critical"

_MARK_KEY = b'"mark":"'
_NUMBER_CHARACTERS = 10
_MARK_CHARACTERS = 29

# The data of docs/original.md, section 2, as an incident's alert has it: 1.4 kB.
_ALERT = compact_json_object("""
{"metric_alert": {
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
 "web_url": "https://acme.example/alerts/rules/details/42/?alert=3&referrer=metric_alert_sentry_app"}
""")


class Mark(NamedTuple):
    """Which delivery this is, and when it was to be queued, by the machine's monotonic clock."""

    number: int
    queued_s: float


def alert_data(number: int, queued_s: float) -> str:
    """Return the compact JSON of an alert that bears a mark."""
    return f'{{"mark":"{number:0{_NUMBER_CHARACTERS}d} {queued_s:018.6f}",{_ALERT[1:]}'


def mark_of(request: bytes) -> Mark:
    """Read the mark in a request. Raises ValueError where there is none."""
    start = request.index(_MARK_KEY) + len(_MARK_KEY)
    middle = start + _NUMBER_CHARACTERS
    return Mark(int(request[start:middle]), float(request[middle + 1 : start + _MARK_CHARACTERS]))
