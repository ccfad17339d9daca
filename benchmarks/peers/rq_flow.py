"""The flow as an RQ job on Redis, in workers that do not fork for each job: with forks it is many times slower."""

import redis
from rq import Queue, SimpleWorker

from benchmarks.peers.backlog import fill_from_command_line
from benchmarks.peers.flow import deliver, redis_socket

__all__ = ["SimpleWorker"]

queue = Queue("benchmark", connection=redis.Redis(unix_socket_path=redis_socket()))


def enqueue(*arguments: object) -> None:
    """Queue one job whose result nobody wants."""
    queue.enqueue(deliver, *arguments, result_ttl=0)


if __name__ == "__main__":
    fill_from_command_line(enqueue)
