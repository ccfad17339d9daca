"""Times as a person writes and reads them."""

import re
from datetime import datetime, timedelta

from eventstore.common.clock import parse_time
from eventstore.errors import RejectedError

__all__ = ["age_text", "moment", "short_time"]

_AGO = re.compile(r"^(\d{1,6}(?:\.\d{1,3})?)([smhdw])$", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def moment(text: str | None, now: datetime) -> datetime | None:
    """Read a moment: ISO 8601 (UTC without an offset), or how long ago, such as 90s, 30m, 2h, 3d, 1w.

    Raises RejectedError.
    """
    if text is None:
        return None
    ago = _AGO.match(text.strip())
    try:
        if ago is not None:
            return now - timedelta(seconds=float(ago.group(1)) * _UNIT_S[ago.group(2)])
        return parse_time(text.strip())
    except (ValueError, OverflowError) as error:
        raise RejectedError(f"{text[:60]!r} is not a time such as 2025-02-01T10:00, 2025-02-01, 2h or 3d") from error


def short_time(recorded_at: str) -> str:
    """Shorten the time of an event to seconds."""
    return recorded_at[:19] + "Z" if len(recorded_at) > 19 else recorded_at


def age_text(age: timedelta) -> str:
    """Return how long something takes or has lasted, in its two largest units."""
    left_s = max(0, int(age.total_seconds()))
    parts = []
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left_s = divmod(left_s, unit_s)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
