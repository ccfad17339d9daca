"""The flow as a Celery task on Redis."""

from celery import Celery

from benchmarks.peers.backlog import fill_from_command_line
from benchmarks.peers.flow import deliver, redis_socket

app = Celery("benchmark", broker=f"redis+socket://{redis_socket()}")
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
task = app.task(deliver, name="deliver")

if __name__ == "__main__":
    fill_from_command_line(task.delay)
