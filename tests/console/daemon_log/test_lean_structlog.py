"""What a process of the daemon does without."""

import subprocess
import sys

import pytest

_LOADED = """
import sys
import runner, console.daemon_log.log_output, actors.assembly.system
try:
    raise ValueError("on purpose")
except ValueError:
    described = console.daemon_log.log_output._describe_exception(sys.exc_info())
print(described[0]["exc_type"], *(name for name in sys.argv[1:] if sys.modules.get(name)))
"""


@pytest.mark.parametrize("module", ["rich", "pygments", "jinja2"])
def test_a_worker_loads_nothing_that_only_terminals_or_mails_need_and_describes_exceptions_all_the_same(
    module: str,
) -> None:
    told = subprocess.run([sys.executable, "-c", _LOADED, module], capture_output=True, text=True, check=True).stdout

    assert told == "ValueError\n"
