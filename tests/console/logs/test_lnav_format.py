"""The format file for lnav knows the fields that the daemon logs, and no others."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.logs.log_entry import LogEntry
from tests.console.conftest import Hookfuse

_ROOT = Path(__file__).parent.parent.parent.parent
_ROOMS = ("actors", "eventstore", "webhook")
_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
_OF_EVERY_LINE = {"event", "level", "timestamp", "logger", "exception"}


@pytest.fixture
def log_format(hookfuse: Hookfuse) -> dict[str, Any]:
    document = json.loads(Path(hookfuse("logs", "--lnav-format").out.strip()).read_text())
    assert set(document) == {"$schema", "hookfuse_log"}
    described: dict[str, Any] = document["hookfuse_log"]
    return described


def _trees() -> Iterator[ast.AST]:
    for path in [_ROOT / "runner.py", *(path for room in _ROOMS for path in (_ROOT / room).rglob("*.py"))]:
        yield ast.parse(path.read_text())


def _logged_fields() -> set[str]:
    """Read the fields of each call of a logger from the code; those given as `**facts` stand in a literal."""
    fields = set(_OF_EVERY_LINE)
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _is_log_call(node.func):
                fields |= {keyword.arg for keyword in node.keywords if keyword.arg}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "facts":
                fields |= {str(key.value) for key in ast.walk(node.value) if isinstance(key, ast.Constant)}
    return fields - {"exc_info"}  # which is written as `exception`


def _is_log_call(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in _METHODS
        and isinstance(function.value, ast.Name)
        and function.value.id.strip("_") == "log"
    )


def test_the_fields_of_the_code_are_found() -> None:
    assert {"installation_id", "done", "message_id", "buffer_record", "exit_code"} <= _logged_fields()


def test_the_format_knows_every_field_that_is_logged_and_no_other(log_format: dict[str, Any]) -> None:
    """A field that is new goes into console/formats/hookfuse.lnav.json."""
    known = set(log_format["value"])

    assert known == _logged_fields(), "add to, or take from, console/formats/hookfuse.lnav.json"


def test_what_the_format_shows_and_goes_by_are_its_fields(log_format: dict[str, Any]) -> None:
    shown = {part["field"] for part in log_format["line-format"] if isinstance(part, dict)}
    named = {log_format[key] for key in ("timestamp-field", "level-field", "opid-field")}

    assert shown - {"__timestamp__"} | named <= set(log_format["value"])


def test_kinds_are_those_of_the_values(log_format: dict[str, Any]) -> None:
    kinds = {name: value["kind"] for name, value in log_format["value"].items()}

    assert set(kinds.values()) == {"string", "integer", "float", "boolean", "json"}
    assert {name: kinds[name] for name in LogEntry.__struct_fields__} == {
        name: "integer"
        if name in ("attempt", "position", "status_code")
        else "float"
        if name == "duration_ms"
        else "string"
        for name in LogEntry.__struct_fields__
    }
