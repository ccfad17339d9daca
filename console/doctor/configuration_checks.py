"""Checks of the settings: that they can be read, that their times go together, and that the policy can judge."""

import resource
from collections.abc import Iterator

from eventstore.common.diagnostic import Diagnostic
from eventstore.common.file_budget import files_needed, share_out
from eventstore.common.shard import WHOLE
from eventstore.common.shortage import FILES
from eventstore.errors import DocumentError, ShortageError
from eventstore.home.folder import Home
from eventstore.policies.lint import check_policy
from eventstore.settings.chosen_policy import configured_policy
from eventstore.settings.configuration import Configuration

__all__ = ["check_configuration", "check_judging", "check_limits"]

_SUBJECT = "settings"


def check_configuration(configuration: Configuration) -> Iterator[Diagnostic]:
    """Return where time-outs and waits contradict each other."""
    timeouts, daemon, breaker = configuration.timeouts, configuration.daemon, configuration.breaker
    found = False
    if max(timeouts.connect_s, timeouts.read_s) > timeouts.total_s:
        found = True
        yield Diagnostic.warning(
            _SUBJECT,
            f"[timeouts] total_s ({timeouts.total_s:g}) ends a request before connect_s or read_s can",
            "make total_s the largest of the three",
        )
    if daemon.stop_s < timeouts.total_s:
        found = True
        yield Diagnostic.warning(
            _SUBJECT,
            f"a stop waits {daemon.stop_s:g} s, and a request may take {timeouts.total_s:g} s:"
            " what is cut off is sent a second time by the next daemon",
            "set [daemon] stop_s above [timeouts] total_s",
        )
    if breaker.enabled and breaker.open_s > breaker.open_max_s:
        found = True
        yield Diagnostic.warning(
            _SUBJECT, "[breaker] open_s is longer than open_max_s", "the longer one counts: set open_max_s above it"
        )
    if configuration.guard.allow_http:
        found = True
        yield Diagnostic.warning(
            _SUBJECT,
            "[guard] allow_http: payloads and signatures go over the wire in the clear",
            "allow it on a test machine only",
        )
    if not found:
        yield Diagnostic.good(_SUBJECT, "time-outs and waits go together")


def check_judging(home: Home, configuration: Configuration) -> Diagnostic:
    """See that the policy of the home can be read, and that all of its rules can fire."""
    try:
        policy = configured_policy(home, configuration.policy)
    except DocumentError as error:
        return Diagnostic.fault("policy", str(error), "fix the file, or name a policy that ships: no daemon starts so")
    named = f"{policy.name} (version {policy.version})"
    silent = [fault.rule for fault in check_policy(policy) if fault.fires == "never"]
    if silent:
        text = f"rules that can never fire: {', '.join(silent)}" if all(silent) else "no rules, and so disables nobody"
        text = f"{named} has {text}"
        return Diagnostic.warning("policy", text, "hookfuse policy check says why")
    return Diagnostic.good("policy", named)


def check_limits(configuration: Configuration) -> Diagnostic:
    """See that each process may open as many connections as it is told to; a daemon raises its own soft limit."""
    wanted = WHOLE.shared_out(configuration.daemon.processes)[0].part_of(configuration.delivery.in_flight)
    needed = files_needed(wanted)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else hard
    text = f"up to {allowed} open files are allowed, and up to {needed} are needed"
    try:
        fits = share_out(min(allowed, needed), wanted).in_flight
    except ShortageError as error:
        return Diagnostic.fault("limits", text, f"no daemon starts so: {error.lack.fix}")
    if fits < wanted:
        text = f"{text}: a daemon started so has {fits} requests under way at once instead of {wanted}"
        return Diagnostic.warning("limits", text, FILES.fix)
    return Diagnostic.good("limits", text)
