import gzip
import json
import os
from pathlib import Path

import pytest

from console.commands.events import imports as events_import
from console.shell.exit_codes import ExitCode
from tests.console.conftest import NOW, SECRET, Hookfuse, World


@pytest.fixture
def export(hookfuse: Hookfuse, world: World, tmp_path: Path) -> Path:
    """The history of a world, in a file."""
    path = tmp_path / "events.jsonl"
    assert hookfuse("events", "export", "--to", path).code == 0
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A home that is not there yet."""
    return tmp_path / "other"


def test_a_new_home_gets_the_history_and_what_it_lacks_is_said(
    hookfuse: Hookfuse, world: World, export: Path, other: Path
) -> None:
    ended = hookfuse("events", "import", export, home=other)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "imported 29 events",
        "1 pending mail of the history is given up, as it may have been sent elsewhere (see --send-pending-mails)",
        "exports hold no secrets, and what is queued for an app without one waits:",
        *(
            f"app {app_id} has no secret here: give it one with hookfuse apply REGISTRY.toml,"
            f" or hookfuse app rotate-secret {app_id}"
            for app_id in (5, 6, 7)
        ),
    ]
    assert hookfuse("events", "export", home=other).out.startswith(export.read_text())
    assert hookfuse("why", "7c1f0a99", home=other).out == hookfuse("why", "7c1f0a99").out
    assert SECRET not in ended.out


def test_a_second_time_nothing_changes(hookfuse: Hookfuse, export: Path, other: Path) -> None:
    hookfuse("events", "import", export, home=other)
    before = hookfuse("events", "export", home=other).out

    assert hookfuse("events", "import", export, home=other).out == "imported 0 events, and 29 here already\n"
    assert hookfuse("events", "import", export).out == "imported 0 events, and 29 here already\n"
    assert hookfuse("events", "export", home=other).out == before


@pytest.mark.parametrize("is_compressed", [False, True])
def test_standard_input_is_read_compressed_or_not(
    hookfuse: Hookfuse, export: Path, other: Path, is_compressed: bool
) -> None:
    content = export.read_bytes()
    ended = hookfuse("events", "import", "-", stdin=gzip.compress(content) if is_compressed else content, home=other)

    assert ended.out.splitlines()[0] == "imported 29 events"


def test_a_program_gets_a_document(hookfuse: Hookfuse, export: Path, other: Path) -> None:
    ended = hookfuse("events", "import", export, "--json", "--send-pending-mails", home=other)

    assert ended.json == {
        "lines": 29,
        "imported": 29,
        "skipped": 0,
        "pending_mails": 1,
        "given_up_mails": 0,
        "apps_without_secret": [5, 6, 7],
        "faults": [],
        "fault_count": 0,
        "is_dry_run": False,
    }
    assert hookfuse("status", "--json", home=other).json["mails"]["requested"] == 1


def test_wrong_lines_are_named_and_nothing_is_imported(
    hookfuse: Hookfuse, export: Path, other: Path, tmp_path: Path
) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x1b[2J no json\n"
    lines[9] = lines[9].replace(b"delivery.", b"d\\u001b[2J.")
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"".join(lines))

    ended = hookfuse("events", "import", bad, home=other)
    document = hookfuse("events", "import", bad, "--json", home=other)

    assert (ended.code, document.code) == (ExitCode.BAD_INPUT, ExitCode.BAD_INPUT)
    assert ended.out.splitlines() == [
        "line 4: not JSON: JSON is malformed: invalid character (byte 0)",
        "line 10: event type 'd\\x1b[2J.failed' is not known to this version of hookfuse",
    ]
    assert ended.err == f"hookfuse: {bad}: 2 lines are wrong, and nothing was imported\n"
    assert document.json["faults"][0] == {"line": 4, "text": "not JSON: JSON is malformed: invalid character (byte 0)"}
    assert hookfuse("events", "--json", home=other).json == []


def test_beyond_the_first_faults_only_their_number_is_said(hookfuse: Hookfuse, other: Path) -> None:
    ended = hookfuse("events", "import", "-", stdin="{}\n" * 1_234, home=other)

    assert len(ended.out.splitlines()) == 51
    assert ended.out.splitlines()[-1] == "and 1,184 more"
    assert ended.err == "hookfuse: standard input: 1,234 lines are wrong, and nothing was imported\n"


def test_a_dry_run_makes_no_home_and_changes_none(hookfuse: Hookfuse, export: Path, other: Path) -> None:
    ended = hookfuse("events", "import", export, "--dry-run", home=other)

    assert ended.out.splitlines()[0] == "would import 29 events"
    assert not other.exists()

    hookfuse("events", "import", "-", stdin=b"".join(export.read_bytes().splitlines(keepends=True)[:8]), home=other)
    dry = hookfuse("events", "import", export, "--dry-run", home=other)

    assert dry.out.splitlines()[0] == "would import 21 events, and 8 here already"
    assert len(hookfuse("events", "--json", home=other).json) == 8


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "cannot be read: No such file or directory"),
        (gzip.compress(os.urandom(5000))[:-9], "not a whole gzip file"),
        (b"\x1f\x8bnothing", "not a whole gzip file"),
        (gzip.compress(b"{}\n")[:-8] + bytes(8), "not a whole gzip file"),
    ],
    ids=["not there", "cut short", "no gzip", "a wrong checksum"],  # the bytes are others in each process
)
def test_a_file_that_cannot_be_read_is_one_line(
    hookfuse: Hookfuse, tmp_path: Path, other: Path, content: bytes | None, text: str
) -> None:
    path = tmp_path / "events.jsonl.gz"
    if content is not None:
        path.write_bytes(content)

    ended = hookfuse("events", "import", path, home=other)

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.BAD_INPUT, "", 1)
    assert text in ended.err


def test_a_folder_is_no_file(hookfuse: Hookfuse, tmp_path: Path, other: Path) -> None:
    assert hookfuse("events", "import", tmp_path, home=other).code == ExitCode.BAD_INPUT


def test_no_daemon_is_made_to_wait_for_too_long(
    hookfuse: Hookfuse, world: World, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.store() as store:
        from tests.eventstore.facts import failed, record

        record(store, *[failed(app_id=5)] * 600, installation_id="7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10")
    content = hookfuse("events", "export").out
    monkeypatch.setattr(events_import, "_PATIENCE_OF_A_DAEMON_S", -1.0)
    hookfuse("events", "import", "-", stdin="", home=other)

    from eventstore.home.folder import Home

    with Home(other).ownership.held():
        refused = hookfuse("events", "import", "-", stdin=content, home=other)

    assert refused.code == ExitCode.ALREADY_RUNNING
    assert "stop it first; nothing was imported" in refused.err
    assert hookfuse("events", "--json", home=other).json == []
    assert hookfuse("events", "import", "-", stdin=content, home=other).out.startswith("imported 629 events\n")


def test_the_clock_of_the_home_says_what_lies_in_the_future(
    hookfuse: Hookfuse, world: World, export: Path, other: Path
) -> None:
    world.clock.moment = NOW.replace(day=6)

    ended = hookfuse("events", "import", export, home=other)

    assert ended.code == ExitCode.BAD_INPUT
    assert "lies in the future" in ended.out.splitlines()[0]
    assert json.loads(export.read_text().splitlines()[0])["recorded_at"] < "2025-02-03"
