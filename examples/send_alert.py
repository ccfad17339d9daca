"""Queue an alert of an incident: python examples/send_alert.py ATTACHMENT.json."""  # noqa: INP001

import sys
from pathlib import Path

from eventstore import send_incident_alert_notification


def main() -> None:
    """Queue it for app 5 in organization 17; the home is the one that HOOKFUSE_HOME names."""
    is_queued = send_incident_alert_notification(
        sentry_app_id=5,
        organization_id=17,
        incident_id=3,
        action_id=9,
        new_status=20,  # 1 open, 2 resolved, 10 warning, 20 critical
        incident_attachment_json=Path(sys.argv[1]).read_text(encoding="utf-8"),
        notification_uuid="7d1f2c",  # the same one queues once
    )
    sys.stdout.write("queued\n" if is_queued else "app 5 is not installed in organization 17\n")


if __name__ == "__main__":
    main()
