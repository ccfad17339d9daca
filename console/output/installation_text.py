"""What views say of an installation, in words for people and as plain data for `--json`."""

from typing import TYPE_CHECKING

from console.output.event_text import full_fields
from console.output.times import short_time

if TYPE_CHECKING:
    from eventstore.projections.health import Outage
    from eventstore.queue.missed import Ledger
    from eventstore.views.breaker import Breaker
    from eventstore.views.installation import Disabling

__all__ = ["breaker_text", "disabling_row", "ledger_text", "outage_row"]


def ledger_text(missed: "Ledger") -> str:
    """Return missed deliveries in words: how many, from when to when; empty = there are none."""
    parts = []
    if missed.count:
        first, last = short_time(missed.first_enqueued_at or ""), short_time(missed.last_enqueued_at or "")
        gone = f", {missed.without_payload} of them without their payload" if missed.without_payload else ""
        parts.append(f"{missed.count} from {first} to {last}{gone}")
    if missed.recovering:
        parts.append(f"{missed.recovering} more are being recovered")
    return "; ".join(parts)


def disabling_row(disabling: "Disabling") -> dict[str, object]:
    """Return a disabling as `show --json` has it."""
    evidence = disabling.evidence
    return {
        "at": disabling.at,
        "position": disabling.position,
        "cause": disabling.cause,
        "by": disabling.by,
        "reason": disabling.reason,
        "policy": evidence.policy if evidence else None,
        "policy_version": evidence.policy_version if evidence else None,
        "rule": evidence.rule if evidence else None,
        "evidence": full_fields(evidence),
    }


def breaker_text(breaker: "Breaker") -> str:
    """Return how a breaker stands, for a person; a closed one is not worth a word."""
    return {
        "open": f"open until {short_time(breaker.open_until or '')}: its deliveries wait",
        "half_open": "half open: one delivery at a time is let through, to find out",
        "recovering": f"closed again, with stricter limits until {short_time(breaker.strict_until or '')}",
    }.get(breaker.state, "")


def outage_row(outage: "Outage") -> dict[str, object]:
    """Return the fleet as `--json` has it."""
    return {
        "is_frozen": outage.is_frozen,
        "since": outage.changed_at or None,
        "active": outage.active,
        "failing": outage.failing,
    }
