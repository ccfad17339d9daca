"""Bare loops of requests.Session.post, which record nothing.

python -m benchmarks.peers.bare_requests URL COUNT INSTALLATIONS PROCESSES THREADS [is_plain]
"""

import sys
import threading
import time
from multiprocessing import get_context

import requests

from benchmarks.alert import alert_data

_HEADERS = {"Content-Type": "application/json"}


def _loop(base_url: str, numbers: range, installations: int) -> None:
    session = requests.Session()
    for number in numbers:
        body = b'{"data":%b}' % alert_data(number, time.monotonic()).encode()
        answer = session.post(
            f"{base_url}{number % installations}", data=body, headers=_HEADERS, timeout=5, allow_redirects=False
        )
        answer.raise_for_status()


def _process(base_url: str, numbers: range, installations: int, thread_count: int) -> None:
    threads = [
        threading.Thread(target=_loop, args=(base_url, numbers[index::thread_count], installations))
        for index in range(thread_count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Send so many requests."""
    base_url = sys.argv[1]
    count, installations, process_count, thread_count = (int(argument) for argument in sys.argv[2:])
    context = get_context("spawn")
    processes = [
        context.Process(
            target=_process, args=(base_url, range(index, count, process_count), installations, thread_count)
        )
        for index in range(process_count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
