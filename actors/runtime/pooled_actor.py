"""The actor that takes turns on a pool; what is private to pykka stays in here and in the mailbox."""

from collections import Counter
from types import TracebackType
from typing import Any, ClassVar, Self

import pykka
import structlog
from pykka.messages import _ActorStop

from actors.runtime.mailbox import Mailbox, TurnOver
from actors.runtime.thread_pool import Pool, PoolStopped

__all__ = ["ActorInterrupted", "PooledActor"]

log = structlog.get_logger(__name__)


class ActorInterrupted(Exception):  # noqa: N818 - said as the fact that it is
    """Given to an asker in place of SystemExit and its like, which must not spread to the asker's thread."""


class PooledActor(pykka.Actor):
    """An actor without a thread of its own: a pool runs it in turns, at most one at a time.

    Hooks and handlers run on whichever thread of the pool has the turn.
    """

    mailbox_bound: ClassVar[int] = 10_000
    """Messages that may wait; a teller beyond it is raised `MailboxFull`."""

    turn_messages: ClassVar[int] = 256
    """Messages that a turn handles at most; then the other actors of the pool come first."""

    is_registered: ClassVar[bool] = True
    """Whether pykka's registry holds the actor, and so keeps it alive when nobody else holds its ref.

    A kind with thousands of actors says False: the registry is a list that takes 0.4 ms to find one of 20,000.
    """

    actor_inbox: Mailbox

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Self]:
        """Make the actor, have its first turn scheduled, return its ref; on the thread of the caller.

        Raises `PoolStopped` when the pool has been told to stop.
        """
        if cls.is_registered:
            return super().start(*args, **kwargs)
        actor = cls(*args, **kwargs)
        actor._start_actor_loop()
        return actor.actor_ref

    def __init__(self, *, pool: Pool) -> None:
        super().__init__()
        self.actor_inbox.bound = self.mailbox_bound
        self._pool = pool
        self._has_started = False
        self._is_turn_open = False

    @property
    def has_asker(self) -> bool:
        """Return whether somebody waits for the reply to the message that is being handled."""
        return self.actor_inbox.has_asker

    def turn_ended(self) -> None:
        """Run code after the last message of a turn, for example one commit for all of them.

        Called once in every turn that has taken a message (a stop doesn't count), whatever ended the turn:
        nothing left, its share used up, a stop (then before `on_stop`), a crash (then before `on_failure`).
        Replies to asks are out by then. An exception here goes to `crashed` with no message.
        """

    def crashed(self, message: object | None, error: BaseException) -> None:
        """Decide what becomes of the actor after an exception; no `message` in `on_start` and `turn_ended`.

        As in pykka the actor ends, unless an asker is told. An exception raised here ends it as well.
        """
        if message is None or not self.has_asker or not isinstance(error, Exception):
            self.die(error)

    def die(self, error: BaseException) -> None:
        """End the actor once the current message is done, without `on_stop` but with `on_failure`.

        Askers that wait get `pykka.ActorDeadError`; messages that nobody waits for are logged as dropped.
        """
        was_alive = not self.actor_stopped.is_set()
        self._handle_failure(type(error), error, error.__traceback__)
        if was_alive:
            self._end_turn()
            self._run_on_failure(error)

    def _run_on_failure(self, error: BaseException) -> None:
        try:
            self.on_failure(type(error), error, error.__traceback__)
        except BaseException as second:  # noqa: BLE001 - a hook of an actor that is dead already
            self._handle_failure(type(second), second, second.__traceback__)

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        try:
            self.actor_inbox.open(self._schedule)
        except BaseException:
            # pykka has registered it already.
            self._abandon()
            raise

    def _schedule(self) -> None:
        self._pool.submit(self._turn)

    def _turn(self) -> None:
        try:
            while self._leaves_messages():
                try:
                    return self._schedule()
                except PoolStopped:
                    # The pool runs what it has before it ends, and these messages are part of that.
                    continue
        except BaseException:
            self._abandon()
            raise

    def _leaves_messages(self) -> bool:
        self.actor_inbox.begin_turn(self.turn_messages)
        try:
            self._actor_loop()
        except TurnOver:
            self._end_turn()
        if not self.actor_stopped.is_set():
            return not self.actor_inbox.rest()
        self._actor_loop_teardown()
        return False

    def _abandon(self) -> None:
        # It will never have a turn again: nobody may wait for it, and nobody may find it.
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
        self._actor_loop_teardown()

    def _actor_loop_setup(self) -> None:
        if self._has_started:
            return
        self._has_started = True
        try:
            self.on_start()
        except BaseException as error:  # noqa: BLE001 - the hook decides
            self._contain(None, error)

    def _handle_receive(self, message: Any) -> Any:
        if isinstance(message, _ActorStop):
            return self._stop_after_turn()
        self._is_turn_open = True
        try:
            return super()._handle_receive(message)
        except BaseException as error:
            self._contain(message, error)
            if not self.has_asker:
                return None
            if isinstance(error, Exception):
                raise
            raise ActorInterrupted(f"{self} was interrupted by {error!r}") from error

    def _stop_after_turn(self) -> None:
        # First the turn's end, then on_stop: what has gathered is committed before on_stop closes things.
        self._end_turn()
        if self.actor_stopped.is_set():
            return
        try:
            self._stop()
        except BaseException as error:  # noqa: BLE001 - pykka would stop every actor of the process
            self._handle_failure(type(error), error, error.__traceback__)

    def _end_turn(self) -> None:
        if not self._is_turn_open:
            return
        self._is_turn_open = False
        try:
            self.turn_ended()
        except BaseException as error:  # noqa: BLE001 - the hook decides
            self._contain(None, error)

    def _contain(self, message: object | None, error: BaseException) -> None:
        try:
            self.crashed(message, error)
        except BaseException as second:  # noqa: BLE001 - pykka would stop every actor of the process
            self.die(second)

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # First the facts, then the log line: it may fail.
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
        log.error(
            "actor_failed",
            actor=type(self).__name__,
            exc_info=(exception_type, exception_value, traceback),
            done="actor ended",
        )

    def _actor_loop_teardown(self) -> None:
        dropped: Counter[str] = Counter()
        for envelope in self.actor_inbox.close():
            if envelope.reply_to is None:
                dropped[type(envelope.message).__name__] += 1
            elif isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)
            else:
                error = pykka.ActorDeadError(f"{self.actor_ref} ended before it handled the message")
                envelope.reply_to.set_exception((type(error), error, None))
        dropped.pop(_ActorStop.__name__, None)
        if dropped:
            log.error("messages_dropped", actor=type(self).__name__, messages=dict(dropped), done="actor ended")
