"""Queue events of an issue, in order and once each: python examples/send_events.py INSTALLATION_UUID."""  # noqa: INP001

import json
import sys

from eventstore import NewDelivery, Producer


def main() -> None:
    """Queue both with one fsync, all or none; run again it queues nothing, and prints the same ids."""
    (installation_id,) = sys.argv[1:]
    events = [
        NewDelivery(
            installation_id,
            event_name=f"issue.{action}",
            data=json.dumps({"issue": {"id": "81", "status": status}}),
            ordering_key="issue:81",  # "resolved" waits for "created", retries included
            idempotency_key=f"issue-81-{action}",
        )
        for action, status in (("created", "unresolved"), ("resolved", "resolved"))
    ]
    with Producer() as producer:
        for delivery_id in producer.send(events):
            sys.stdout.write(f"{delivery_id}\n")


if __name__ == "__main__":
    main()
