"""From the configuration to the rules that the actors work by."""

from math import ceil

from actors.delivery.delivery_gate import GateRule
from eventstore.decisions.probing import ProbingRule
from eventstore.policies.breaker import BreakerRule
from eventstore.policies.outage_rule import OutageRule
from eventstore.policies.waits import WaitRule
from eventstore.settings.configuration import Configuration

__all__ = ["gate_rule", "outage_rule", "probing_rule", "wait_rule"]


def gate_rule(configuration: Configuration) -> GateRule:
    """Return the rule by which gates are made."""
    breaker, delivery = configuration.breaker, configuration.delivery
    rule = BreakerRule(
        window_s=breaker.window_s,
        failures_min=breaker.failures_min,
        failure_share_min=breaker.failure_share_min,
        streak_min=breaker.streak_min,
        open_s=breaker.open_s,
        open_max_s=breaker.open_max_s,
        recovery_s=breaker.recovery_s,
        recovery_factor=breaker.recovery_factor,
    )
    return GateRule(
        breaker=rule if breaker.enabled else None,
        is_dry_run=breaker.dry_run,
        rate_per_s=delivery.rate_per_s,
        # What is put back is looked at again every poll_s seconds: a smaller burst would keep the rate from being met.
        rate_burst=max(delivery.rate_burst, ceil(delivery.rate_per_s * configuration.daemon.poll_s)),
    )


def outage_rule(configuration: Configuration) -> OutageRule | None:
    """Return the rule by which disabling is frozen, None = it never is."""
    outage = configuration.outage
    return OutageRule(outage.share, outage.window_s, outage.installations_min) if outage.enabled else None


def probing_rule(configuration: Configuration) -> ProbingRule | None:
    """Return the rule by which what is disabled is probed, None = it never is."""
    probing = configuration.probing
    if not probing.enabled:
        return None
    return ProbingRule(
        enabled=True,
        first_s=probing.first_s,
        factor=probing.factor,
        max_s=probing.max_s,
        cool_down_s=probing.cool_down_s,
    )


def wait_rule(configuration: Configuration) -> WaitRule:
    """Return the rule by which deliveries wait."""
    retry = configuration.retry
    return WaitRule(retry.schedule, retry.jitter, configuration.missed.recover_per_s)
