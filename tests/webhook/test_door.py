from __future__ import annotations

import ast
import sys
from pathlib import Path

import webhook

ROOM = Path(webhook.__file__).parent


def test_everything_that_the_door_names_can_be_imported_and_nothing_is_named_twice() -> None:
    assert len(set(webhook.__all__)) == len(webhook.__all__)
    assert [name for name in webhook.__all__ if not hasattr(webhook, name)] == []


def test_everything_that_the_door_imports_is_named() -> None:
    tree = ast.parse((ROOM / "__init__.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert imported == set(webhook.__all__)


def test_the_room_imports_only_the_packages_that_it_needs() -> None:
    packages = {"requests", "httptools", "structlog", "msgspec", "cryptography"}
    allowed = sys.stdlib_module_names | packages | {"webhook", "eventstore", "_typeshed"}
    imported = set()
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])

    assert imported - allowed == set()
