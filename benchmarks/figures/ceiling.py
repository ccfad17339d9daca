"""The receiver's own ceiling: how many requests a second it takes, and what each costs it."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.alert import INSTALLATIONS, alert_data
from benchmarks.conditions import Conditions
from benchmarks.endpoints import Endpoints
from benchmarks.readings import Reading

__all__ = ["run_ceiling"]

_CONNECTIONS = 64
_ROUNDS = 3000
_QUICK_ROUNDS = 100
_ANSWER_BYTES = 4096


def run_ceiling(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Send on 64 connections at once, then read what came on each, again and again."""
    rounds = conditions.pick(_ROUNDS, _QUICK_ROUNDS)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints, ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", endpoints.port))) for _ in range(_CONNECTIONS)
        ]
        requests = [_request(number) for number in range(INSTALLATIONS)]
        started_s, cpu_s = time.monotonic(), endpoints.process.cpu_s()
        for number in range(rounds):
            for connection in connections:
                connection.sendall(requests[number % INSTALLATIONS])
            for connection in connections:
                connection.recv(_ANSWER_BYTES)
        took_s, used_s = time.monotonic() - started_s, endpoints.process.cpu_s() - cpu_s
        count = endpoints.arrivals.count
    yield Reading("receiver-ceiling", count / took_s)
    yield Reading("receiver-cpu", used_s / count * 1e6)


def _request(number: int) -> bytes:
    body = b'{"data":%b}' % alert_data(number, 0.0).encode()
    # As many headers as hookfuse sends.
    head = (
        f"POST /hook/{number} HTTP/1.1\r\nHost: 127.0.0.1:65000\r\nUser-Agent: hookfuse/0.1.0\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nRequest-ID: {'0' * 32}\r\nSentry-Hook-Resource: metric_alert\r\n"
        f"Sentry-Hook-Timestamp: 1740830400\r\nSentry-Hook-Signature: {'0' * 64}\r\n"
        f"webhook-id: {'0' * 36}\r\nwebhook-timestamp: 1740830400\r\nwebhook-signature: v1,{'0' * 44}\r\n\r\n"
    )
    return head.encode() + body
