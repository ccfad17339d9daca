"""A bounded mailbox, which has its actor scheduled when a message comes."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pykka
from pykka.messages import _ActorStop

from actors.runtime.thread_pool import PoolStopped

if TYPE_CHECKING:
    from pykka._envelope import Envelope

__all__ = ["Mailbox", "MailboxFull", "TurnOver", "mailbox_depth"]


class MailboxFull(Exception):  # noqa: N818 - said as the fact that it is
    """Raised to the sender of a tell or an ask when the mailbox holds as many messages as it may."""


class TurnOver(Exception):  # noqa: N818 - no error, a way out of pykka's loop
    """Raised by `Mailbox.get` to leave pykka's loop, where `get` stands outside the `try`."""


class Mailbox:
    """A bounded queue (first in, first out) that has its actor scheduled when a message comes.

    Any thread may put; only the turn of its actor gets. The lock guards the change between idle and
    scheduled, so that there is at most one turn at a time and no message without one.
    """

    __slots__ = (
        "_envelopes",
        "_is_closed",
        "_is_scheduled",
        "_is_stopping",
        "_lock",
        "_schedule",
        "_turn_left",
        "bound",
        "has_asker",
    )

    def __init__(self, bound: int = 10_000) -> None:
        self.bound = bound
        self.has_asker = False
        self._lock = threading.Lock()
        self._envelopes: deque[Envelope[Any]] = deque()
        self._schedule: Callable[[], None] | None = None
        # Until `open` submits the first turn a message just waits, as it does behind a turn.
        self._is_scheduled = True
        self._is_stopping = False
        self._is_closed = False
        self._turn_left = 0

    @property
    def depth(self) -> int:
        """Messages that wait."""
        return len(self._envelopes)

    def empty(self) -> bool:
        """Return whether no message waits."""
        return not self._envelopes

    def open(self, schedule: Callable[[], None]) -> None:
        """Schedule the first turn. Raises what `schedule` raises."""
        self._schedule = schedule
        schedule()

    def put(self, envelope: "Envelope[Any]", /) -> None:
        """Append a message; on any thread, but not in a signal handler.

        Raises `MailboxFull` beyond the bound; a stop is let in all the same. When the actor has ended, has
        been told to stop or its pool has stopped, `pykka.ActorDeadError` is raised to a teller and set on the
        future of an asker.
        """
        try:
            with self._lock:
                self._append(envelope)
        except pykka.ActorDeadError:
            if envelope.reply_to is None:
                raise
            envelope.reply_to.set_exception()

    def _append(self, envelope: "Envelope[Any]") -> None:
        is_stop = isinstance(envelope.message, _ActorStop)
        if self._is_closed or (self._is_stopping and not is_stop):
            raise pykka.ActorDeadError("the actor has ended or has been told to stop")
        if len(self._envelopes) >= self.bound and not is_stop:
            raise MailboxFull(f"{self.bound} messages wait already")
        self._envelopes.append(envelope)
        if not self._is_scheduled:
            self._leave_idle()
        if is_stop:
            self._is_stopping = True

    def _leave_idle(self) -> None:
        # Inside the lock: nobody can add to a mailbox whose pool is about to refuse the turn.
        assert self._schedule is not None  # noqa: S101 - it is set before the mailbox is first idle
        try:
            self._schedule()
        except BaseException as error:
            self._envelopes.pop()
            if isinstance(error, PoolStopped):
                raise pykka.ActorDeadError("the actor's pool has stopped") from error
            raise
        self._is_scheduled = True

    def begin_turn(self, messages: int) -> None:
        """Allow `get` to hand out as many messages at most before the turn is over."""
        self._turn_left = messages

    def get(self) -> "Envelope[Any]":
        """Take the oldest message. Raises `TurnOver` when there is none or the turn has had its share."""
        if not self._turn_left:
            raise TurnOver
        try:
            envelope = self._envelopes.popleft()
        except IndexError:
            raise TurnOver from None
        self._turn_left -= 1
        self.has_asker = envelope.reply_to is not None
        return envelope

    def rest(self) -> bool:
        """Become idle when no message waits; False when one does: the caller gives the next turn then."""
        with self._lock:
            self._is_scheduled = bool(self._envelopes)
            return not self._is_scheduled

    def close(self) -> "list[Envelope[Any]]":
        """Refuse messages from now on, release the actor, return what was left."""
        with self._lock:
            self._is_closed = True
            self._schedule = None
            left = list(self._envelopes)
            self._envelopes.clear()
            return left


def mailbox_depth(ref: pykka.ActorRef[Any]) -> int:
    """Messages that wait for the actor; on any thread, and old as soon as it is known."""
    return cast("Mailbox", ref.actor_inbox).depth
