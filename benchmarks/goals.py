"""The figures: what each compares, what it must reach, and what it aims at."""

from dataclasses import dataclass

__all__ = ["GOALS", "Goal"]

_TASK_QUEUE = "durable outcomes, order, disabling, audit, a deadline for the whole request"


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table. Without `other` the figure is hookfuse's alone; without `must` it is for information."""

    key: str
    figure: str
    what: str
    unit: str
    other: str = ""
    must: float | None = None
    aim: float | None = None
    is_less_better: bool = False
    not_done: str = ""

    def reaches(self, value: float, limit: float) -> bool:
        """Return whether a value is at least as good as a limit."""
        return value <= limit if self.is_less_better else value >= limit


GOALS = {
    goal.key: goal
    for goal in (
        Goal("receiver-ceiling", "receiver", "the receiver's ceiling: requests that it answers", "/s"),
        Goal("receiver-cpu", "receiver", "the receiver's CPU time for each request", "us", is_less_better=True),
        Goal(
            "1-dramatiq",
            "1",
            "deliveries a second, 500 installations",
            "/s",
            "Dramatiq, 2 processes x 16 threads",
            2.2,
            3.0,
            not_done=_TASK_QUEUE + ", a durable queue",
        ),
        Goal(
            "1-celery",
            "1",
            "deliveries a second, 500 installations",
            "/s",
            "Celery, the better of prefork 2 and threads 32",
            3.5,
            not_done=_TASK_QUEUE + ", a durable queue",
        ),
        Goal(
            "1-huey",
            "1",
            "deliveries a second, 500 installations",
            "/s",
            "Huey on SQLite, 16 threads",
            3.5,
            not_done=_TASK_QUEUE + "; its queue is in SQLite, without fsync",
        ),
        Goal(
            "1-rq",
            "1",
            "deliveries a second, 500 installations",
            "/s",
            "RQ, 2 SimpleWorkers, which do not fork for each job",
            not_done=_TASK_QUEUE + ", a durable queue",
        ),
        Goal(
            "1-hosts",
            "1",
            "deliveries a second, 500 installations on 500 addresses",
            "/s",
            "Dramatiq, 2 processes x 16 threads",
            not_done=_TASK_QUEUE + ", a durable queue",
        ),
        Goal(
            "2-bare",
            "2",
            "deliveries a second, 500 installations",
            "/s",
            "bare loops of requests.Session.post",
            0.8,
            1.1,
            not_done="a queue, signatures, a guard, retries, records of any kind",
        ),
        Goal(
            "3-cpu",
            "3",
            "CPU time for each delivery",
            "us",
            "Dramatiq, its Redis left out",
            0.45,
            0.33,
            is_less_better=True,
            not_done="the same as in figure 1",
        ),
        Goal(
            "3-cpu-redis",
            "3",
            "CPU time for each delivery",
            "us",
            "Dramatiq, its Redis included",
            is_less_better=True,
            not_done="the same as in figure 1",
        ),
        Goal(
            "4-2",
            "4",
            "healthy deliveries a second, 2% of the installations never answer",
            "/s",
            "the run without them",
            0.9,
            1.0,
        ),
        Goal(
            "4-20",
            "4",
            "healthy deliveries a second, 20% of the installations never answer",
            "/s",
            "the run without them",
            0.8,
            1.0,
        ),
        Goal("4-dramatiq-2", "4", "the same in Dramatiq, 2% never answer", "/s", "Dramatiq without them"),
        Goal("4-dramatiq-20", "4", "the same in Dramatiq, 20% never answer", "/s", "Dramatiq without them"),
        Goal(
            "5-2",
            "5",
            "p99 from enqueue to receipt of the healthy, half load, 2% never answer",
            "ms",
            "the run without them",
            2.0,
            1.2,
            is_less_better=True,
        ),
        Goal(
            "5-20",
            "5",
            "p99 from enqueue to receipt of the healthy, half load, 20% never answer",
            "ms",
            "the run without them",
            2.0,
            1.2,
            is_less_better=True,
        ),
        Goal("6-p50", "6", "idle daemon: enqueue to receipt, p50", "ms", must=10.0, aim=3.0, is_less_better=True),
        Goal("6-p99", "6", "idle daemon: enqueue to receipt, p99", "ms", must=50.0, aim=10.0, is_less_better=True),
        Goal(
            "7-peak",
            "7",
            "100,000 installations, 20,000 with one delivery each: peak memory of a process",
            "MB",
            must=200.0,
            aim=120.0,
            is_less_better=True,
        ),
        Goal(
            "7-idle",
            "7",
            "the same after the idle time-out",
            "MB",
            must=100.0,
            aim=80.0,
            is_less_better=True,
        ),
        Goal(
            "8-throughput",
            "8",
            "deliveries a second with 5,000,000 events in the file",
            "/s",
            "with an empty one",
            0.9,
            1.0,
        ),
        Goal(
            "8-start",
            "8",
            "start to first delivery with 5,000,000 events in the file",
            "s",
            must=2.0,
            aim=0.5,
            is_less_better=True,
        ),
        Goal("9-single", "9", "enqueue, one fsynced call at a time from one process", "/s", must=1000.0),
        Goal("9-batch", "9", "enqueue, batches of 500", "/s", must=30_000.0),
        Goal(
            "10-p99",
            "10",
            "a quiet one's p99 beside a burst of 100,000 to another",
            "ms",
            "its p99 without the burst",
            2.0,
            1.2,
            is_less_better=True,
        ),
        Goal(
            "rebuild-loop",
            "rebuild",
            "events a second, the buffer rebuilt from 2,000,000",
            "/s",
            "a bare loop that reads the rows and counts",
            0.5,
        ),
        Goal(
            "rebuild-library",
            "rebuild",
            "events a second, the buffer rebuilt from 2,000,000",
            "/s",
            "the eventsourcing library on the same history",
            10.0,
        ),
        Goal(
            "rebuild-memory",
            "rebuild",
            "peak memory of a rebuild from 2,000,000 events",
            "MB",
            "from 200,000 events",
            1.1,
            is_less_better=True,
        ),
        Goal(
            "what-if",
            "what-if",
            "seconds for what-if over 2,000,000 events",
            "s",
            "the rebuild",
            3.0,
            is_less_better=True,
        ),
        Goal(
            "actor-start",
            "actor-start",
            "an actor's start with 1,000,000 events in its stream",
            "ms",
            "with 100 events",
            2.0,
            is_less_better=True,
        ),
    )
}
