"""A server of the tests ends with them, however they end."""

import subprocess
import sys
from pathlib import Path

from tests.end_to_end.waiting import wait_until

_ROOT = Path(__file__).parent.parent
_TESTS = """
from tests.redis_server import own_redis
with own_redis() as server:
    print(server._server._process.pid, flush=True)
    input()
"""


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_server_ends_when_the_tests_that_started_it_are_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _TESTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        assert not _has_ended(pid)
        tests.kill()

    wait_until(lambda: _has_ended(pid), "the server ends")
