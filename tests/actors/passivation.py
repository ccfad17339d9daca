"""A great many messages to actors that are put away and come back all the time: none is lost, none overtakes another.

python -m tests.actors.passivation --messages 1000000
"""

import argparse
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.runtime.pooled_actor import PooledActor
from actors.runtime.thread_pool import TurnPool

if TYPE_CHECKING:
    import pykka

_PUT_AWAY_A_TURN = 20
_PATIENCE_S = 300.0


@dataclass(slots=True)
class Outcome:
    """What became of it. `last` is what an actor leaves behind and starts from, as on disk."""

    last: list[int]
    sent: list[int]
    faults: list[str] = field(default_factory=list)
    started: int = 0
    store: int = 0
    most_alive: int = 0


class Counter(PooledActor):
    """Owns the number of the next message to one address. Receives numbers. Tells the post that it has one."""

    is_registered = False
    turn_messages = 16

    def __init__(self, address: int, pool: TurnPool, post: "pykka.ActorRef[Any]", outcome: Outcome) -> None:
        super().__init__(pool=pool)
        self._address = address
        self._post = post
        self._outcome = outcome
        self._next = 0

    def on_start(self) -> None:
        self._next = self._outcome.last[self._address] + 1

    def on_receive(self, message: int) -> None:
        if message != self._next:
            self._outcome.faults.append(f"{self._address}: {message} came, and {self._next} was next")
        self._next = message + 1
        self._outcome.last[self._address] = message
        self._post.tell(self._address)


class Post(PooledActor):
    """Owns what is sent to whom, as the dispatcher does. Receives addresses that have read a message, -1 = begin.

    Tells the counters numbers. Whoever has read all that it was sent may be put away at any moment.
    """

    mailbox_bound = 100_000

    def __init__(self, pool: TurnPool, counters: TurnPool, outcome: Outcome, messages: int, seed: int) -> None:
        super().__init__(pool=pool)
        self._counters = counters
        self._outcome = outcome
        self._left = messages
        self._random = random.Random(seed)
        self._held = [0] * len(outcome.sent)
        self._in_flight = 0
        self._refs: dict[int, pykka.ActorRef[Counter]] = {}
        self.is_done = threading.Event()

    def on_receive(self, message: int) -> None:
        if message >= 0:
            self._held[message] -= 1
            self._in_flight -= 1

    def turn_ended(self) -> None:
        self._put_some_away()
        while self._left and self._in_flight < len(self._held):
            self._send(self._random.randrange(len(self._held)))
        self._outcome.most_alive = max(self._outcome.most_alive, len(self._refs))
        if not self._left and not self._in_flight:
            self.is_done.set()

    def _send(self, address: int) -> None:
        if address not in self._refs:
            self._refs[address] = Counter.start(address, self._counters, self.actor_ref, self._outcome)
            self._outcome.started += 1
        self._outcome.sent[address] += 1
        self._refs[address].tell(self._outcome.sent[address])
        self._held[address] += 1
        self._in_flight += 1
        self._left -= 1

    def _put_some_away(self) -> None:
        for _ in range(_PUT_AWAY_A_TURN):
            address = self._random.randrange(len(self._held))
            if not self._held[address] and address in self._refs:
                self._refs.pop(address).stop(block=False)
                self._outcome.store += 1


def send_messages(messages: int, *, addresses: int = 1000, threads: int = 4, seed: int = 1) -> Outcome:
    """Send as many messages to random addresses, putting random actors away meanwhile."""
    outcome = Outcome([0] * addresses, [0] * addresses)
    own, counters = TurnPool("post", 1), TurnPool("counters", threads)
    post = Post.start(own, counters, outcome, messages, seed)
    actor = post._actor_weakref()
    assert actor is not None
    post.tell(-1)
    if not actor.is_done.wait(_PATIENCE_S):
        outcome.faults.append(f"{actor._in_flight} messages are still under way, {actor._left} were not sent")
    post.stop()
    for pool in (counters, own):
        pool.stop(_PATIENCE_S)
    return outcome


def main() -> int:
    """Send, return what came of it, and exit with 1 when anything was lost or out of order."""
    parser = argparse.ArgumentParser(description="Send messages to actors that are put away and come back.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started_s = time.perf_counter()
    outcome = send_messages(arguments.messages, seed=arguments.seed)
    lost = sum(outcome.sent) - sum(outcome.last)
    print(
        f"{arguments.messages} messages in {time.perf_counter() - started_s:.1f} s: {lost} lost,"
        f" {len(outcome.faults)} out of order; {outcome.started} starts, {outcome.store} put away,"
        f" {outcome.most_alive} alive at most"
    )
    for fault in outcome.faults[:10]:
        print(fault)
    return int(bool(lost or outcome.faults))


if __name__ == "__main__":
    sys.exit(main())
