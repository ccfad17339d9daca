"""Who may import whom: the rooms and arrows of docs/design.md, and each third-party package in its room only."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms import (
    GROUND,
    HOUSES,
    ROOT,
    arrows,
    files,
    imports,
    in_the_form_of_the_table,
    may_import,
    page,
    room_of,
    sorted_rooms,
)

# structlog and msgspec are everybody's; the others are met where they are named, and only there.
_EVERYWHERE = {"structlog", "msgspec", "_typeshed"}
_PACKAGES = {
    "sqlite_utils": {"eventstore.sqlite"},
    "redis": {"eventstore.redis", "eventstore.transfer"},
    "zstandard": {"eventstore.queue"},
    "idna": {"eventstore.common"},
    "cryptography": {"eventstore.settings", "eventstore.registry", "webhook"},
    "certifi": {"webhook"},
    "requests": {"webhook"},
    "httptools": {"webhook"},
    "pykka": {"actors.assembly", "actors.delivery", "actors.journal", "actors.messages", "actors.runtime"},
    "prometheus_client": {"actors.observability"},
    "jinja2": {"actors.mail"},
    "click": {"console.shell", "console.input", "console.logs", "console.output", "console.commands", "runner"},
    "rich": {"console.output", "console.commands"},
    "ddsketch": {"console.logs"},
    "matplotlib": {"console.output"},
}
# Where statements are executed. `replay` looks at all tables, to compare them.
_EXECUTE = {
    *(f"eventstore.{room}" for room in ("sqlite", "log", "queue", "projections", "registry", "transfer", "views")),
    *(f"eventstore.{room}" for room in ("backup", "integrity", "wall_clock", "redis", "unit_of_work")),
    "replay",
}
# Where SQLite itself is met: everybody else is lent a `Connection`. `replay` copies and compares databases.
_SQLITE = {*(f"eventstore.{room}" for room in ("sqlite", "backup", "integrity", "transfer", "unit_of_work")), "replay"}
# Of a statement: what PostgreSQL would have to be told otherwise.
_NOT_PORTABLE = re.compile(
    r"INSERT OR |REPLACE INTO|ON CONFLICT DO|is_\w+ = [01]|INDEXED|json_(each|group|array|extract)|sqlite_|PRAGMA"
    r"|rowid|last_insert|strftime|julianday|GLOB|ifnull|iif\("
)
# The hot statements, which every store has its own of; and sequences, at which a queue of SQLite's begins.
_OWN_SQL = {
    *(f"eventstore/queue/{name}.py" for name in ("acknowledge", "claim", "enqueue", "packed_batches", "sequences")),
    "eventstore/log/event_log.py",
}
# Cold, and yet of SQLite's own: an index that it would not choose, or a list of values in one parameter.
_SECOND_TEXT = {
    "eventstore/log/chain.py": {"INDEXED", "sqlite_"},
    "eventstore/projections/registry.py": {"json_each"},
    "eventstore/queue/missed.py": {"INDEXED"},
    "eventstore/queue/queries.py": {"INDEXED", "json_each"},
    "eventstore/views/names.py": {"json_each"},
    "eventstore/wall_clock/survey.py": {"INDEXED"},
}
_COLD = ("views", "decisions", "projections", "registry", "deliveries", "wall_clock", "redis", "queue", "log")
_FILES = [path.relative_to(ROOT).as_posix() for path in files()]


def _room(path: str) -> str:
    room = room_of(path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    assert room is not None, path
    return room


def _those(condition: Callable[[set[str]], bool]) -> set[str]:
    return {path for path in _FILES if condition(imports(ROOT / path))}


def test_each_room_imports_what_the_table_says_and_nothing_else() -> None:
    """Print the table that is true with `python -m tests.rooms`."""
    there = {room: in_the_form_of_the_table(room, targets) for room, targets in arrows().items()}

    assert there == may_import()


def test_the_page_of_rooms_says_what_there_is() -> None:
    """Write it again with `python -m tests.rooms`."""
    assert (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8") == page()


def test_no_room_imports_itself_by_way_of_others() -> None:
    assert set(sorted_rooms(arrows())) >= set(may_import())


def test_houses_import_each_other_one_way_only() -> None:
    houses = {house: set[str]() for house in (*HOUSES, "runner")}
    for room, targets in arrows().items():
        house = room.partition(".")[0]
        houses[house] |= {one.partition(".")[0] for one in targets} - {house}

    assert houses == {
        "eventstore": set(),
        "webhook": {"eventstore"},
        "actors": {"eventstore", "webhook"},
        "replay": {"eventstore"},
        "console": {"eventstore", "replay"},
        "runner": {"actors", "console", "eventstore"},
    }


@pytest.mark.parametrize("path", _FILES)
def test_a_package_is_imported_in_its_own_rooms_only(path: str) -> None:
    roots = {name.partition(".")[0] for name in imports(ROOT / path)}
    foreign = roots - set(sys.stdlib_module_names) - set(HOUSES) - {"runner"} - _EVERYWHERE

    assert {package for package in foreign if _room(path) not in _PACKAGES.get(package, set())} == set()


def test_statements_are_executed_in_the_rooms_of_the_store_only() -> None:
    executing = {
        path
        for path in _FILES
        if any(call in (ROOT / path).read_text() for call in (".execute(", ".executemany(", ".executescript("))
    }

    elsewhere = {path for path in executing if _room(path) not in _EXECUTE and not path.startswith("replay/")}
    assert elsewhere == set()


def test_sqlite_itself_is_met_in_few_rooms() -> None:
    users = _those(lambda names: "sqlite3" in names)

    elsewhere = {path for path in users if path.startswith("eventstore/") and _room(path) not in _SQLITE}
    assert elsewhere - {"eventstore/common/shortage.py", "eventstore/queue/claim.py"} == set()  # they know its errors


def test_statements_of_the_cold_paths_are_those_of_any_store_but_for_a_few() -> None:
    found = {
        path: {match[0] for match in _NOT_PORTABLE.finditer((ROOT / path).read_text())}
        for path in _FILES
        if _room(path) in {f"eventstore.{room}" for room in _COLD} and path not in _OWN_SQL
    }

    assert {path: forms for path, forms in found.items() if forms} == _SECOND_TEXT


def test_ground_and_policies_need_neither_the_database_nor_the_network() -> None:
    far = {"sqlite3", "requests", "ssl", "socket", "redis"}
    pure = {*GROUND, "eventstore.events", "eventstore.policies"}

    assert not {path for path in _those(lambda names: bool(names & far)) if _room(path) in pure}


# What people give as files of certificates is tried with OpenSSL, before a request is.
_LOOK_AT_CERTIFICATES = {"eventstore/settings/client_certificate.py", "eventstore/settings/trusted_certificates.py"}


def test_the_store_and_looking_back_need_neither_the_sender_nor_what_it_is_made_of() -> None:
    there = [path for path in _FILES if path.startswith(("eventstore/", "replay/"))]
    rooms = [path.removesuffix(".py").replace("/", ".") for path in there]
    modules = [name.removesuffix(".__init__") for name in rooms]
    script = f"import sys\nfor name in {modules}: __import__(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    names = set(loaded.stdout.split())
    ours = {path for path in _FILES if path.removesuffix(".py").replace("/", ".") in names}
    assert "replay/rebuild/rebuild.py" in ours
    assert not {name for name in names if name.partition(".")[0] in {"webhook", "actors", "requests"}}
    # structlog brings ssl along with asyncio: it is there, but nobody here asks for it.
    assert ours & _those(lambda names: bool(names & {"ssl", "socket"})) == _LOOK_AT_CERTIFICATES


def test_actors_meet_only_by_messages() -> None:
    meeting = {"actors.messages", "actors.runtime"}
    wiring = {"actors.assembly", "actors.process"}
    for room, targets in arrows().items():
        if room.startswith("actors.") and room not in wiring:
            assert {one for one in targets if one.startswith("actors.")} <= meeting, room


def test_what_is_private_to_pykka_is_touched_by_the_mailbox_and_its_actor_only() -> None:
    touching = _those(lambda names: any(name.startswith("pykka.") and "._" in name for name in names))

    assert touching == {"actors/runtime/mailbox.py", "actors/runtime/pooled_actor.py"}


def test_mail_is_spoken_in_one_file() -> None:
    assert _those(lambda names: "smtplib" in names) == {"actors/mail/smtp_transport.py"}


def test_tests_stand_in_rooms_of_the_same_names() -> None:
    folders = {
        path.parent.relative_to(ROOT / "tests")
        for house in HOUSES
        for path in (ROOT / "tests" / house).rglob("test_*.py")
    }

    assert {str(folder) for folder in folders if not (ROOT / Path(folder)).is_dir()} == set()
