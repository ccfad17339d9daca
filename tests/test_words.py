"""What people read is idiomatic English: how docstrings begin, and which words and forms nobody writes."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FOLDERS = ("actors", "benchmarks", "console", "eventstore", "examples", "replay", "tests", "webhook")

# A function's docstring says what it does, in the imperative (PEP 257): "Return", "Check", "Close".
_NO_IMPERATIVE = frozenset(
    [
        "All",
        "As",
        "Give",
        "Have",
        "How",
        "If",
        "Let",
        "Name",
        "None",
        "Say",
        "See",
        "So",
        "That",
        "Those",
        "What",
        "When",
        "Where",
        "Whether",
        "Which",
        "Who",
    ]
)


def _sources() -> Iterator[Path]:
    yield from ROOT.glob("*.py")
    for folder in _FOLDERS:
        yield from (ROOT / folder).rglob("*.py")


def _docstrings() -> Iterator[tuple[Path, str, str]]:
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
                yield path, node.name, text


def test_a_function_s_docstring_begins_with_what_it_does() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}: {text.splitlines()[0]}"
        for path, name, text in _docstrings()
        if text.split()[0].strip(",.:;") in _NO_IMPERATIVE
    ]

    assert wrong == []
