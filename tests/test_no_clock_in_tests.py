"""What is tested never hangs on seconds, on an hour or on a port: a slow machine is right, and a fast one too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
# Waits between two looks.
_MAY_SLEEP = {"end_to_end/waiting.py"}
_SLEEPS = {"time.sleep", "sleep"}
_CLOCKS = {"time.monotonic()", "time.perf_counter()", "time.time()"}
# Ends that are only there so that a test which can't go on says so.
_LIMITS = ("deadline_s", "LIMIT_S", "WAIT_S", "NEVER_ENDED_S")
_FILES = sorted(path for path in _HERE.rglob("*.py") if path != Path(__file__))


def _sleeps(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _SLEEPS:
            yield node.lineno


def _comparisons_with_a_clock(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            text = ast.unparse(node)
            if any(clock in text for clock in _CLOCKS) and not any(limit in text for limit in _LIMITS):
                yield node.lineno


def _stopwatches(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "deadline" and ast.unparse(node.value) != "None":
            yield node.value.lineno


def _random_waits(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("dice.uniform", "random.uniform")):
            yield node.lineno


def _fixed_ports(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".bind", "create_server", "start_server")):
            values = [one for argument in node.args for one in getattr(argument, "elts", [argument])]
            if any(type(getattr(one, "value", "")) is int and ast.unparse(one) != "0" for one in values):
                yield node.lineno


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(_HERE)))
def test_no_test_hangs_on_seconds_or_on_a_port(path: Path) -> None:
    tree = ast.parse(path.read_text())
    found = {
        "a comparison with the clock": list(_comparisons_with_a_clock(tree)),
        "a deadline of hypothesis": list(_stopwatches(tree)),
        "a wait of random length": list(_random_waits(tree)),
        "a fixed port": list(_fixed_ports(tree)),
        "a sleep": [] if str(path.relative_to(_HERE)) in _MAY_SLEEP else list(_sleeps(tree)),
    }

    assert {what: lines for what, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("text", "finder"),
    [
        ("time.sleep(1)", _sleeps),
        ("assert time.monotonic() - started_s < 0.5", _comparisons_with_a_clock),
        ("settings(deadline=200)", _stopwatches),
        ("daemon.wait(timeout=dice.uniform(0.3, 1.4))", _random_waits),
        ("socket.create_server(('127.0.0.1', 8080))", _fixed_ports),
    ],
)
def test_what_is_looked_for_is_found(text: str, finder: object) -> None:
    assert callable(finder)
    assert list(finder(ast.parse(text))) == [1]
