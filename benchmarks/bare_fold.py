"""A bare loop that reads all rows of a log and counts them by stream, day and type; nothing is decoded or kept.

python -m benchmarks.bare_fold events.db
"""

import sqlite3
import sys


def main() -> None:
    """Print how many rows there were, and how many counts came of them."""
    counts: dict[tuple[str, str, str], int] = {}
    rows = 0
    connection = sqlite3.connect(sys.argv[1])
    for _, stream, type_name, recorded_at, _ in connection.execute(
        "SELECT position, stream, type, recorded_at, data FROM events ORDER BY position"
    ):
        key = stream, recorded_at[:10], type_name
        counts[key] = counts.get(key, 0) + 1
        rows += 1
    connection.close()
    print(rows, len(counts))


if __name__ == "__main__":
    main()
