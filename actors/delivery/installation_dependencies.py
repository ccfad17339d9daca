"""What all actors of installations share."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from actors.delivery.concurrency_limiter import LimiterWatch
from actors.delivery.delivery_gate import GateRule
from actors.messages import Ref
from actors.runtime.restart_budget import RestartBudget
from actors.runtime.thread_pool import Pool
from eventstore.common.clock import Clock
from eventstore.policies.policy import Policy
from eventstore.sqlite.reader_pool import Readers
from webhook import RetrySchedule, Timeouts, WebhookSender

__all__ = ["InstallationDependencies"]


@dataclass(frozen=True, slots=True)
class InstallationDependencies:
    """What all installations share."""

    pool: Pool
    send_pool: Pool
    budget: RestartBudget
    escalate: Callable[[str], None]
    readers: Readers
    sender: WebhookSender
    journal: Ref
    supervisor: Ref
    dispatcher: Ref
    clock: Clock
    policy: Policy
    disable_scope: str
    retry: RetrySchedule
    timeouts: Timeouts
    gate: GateRule = field(default_factory=GateRule)
    limiter_watch: LimiterWatch = field(default_factory=LimiterWatch)
    slow_down_s: float = 5.0
    is_warned: bool = True
    is_probed: bool = False
    random_unit: Callable[[], float] = field(default=random.random)
    # By which the previous secret a rotation ends; None = by the clock.
    believed_now: Callable[[], datetime] | None = None
