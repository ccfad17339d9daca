"""Checks of the settings: times that go together, a policy that can evaluate, a Redis that answers."""

import resource
import sqlite3
from collections.abc import Iterator

from console.output.redis_state import redis_state, stream_depth
from eventstore.common.diagnostic import Diagnostic
from eventstore.common.file_budget import files_needed, share_out
from eventstore.common.shard import WHOLE
from eventstore.common.shortage import FILES
from eventstore.errors import DocumentError, ShortageError
from eventstore.home.folder import Home
from eventstore.policies.lint import check_policy
from eventstore.redis.stream_depth import dead_stream_of
from eventstore.settings.chosen_policy import configured_policy
from eventstore.settings.configuration import Configuration

__all__ = ["check_chosen_policy", "check_configuration", "check_limits", "check_redis", "check_stream"]

_SUBJECT = "settings"

# A daemon that keeps up is never so far behind; one that does not run may be.
_BEHIND_EVENTS = 10_000


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
        yield Diagnostic.good(_SUBJECT, "time-outs and waits fit together")


def check_chosen_policy(home: Home, configuration: Configuration) -> Diagnostic:
    """Check that the policy of the home can be read, and that all of its rules can fire."""
    try:
        policy = configured_policy(home, configuration.policy)
    except DocumentError as error:
        return Diagnostic.fault(
            "policy", str(error), "fix the file, or name a policy that ships: no daemon starts until then"
        )
    named = f"{policy.name} (version {policy.version})"
    silent = [fault.rule for fault in check_policy(policy) if fault.fires == "never"]
    if silent:
        text = f"rules that can never fire: {', '.join(silent)}" if all(silent) else "no rules, and so disables nobody"
        text = f"{named} has {text}"
        return Diagnostic.warning("policy", text, "hookfuse policy check says why")
    return Diagnostic.good("policy", named)


def check_limits(configuration: Configuration) -> Diagnostic:
    """Check that each process may open as many connections as configured; a daemon raises its own soft limit."""
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


def check_redis(configuration: Configuration, connection: sqlite3.Connection) -> Iterator[Diagnostic]:
    """Check that it answers, and how far it has come."""
    state = redis_state(connection, configuration.redis)
    if state is None:
        return
    if state.lag_events is None:
        yield Diagnostic.fault(
            "redis", state.error, "see [redis] of hookfuse.toml and HOOKFUSE_REDIS__URL; deliveries go on without it"
        )
    elif state.lag_events > _BEHIND_EVENTS:
        yield Diagnostic.warning(
            "redis", state.text, "a daemon that runs catches up by itself; its log says what stops it: redis_projection"
        )
    else:
        yield Diagnostic.good("redis", state.text)


def check_stream(configuration: Configuration) -> Iterator[Diagnostic]:
    """Check that the stream's server answers, and that nothing there is poison."""
    depth = stream_depth(configuration)
    if depth is None:
        return
    if depth.error:
        yield Diagnostic.fault(
            "stream", depth.error, "see [queue] of hookfuse.toml and HOOKFUSE_QUEUE__URL; what is queued here goes on"
        )
    elif depth.dead:
        dead = dead_stream_of(configuration.queue.stream)
        yield Diagnostic.warning(
            "stream", depth.text, f"redis-cli xrange {dead} - + count 10 shows why; xdel removes them"
        )
    else:
        yield Diagnostic.good("stream", depth.text)
