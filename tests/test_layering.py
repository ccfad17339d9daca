"""Who may import whom: the rooms and arrows of docs/design.md, and each third-party package in its room only."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_ROOMS = ("actors", "eventstore", "webhook", "replay", "console")
_ARROWS = {
    "eventstore": set[str](),
    "webhook": {"eventstore"},  # the pure parsers only: a test of its own below
    "replay": {"eventstore"},
    "console": {"replay", "eventstore"},
    "actors": {"eventstore", "webhook"},
    "runner": {"console", "actors", "eventstore"},
}
# structlog is everybody's; the others are met where they are named, and only there.
_PACKAGES = {
    "eventstore": {
        "sqlite_utils",
        "redis",
        "msgspec",
        "pydantic",
        "pydantic_settings",
        "structlog",
        "cryptography",
        "zstandard",
        "idna",
    },
    "webhook": {"requests", "httptools", "msgspec", "structlog", "certifi", "cryptography"},
    "replay": {"msgspec", "structlog"},
    "console": {"click", "rich", "msgspec", "structlog", "ddsketch", "matplotlib"},
    "actors": {"pykka", "jinja2", "structlog", "prometheus_client", "msgspec"},
    "runner": {"click", "structlog"},
}
# What webhook may import of eventstore, and what those may: pure, and shared with `apply`, `doctor` and the daemon.
_PARSERS = {"endpoint_url", "host_name", "custom_headers", "address_rules", "shortage"}
_MEET_EVERYBODY = {"messages", "system", "surroundings", "lookout"}  # what actors share, and what wires them
_ACTORS = {"dispatcher", "installation", "journal", "supervisor", "mailer", "projector", "intake", "meter"}


def _files() -> Iterator[tuple[str, Path]]:
    yield "runner", _ROOT / "runner.py"
    for room in _ROOMS:
        yield from ((room, path) for path in sorted((_ROOT / room).rglob("*.py")))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(("room", "path"), list(_files()), ids=lambda value: getattr(value, "name", value))
def test_a_file_imports_only_what_its_room_may(room: str, path: Path) -> None:
    roots = {name.partition(".")[0] for name in _imports(path)}
    own = {"runner", *_ROOMS}
    foreign = roots - own - set(sys.stdlib_module_names) - {"", "_typeshed"}

    assert roots & own <= _ARROWS[room] | {room}
    assert foreign <= _PACKAGES[room]


def _module(name: str) -> str | None:
    """Return the name of the file in which what is imported stands, None = a folder."""
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        path = _ROOT.joinpath(*parts[:count])
        if path.with_suffix(".py").is_file():
            return path.name
    return None


def _modules_of(room: str, path: Path) -> set[str]:
    names = {_module(name) for name in _imports(path) if name.startswith(f"{room}.")}
    return {name for name in names if name is not None}


def _find(room: str, name: str) -> Path:
    (path,) = (_ROOT / room).rglob(f"{name}.py")
    return path


def test_the_sender_knows_nothing_of_the_store_but_its_pure_modules() -> None:
    imported = set().union(*(_modules_of("eventstore", path) for path in (_ROOT / "webhook").rglob("*.py")))

    assert imported <= _PARSERS | {"errors"}


@pytest.mark.parametrize("parser", sorted(_PARSERS))
def test_a_parser_needs_neither_the_store_nor_the_network(parser: str) -> None:
    path = _find("eventstore", parser)

    assert _modules_of("eventstore", path) <= _PARSERS | {"errors"}
    assert not {name.partition(".")[0] for name in _imports(path)} & {"sqlite3", "requests", "ssl", "socket"}


@pytest.mark.parametrize("actor", sorted(_ACTORS))
def test_an_actor_module_imports_no_other_actor_module(actor: str) -> None:
    assert not _modules_of("actors", _find("actors", actor)) & (_ACTORS - {actor})


def test_only_the_files_that_are_meant_to_touch_what_is_private_to_pykka() -> None:
    touching = {
        path.name
        for path in (_ROOT / "actors").rglob("*.py")
        if any(name.startswith("pykka.") and ("._" in name) for name in _imports(path))
    }

    assert touching == {"mailbox.py"}


def test_only_the_smtp_postbox_speaks_smtp() -> None:
    assert {path.name for _, path in _files() if "smtplib" in _imports(path)} == {"smtp_postbox.py"}
