"""The pool for tests: nothing runs until it is cranked."""

from collections import deque
from collections.abc import Callable

from actors.runtime.thread_pool import PoolStopped

__all__ = ["ManualPool"]


class ManualPool:
    """Runs tasks one by one in the thread that cranks it; what a task raises comes out there."""

    def __init__(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._is_stopped = False

    @property
    def queued_tasks(self) -> int:
        """Return how many tasks wait to be cranked."""
        return len(self._tasks)

    def submit(self, task: Callable[[], None]) -> None:
        """Append the task. Raises `PoolStopped` after `stop`."""
        if self._is_stopped:
            raise PoolStopped("the manual pool takes no more tasks")
        self._tasks.append(task)

    def run_one(self) -> bool:
        """Run the oldest task; False when there is none."""
        if not self._tasks:
            return False
        self._tasks.popleft()()
        return True

    def run_all(self, limit: int = 10_000) -> int:
        """Run tasks until none is left, also those that are submitted meanwhile; return how many ran.

        `limit`: tasks at most, so that actors that keep each other busy for ever don't hang a test.
        """
        ran = 0
        while ran < limit and self.run_one():
            ran += 1
        return ran

    def stop(self, timeout_s: float = 0.0) -> bool:  # noqa: ARG002 - the signature of TurnPool.stop
        """Refuse new tasks, run what is queued; True as nothing is left then."""
        self._is_stopped = True
        self.run_all(limit=len(self._tasks))
        return not self._tasks
