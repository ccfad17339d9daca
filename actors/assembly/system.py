"""The actors of a daemon, wired: who gets whose ref, and in which order they start and stop."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import cast

import pykka
import structlog

from actors.assembly.wiring import SEND_POOL, Wiring
from actors.delivery.installation import InstallationActor
from actors.mail.mail_transport import MailTransport
from actors.messages import (
    CheckOutbox,
    FinishFirst,
    Load,
    PauseClaiming,
    Poll,
    Ref,
    ReportLoad,
    WatchOutage,
    tell_if_alive,
)
from actors.observability.process_stats import ProcessStats
from actors.runtime.mailbox import mailbox_depth
from actors.runtime.restart_budget import RestartBudget
from eventstore.common.clock import Clock, SystemClock
from eventstore.common.shard import WHOLE, Shard
from eventstore.common.uptime import ReadUptime, read_uptime
from eventstore.home.folder import Home
from eventstore.policies.policy import Policy
from eventstore.settings.chosen_policy import configured_policy
from eventstore.settings.configuration import Configuration
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store
from eventstore.wall_clock.watch import ClockWatch, read_clock_pair
from webhook import WebhookSender

__all__ = ["ActorSystem"]

log = structlog.get_logger("hookfuse.daemon")

_ASK_TIMEOUT_S = 60.0
# Of all that is asked to find out whether nothing is due: who does not answer within it is busy. The loop stands
# meanwhile, and nobody is to take it for one that hangs.
_DRAIN_S = 5.0
# An actor's turn is over within seconds, however much there is to do: longer, it hangs, or waits for who does.
_TURN_S = 60.0
# Who scrapes the metrics does not wait longer for a dispatcher that is busy.
_SCRAPE_S = 2.0
_OTHERS_REST_S = 0.1
# What is told again and again anyway is not told to an actor that is this far behind.
_BEHIND_MESSAGES = 100


class ActorSystem:
    """All actors of one daemon, or of one of its worker processes.

    `in_flight`: how many requests may be under way, None = the share's part of what is configured.
    `shard`: the installations that it looks after. Only the lead's has a mailer and redis_bridges, probes, and
    keeps house; `wake_lead` is how the others let it know of a mail.

    Start: journal, mailer, what stands around, dispatcher, supervisor, so that whoever is told something is there.
    Stop, each with what is left of `[daemon] stop_s`: 1. nothing more is taken from a stream, and the dispatcher hands
    nothing more out; 2. what is in flight ends, and is committed; 3. dispatcher and supervisor, which decides what it
    has been told; 4. mailer, and what stands around; 5. journal, which commits the rest; 6. threads and connections.
    What was in flight beyond the deadline is still in the queue, and is sent again by the next daemon under the same
    delivery id.
    """

    def __init__(
        self,
        home: Home,
        configuration: Configuration,
        *,
        sender: WebhookSender,
        postbox: MailTransport,
        on_failure: Callable[[], object],
        clock: Clock | None = None,
        policy: Policy | None = None,
        shard: Shard = WHOLE,
        wake_lead: Callable[[], object] = lambda: None,
        in_flight: int | None = None,
        read_uptime: ReadUptime = read_uptime,
    ) -> None:
        self.failure = ""
        self._configuration = configuration
        self._sender = sender
        self._on_failure = on_failure
        self._shard = shard
        self._wake_lead = wake_lead
        self._failure_lock = threading.Lock()
        self._others_look_s = 0.0
        self._budget = RestartBudget(configuration.daemon.restarts, configuration.daemon.restart_period_s)
        clock, policy = clock or SystemClock(), policy or configured_policy(home, configuration.policy)
        store = Store(home.database, clock, wait_forever=True)
        self._readers = Readers(home.database)
        with self._readers.borrow() as connection:
            # From now on there is one, however short of files the machine may become.
            pair = read_clock_pair(connection)
        self._watch = ClockWatch(pair, clock, read_uptime)
        wiring = Wiring(
            home,
            configuration,
            clock=clock,
            policy=policy,
            shard=shard,
            readers=self._readers,
            watch=self._watch,
            budget=self._budget,
            escalate=self._escalate,
            in_flight=in_flight or shard.part_of(configuration.delivery.in_flight),
        )
        self._pools = wiring.pools
        self._journal = journal = wiring.start_journal(store)
        doubt = pair.doubt if pair else None
        self._housekeeping = wiring.open_housekeeping(journal, doubt) if shard.is_lead else None
        self._mailer = wiring.start_mailer(journal, postbox) if shard.is_lead else None
        self._redis_bridges = wiring.open_redis_bridges() if shard.is_lead else None
        self._dispatcher = wiring.start_dispatcher(
            journal, lambda installation_id: InstallationActor.start(installation_id, self._dependencies)
        )
        self._supervisor = wiring.start_supervisor(journal, self._wake_mailer)
        # Last, as it names the others; the dispatcher needs it only once it is told to look around.
        self._dependencies = wiring.installation_dependencies(journal, self._supervisor, self._dispatcher, sender)

    def look_around(self) -> None:
        """Ask all actors to look for work; what they find they do by themselves.

        Each ring of a producer has the dispatcher look. The others look every 0.1 s at most: what they look for is
        seldom there, and where it begins in this daemon they are told.
        """
        self._dependencies.limiter_watch.rung()
        self._tell(self._dispatcher, Poll())
        self._dependencies.limiter_watch.look_around()
        self._budget.shortages.look_around()
        self._sender.close_idle()
        now_s = time.monotonic()
        if now_s < self._others_look_s:
            return
        self._others_look_s = now_s + _OTHERS_REST_S
        self._watch.look()
        if self._mailer is None:
            return
        if not mailbox_depth(self._mailer):  # one that is at it goes on by itself
            self._tell(self._mailer, CheckOutbox())
        if self._redis_bridges is not None:
            self._redis_bridges.look_around()
        self._tell(self._supervisor, WatchOutage())

    def keep_house(self) -> None:
        """Ask the journal to drop what is kept for a time only; one worker does it for all."""
        if self._housekeeping is not None:
            self._housekeeping.keep()

    def is_drained(self) -> bool:
        """Return whether nothing is due: no delivery, no decision, no mail, and so still no delivery."""
        deadline_s = time.monotonic() + _DRAIN_S
        ask = partial(_ask, deadline_s=deadline_s)
        try:
            if self._redis_bridges is not None and self._redis_bridges.take_in(ask):
                return False
            if self._load(deadline_s).is_busy:
                return False
            ask(self._supervisor, FinishFirst())
            ask(self._journal, FinishFirst())  # what the supervisor has told it is on disk
            if self._shard.is_lead:
                ask(self._supervisor, WatchOutage())
            while self._mailer is not None and ask(self._mailer, CheckOutbox()):
                pass
            if self._redis_bridges is not None:
                self._redis_bridges.catch_up(ask)
            return not self._load(deadline_s).is_busy
        except pykka.Timeout:
            return False
        except Exception as error:  # noqa: BLE001 - whoever crashed is restarted, or has escalated
            log.warning("drain_unknown", error=repr(error), done="asked again")
            return False

    @property
    def restarts(self) -> int:
        """Return how many worker processes were started again; there are none."""
        return 0

    def process_stats(self) -> ProcessStats | None:
        """Return the numbers of this process's actors, None = the dispatcher does not say; on any thread."""
        try:
            load = self._load(time.monotonic() + _SCRAPE_S)
        except Exception:  # noqa: BLE001 - too busy, ended or just restarted: no number is better than an old one
            return None
        refs = [ref for ref in (self._journal, self._dispatcher, self._supervisor, self._mailer) if ref is not None]
        if self._redis_bridges is not None:
            refs += self._redis_bridges.refs
        return ProcessStats(
            actors=len(refs) + load.live_installations,
            mailbox_messages=sum(map(mailbox_depth, refs)),
            deliveries_in_flight=load.held_deliveries,
            crashes=self._budget.crash_count,
        )

    def liveness(self) -> dict[str, str]:
        """Return whether no actor was given up, and none is at one turn for over a minute; on any thread."""
        slow = [
            f"{pool.name} has been in one turn for {lasts_s:.0f} s"
            for pool in self._pools
            if pool.name != SEND_POOL and (lasts_s := pool.longest_task_s()) > _TURN_S
        ]
        return {"actors": self.failure or "ok", "turns": ", ".join(slow) or "ok"}

    def readiness(self) -> dict[str, str]:
        """Return what is not there yet: nothing, as an actor that has been started takes what it is told."""
        return {}

    def stop(self) -> None:
        """Stop in the order that the class describes."""
        deadline_s = time.monotonic() + self._configuration.daemon.stop_s
        if self._redis_bridges is not None:
            self._redis_bridges.stop_taking_in(partial(_stop_actor, deadline_s=deadline_s))
        if not self.failure:
            self._finish_in_flight(deadline_s)
        stop = partial(_stop_actor, deadline_s=deadline_s)
        for ref in (self._dispatcher, self._supervisor, self._mailer):
            if ref is not None:
                stop(ref)
        if self._redis_bridges is not None:
            self._redis_bridges.stop(stop)
        if self._housekeeping is not None:
            self._housekeeping.keep_clock()
        stop(self._journal)
        for pool in self._pools:
            pool.stop(max(0.0, deadline_s - time.monotonic()))
        self._sender.close()
        self._readers.close()

    def _finish_in_flight(self, deadline_s: float) -> None:
        try:
            self._dispatcher.tell(PauseClaiming())  # however far behind it is: this is said only once
            while self._load(deadline_s).held_deliveries and time.monotonic() < deadline_s and not self.failure:
                time.sleep(0.01)
        except Exception as error:  # noqa: BLE001 - the others are stopped all the same
            log.warning(
                "in_flight_unknown", error=repr(error), done="stopped without waiting; everything is in the queue"
            )

    def _load(self, deadline_s: float = float("inf")) -> Load:
        timeout_s = min(_ASK_TIMEOUT_S, max(0.1, deadline_s - time.monotonic()))
        return cast("Load", self._dispatcher.ask(ReportLoad(), timeout=timeout_s))

    def _tell(self, ref: Ref, message: object) -> None:
        if mailbox_depth(ref) > _BEHIND_MESSAGES:
            return
        try:
            ref.tell(message)
        except pykka.ActorDeadError:
            if not self.failure:  # then its end has been said already
                raise

    def _wake_mailer(self) -> None:
        if self._mailer is None:
            self._wake_lead()
        else:
            tell_if_alive(self._mailer, CheckOutbox())

    def _escalate(self, reason: str) -> None:
        with self._failure_lock:
            self.failure = self.failure or reason
        self._on_failure()


def _ask(ref: Ref, message: object, deadline_s: float) -> object:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise pykka.Timeout(f"{ref} was no longer asked")
    return ref.ask(message, timeout=left_s)


def _stop_actor(ref: Ref, deadline_s: float) -> None:
    try:
        ref.stop(block=True, timeout=max(0.1, deadline_s - time.monotonic()))
    except pykka.Timeout:
        log.warning(
            "actor_did_not_stop", actor=ref.actor_class.__name__, done="left behind; what it held is in the queue"
        )
