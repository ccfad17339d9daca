"""Which lines are wanted."""

from dataclasses import dataclass

from console.logs.log_entry import LogEntry

__all__ = ["LEVELS", "LineFilter"]

LEVELS = ("debug", "info", "warning", "error", "critical")


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

    def wants(self, entry: LogEntry) -> bool:
        """Return whether a line is wanted."""
        return (
            (not self.delivery or (entry.delivery_id or "").startswith(self.delivery))
            and (not self.installation or (entry.installation_id or "").startswith(self.installation))
            and (not self.event or self.event in (entry.event, entry.event_name))
            and (not self.outcome or entry.outcome == self.outcome)
            and (not self.level or entry.level in self._levels())
            and (not self.since or entry.timestamp >= self.since)
            and (not self.until or "" != entry.timestamp <= self.until)
        )

    def _levels(self) -> tuple[str, ...]:
        return LEVELS[LEVELS.index(self.level) :]
