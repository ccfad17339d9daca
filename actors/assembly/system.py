"""The actors of a daemon, wired: who gets whose ref, and in which order they start and stop."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pykka
import structlog

from actors.assembly.redis_bridges import RedisBridges
from actors.assembly.rules import gate_rule, outage_rule, probing_rule, wait_rule
from actors.delivery.installation import InstallationActor
from actors.delivery.installation_parts import InstallationDependencies
from actors.dispatch.dispatcher import DispatcherActor, DispatcherDependencies
from actors.dispatch.shares import Room
from actors.journal.housekeeping import Housekeeping
from actors.journal.journal import GroupCommit, JournalActor
from actors.mail.mail_transport import MailTransport
from actors.mail.maildir_transport import MaildirTransport
from actors.mail.mailer import MailerActor, MailerDependencies
from actors.mail.smtp_transport import SmtpTransport
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
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import TurnPool
from actors.supervisor.supervisor import SupervisorActor, SupervisorDependencies
from eventstore.common.backoff import Backoff
from eventstore.common.clock import Clock, SystemClock
from eventstore.common.file_budget import FileBudget, files_needed, raise_file_limit, share_out
from eventstore.common.shard import WHOLE, Shard
from eventstore.common.shortage import FILES
from eventstore.common.uptime import ReadUptime, read_uptime
from eventstore.decisions.digest import DigestRule
from eventstore.home.folder import Home
from eventstore.policies.clock_doubt import Doubt
from eventstore.policies.policy import Policy
from eventstore.settings.chosen_policy import configured_policy
from eventstore.settings.configuration import Configuration
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store
from eventstore.wall_clock.watch import ClockWatch, read_clock_pair
from webhook import AddressGuard, Proxy, RetrySchedule, Sender, Timeouts, WebhookSender

__all__ = ["ActorSystem", "guard_for", "mail_transport_for", "proxy_for", "sender_for", "start_system"]

log = structlog.get_logger("hookfuse.daemon")

_ASK_TIMEOUT_S = 60.0
# Of all that is asked to find out whether nothing is due: who does not answer within it is busy. The loop stands
# meanwhile, and nobody is to take it for one that hangs.
_DRAIN_S = 5.0
# An actor's turn is over within seconds, however much there is to do: longer, it hangs, or waits for who does.
_TURN_S = 60.0
# Threads for the installations' turns: they never wait, so that more than the cores would only fight.
_TURN_THREADS = 1
# Who scrapes the metrics does not wait longer for a dispatcher that is busy.
_SCRAPE_S = 2.0
_OTHERS_REST_S = 0.1
# What runs there are requests, each with a deadline of its own.
_SEND_POOL = "send"
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
        self._in_flight = in_flight or shard.part_of(configuration.delivery.in_flight)
        self._configuration = configuration
        self._clock = clock or SystemClock()
        self._sender = sender
        self._on_failure = on_failure
        self._shard = shard
        self._wake_lead = wake_lead
        self._failure_lock = threading.Lock()
        self._others_look_s = 0.0
        self._budget = RestartBudget(configuration.daemon.restarts, configuration.daemon.restart_period_s)
        self._policy = policy or configured_policy(home, configuration.policy)
        store = Store(home.database, self._clock, wait_forever=True)
        self._readers = Readers(home.database)
        with self._readers.borrow() as connection:
            # From now on there is one, however short of files the machine may become.
            pair = read_clock_pair(connection)
        self._watch = ClockWatch(pair, self._clock, read_uptime)
        self._pools: list[TurnPool] = []
        self._journal: Ref = JournalActor.start(
            pool=self._pool("journal"),
            budget=self._budget,
            escalate=self._escalate,
            store=store,
            company=GroupCommit(enough=configuration.delivery.per_installation),
        )
        self._housekeeping = self._open_housekeeping(pair.doubt if pair else None) if shard.is_lead else None
        self._mailer = self._start_mailer(postbox) if shard.is_lead else None
        self._redis_bridges = self._open_redis_bridges(home) if shard.is_lead else None
        self._dispatcher = self._start_dispatcher()
        self._supervisor = self._start_supervisor()
        # Last, as it names the others; the dispatcher needs it only once it is told to look around.
        self._installation_parts = self._parts_of_installations()

    def look_around(self) -> None:
        """Have all look for work; what they find they do by themselves.

        Each ring of a producer has the dispatcher look. The others look every 0.1 s at most: what they look for is
        seldom there, and where it begins in this daemon they are told.
        """
        self._installation_parts.lane_watch.rung()
        self._tell(self._dispatcher, Poll())
        self._installation_parts.lane_watch.look_around()
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
        """Have the journal drop what is kept for a time only; one worker does it for all."""
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
            f"{pool.name} is at one turn for {lasts_s:.0f} s"
            for pool in self._pools
            if pool.name != _SEND_POOL and (lasts_s := pool.longest_task_s()) > _TURN_S
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
            log.warning("in_flight_unknown", error=repr(error), done="stopped without waiting; the queue has it all")

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

    def _pool(self, name: str, max_threads: int = 1) -> TurnPool:
        pool = TurnPool(name, max_threads, is_ready=True)
        self._pools.append(pool)
        return pool

    def _open_housekeeping(self, known: Doubt | None) -> Housekeeping:
        return Housekeeping(
            partial(tell_if_alive, self._journal),
            self._configuration,
            clock=self._clock,
            watch=self._watch,
            known=known,
        )

    def _start_mailer(self, postbox: MailTransport) -> Ref:
        mail = self._configuration.mail
        parts = MailerDependencies(
            readers=self._readers,
            journal=self._journal,
            postbox=postbox,
            clock=self._clock,
            sender_address=mail.sender,
            retry=Backoff(mail.retry),
            give_up_after_s=mail.give_up_after_s,
            digest=DigestRule(mail.digest_after, mail.digest_s),
            is_clock_doubted=self._watch.is_doubted,
        )
        return MailerActor.start(pool=self._pool("mailer"), budget=self._budget, escalate=self._escalate, parts=parts)

    def _open_redis_bridges(self, home: Home) -> RedisBridges:
        def spawn(actor_class: type[SupervisedActor[Any]], name: str, parts: object) -> Ref:
            return actor_class.start(pool=self._pool(name), budget=self._budget, escalate=self._escalate, parts=parts)

        return RedisBridges(
            home,
            self._configuration,
            clock=self._clock,
            readers=self._readers,
            spawn=spawn,
            believed_now=self._watch.believed_now,
        )

    def _start_dispatcher(self) -> Ref:
        delivery = self._configuration.delivery
        parts = DispatcherDependencies(
            readers=self._readers,
            journal=self._journal,
            clock=self._clock,
            spawn=lambda installation_id: InstallationActor.start(installation_id, self._installation_parts),
            room=Room(self._in_flight, delivery.per_installation),
            idle_s=delivery.idle_s,
            shard=self._shard,
            wait_rule=wait_rule(self._configuration),
        )
        return DispatcherActor.start(
            pool=self._pool("dispatcher"), budget=self._budget, escalate=self._escalate, parts=parts
        )

    def _start_supervisor(self) -> Ref:
        parts = SupervisorDependencies(
            readers=self._readers,
            journal=self._journal,
            wake_mailer=self._wake_mailer,
            clock=self._clock,
            policy=self._policy,
            disable_scope=self._configuration.disabling.apps,
            mail_domain=self._configuration.mail.sender.rpartition("@")[2],
            is_warned=self._configuration.warnings.enabled,
            outage_rule=outage_rule(self._configuration),
            probing_rule=probing_rule(self._configuration),
            shard=self._shard,
        )
        return SupervisorActor.start(
            pool=self._pool("supervisor"), budget=self._budget, escalate=self._escalate, parts=parts
        )

    def _parts_of_installations(self) -> InstallationDependencies:
        timeouts, retry = self._configuration.timeouts, self._configuration.retry
        return InstallationDependencies(
            pool=self._pool("turns", _TURN_THREADS),
            send_pool=self._pool(_SEND_POOL, self._in_flight),
            budget=self._budget,
            escalate=self._escalate,
            readers=self._readers,
            sender=self._sender,
            journal=self._journal,
            supervisor=self._supervisor,
            dispatcher=self._dispatcher,
            clock=self._clock,
            policy=self._policy,
            disable_scope=self._configuration.disabling.apps,
            retry=RetrySchedule(retry.schedule, retry.jitter),
            timeouts=Timeouts(timeouts.connect_s, timeouts.read_s, timeouts.total_s),
            gate=gate_rule(self._configuration),
            slow_down_s=self._configuration.delivery.slow_down_s,
            is_warned=self._configuration.warnings.enabled,
            is_probed=self._configuration.probing.enabled,
            believed_now=self._watch.glance,
        )


def start_system(
    home: Home,
    configuration: Configuration,
    policy: Policy,
    *,
    shard: Shard,
    on_failure: Callable[[], object],
    wake_lead: Callable[[], object] = lambda: None,
) -> ActorSystem:
    """Start the actors of a process with the sender and the postbox that the configuration describes.

    They make do with the files that the process may have open. Raises ShortageError when those are too few.
    """
    files = share_of_files(configuration, shard)
    return ActorSystem(
        home,
        configuration,
        sender=sender_for(configuration, files),
        in_flight=files.in_flight,
        postbox=mail_transport_for(home, configuration),
        on_failure=on_failure,
        policy=policy,
        shard=shard,
        wake_lead=wake_lead,
    )


def share_of_files(configuration: Configuration, shard: Shard) -> FileBudget:
    """Have as many files allowed as are needed, and say so where fewer requests can be under way than configured."""
    wanted = shard.part_of(configuration.delivery.in_flight)
    needed = files_needed(wanted)
    files = share_out(raise_file_limit(needed), wanted)
    if files.in_flight < wanted:
        log.warning(
            "in_flight_cut",
            in_flight=files.in_flight,
            configured=wanted,
            open_files=files.allowed,
            needed=needed,
            fix=FILES.fix,
        )
    return files


def sender_for(configuration: Configuration, files: FileBudget | None = None) -> Sender:
    """Return the sender that the configuration describes, which makes do with so many files."""
    files = files or share_out(files_needed(configuration.delivery.in_flight), configuration.delivery.in_flight)
    return Sender(
        guard_for(configuration),
        response_body_bytes=configuration.limits.response_bytes,
        ca_file=configuration.tls.ca_file or None,
        proxy=proxy_for(configuration),
        kept_connections=files.kept_connections,
        lookup_threads=files.lookups,
    )


def proxy_for(configuration: Configuration) -> Proxy | None:
    """Return the egress proxy that the configuration names, if it does."""
    url = configuration.proxy.url.get_secret_value()
    return Proxy.from_url(url, is_by_name=configuration.proxy.by == "name") if url else None


def guard_for(configuration: Configuration) -> AddressGuard:
    """Return the address guard that the configuration describes."""
    guard = configuration.guard
    return AddressGuard(
        allow_networks=guard.allow_networks, deny_networks=guard.deny_networks, allow_http=guard.allow_http
    )


def mail_transport_for(home: Home, configuration: Configuration) -> MailTransport:
    """Return the mail server that the configuration names, or else the Maildir of the home."""
    smtp = configuration.smtp
    if not smtp.host:
        return MaildirTransport(home.outbox)
    return SmtpTransport(
        smtp.host,
        smtp.port,
        smtp.security,
        username=smtp.username,
        password=smtp.password.get_secret_value(),
        timeout_s=smtp.timeout_s,
        ca_file=smtp.ca_file or None,
        helo=smtp.helo,
    )


def _ask(ref: Ref, message: object, deadline_s: float) -> object:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise pykka.Timeout(f"{ref} was not asked any more")
    return ref.ask(message, timeout=left_s)


def _stop_actor(ref: Ref, deadline_s: float) -> None:
    try:
        ref.stop(block=True, timeout=max(0.1, deadline_s - time.monotonic()))
    except pykka.Timeout:
        log.warning(
            "actor_did_not_stop", actor=ref.actor_class.__name__, done="left behind; what it held is in the queue"
        )
