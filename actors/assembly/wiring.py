"""With what each actor is started, as the configuration says, and on which threads it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from actors.assembly.redis_bridges import RedisBridges
from actors.assembly.rules import gate_rule, outage_rule, probing_rule, wait_rule
from actors.delivery.installation_dependencies import InstallationDependencies
from actors.dispatch.dispatcher import DispatcherActor, DispatcherDependencies
from actors.dispatch.shares import Room
from actors.journal.housekeeping import Housekeeping
from actors.journal.journal import GroupCommit, JournalActor
from actors.mail.mail_transport import MailTransport
from actors.mail.mailer import MailerActor, MailerDependencies
from actors.messages import Ref, tell_if_alive
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.supervision import SupervisedActor
from actors.runtime.thread_pool import TurnPool
from actors.supervisor.supervisor import SupervisorActor, SupervisorDependencies
from eventstore.common.backoff import Backoff
from eventstore.common.clock import Clock
from eventstore.common.shard import Shard
from eventstore.decisions.digest import DigestRule
from eventstore.deliveries.commit_group import SqliteCommitter
from eventstore.home.folder import Home
from eventstore.policies.clock_doubt import Doubt
from eventstore.policies.policy import Policy
from eventstore.queue.sqlite_queue import SqliteQueue
from eventstore.settings.configuration import Configuration
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store
from eventstore.wall_clock.watch import ClockWatch
from webhook import RetrySchedule, Timeouts, WebhookSender

__all__ = ["SEND_POOL", "Wiring"]

# What runs there are requests, each with a deadline of its own.
SEND_POOL = "send"
# Threads for the installations' turns: they never wait, so that more than the cores would only fight.
_TURN_THREADS = 1


@dataclass(slots=True)
class Wiring:
    """What the actors of a process are started with; `pools` are those that were made for them."""

    home: Home
    configuration: Configuration
    clock: Clock
    policy: Policy
    shard: Shard
    readers: Readers
    watch: ClockWatch
    budget: RestartBudget
    escalate: Callable[[str], None]
    in_flight: int
    pools: list[TurnPool] = field(default_factory=list)

    def start_journal(self, store: Store) -> Ref:
        """Start the journal, which owns the one writing connection from now on."""
        return JournalActor.start(
            pool=self.pool("journal"),
            budget=self.budget,
            escalate=self.escalate,
            store=store,
            committer=SqliteCommitter(store),
            company=GroupCommit(enough=self.configuration.delivery.per_installation),
        )

    def pool(self, name: str, max_threads: int = 1) -> TurnPool:
        """Return a pool of threads, which is stopped with the others."""
        pool = TurnPool(name, max_threads, is_ready=True)
        self.pools.append(pool)
        return pool

    def open_housekeeping(self, journal: Ref, known: Doubt | None) -> Housekeeping:
        """Open what has the journal drop what is kept for a time only."""
        return Housekeeping(
            partial(tell_if_alive, journal),
            self.configuration,
            clock=self.clock,
            watch=self.watch,
            known=known,
        )

    def start_mailer(self, journal: Ref, postbox: MailTransport) -> Ref:
        """Start the mailer."""
        mail = self.configuration.mail
        dependencies = MailerDependencies(
            readers=self.readers,
            journal=journal,
            postbox=postbox,
            clock=self.clock,
            sender_address=mail.sender,
            retry=Backoff(mail.retry),
            give_up_after_s=mail.give_up_after_s,
            digest=DigestRule(mail.digest_after, mail.digest_s),
            is_clock_doubted=self.watch.is_doubted,
        )
        return MailerActor.start(
            pool=self.pool("mailer"), budget=self.budget, escalate=self.escalate, dependencies=dependencies
        )

    def open_redis_bridges(self) -> RedisBridges:
        """Open what stands between Redis and the actors."""

        def spawn(actor_class: type[SupervisedActor[Any]], name: str, dependencies: object) -> Ref:
            return actor_class.start(
                pool=self.pool(name), budget=self.budget, escalate=self.escalate, dependencies=dependencies
            )

        return RedisBridges(
            self.home,
            self.configuration,
            clock=self.clock,
            readers=self.readers,
            spawn=spawn,
            believed_now=self.watch.believed_now,
        )

    def start_dispatcher(self, journal: Ref, spawn: Callable[[str], Ref]) -> Ref:
        """Start the dispatcher; `spawn` starts an installation's actor."""
        delivery = self.configuration.delivery
        dependencies = DispatcherDependencies(
            queue=SqliteQueue(self.readers),
            journal=journal,
            clock=self.clock,
            spawn=spawn,
            room=Room(self.in_flight, delivery.per_installation),
            idle_s=delivery.idle_s,
            shard=self.shard,
            wait_rule=wait_rule(self.configuration),
        )
        return DispatcherActor.start(
            pool=self.pool("dispatcher"), budget=self.budget, escalate=self.escalate, dependencies=dependencies
        )

    def start_supervisor(self, journal: Ref, wake_mailer: Callable[[], object]) -> Ref:
        """Start the supervisor."""
        dependencies = SupervisorDependencies(
            readers=self.readers,
            journal=journal,
            wake_mailer=wake_mailer,
            clock=self.clock,
            policy=self.policy,
            disable_scope=self.configuration.disabling.apps,
            mail_domain=self.configuration.mail.sender.rpartition("@")[2],
            is_warned=self.configuration.warnings.enabled,
            outage_rule=outage_rule(self.configuration),
            probing_rule=probing_rule(self.configuration),
            shard=self.shard,
        )
        return SupervisorActor.start(
            pool=self.pool("supervisor"), budget=self.budget, escalate=self.escalate, dependencies=dependencies
        )

    def installation_dependencies(
        self, journal: Ref, supervisor: Ref, dispatcher: Ref, sender: WebhookSender
    ) -> InstallationDependencies:
        """Return what all actors of installations share."""
        timeouts, retry = self.configuration.timeouts, self.configuration.retry
        return InstallationDependencies(
            pool=self.pool("turns", _TURN_THREADS),
            send_pool=self.pool(SEND_POOL, self.in_flight),
            budget=self.budget,
            escalate=self.escalate,
            readers=self.readers,
            sender=sender,
            journal=journal,
            supervisor=supervisor,
            dispatcher=dispatcher,
            clock=self.clock,
            policy=self.policy,
            disable_scope=self.configuration.disabling.apps,
            retry=RetrySchedule(retry.schedule, retry.jitter),
            timeouts=Timeouts(timeouts.connect_s, timeouts.read_s, timeouts.total_s),
            gate=gate_rule(self.configuration),
            slow_down_s=self.configuration.delivery.slow_down_s,
            is_warned=self.configuration.warnings.enabled,
            is_probed=self.configuration.probing.enabled,
            believed_now=self.watch.glance,
        )
