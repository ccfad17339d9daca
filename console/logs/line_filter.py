"""Which lines are wanted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from console.logs.log_entry import LogEntry

__all__ = ["LEVELS", "LineFilter"]

LEVELS = ("debug", "info", "warning", "error", "critical")

# What JSON writes as it is, whoever writes it: a line with such a value has these very bytes.
_WRITTEN_AS_IT_IS = re.compile(r"[A-Za-z0-9_.:-]+")


@dataclass(frozen=True, slots=True)
class LineFilter:
    """What a line must be like; an empty field asks for nothing.

    `installation` and `delivery` are ids or their beginnings; `event` is the line's own or that of the delivery;
    `level` is the least one; `since` and `until` are moments as the log writes them, both included.
    """

    installation: str = ""
    delivery: str = ""
    event: str = ""
    level: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""

    @property
    def is_open(self) -> bool:
        """Say whether every line is wanted."""
        return self == LineFilter()

    def wants(self, entry: LogEntry) -> bool:
        """Say whether a line is wanted."""
        return (
            (not self.delivery or (entry.delivery_id or "").startswith(self.delivery))
            and (not self.installation or (entry.installation_id or "").startswith(self.installation))
            and (not self.event or self.event in (entry.event, entry.event_name))
            and (not self.outcome or entry.outcome == self.outcome)
            and (not self.level or entry.level in self._levels())
            and (not self.since or entry.timestamp >= self.since)
            and (not self.until or "" != entry.timestamp <= self.until)
        )

    def needles(self) -> tuple[bytes, ...]:
        """Give bytes of which a wanted line has at least one; none where nothing can be said without reading it."""
        for value in (self.delivery, self.installation, self.event):
            if _WRITTEN_AS_IT_IS.fullmatch(value):
                return (value.encode(),)
        if self.outcome != "succeeded" and _WRITTEN_AS_IT_IS.fullmatch(self.outcome):
            return _quoted((self.outcome,))
        # Below it nearly every line is wanted: looking for them costs more than it spares.
        return _quoted(self._levels()) if self.level in LEVELS[2:] else ()

    def _levels(self) -> tuple[str, ...]:
        return LEVELS[LEVELS.index(self.level) :]


def _quoted(values: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(b'"' + value.encode() + b'"' for value in values)
