"""Queue a delivery whatever comes in between: python examples/keep_trying.py INSTALLATION_UUID."""  # noqa: INP001

import sys
import time

from eventstore import EventStoreError, NewDelivery, Producer
from eventstore.errors import DatabaseError, DocumentError, HomeError, NotFoundError, RejectedError, ShortageError

_WAITS_S = (1, 5, 30, 60)


def send(delivery: NewDelivery) -> str:
    """Queue a delivery and return its id; its idempotency key makes it safe to try again.

    Raises the last error when it can't be queued for a minute and a half, and at once when it never will be.
    """
    for wait_s in (*_WAITS_S, None):
        try:
            with Producer() as producer:
                return producer.send([delivery])[0]
        except (DocumentError, RejectedError, NotFoundError):
            raise  # no JSON object, too large, an unknown installation: the same again tomorrow
        except (DatabaseError, ShortageError, HomeError) as error:
            if wait_s is None:
                raise
            sys.stderr.write(f"{error}: again in {wait_s} s\n")
            time.sleep(wait_s)
    raise AssertionError  # the last round returns or raises


def main() -> None:
    """Queue one event, and say in one line why that can't be done."""
    (installation_id,) = sys.argv[1:]
    try:
        delivery_id = send(
            NewDelivery(installation_id, "issue.created", '{"issue": {"id": "82"}}', idempotency_key="issue-82")
        )
    except EventStoreError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{delivery_id}\n")


if __name__ == "__main__":
    main()
