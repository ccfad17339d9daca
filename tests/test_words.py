"""What people read is idiomatic English: how docstrings begin, and which words and forms nobody writes."""

import ast
import re
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


# What is not written in code, docs and texts -> what is. A word means one thing (docs/glossary.md); "is no URL" and
# what else reads as translated does not come back.
_REPLACED = {
    r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer|more|less|better|other|reason|room)[a-z]+": "is not a ...",
    r"\bnear to (?:be|the)\b": "close to",
    r"\b[Mm]end(?:s|ed|ing)?\b": "fix, repair",
    r"Yours is another": "the versions differ",
    r"\b(?:un)?heeded\b": "pending, ignored",
    r"\bow(?:ed|es)\b": "pending",
    r"\bspared\b": "avoided",
    r"\bcalmed\b": "lifted",
    r"\b[Jj]udg(?:e|es|ed|ing)\b": "evaluate",
    r"\b(?:nearness|[Vv]erdict|[Pp]revention)\b": "progress, evaluation, remediation",
    r"\b(?:put_back|taken_out|both_until|held_back_by|really_\w+)\b": "see the table in CHANGELOG.md",
    r"\bLane(?:Watch)?\b": "ConcurrencyLimiter",
    r"\blets? go of\b": "release, delete",
    r"\b(?:belongs? into|graver|of late|anew)\b": "belongs in, more severe, lately, again",
    r"\b[Ss]ee to (?:it|its|this|what)\b": "check, make sure",
    r"\bturn to write\b": "the writer lock",
}
_PATTERNS = [(re.compile(pattern), instead) for pattern, instead in _REPLACED.items()]

# Migrations stay as they were released, and what reads, or is compared with, what was before has its words.
_EXEMPT = (
    "eventstore/sqlite/migrations.py",
    "eventstore/events/codec.py",
    "tests/test_words.py",
    "tests/replay/test_former_names.py",
    "tests/eventstore/events/test_event.py",
)
_FORMER = ("former_names", "before: `installation.calmed`", "`verdict`, `review`")


def _texts() -> Iterator[tuple[str, int, str]]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")]
    for path in (*_sources(), *pages):
        name = str(path.relative_to(ROOT))
        if name in _EXEMPT or name.startswith("tests/side_by_side") or path.name in ("CHANGELOG.md", "proofs.md"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not any(former in line for former in _FORMER):
                yield name, number, line


def test_words_that_were_replaced_are_not_written() -> None:
    found = [
        f"{name}:{number}: {match.group()!r}: {instead}"
        for name, number, line in _texts()
        for pattern, instead in _PATTERNS
        if (match := pattern.search(line))
    ]

    assert found == []
