"""The flow as a Dramatiq task on Redis."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.backlog import fill_from_command_line
from benchmarks.peers.flow import deliver, redis_socket

broker = RedisBroker(url=f"unix://{redis_socket()}")
dramatiq.set_broker(broker)
task = dramatiq.actor(deliver)

if __name__ == "__main__":
    fill_from_command_line(task.send)
