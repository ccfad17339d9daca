"""A past for an installation, recorded as the daemon would have."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream, new_id
from eventstore.events.catalogue import DeliveryFailed
from eventstore.log.event_log import NewEvent
from eventstore.unit_of_work import Store
from tests.end_to_end.stage import installation_id


def fail_for_days(home: Path, app: int, days: int, *, failures_a_day: int = 5, status_code: int = 500) -> None:
    """Record failures on each of so many days before today."""
    clock = ManualClock(datetime.now(UTC) - timedelta(days=days))
    with Store(home / "events.db", clock) as store:
        for _ in range(days):
            with store.transaction() as transaction:
                transaction.append(
                    *(
                        NewEvent(installation_stream(installation_id(app)), _failure(app, status_code))
                        for _ in range(failures_a_day)
                    )
                )
            clock.advance(days=1)


def _failure(app: int, status_code: int) -> DeliveryFailed:
    return DeliveryFailed(
        delivery_id=new_id(),
        event_name="issue.created",
        app_id=app,
        organization_id=17,
        attempt=1,
        webhook_url="http://127.0.0.1/gone",
        status_code=status_code,
        error_class="server_error" if status_code >= 500 else "client_error",
    )
